"""A probe that is killed with SIGKILL, over and over, ends with exactly the rollouts of one that was not."""

from __future__ import annotations

import json
import random
import signal
import time
from pathlib import Path

from pebr_data.catalog.store import Catalog
from pebr_data.probe.spool import read_spool
from tests import nursery
from tests.nursery import Child
from tests.probed_store import fill, fingerprint

# A scripted generation source: it makes batches of 24 rollouts from their seeds, a few milliseconds each. It waits for
# another one where there is a meeting, and after `LAST` requests until it is stopped or killed.
PROBE = """
import os, sys, time
from pathlib import Path
from pebr_data.catalog.store import Catalog
from pebr_data.probe import keep
from pebr_data.probe.run import run_probe
from pebr_data.probe.shard import parse_shard
from pebr_data.types import Generation
from tests.probed_store import fingerprint

keep.SYNC_EVERY, keep.MERGE_EVERY = 16, 64

def wait_for_the_other():
    for meeting in map(Path, sys.argv[3:]):
        (meeting / sys.argv[2].replace("/", "-")).touch()
        while len(list(meeting.iterdir())) < 2:
            time.sleep(0.01)

class Scripted:
    name = "transformers"
    def generate(self, requests, sampling, *, stop=None):
        wait_for_the_other()
        for number, request in enumerate(requests):
            while number == int(os.environ.get("LAST", -1)) and not stop():
                time.sleep(0.01)
            if stop():
                return
            for key in request.keys:
                yield key, Generation(f"### The final answer is: {key.seed % 5}", 9, "stop", 30, 9)
            if number % 3 == 2:
                time.sleep(0.005)

store = Path(sys.argv[1])
shard = parse_shard(sys.argv[2])
with Catalog.open(store, read_only=True) as catalog:
    samples = catalog.samples("small")
result = run_probe(
    store, samples, fingerprint(), Scripted, shard=shard, progress=lambda done, total, note: print(done, flush=True)
)
print("finished", result.num_generated, flush=True)
"""


def start(store: Path, shard: str = "1/1", code: str = PROBE, *, meeting: Path | None = None, last: int = -1) -> Child:
    """A probe in a process of its own.

    It generates when another has come to the meeting, if there is to be one, and waits after `last` requests.
    """
    meetings = [] if meeting is None else [str(meeting)]
    return nursery.start(code, str(store), shard, *meetings, environment={"LAST": str(last)})


def test_killed_probes_lose_nothing_acknowledged_and_make_nothing_twice(tmp_path: Path) -> None:
    store = tmp_path / "store"
    sample_ids = fill(store, {"train": 150})
    generator = random.Random(0)
    acknowledged = 0
    for _ in range(5):
        # Killed anywhere between the first acknowledged rollouts and 192, however slow or late anybody is.
        process = start(store, last=24)
        found = int(process.stdout.readline())
        # The first count is what the run found; nothing acknowledged before may be missing from it.
        assert found >= acknowledged
        acknowledged = int(process.stdout.readline())
        assert acknowledged > found
        time.sleep(generator.uniform(0.0, 0.1))
        process.send_signal(signal.SIGKILL)
        out, _ = process.communicate()
        acknowledged = max([acknowledged, *(int(line) for line in out.splitlines() if line.isdigit())])

    last = start(store)
    _, err = last.communicate()
    assert last.returncode == 0, err
    with Catalog.open(store, read_only=True) as catalog:
        rollouts = catalog.rollouts(fingerprint().probe_id)
    assert [(one.key.sample_id, one.key.index) for one in rollouts] == [
        (sample_id, index) for sample_id in sorted(sample_ids) for index in range(8)
    ]
    for one in rollouts:
        assert one.generation.completion == f"### The final answer is: {one.key.seed % 5}"
    segments = list(read_spool(store / "probes" / fingerprint().probe_id / "spool"))
    spooled = [one.key for segment in segments for one in segment.rollouts]
    assert len(spooled) == len(set(spooled)) == 1200
    assert len(segments) == 6


