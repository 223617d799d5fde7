"""kill -9 while a catalog is written: whatever was acknowledged is there, and nothing is there in part or twice."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from pebr_data.catalog.connection import connect
from pebr_data.catalog.store import Catalog
from tests.nursery import start

BATCH = 64

MERGER = f"""
import sys
from pathlib import Path
from pebr_data.catalog.store import Catalog
from pebr_data.types import Condition, Fingerprint, Generation, Grade, Outcome, Rollout, RolloutKey
policy = Fingerprint("tiny", "r1", "question", Condition.IMAGE, 1.2, 0.99, 64, 5184, "transformers")
store, first = Path(sys.argv[1]), int(sys.argv[2])
for batch in range(first, 1_000_000):
    rollouts = [
        Rollout(
            RolloutKey(policy.probe_id, f"sample{{batch}}", index),
            Generation("text " * 20, 20, "stop", 10, 9),
            Grade(Outcome.CORRECT, "1", "equal", "v1"),
        )
        for index in range({BATCH})
    ]
    with Catalog.open(store) as catalog:
        catalog.register_probe(policy)
        catalog.merge_rollouts(rollouts)
    print(batch, flush=True)
"""

# Says how far it is and, where a number of lines is given, waits for its end after as many.
BUILDER = """
import itertools, sys, time
from pathlib import Path
from pebr_data.catalog import ingest
from pebr_data.config import load_catalog_config
ingest.BATCH_SIZE = 16
config = load_catalog_config(Path(sys.argv[2]))
last, said = int(sys.argv[3]) if sys.argv[3:] else 0, itertools.count(1)
def say(source, done):
    print("batch", done, flush=True)
    if next(said) == last:
        time.sleep(600)
say("", 0)
result = ingest.build(config, Path(sys.argv[1]), progress=say)
print("done", sum(result.samples.values()), flush=True)
"""


def run_and_kill(script: str, *arguments: str, after_lines: int, delay_seconds: float) -> list[str]:
    """Runs a script, kills it a moment after its nth line, and gives every line it had printed."""
    process = start(script, *arguments)
    lines = [process.stdout.readline() for _ in range(after_lines)]
    time.sleep(delay_seconds)
    process.kill()
    out, err = process.communicate()
    assert process.returncode == -signal.SIGKILL, err
    lines += out.splitlines(keepends=True)
    return [line.strip() for line in lines if line.endswith("\n")]


def test_a_killed_merge_loses_nothing_acknowledged_and_keeps_whole_batches(tmp_path: Path) -> None:
    first = 0
    acknowledged: set[int] = set()
    for delay_seconds in (0.0, 0.004, 0.011, 0.02, 0.031):
        lines = run_and_kill(MERGER, str(tmp_path), str(first), after_lines=3, delay_seconds=delay_seconds)
        acknowledged |= {int(line) for line in lines}
        # Reading comes first: the killed process may have left a write-ahead log.
        with Catalog.open(tmp_path, read_only=True) as catalog:
            [probe] = catalog.probes()
            keys = catalog.rollout_keys(probe.probe_id)
        batches = {int(sample_id.removeprefix("sample")) for sample_id, _ in keys}
        assert acknowledged <= batches
        assert len(batches) <= len(acknowledged) + 1
        assert keys == {(f"sample{batch}", index) for batch in batches for index in range(BATCH)}
        acknowledged, first = batches, max(batches) + 1
    with connect(tmp_path, read_only=False, wait_seconds=5) as connection:
        for table in ("rollouts", "grades"):
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchall() == [(len(acknowledged) * BATCH,)]


@pytest.fixture
def shapes(tmp_path: Path) -> Path:
    path = tmp_path / "shapes.yaml"
    path.write_text(
        "name: shapes\nsources:\n  - {type: shapes, name: shapes, seed: 3, splits: {train: 96, test: 32}}\n"
    )
    return path


def finish(store: Path, shapes: Path) -> list[str]:
    """The lines of a build that nobody kills."""
    process = start(BUILDER, str(store), str(shapes))
    out, err = process.communicate()
    assert process.returncode == 0, err
    return out.splitlines()


def test_a_killed_build_is_finished_by_the_next_one(tmp_path: Path, shapes: Path) -> None:
    store = tmp_path / "store"
    for after_lines, delay_seconds in ((1, 0.02), (2, 0.0), (4, 0.01)):
        # However late the kill comes, the build is a batch further at most.
        given = (BUILDER, str(store), str(shapes), str(after_lines + 1))
        lines = run_and_kill(*given, after_lines=after_lines, delay_seconds=delay_seconds)
        assert not lines[-1].startswith("done")
        assert [path.name for path in store.glob("images/**/*") if path.is_file() and not path.stat().st_size] == []
    assert finish(store, shapes)[-1] == "done 128"
    with Catalog.open(store, read_only=True) as catalog:
        samples = catalog.samples("shapes")
        assert len(samples) == len({sample.sample_id for sample in samples}) == 128
    assert finish(store, shapes) == ["batch 0", "done 128"]
