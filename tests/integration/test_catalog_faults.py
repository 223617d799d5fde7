"""A killed process at every named point of a build, a merge, a migration and a repair; a full disk; a damaged log.

The points are where the code is about to write or has just written. A child process runs the work with one function
wrapped: its nth call kills the process (SIGKILL) before or after it.
"""

from __future__ import annotations

import json
import lzma
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pebr_data.catalog.connection import CATALOG_FILE, connect, inspect
from pebr_data.catalog.schema import MIGRATIONS, schema_version
from pebr_data.catalog.store import Catalog
from pebr_data.cli import main as pebr_data
from pebr_data.doctor.examine import examine
from pebr_data.doctor.repair import repair
from pebr_data.errors import DataError, StorageError
from pebr_data.probe.spool import SpoolWriter, read_spool
from pebr_data.types import Outcome
from tests.nursery import start
from tests.probed_store import fill, fingerprint, rollout

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "fixtures" / "catalogs"
WAL = f"{CATALOG_FILE}.wal"

# Wraps `module.attribute` (or `module.Class.method`) so that its nth call ends the process at once.
WRAP = """
import importlib, itertools, os, signal, sys
from pathlib import Path
where, when, number = sys.argv[2], sys.argv[3], int(sys.argv[4])
module, _, attribute = where.partition(":")
owner = importlib.import_module(module)
*path, name = attribute.split(".")
for part in path:
    owner = getattr(owner, part)
real, calls = getattr(owner, name), itertools.count(1)
def wrapped(*arguments, **named):
    call = next(calls)
    if call == number and when == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    result = real(*arguments, **named)
    if call == number and when == "after":
        os.kill(os.getpid(), signal.SIGKILL)
    return result
setattr(owner, name, wrapped)
store = Path(sys.argv[1])
"""
BUILD = """
from pebr_data.catalog import ingest
from pebr_data.config import load_catalog_config
ingest.BATCH_SIZE = 16
ingest.build(load_catalog_config(store.parent / "shapes.yaml"), store)
"""
PROBE = """
from pebr_data.catalog.store import Catalog
from pebr_data.probe import keep
from pebr_data.probe.run import run_probe
from pebr_data.types import Generation
from tests.probed_store import fingerprint
keep.SYNC_EVERY, keep.MERGE_EVERY = 8, 16
class Scripted:
    name = "transformers"
    def generate(self, requests, sampling, *, stop=None):
        for request in requests:
            for key in request.keys:
                yield key, Generation(f"### The final answer is: {key.seed % 5}", 9, "stop", 30, 9)
with Catalog.open(store, read_only=True) as catalog:
    samples = catalog.samples("small")
run_probe(store, samples, fingerprint(), Scripted, progress=lambda done, total, note: print(done, flush=True))
"""
MIGRATE = """
from pebr_data.catalog.store import Catalog
with Catalog.open(store) as catalog:
    pass
"""


def run(work: str, store: Path, where: str, when: str, number: int) -> tuple[int, str]:
    child = start(WRAP + work, str(store), where, when, str(number))
    out, err = child.communicate()
    assert child.returncode in (0, -signal.SIGKILL), err
    return child.returncode, out


BUILD_POINTS = [
    ("pathlib:Path.hardlink_to", "before", 1),  # the catalog is made aside
    ("pathlib:Path.hardlink_to", "after", 1),
    ("pebr_data.images.store:sync", "after", 3),  # images lie aside
    ("pathlib:Path.replace", "before", 12),  # some have their names
    ("pebr_data.images:ImageStore.put_all", "after", 2),
    ("pebr_data.catalog.samples:write_image_facts", "after", 2),  # amid the transaction
    ("pebr_data.catalog.ingest:write_batch", "after", 2),
    ("pebr_data.catalog.samples:now", "before", 1),
    ("pebr_data.catalog.ingest:finish_source", "before", 1),
    ("pebr_data.catalog.ingest:finish_source", "after", 1),
    ("pebr_data.catalog.ingest:forget_sources", "after", 1),
]


