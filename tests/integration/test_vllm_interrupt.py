"""Ctrl-C in a terminal goes to vLLM's processes too: they must let a probe finish what is under way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pebr_data.cli import main
from pebr_data.probe.spool import read_spool

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
COMMAND = "import sys; from pebr_data.cli import main; sys.exit(main(['probe', 'small.yaml', '--model', 'pebr-tiny']))"


def test_an_interrupt_of_the_whole_group_finishes_what_is_under_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PEBR_STORE", raising=False)
    (tmp_path / "small.yaml").write_text(CATALOG, encoding="utf-8")
    assert main(["build", "small.yaml"]) == 0
    with (tmp_path / "err.txt").open("wb") as err:
        probe = subprocess.Popen(
            [sys.executable, "-c", COMMAND],
            stdout=subprocess.PIPE,
            stderr=err,
            env={**os.environ, "VLLM_CPU_KVCACHE_SPACE": "1", "PYTHONPATH": str(Path(__file__).parents[2])},
            start_new_session=True,
        )
    try:
        while not num_kept(tmp_path):
            assert probe.poll() is None, (tmp_path / "err.txt").read_text()[-3000:]
            time.sleep(0.2)
        before = num_kept(tmp_path)
        os.killpg(probe.pid, signal.SIGINT)
        out, _ = probe.communicate(timeout=300)
    finally:
        if probe.poll() is None:
            os.killpg(probe.pid, signal.SIGKILL)
    said = (tmp_path / "err.txt").read_text()
    assert (probe.returncode, out) == (130, b""), said
    assert "Traceback" not in said
    # Every sample that was begun has all its rollouts.
    after = num_kept(tmp_path)
    assert before < after < 400 * ROLLOUTS
    assert after % ROLLOUTS == 0
    capsys.readouterr()
    assert main(["probe", "small.yaml", "--model", "pebr-tiny", "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["num_kept"] == after


def num_kept(directory: Path) -> int:
    spools = (directory / "store" / "probes").glob("*/spool")
    return sum(len(segment.rollouts) for spool in spools for segment in read_spool(spool))
