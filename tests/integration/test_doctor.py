"""The doctor: silent about a whole store, names every damage, and brings back what backups and spools hold."""

from __future__ import annotations

import json
import lzma
import os
import random
import shutil
from pathlib import Path

import pytest

from pebr_data.catalog.backup import backup, list_backups
from pebr_data.catalog.connection import CATALOG_FILE, connect
from pebr_data.catalog.schema import MIGRATIONS
from pebr_data.catalog.store import Catalog
from pebr_data.cli import main as pebr_data
from pebr_data.doctor.examine import examine
from pebr_data.doctor.repair import repair
from pebr_data.errors import BusyError, DataError
from pebr_data.export.shards import export
from pebr_data.probe.fingerprint import write_fingerprint
from pebr_data.probe.spool import SpoolWriter, pack_spool, segments
from pebr_data.select.mixture import select
from pebr_data.types import Outcome, Rollout
from tests.probed_store import fill, fingerprint, group, make_config, rollout

NUM_SAMPLES = 10
NUM_ROLLOUTS = 4 * NUM_SAMPLES


def spool(store: Path, rollouts: list[Rollout]) -> None:
    directory = store / "probes" / fingerprint().probe_id
    with SpoolWriter(directory / "spool") as writer:
        for one in rollouts:
            writer.append([one])
        writer.sync()
    write_fingerprint(directory, fingerprint())


def merge(store: Path, rollouts: list[Rollout]) -> None:
    with Catalog.open(store) as catalog:
        catalog.register_probe(fingerprint())
        catalog.merge_rollouts(rollouts)