def test_a_build_killed_at_any_point_is_finished_by_the_next(tmp_path: Path) -> None:
    (tmp_path / "shapes.yaml").write_text(
        "name: shapes\nsources:\n  - {type: shapes, name: shapes, seed: 3, splits: {train: 48, test: 16}}\n"
    )
    whole = tmp_path / "whole" / "store"
    whole.parent.mkdir()
    shutil.copy(tmp_path / "shapes.yaml", whole.parent)
    assert run(BUILD, whole, "pebr_data.images:ImageStore.put_all", "after", 10**9)[0] == 0
    store = tmp_path / "store"
    for point in BUILD_POINTS:
        assert run(BUILD, store, *point)[0] == -signal.SIGKILL, point
    assert run(BUILD, store, "pebr_data.images:ImageStore.put_all", "after", 10**9)[0] == 0
    with Catalog.open(store, read_only=True) as mine, Catalog.open(whole, read_only=True) as expected:
        assert mine.samples() == expected.samples()
    assert examine(store, hash_images=True) == []
    left = [*store.glob(".*"), *store.glob("images/*/.*")]
    assert {path.name[:5] for path in left} == {".cata", ".put-"}
    for path in left:
        os.utime(path, (0, 0))
    assert [one.part for one in examine(store)] == ["leftovers"]
    assert repair(store) == [f"removed {len(left):,} leftovers of writes that were killed"]
    assert examine(store, hash_images=True) == []


MERGE_POINTS = [
    ("pebr_data.probe.spool:SpoolWriter.append", "after", 20),
    ("pebr_data.probe.spool:SpoolWriter.sync", "before", 2),
    ("pebr_data.probe.spool:SpoolWriter.sync", "after", 2),
    ("pebr_data.catalog.rollouts:merge_rollouts", "before", 2),
    ("pebr_data.catalog.rollouts:_write_grades", "before", 1),
    ("pebr_data.catalog.rollouts:_write_grades", "after", 1),
    ("pebr_data.catalog.rollouts:merge_rollouts", "after", 1),
    ("pebr_data.probe.recover:read_spool", "after", 1),
    ("pebr_data.catalog.rollouts:register_probe", "after", 1),
]


def test_a_probe_killed_at_any_point_loses_nothing_acknowledged_and_makes_nothing_twice(tmp_path: Path) -> None:
    store = tmp_path / "store"
    sample_ids = fill(store, {"train": 30})
    acknowledged = 0
    for point in MERGE_POINTS * 2:
        _, said = run(PROBE, store, *point)
        counts = [int(line) for line in said.split()]
        # The first count is what the run found.
        assert not counts or counts[0] >= acknowledged, point
        acknowledged = max([acknowledged, *counts])
    assert acknowledged > 0
    run(PROBE, store, "pebr_data.probe.spool:SpoolWriter.sync", "after", 10**9)
    with Catalog.open(store, read_only=True) as catalog:
        assert catalog.rollout_keys(fingerprint().probe_id) == {
            (one, index) for one in sample_ids for index in range(8)
        }
    spooled = [
        one.key
        for segment in read_spool(store / "probes" / fingerprint().probe_id / "spool")
        for one in segment.rollouts
    ]
    assert len(spooled) == len(set(spooled)) == 240
    assert [one.what for one in examine(store) if "torn" not in one.what] == []


MIGRATE_POINTS = [
    ("pebr_data.catalog.schema:now", "before", 1),
    ("pebr_data.catalog.schema:load_query", "after", 1),
    ("pebr_data.catalog.connection:migrate", "before", 1),
    ("pebr_data.catalog.connection:migrate", "after", 1),
]


def test_each_migration_killed_in_turn_is_taken_up_by_the_next_opening(tmp_path: Path) -> None:
    store = tmp_path / "store"
    store.mkdir()
    (store / CATALOG_FILE).write_bytes(lzma.decompress((GOLDEN / "schema_1.duckdb.xz").read_bytes()))
    # Amid the first; then, each time, after the one that was interrupted, amid the next.
    for done, call in enumerate([1, *[2] * (len(MIGRATIONS) - 2)]):
        assert run(MIGRATE, store, "pebr_data.catalog.schema:load_query", "after", call)[0] == -signal.SIGKILL
        with inspect(store / CATALOG_FILE) as connection:
            assert schema_version(connection, "") == 1 + done
    with Catalog.open(store) as catalog:
        assert [name for _, name in catalog.migrations()] == [migration.__name__ for migration in MIGRATIONS]
        assert catalog.stats("small", 4).bands.to_dicts() == json.loads((GOLDEN / "schema_1.json").read_text())["bands"]


