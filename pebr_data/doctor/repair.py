"""Repairing a store: the newest good backup, then everything the spools hold. What was damaged is kept aside."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from pebr_data.catalog.backup import WAL_FILE, Backup, default_directory, list_backups, verify_backup
from pebr_data.catalog.blocks import damaged_blocks
from pebr_data.catalog.connection import CATALOG_FILE, connect, inspect
from pebr_data.catalog.holders import holders
from pebr_data.catalog.image_facts import complete_image_facts, images_without_facts
from pebr_data.catalog.rebuild import rebuild
from pebr_data.catalog.store import Catalog
from pebr_data.catalog.verify import broken_rules, read_everything
from pebr_data.copy_file import copy_durably
from pebr_data.doctor import leftovers
from pebr_data.doctor.examine import damage
from pebr_data.durable import sync
from pebr_data.errors import BusyError, DataError
from pebr_data.images import ImageStore
from pebr_data.probe.fingerprint import read_fingerprint
from pebr_data.probe.lock import probe_lock
from pebr_data.probe.recover import recover
from pebr_data.probe.spool import SpoolWriter, read_segment, segments


def repair(store: Path) -> list[str]:
    """Mends what can be mended and says what was done; examine the store again for what is left.

    Damaged files are moved aside, named `….damaged-<time>`; all that is deleted is what killed writes have left.

    Args:
        store: The store's directory.

    Raises:
        BusyError: A process has the catalog open, or a probe is running.
        StorageError: The disk refuses.
    """
    done = list(_repair_catalog(store))
    for directory in sorted(path.parent for path in store.glob("probes/*/spool")):
        with probe_lock(directory):
            done += _merge(store, directory)
            done += _repair_spool(store, directory / "spool")
    done += _complete_images(store)
    done += leftovers.remove(store)
    return done


def _complete_images(store: Path) -> Iterator[str]:
    """Looks at images that an older pebr stored; why the gate keeps one out is said."""
    with connect(store, read_only=True, wait_seconds=None) as connection:
        num_unknown = len(images_without_facts(connection, None))
    problems = complete_image_facts(store, None)
    if num_unknown > len(problems):
        yield f"looked at {num_unknown - len(problems):,} images that an older pebr stored"
    images = ImageStore(store / "images")
    for image_hash, problem in problems.items():
        if images.holds(image_hash):
            yield f"left the image {image_hash} as it is: {problem}"


def _repair_catalog(store: Path) -> Iterator[str]:
    path = store / CATALOG_FILE
    rows_read = path.exists() and _is_whole(path)
    if rows_read and not damaged_blocks(path):
        return
    others = [holder for holder in holders(store) if holder.pid != os.getpid()]
    if others:
        raise BusyError(f"{others[0]} has the catalog open", where=str(path), help="end it, then repair again")
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    wal = store / WAL_FILE
    if rows_read:
        yield from _rebuild(path, stamp)
        return
    if wal.exists() and path.exists():
        # The last moments may be all that is damaged: what was checkpointed is newer than any backup.
        kept = _aside(wal, stamp)
        wal.rename(kept)
        sync(store)
        yield f"moved {wal} to {kept.name}"
        if _is_whole(path):
            if damaged_blocks(path):
                yield from _rebuild(path, stamp)
            return
    source = _newest_good(store)
    aside = store / f".{CATALOG_FILE}.restoring-{os.getpid()}"
    aside.unlink(missing_ok=True)
    try:
        if source is None:
            with Catalog.open(store / f".empty-{os.getpid()}"):
                pass
            (store / f".empty-{os.getpid()}" / CATALOG_FILE).rename(aside)
            (store / f".empty-{os.getpid()}").rmdir()
        else:
            copy_durably(source.directory / CATALOG_FILE, aside)
        if path.exists():
            kept = _aside(path, stamp)
            kept.hardlink_to(path)
            yield f"kept the damaged catalog as {kept.name}"
        if source is not None and WAL_FILE in source.files:
            copy_durably(source.directory / WAL_FILE, wal)
        aside.replace(path)
        sync(store)
    finally:
        aside.unlink(missing_ok=True)
    if source is None:
        yield "made an empty catalog, for there is no good backup: build every CATALOG.yaml again"
    else:
        yield f"restored the catalog of {source.created} from {source.directory}"


def _rebuild(path: Path, stamp: str) -> Iterator[str]:
    """All rows read, so only an index or free space is damaged: nothing need come from a backup."""
    aside = path.with_name(f".{path.name}.restoring-{os.getpid()}")
    aside.unlink(missing_ok=True)
    wal = path.with_name(WAL_FILE)
    try:
        rebuild(path, aside)
        kept = _aside(path, stamp)
        kept.hardlink_to(path)
        if wal.exists():
            # The copy has what it says.
            wal.rename(_aside(wal, stamp))
        aside.replace(path)
        sync(path.parent)
    finally:
        aside.unlink(missing_ok=True)
    yield f"rebuilt the catalog from its rows and kept the damaged one as {kept.name}"


def _is_whole(path: Path) -> bool:
    try:
        with inspect(path) as connection:
            read_everything(connection)
            return not broken_rules(connection)
    except DataError:
        return False


def _newest_good(store: Path) -> Backup | None:
    for one in list_backups(default_directory(store)):
        try:
            verify_backup(one)
        except DataError:
            continue
        return one
    return None


def _merge(store: Path, directory: Path) -> Iterator[str]:
    """Merges what the spool has and the catalog lacks."""
    with Catalog.open(store, read_only=True) as catalog:
        kept = catalog.rollout_keys(directory.name)
        known = {probe.probe_id: probe.fingerprint for probe in catalog.probes()}
    fingerprint = known.get(directory.name) or read_fingerprint(directory)
    if fingerprint is None:
        return
    recovered = recover(store, fingerprint, None, directory / "spool", kept, [])
    if recovered:
        yield f"merged {len(recovered):,} rollouts of the probe {directory.name} from its spool"


def _repair_spool(store: Path, spool: Path) -> Iterator[str]:
    """Writes each damaged segment anew, without its bad records; those that the catalog has are spooled again."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    rewritten = 0
    for path in segments(spool):
        segment = read_segment(path)
        if not damage(segment):
            continue
        kept = _aside(path, stamp)
        kept.hardlink_to(path)
        with SpoolWriter(spool) as writer:
            writer.append(segment.rollouts)
            writer.sync()
        path.unlink()
        sync(spool)
        rewritten += 1
        yield f"wrote {path.name} anew as {writer.path.name}, the damaged one is {kept.name}"
    if not rewritten:
        return
    spooled = {rollout.key for path in segments(spool) for rollout in read_segment(path).rollouts}
    with Catalog.open(store, read_only=True) as catalog:
        lost = [
            one
            for one in catalog.rollouts(spool.parent.name)
            if one.key not in spooled and one.generation.finish_reason != "error"
        ]
    if lost:
        with SpoolWriter(spool) as writer:
            writer.append(lost)
            writer.sync()
        yield f"spooled {len(lost):,} rollouts again that only the catalog still had"


def _aside(path: Path, stamp: str) -> Path:
    kept = path.with_name(f"{path.name}.damaged-{stamp}")
    number = 2
    while kept.exists():
        kept, number = path.with_name(f"{path.name}.damaged-{stamp}-{number}"), number + 1
    return kept
