"""A probe whose engine is vLLM in processes of its own: what a Ctrl-C and a kill -9 leave."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from pebr_data.cli import main
from pebr_data.probe.spool import read_spool
from pebr_data.types import Rollout
from tests.processes import descendants, wait_for_end

pytest.importorskip("vllm", reason="vLLM is not installed in this environment")

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(900), pytest.mark.filterwarnings("ignore")]

ROLLOUTS = 8
CATALOG = f"""\
name: small
sources:
  - {{name: made, type: shapes, splits: {{train: 400}}}}
probe:
  template: question
  max_completion_length: 120
  rollouts: {ROLLOUTS}
  engine: vllm
  engine_options: {{enforce_eager: true, max_num_seqs: 64}}
"""
COMMAND = """\
import sys
from pebr_data.cli import main
sys.exit(main(['probe', 'small.yaml', '--model', 'pebr-tiny', *sys.argv[1:]]))
"""


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PEBR_STORE", raising=False)
    (tmp_path / "small.yaml").write_text(CATALOG, encoding="utf-8")
    assert main(["build", "small.yaml"]) == 0
    return tmp_path


@contextmanager
def probing(directory: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """The command, in a process group of its own; its stderr goes to `err.txt`."""
    with (directory / "err.txt").open("wb") as err:
        probe = subprocess.Popen(
            [sys.executable, "-c", COMMAND, *arguments],
            stdout=subprocess.PIPE,
            stderr=err,
            env={**os.environ, "VLLM_CPU_KVCACHE_SPACE": "1", "PYTHONPATH": str(Path(__file__).parents[2])},
            start_new_session=True,
        )
    try:
        yield probe
    finally:
        with suppress(ProcessLookupError):
            os.killpg(probe.pid, signal.SIGKILL)
        probe.communicate()


def wait_for_rollouts(directory: Path, probe: subprocess.Popen[bytes]) -> None:
    while not kept(directory):
        assert probe.poll() is None, (directory / "err.txt").read_text()[-3000:]
        time.sleep(0.2)


def test_an_interrupt_of_the_whole_group_finishes_what_is_under_way(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A terminal's Ctrl-C goes to vLLM's processes too."""
    with probing(directory) as probe:
        wait_for_rollouts(directory, probe)
        before = len(kept(directory))
        os.killpg(probe.pid, signal.SIGINT)
        out, _ = probe.communicate(timeout=300)
    said = (directory / "err.txt").read_text()
    assert (probe.returncode, out) == (130, b""), said
    assert "Traceback" not in said
    # Every sample that was begun has all its rollouts.
    after = len(kept(directory))
    assert before < after < 400 * ROLLOUTS
    assert after % ROLLOUTS == 0
    capsys.readouterr()
    assert main(["probe", "small.yaml", "--model", "pebr-tiny", "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["num_kept"] == after


def test_a_kill_ends_vllms_processes_too_and_the_next_run_makes_what_is_owed(directory: Path) -> None:
    with probing(directory, "--limit", "100") as probe:
        wait_for_rollouts(directory, probe)
        started = descendants(probe.pid)
        assert started, "vLLM had no process of its own"
        probe.kill()
        probe.wait()
        wait_for_end(started)
    before = kept(directory)
    assert len(before) < 100 * ROLLOUTS
    with probing(directory, "--limit", "100") as probe:
        probe.communicate(timeout=600)
        assert probe.returncode == 0, (directory / "err.txt").read_text()[-3000:]
    after = kept(directory)
    assert after[: len(before)] == before
    assert len({one.key for one in after}) == len(after) == 100 * ROLLOUTS


def kept(directory: Path) -> list[Rollout]:
    spools = (directory / "store" / "probes").glob("*/spool")
    return [one for spool in spools for segment in read_spool(spool) for one in segment.rollouts]