def test_a_migration_killed_at_any_point_is_done_by_the_next_opening(tmp_path: Path) -> None:
    for point in MIGRATE_POINTS:
        store = tmp_path / f"{point[0].split(':')[1]}-{point[1]}"
        store.mkdir()
        (store / CATALOG_FILE).write_bytes(lzma.decompress((GOLDEN / "schema_1.duckdb.xz").read_bytes()))
        assert run(MIGRATE, store, *point)[0] == -signal.SIGKILL
        with Catalog.open(store) as catalog:
            assert [name for _, name in catalog.migrations()] == [migration.__name__ for migration in MIGRATIONS]
            told = json.loads((GOLDEN / "schema_1.json").read_text())
            assert catalog.stats("small", 4).bands.to_dicts() == told["bands"]
            assert [one.num_samples for one in catalog.mixtures()] == [one["num_samples"] for one in told["mixtures"]]


FULL = """
import resource, sys
from pathlib import Path
from pebr_data.catalog.store import Catalog
from pebr_data.errors import StorageError
from pebr_data.types import Generation, Grade, Outcome, Rollout, RolloutKey
from tests.probed_store import fingerprint
store = Path(sys.argv[1])
limit = (store / "catalog.duckdb").stat().st_size + 2 * 2**20
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
text = "".join(chr(33 + (7 * n * n + n // 3) % 90) for n in range(4000))
for batch in range(1000):
    rollouts = [
        Rollout(
            RolloutKey(fingerprint().probe_id, f"s{batch}", index),
            Generation(text[batch:] + str(index), 20, "stop"), Grade(Outcome.WRONG, "1", "equal", "v1"),
        )
        for index in range(64)
    ]
    try:
        with Catalog.open(store) as catalog:
            catalog.register_probe(fingerprint())
            catalog.merge_rollouts(rollouts)
    except StorageError as error:
        print("refused", error.exit_code)
        break
    print(batch, flush=True)
"""


def test_a_full_disk_loses_nothing_acknowledged(tmp_path: Path) -> None:
    store = tmp_path / "store"
    fill(store, {"train": 2})
    out, err = start(FULL, str(store)).communicate()
    *batches, last = out.splitlines()
    assert last == "refused 74", err
    assert batches
    with Catalog.open(store) as catalog:
        kept = {sample_id for sample_id, _ in catalog.rollout_keys(fingerprint().probe_id)}
        assert len(catalog.samples()) == 2
    assert kept >= {f"s{batch}" for batch in batches}
    assert len(kept) <= len(batches) + 1


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 48 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", str(disk)], capture_output=True)
    if made.returncode:
        pytest.skip("no file system of its own can be mounted here")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@contextmanager
def full_but_for(disk: Path, num_bytes: int) -> Iterator[None]:
    """Within the block the disk has so much room."""
    room = shutil.disk_usage(disk).free - num_bytes
    (disk / "ballast").write_bytes(bytes(room))
    yield
    (disk / "ballast").unlink()


def test_a_build_on_a_full_disk_ends_and_is_finished_when_there_is_room(small_disk: Path) -> None:
    config = small_disk / "shapes.yaml"
    config.write_text("name: shapes\nsources:\n  - {type: shapes, name: shapes, splits: {train: 160}}\n")
    store = small_disk / "store"
    for room in (2**20, 2**16):
        with full_but_for(small_disk, room):
            assert pebr_data(["build", str(config), "--store", str(store)]) == 74
    assert pebr_data(["build", str(config), "--store", str(store)]) == 0
    assert examine(store, hash_images=True) == []
    assert [*store.glob(".*"), *store.glob("images/*/.*")] == []
    with Catalog.open(store, read_only=True) as catalog:
        assert len(catalog.samples("shapes")) == 160