def test_an_interrupted_probe_finishes_its_batch_and_says_how_to_go_on(tmp_path: Path) -> None:
    store = tmp_path / "store"
    fill(store, {"train": 150})
    process = start(store, last=30)
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert "finishing the batch in hand" in err
    assert "Interrupted" in err
    counts = [int(line) for line in out.splitlines() if line.isdigit()]
    with Catalog.open(store, read_only=True) as catalog:
        assert len(catalog.rollout_keys(fingerprint().probe_id)) == max(counts, default=0)


def test_two_shards_at_once_make_every_rollout_once(tmp_path: Path) -> None:
    store = tmp_path / "store"
    sample_ids = fill(store, {"train": 150})
    meeting = tmp_path / "meeting"
    meeting.mkdir()
    processes = [start(store, shard, meeting=meeting) for shard in ("1/2", "2/2")]
    told = []
    for process in processes:
        out, err = process.communicate()
        assert process.returncode == 0, err
        told += [int(line.split()[1]) for line in out.splitlines() if line.startswith("finished")]

    assert sum(told) == 1200
    with Catalog.open(store, read_only=True) as catalog:
        kept = catalog.rollout_keys(fingerprint().probe_id)
    assert kept == {(sample_id, index) for sample_id in sample_ids for index in range(8)}
    found = list(read_spool(store / "probes" / fingerprint().probe_id / "spool"))
    parts = [{one.key.sample_id for one in segment.rollouts} for segment in found]
    assert [len(segment.rollouts) for segment in found] == [len(part) * 8 for part in parts]
    assert len(parts) == 2
    assert not parts[0] & parts[1]


def test_a_second_interrupt_ends_a_batch_that_takes_long_and_keeps_what_was_made(tmp_path: Path) -> None:
    store = tmp_path / "store"
    fill(store, {"train": 150})
    slow = PROBE.replace("if number % 3 == 2:", "if number == 9:").replace("time.sleep(0.005)", "time.sleep(600)")
    process = start(store, code=slow)
    while int(process.stdout.readline()) < 80:
        pass
    # All before the batch that takes long is acknowledged.
    process.send_signal(signal.SIGINT)
    assert "once more stops at once" in process.stderr.readline()
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode != 0
    assert "KeyboardInterrupt" in err
    with Catalog.open(store, read_only=True) as catalog:
        assert len(catalog.rollout_keys(fingerprint().probe_id)) == 80


def told_by_stats(store: Path) -> tuple[int, int]:
    """The rollouts that `pebr-data stats` counts in a process of its own, and the sum of their outcomes."""
    code = "import sys; from pebr_data.cli import main; sys.exit(main(['stats', '--json', '--store', sys.argv[1]]))"
    done = nursery.start(code, str(store))
    out, err = done.communicate()
    assert done.returncode == 0, err
    told = json.loads(out)
    outcomes = ("correct", "wrong", "unparsed", "truncated", "ungradable", "error")
    return (
        sum(probe["num_rollouts"] for probe in told["probes"]),
        sum(row[outcome] for row in told["outcomes"] for outcome in outcomes),
    )


def test_another_process_reads_growing_counts_while_a_probe_runs(tmp_path: Path) -> None:
    store = tmp_path / "store"
    fill(store, {"train": 300})
    slow = PROBE.replace("if number % 3 == 2:", "if True:").replace("time.sleep(0.005)", "time.sleep(0.2)")
    process = start(store, code=slow, last=280)
    counts = []
    while len(set(counts)) < 3:
        num_rollouts, num_outcomes = told_by_stats(store)
        assert num_rollouts == num_outcomes
        counts.append(num_rollouts)
        assert process.poll() is None, process.communicate()
    assert counts == sorted(counts)

    process.send_signal(signal.SIGINT)
    out, _ = process.communicate()
    acknowledged = max(int(line) for line in out.splitlines() if line.isdigit())
    assert counts[-1] <= acknowledged < 2400
    assert told_by_stats(store) == (acknowledged, acknowledged)
