"""Backups of the catalog: checksummed copies, each a directory that appears whole.

    backup(store)                         # store/backups/20260102T030405Z/{catalog.duckdb,backup.json}

Only the catalog is copied. Images and spool segments never change once they are written, so any file copy keeps them.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from pebr_data import __version__
from pebr_data.catalog.blocks import damaged_blocks
from pebr_data.catalog.connection import CATALOG_FILE, connect, inspect
from pebr_data.catalog.schema import SCHEMA_VERSION
from pebr_data.catalog.verify import read_everything
from pebr_data.copy_file import copy_in_child
from pebr_data.durable import move, write_whole, written_aside
from pebr_data.errors import DataError, StorageError
from pebr_data.hashing import digest_file

BACKUP_FILE = "backup.json"
WAL_FILE = f"{CATALOG_FILE}.wal"


@dataclass(frozen=True, slots=True)
class Backup:
    """A copy of the catalog.

    Attributes:
        directory: Where it lies.
        created: When it was made (UTC, ISO 8601).
        schema_version: The schema of the pebr that made it.
        code_version: The version of that pebr.
        files: SHA-256 of each file of the copy.
    """

    directory: Path
    created: str
    schema_version: int
    code_version: str
    files: dict[str, str]


def default_directory(store: Path) -> Path:
    """Where a store's backups lie when nothing else is said."""
    return store / "backups"


def backup(store: Path, to: Path | None = None, *, keep: int = 5) -> Backup:
    """Copies the catalog while nobody can write it, reads the copy to its end, and drops all but the newest copies.

    Args:
        store: The store.
        to: The directory that gets the copy's directory; `default_directory` when not given.
        keep: How many backups stay there, this one included; 1 or more.

    Raises:
        BusyError: Another process is writing.
        DataError: There is no catalog, or it is damaged: the backups that are there stay.
        StorageError: The disk refuses.
    """
    root = default_directory(store) if to is None else to
    created = datetime.now(UTC)
    name = created.strftime("%Y%m%dT%H%M%S.%fZ")
    try:
        with written_aside(root / name) as aside:
            files: dict[str, str] = {}
            # A reader lets other readers in and keeps writers out.
            with connect(store, read_only=True, wait_seconds=None):
                for file in (CATALOG_FILE, WAL_FILE):
                    if (store / file).exists():
                        files[file] = copy_in_child(store / file, aside / file)
            _check(aside / CATALOG_FILE)
            made = Backup(root / name, created.isoformat(timespec="seconds"), SCHEMA_VERSION, __version__, files)
            record = {key: value for key, value in asdict(made).items() if key != "directory"}
            write_whole(aside / BACKUP_FILE, json.dumps(record, indent=2) + "\n")
            move(aside, root / name)
    except OSError as error:
        raise StorageError(
            f"the backup could not be written: {error.strerror or error}",
            where=str(root),
            help="make room, or name another directory with --to",
        ) from error
    for old in list_backups(root)[keep:]:
        shutil.rmtree(old.directory, ignore_errors=True)
    return made


def _check(path: Path) -> None:
    with inspect(path) as copied:
        read_everything(copied)
    if damaged_blocks(path):
        raise DataError("the catalog is damaged", where=str(path), help="pebr-data doctor says what can be saved")


def list_backups(root: Path) -> list[Backup]:
    """The backups in a directory, newest first; what is not one is passed over."""
    found = []
    for path in sorted(root.glob(f"[0-9]*/{BACKUP_FILE}"), reverse=True):
        try:
            found.append(Backup(path.parent, **json.loads(path.read_text(encoding="utf-8"))))
        except (OSError, ValueError, TypeError):
            continue
    return found


def verify_backup(made: Backup) -> None:
    """Passes when every file of the backup is as it was written.

    Raises:
        DataError: One is missing or differs; the message names it.
    """
    for file, expected in made.files.items():
        path = made.directory / file
        if not path.is_file() or digest_file(path) != expected:
            raise DataError(
                "the backup differs from its checksum", where=str(path), help="make another: pebr-data backup"
            )
