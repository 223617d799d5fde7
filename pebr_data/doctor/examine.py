"""Examining a store: everything that can be verified is; what is whole is not mentioned."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

from pebr_data.catalog.backup import default_directory, list_backups, verify_backup
from pebr_data.catalog.blocks import damaged_blocks
from pebr_data.catalog.connection import CATALOG_FILE, connect, inspect
from pebr_data.catalog.image_facts import images_without_facts
from pebr_data.catalog.store import Catalog
from pebr_data.catalog.verify import broken_rules, image_hashes, read_everything
from pebr_data.doctor.finding import Finding
from pebr_data.doctor.leftovers import leftovers
from pebr_data.errors import BusyError, DataError, PebrError, RefusedError
from pebr_data.images import ImageStore
from pebr_data.manifest import MANIFEST_FILE, load_manifest
from pebr_data.probe.lock import probe_lock
from pebr_data.probe.spool import Segment, read_spool


def examine(store: Path, *, hash_images: bool = False) -> list[Finding]:
    """What is wrong with a store; nothing is changed, except that a whole catalog of an older schema is migrated.

    Args:
        store: The store's directory.
        hash_images: Read every image and compare it with its hash, instead of only looking whether it is there.

    Raises:
        BusyError: Another process is writing the catalog.
        DataError: There is no store.
        RefusedError: A newer pebr or DuckDB wrote the catalog.
    """
    probes = sorted(path.parent for path in store.glob("probes/*/spool"))
    backups = list_backups(default_directory(store))
    if not (store / CATALOG_FILE).exists() and not probes and not backups:
        raise DataError(
            "there is no catalog", where=str(store / CATALOG_FILE), help="build one: pebr-data build CATALOG.yaml"
        )
    found = list(_examine_catalog(store))
    is_readable = not found
    if is_readable:
        found += _examine_images(store, hash_images)
    for directory in probes:
        found += _examine_spool(store, directory, is_readable)
    for path in sorted(store.glob(f"exports/**/{MANIFEST_FILE}")):
        found += _examine_export(path.parent)
    for newest in backups[:1]:
        try:
            verify_backup(newest)
        except DataError as error:
            found.append(Finding("backup", error.what, Path(error.where or newest.directory), str(error.help)))
    left = leftovers(store)
    if left:
        what = f"{len(left):,} writes that were killed have left something aside"
        found.append(Finding("leftovers", what, left[0], mend(store)))
    return found


def mend(store: Path) -> str:
    """The command that mends what backups and spools can mend."""
    return f"pebr-data doctor --repair --store {store}"


def _examine_catalog(store: Path) -> Iterator[Finding]:
    path = store / CATALOG_FILE
    if not path.exists():
        yield Finding("catalog", "the catalog is gone", path, mend(store))
        return
    try:
        with inspect(path) as connection:
            read_everything(connection)
            damaged = damaged_blocks(path)
        for position in damaged:
            yield Finding("catalog", f"the block at byte {position:,} differs from its checksum", path, mend(store))
        if not damaged:
            # Migrated when it is of an older schema, as by every command.
            with connect(store, read_only=True, wait_seconds=None):
                pass
        with inspect(path) as connection:
            for broken in broken_rules(connection):
                yield Finding("catalog", broken, path, mend(store))
    except (BusyError, RefusedError):
        raise
    except PebrError as error:
        yield Finding("catalog", error.what, path, mend(store))


def _examine_images(store: Path, hash_images: bool) -> Iterator[Finding]:
    images = ImageStore(store / "images")
    with inspect(store / CATALOG_FILE) as connection:
        shown = image_hashes(connection)
        # A missing one becomes known when it is built again.
        unknown = [image_hash for image_hash in images_without_facts(connection, None) if images.holds(image_hash)]
    if unknown:
        what = f"of {len(unknown):,} images only the bytes are known, neither size nor looks ({unknown[0]}"
        yield Finding("images", what + (", …)" if len(unknown) > 1 else ")"), images.root, mend(store))
    for image_hash in shown:
        if not images.holds(image_hash):
            where = images.root / image_hash[:2]
            yield Finding("images", f"the image {image_hash} is missing", where, "pebr-data build CATALOG.yaml")
        elif hash_images:
            try:
                images.get(image_hash)
            except (DataError, OSError) as error:
                path = images.path(image_hash)
                help = f"rm {path} and then pebr-data build CATALOG.yaml"
                yield Finding("images", getattr(error, "what", str(error)), path, help)


def _examine_spool(store: Path, directory: Path, is_readable: bool) -> Iterator[Finding]:
    try:
        with probe_lock(directory):
            pass
    except BusyError:
        # It is being written: what is not merged yet will be.
        return
    except PebrError:
        # A store that cannot be written can still be examined.
        pass
    kept: set[tuple[str, int]] = set()
    with Catalog.open(store, read_only=True) if is_readable else nullcontext() as catalog:
        if catalog is not None:
            kept = catalog.rollout_keys(directory.name)
    unmerged: set[tuple[str, int]] = set()
    for segment in read_spool(directory / "spool", skip=kept):
        for what in damage(segment):
            yield Finding("spool", what, segment.path, mend(store))
        unmerged |= {
            (one.key.sample_id, one.key.index) for one in segment.rollouts if one.generation.finish_reason != "error"
        }
    if unmerged and is_readable:
        what = f"{len(unmerged):,} rollouts of the spool are not in the catalog"
        yield Finding("spool", what, directory / "spool", mend(store))


def damage(segment: Segment) -> list[str]:
    """What is wrong with a segment, in words."""
    found = [f"a record is damaged at byte {position:,}" for position in segment.damaged_at]
    if segment.torn_at is not None:
        found.append(f"the last record is torn at byte {segment.torn_at:,}")
    return found


def _examine_export(directory: Path) -> Iterator[Finding]:
    try:
        load_manifest(directory)
    except PebrError as error:
        yield Finding("export", error.what, Path(error.where or directory), str(error.help))