def rollouts_of(sample_ids: list[str]) -> list[Rollout]:
    return [
        rollout(fingerprint().probe_id, sample_id, index, outcome)
        for number, sample_id in enumerate(sample_ids)
        for index, outcome in enumerate(group(number % 5))
    ]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole store: samples with images, spooled and merged rollouts, mixtures, an export, a backup."""
    place = tmp_path_factory.mktemp("whole")
    store = place / "store"
    rollouts = rollouts_of(fill(store, {"train": NUM_SAMPLES}))
    spool(store, rollouts)
    merge(store, rollouts)
    mixtures = select(make_config(place), store)
    export(store, next(one for one in mixtures if one.name == "reasoning"))
    backup(store)
    assert examine(store, hash_images=True) == []
    return store


@pytest.fixture
def store(whole: Path, tmp_path: Path) -> Path:
    """A copy of the whole store, to be harmed."""
    return shutil.copytree(whole, tmp_path / "store")


def everything(store: Path) -> object:
    with Catalog.open(store, read_only=True) as catalog:
        return (
            catalog.samples(),
            catalog.rollouts(fingerprint().probe_id),
            sorted(one.mixture_id for one in catalog.mixtures()),
        )


def flip(path: Path, position: int) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 0xFF
    path.write_bytes(data)


def test_a_whole_store_is_passed_over_in_silence(store: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert pebr_data(["doctor", "--images", "--store", str(store)]) == 0
    assert capfd.readouterr() == ("", "")


def test_nothing_to_examine_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no catalog"):
        examine(tmp_path)


@pytest.mark.parametrize("position", [100, 4096 + 20, 3 * 4096 + 5000, 3 * 4096 + 2**18 + 5000])
def test_a_damaged_catalog_is_restored_from_the_backup_and_the_spool(
    store: Path, position: int, capsys: pytest.CaptureFixture[str]
) -> None:
    before = everything(store)
    flip(store / CATALOG_FILE, position)
    assert pebr_data(["doctor", "--store", str(store)]) == 65
    said = capsys.readouterr()
    assert "catalog: " in said.out
    assert f"pebr-data doctor --repair --store {store}" in said.out
    assert pebr_data(["doctor", "--repair", "--store", str(store)]) == 0
    assert "restored the catalog" in capsys.readouterr().err
    assert everything(store) == before
    [kept] = store.glob(f"{CATALOG_FILE}.damaged-*")
    assert kept.stat().st_size > 0


def test_every_block_of_the_catalog_is_looked_at(store: Path) -> None:
    path = store / CATALOG_FILE
    whole = path.read_bytes()
    before = everything(store)
    generator = random.Random(0)
    mended = set()
    for start in range(3 * 4096, len(whole), 2**18):
        flip(path, min(start + generator.randrange(2**18), len(whole) - 1))
        assert [one.part for one in examine(store)] == ["catalog"]
        if len(mended) < 2:
            mended |= {step.split()[0] for step in repair(store)} & {"rebuilt", "restored"}
            assert examine(store) == []
            assert everything(store) == before
        path.write_bytes(whole)
    assert mended == {"rebuilt", "restored"}


def test_what_came_after_the_backup_comes_from_the_spool(store: Path, tmp_path: Path) -> None:
    later = rollouts_of(fill(store, {"train": NUM_SAMPLES, "test": 3}))[NUM_ROLLOUTS:]
    spool(store, later)
    merge(store, later)
    flip(store / CATALOG_FILE, 3 * 4096 + 5000)
    steps = repair(store)
    assert any("merged 12 rollouts" in step for step in steps)
    with Catalog.open(store, read_only=True) as catalog:
        assert len(catalog.rollout_keys(fingerprint().probe_id)) == NUM_ROLLOUTS + 12


def test_without_a_backup_the_rollouts_still_come_back(store: Path) -> None:
    with Catalog.open(store, read_only=True) as catalog:
        before = catalog.rollouts(fingerprint().probe_id)
    shutil.rmtree(store / "backups")
    (store / CATALOG_FILE).unlink()
    assert [one.what for one in examine(store)] == ["the catalog is gone"]
    assert any("build every CATALOG.yaml again" in step for step in repair(store))
    with Catalog.open(store, read_only=True) as catalog:
        assert catalog.rollouts(fingerprint().probe_id) == before
    assert all("sample that is not there" in one.what for one in examine(store))
    fill(store, {"train": NUM_SAMPLES})
    assert examine(store) == []


def test_a_damaged_backup_is_named_and_an_older_one_taken(store: Path) -> None:
    newest = backup(store)
    flip(newest.directory / CATALOG_FILE, 5000)
    assert [one.part for one in examine(store)] == ["backup"]
    flip(store / CATALOG_FILE, 3 * 4096 + 5000)
    steps = repair(store)
    assert any(str(list_backups(store / "backups")[1].directory) in step for step in steps)


def test_a_damaged_catalog_is_never_backed_up(store: Path) -> None:
    flip(store / CATALOG_FILE, 3 * 4096 + 2**18 + 5000)
    with pytest.raises(DataError):
        backup(store, keep=1)
    assert len(list_backups(store / "backups")) == 1
    assert [path.name for path in (store / "backups").iterdir() if path.name.startswith(".")] == []


def test_backups_beyond_the_newest_are_dropped(store: Path) -> None:
    made = [backup(store, keep=2) for _ in range(3)]
    assert [one.directory for one in list_backups(store / "backups")] == [made[2].directory, made[1].directory]


def test_an_unmerged_spool_is_named_and_merged(store: Path) -> None:
    with connect(store, read_only=False, wait_seconds=0) as connection:
        for table in ("rollouts", "grades"):
            connection.execute(f"DELETE FROM {table} WHERE idx = 3")
    [found] = examine(store)
    assert found.what == f"{NUM_SAMPLES} rollouts of the spool are not in the catalog"
    assert repair(store) == [f"merged 10 rollouts of the probe {fingerprint().probe_id} from its spool"]
    assert examine(store) == []


@pytest.mark.parametrize(("harm", "num_lost"), [("damaged", 1), ("torn", 1), ("packed", 40)])
def test_a_bad_spool_record_is_named_and_spooled_again_from_the_catalog(store: Path, harm: str, num_lost: int) -> None:
    spool = store / "probes" / fingerprint().probe_id / "spool"
    if harm == "packed":
        pack_spool(spool)
        harm = "damaged"
    [path] = segments(spool)
    if harm == "damaged":
        flip(path, path.stat().st_size // 2)
    else:
        path.write_bytes(path.read_bytes()[:-5])
    assert [harm in one.what for one in examine(store)] == [True]
    steps = repair(store)
    assert any(f"spooled {num_lost} rollouts again" in step for step in steps)
    assert examine(store) == []
    assert len(list(path.parent.glob("*.damaged-*"))) == 1


def test_a_running_probe_is_left_alone(store: Path) -> None:
    from pebr_data.probe.lock import probe_lock

    directory = store / "probes" / fingerprint().probe_id
    with SpoolWriter(directory / "spool") as writer:
        writer.append([rollout(fingerprint().probe_id, "new", 0, Outcome.WRONG)])
        with probe_lock(directory):
            assert examine(store) == []
            with pytest.raises(BusyError):
                repair(store)
    assert [one.part for one in examine(store)] == ["spool"]


BREAK: dict[str, str] = {
    "rollouts belong to a probe": "DELETE FROM probes",
    "rollouts are of a sample": "DELETE FROM samples WHERE position = 0",
    "rollouts have no grade": "DELETE FROM grades WHERE idx = 0",
    "grades have no rollout": "DELETE FROM rollouts WHERE idx = 0",
    "entries belong to a catalog": "DELETE FROM catalogs",
    "decisions belong to a mixture": "DELETE FROM mixtures",
    "is not the choice that was frozen": "UPDATE packed_drops SET reason = 'whim' WHERE reason = 'band-easy'",
}


@pytest.mark.parametrize("rule", BREAK)
def test_rows_that_do_not_fit_together_are_named_and_mended(store: Path, rule: str) -> None:
    before = everything(store)
    with connect(store, read_only=False, wait_seconds=0) as connection:
        connection.execute(BREAK[rule])
    assert any(rule in one.what for one in examine(store))
    repair(store)
    assert examine(store) == []
    assert everything(store) == before


def test_images_and_exports_are_compared_with_what_was_written(store: Path) -> None:
    first, second, *_ = sorted(path for path in (store / "images").glob("*/*"))
    first.unlink()
    flip(second, 40)
    assert [one.what for one in examine(store)] == [f"the image {first.stem} is missing"]
    assert len(examine(store, hash_images=True)) == 2
    [shard] = (store / "exports").glob("**/*.parquet")
    flip(shard, 100)
    assert [one.part for one in examine(store)] == ["images", "export"]


def test_images_that_an_older_pebr_stored_are_named_and_looked_at(store: Path) -> None:
    with connect(store, read_only=False, wait_seconds=0) as connection:
        before = connection.execute("SELECT * FROM images ORDER BY 1").fetchall()
        connection.execute("DELETE FROM images")
    [found] = examine(store)
    assert found.part == "images" and found.what.startswith(f"of {len(before)} images only the bytes are known")
    assert repair(store) == [f"looked at {len(before)} images that an older pebr stored"]
    assert examine(store) == []
    with connect(store, read_only=True, wait_seconds=0) as connection:
        assert connection.execute("SELECT * FROM images ORDER BY 1").fetchall() == before


def test_what_killed_writes_left_is_named_and_removed_once_it_is_old(store: Path) -> None:
    [image, *_] = (store / "images").glob("*/*")
    probe = store / "probes" / fingerprint().probe_id
    files = [
        image.with_name(".put-0123456789abcdef"), store / ".catalog.duckdb.1a2b3c4d",
        store / ".catalog.duckdb.restoring-99", probe / ".fingerprint.json.4194305",
        store / "probes/.last.json.4194305", probe / "spool/.000001.bin.4194305",
    ]  # fmt: skip
    folders = [store / "backups/.20260102T030405.000006Z.partial-99", store / "exports/small/.reasoning.partial-99"]
    for folder in folders:
        folder.mkdir(parents=True)
        files.append(folder / "part")
    for file in files:
        file.write_bytes(b"half")
    (store / ".mine").touch()
    assert examine(store) == []
    assert repair(store) == []
    for path in (*files, *folders, store / ".mine"):
        os.utime(path, (0, 0))
    young = image.with_name(".put-fedcba9876543210")
    young.touch()
    [found] = examine(store)
    assert (found.part, found.what) == ("leftovers", "8 writes that were killed have left something aside")
    assert repair(store) == ["removed 8 leftovers of writes that were killed"]
    assert examine(store, hash_images=True) == []
    assert not any(path.exists() for path in (*files, *folders))
    assert young.exists() and (store / ".mine").exists()


def test_a_catalog_of_an_older_schema_is_migrated_and_examined(tmp_path: Path) -> None:
    golden = Path(__file__).parents[1] / "fixtures/catalogs/schema_1.duckdb.xz"
    (tmp_path / CATALOG_FILE).write_bytes(lzma.decompress(golden.read_bytes()))
    assert {one.part for one in examine(tmp_path)} == {"images"}
    with Catalog.open(tmp_path, read_only=True) as catalog:
        assert len(catalog.migrations()) == len(MIGRATIONS)


def test_findings_are_json_too(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flip(store / CATALOG_FILE, 100)
    assert pebr_data(["doctor", "--json", "--store", str(store)]) == 65
    said = json.loads(capsys.readouterr().out)
    assert [one["part"] for one in said["findings"]] == ["catalog"]


@pytest.mark.parametrize("command", [["stats"], ["backup"]])
def test_other_commands_send_to_the_doctor(store: Path, command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    flip(store / CATALOG_FILE, 3 * 4096 + 5000)
    assert pebr_data([*command, "--store", str(store)]) == 65
    assert "pebr-data doctor" in capsys.readouterr().err