def test_a_full_disk_stops_the_spool_and_loses_nothing_acknowledged(small_disk: Path) -> None:
    acknowledged = 0
    with full_but_for(small_disk, 2**16), SpoolWriter(small_disk / "spool") as writer, pytest.raises(StorageError):
        for index in range(10_000):
            writer.append([rollout(fingerprint().probe_id, "sample", index, Outcome.WRONG)])
            if index % 10 == 0:
                writer.sync()
                acknowledged = index + 1
    [segment] = read_spool(small_disk / "spool")
    assert [one.key.index for one in segment.rollouts] == list(range(len(segment.rollouts)))
    assert 0 < acknowledged <= len(segment.rollouts)
    assert not segment.damaged_at


def test_a_migration_on_a_full_disk_is_refused_and_done_when_there_is_room(small_disk: Path) -> None:
    (small_disk / CATALOG_FILE).write_bytes(lzma.decompress((GOLDEN / "schema_1.duckdb.xz").read_bytes()))
    with full_but_for(small_disk, 4096):
        assert pebr_data(["stats", "--store", str(small_disk)]) == 74
    with Catalog.open(small_disk) as catalog:
        assert len(catalog.migrations()) == len(MIGRATIONS)
        assert catalog.stats("small", 4).bands.to_dicts() == json.loads((GOLDEN / "schema_1.json").read_text())["bands"]


def killed_with_a_log(store: Path) -> None:
    """A catalog whose last transactions are in its write-ahead log alone, and in the spool."""
    fill(store, {"train": 30})
    run(PROBE, store, "pebr_data.catalog.rollouts:merge_rollouts", "after", 3)
    assert (store / WAL).stat().st_size > 0


def rollouts_of(store: Path) -> set[tuple[str, int]]:
    with Catalog.open(store, read_only=True) as catalog:
        return catalog.rollout_keys(fingerprint().probe_id)


@pytest.mark.parametrize("harm", ["flipped", "torn", "header"])
def test_a_damaged_log_is_named_and_the_spool_makes_it_good(tmp_path: Path, harm: str) -> None:
    whole = tmp_path / "whole"
    killed_with_a_log(whole)
    store = tmp_path / "store"
    shutil.copytree(whole, store)
    data = bytearray((store / WAL).read_bytes())
    if harm == "torn":
        del data[len(data) // 2 :]
    else:
        data[len(data) // 2 if harm == "flipped" else 40] ^= 0xFF
    (store / WAL).write_bytes(data)
    expected = rollouts_of(whole)
    if harm == "flipped":
        with pytest.raises(DataError, match="damaged") as caught, Catalog.open(store):
            pass
        assert "pebr-data doctor" in str(caught.value.help)
    assert examine(store) != []
    repair(store)
    assert [one.what for one in examine(store) if "torn" not in one.what] == []
    assert rollouts_of(store) >= expected


def test_a_killed_repair_is_repeated(tmp_path: Path) -> None:
    store = tmp_path / "store"
    fill(store, {"train": 30})
    run(PROBE, store, "pebr_data.probe.spool:SpoolWriter.sync", "after", 10**9)
    expected = rollouts_of(store)
    from pebr_data.catalog.backup import backup

    backup(store)
    data = bytearray((store / CATALOG_FILE).read_bytes())
    data[3 * 4096 + 5000] ^= 0xFF
    (store / CATALOG_FILE).write_bytes(data)
    work = "from pebr_data.doctor.repair import repair\nrepair(store)\n"
    for point in (
        ("pebr_data.doctor.repair:copy_durably", "after", 1),
        ("pathlib:Path.hardlink_to", "after", 1),
        ("pathlib:Path.replace", "before", 1),
    ):
        assert run(work, store, *point)[0] == -signal.SIGKILL
        assert (store / CATALOG_FILE).exists()
    repair(store)
    assert examine(store) == []
    assert rollouts_of(store) == expected
    with connect(store, read_only=False, wait_seconds=0):
        pass
