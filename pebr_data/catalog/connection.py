"""Opening the catalog file: created whole, held for moments, waited for when somebody else holds it.

The file is never `open()`ed or read here: closing any other handle on it would drop DuckDB's lock (POSIX).
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

import duckdb

from pebr_data.catalog.holders import held, holders
from pebr_data.catalog.schema import SCHEMA_VERSION, migrate, schema_version
from pebr_data.errors import BusyError, DataError, PebrError, RefusedError, StorageError
from pebr_data.types import Json

CATALOG_FILE = "catalog.duckdb"
patience: ContextVar[float] = ContextVar("patience", default=30.0)
"""Seconds to wait for another process to let go of the catalog, where nothing else is said."""

_HOLDER = re.compile(r"\(PID (\d+)\)")
_SETTINGS: dict[str, str | bool | int | float | list[str]] = {
    "enable_external_access": "false",
    "python_enable_replacements": "false",
}


@contextmanager
def connect(store: Path, *, read_only: bool, wait_seconds: float | None) -> Iterator[duckdb.DuckDBPyConnection]:
    """An open connection to the store's catalog, closed when the block ends.

    Args:
        store: The store's directory; created unless `read_only`.
        read_only: Open for reading. Several processes may read at once while none writes.
        wait_seconds: How long to wait for another process to let go; `patience` when not given.

    Raises:
        BusyError: Another process still held it after `wait_seconds`.
        DataError: There is no catalog to read, or the file is not one.
        RefusedError: A newer pebr or DuckDB wrote it.
        StorageError: The file cannot be opened or created.
    """
    path = store / CATALOG_FILE
    wait_seconds = patience.get() if wait_seconds is None else wait_seconds
    deadline = time.monotonic() + wait_seconds
    if store.exists() and not store.is_dir():
        raise StorageError(
            "the store is a directory, and this is a file", where=str(store), help="name a directory with --store"
        )
    if not path.exists():
        if read_only:
            raise DataError(
                "there is no catalog",
                where=str(path),
                help="build one: pebr-data build CATALOG.yaml, or name its --store",
            )
        _create(path)
    connection = _open(path, read_only=read_only, deadline=deadline, wait_seconds=wait_seconds)
    try:
        with _explaining(path):
            version = schema_version(connection, str(path))
            if version < SCHEMA_VERSION:
                if read_only:
                    connection.close()
                    _migrate_first(path, deadline, wait_seconds)
                    connection = _open(path, read_only=True, deadline=deadline, wait_seconds=wait_seconds)
                else:
                    migrate(connection, version)
            with held(store, "reading" if read_only else "writing"):
                yield connection
    except RuntimeError as error:
        # What DuckDB makes of a KeyboardInterrupt that a signal raises amid a query.
        if str(error) == "Query interrupted":
            raise KeyboardInterrupt from error
        raise
    finally:
        connection.close()


@contextmanager
def inspect(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A catalog file, wherever it lies, open for reading as it is: nothing is migrated.

    Raises:
        BusyError, DataError, RefusedError, StorageError: As for `connect`.
    """
    connection = _open(path, read_only=True, deadline=time.monotonic() + patience.get(), wait_seconds=patience.get())
    try:
        with _explaining(path):
            schema_version(connection, str(path))
            yield connection
    finally:
        connection.close()


@contextmanager
def transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """All of the block's changes or none of them, on disk when the block has ended.

    Raises:
        BusyError: Another connection of this process changed the same rows.
        StorageError: The disk refused the write.
    """
    connection.begin()
    try:
        yield
        connection.commit()
    except BaseException as error:
        # A failed commit has rolled back already.
        with contextlib.suppress(duckdb.Error):
            connection.rollback()
        if isinstance(error, duckdb.Error) and _is_damage(error):
            raise
        if isinstance(error, duckdb.TransactionException) and "onflict" in str(error):
            raise BusyError(
                f"another thread of this process changed the same rows: {error}", help="run the command again"
            ) from error
        # A commit that finds the disk full is a TransactionException, too.
        if isinstance(error, (duckdb.TransactionException, duckdb.IOException, duckdb.FatalException)):
            raise StorageError(
                f"the catalog could not be written: {error}", help="see to the disk, then run the command again"
            ) from error
        raise


def first_row(
    connection: duckdb.DuckDBPyConnection, query: str, parameters: Sequence[object] | Mapping[str, object] = ()
) -> tuple[Json, ...] | None:
    """The first row a query gives, or None; the result is read to its end, so that the connection is free again."""
    rows = connection.execute(query, parameters).fetchall()
    return rows[0] if rows else None


def _create(path: Path) -> None:
    # Made aside and linked into place: a crash never leaves half a catalog, and of two creators one wins.
    aside = path.with_name(f".{CATALOG_FILE}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = duckdb.connect(str(aside), config=_SETTINGS)
        try:
            migrate(connection, 0, is_aside=True)
        finally:
            connection.close()
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(aside)
    except (OSError, duckdb.Error) as error:
        raise StorageError(
            f"the catalog could not be created: {error}",
            where=str(path),
            help="name a writable directory with --store",
        ) from error
    finally:
        for left in (aside, aside.with_name(f"{aside.name}.wal")):
            with contextlib.suppress(OSError):
                left.unlink()


def _migrate_first(path: Path, deadline: float, wait_seconds: float) -> None:
    connection = _open(path, read_only=False, deadline=deadline, wait_seconds=wait_seconds)
    try:
        with _explaining(path):
            migrate(connection, schema_version(connection, str(path)))
    finally:
        connection.close()


def _open(path: Path, *, read_only: bool, deadline: float, wait_seconds: float) -> duckdb.DuckDBPyConnection:
    pause = 0.01
    while True:
        try:
            connection = duckdb.connect(str(path), read_only=read_only, config=_SETTINGS)
        except duckdb.Error as error:
            holder = _holder(error, path.parent)
            if holder is None:
                raise _explained(error, path) from error
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                raise BusyError(
                    f"{holder} holds the catalog and did not let go within {wait_seconds:g} s",
                    where=str(path),
                    help="run the command again when it has finished, or wait for it with --wait SECONDS",
                ) from error
        else:
            # It would print into what a command prints.
            connection.execute("SET enable_progress_bar = false")
            return connection
        time.sleep(min(remaining, pause * random.uniform(0.5, 1.5)))
        pause = min(pause * 2, 0.5)


def _holder(error: duckdb.Error, store: Path) -> str | None:
    """Who holds the file, when that is why opening failed."""
    text = str(error)
    if "Could not set lock" in text:
        found = _HOLDER.search(text)
        pid = int(found[1]) if found else None
        known = [holder for holder in holders(store) if pid in (None, holder.pid) and holder.pid != os.getpid()]
        if known:
            return str(known[0])
        return "another process" if pid is None else f"process {pid}"
    if "different configuration than existing connections" in text or "Unique file handle conflict" in text:
        return f"another thread of this process ({os.getpid()})"
    return None


def _is_damage(error: duckdb.Error) -> bool:
    text = str(error)
    return "Corrupt database file" in text or "replaying WAL" in text


@contextmanager
def _explaining(path: Path) -> Iterator[None]:
    """Says of an error that the file or the disk is to blame for what can be done; others pass."""
    try:
        yield
    except duckdb.Error as error:
        if _is_damage(error):
            raise _damaged(error, path) from error
        if isinstance(error, (duckdb.IOException, duckdb.FatalException)):
            raise StorageError(
                f"the catalog could not be read or written: {str(error).splitlines()[0]}",
                where=str(path),
                help="see to the disk, then run the command again",
            ) from error
        raise


def _damaged(error: duckdb.Error, path: Path) -> DataError:
    return DataError(
        f"the catalog is damaged: {str(error).splitlines()[0]}",
        where=str(path),
        help=f"pebr-data doctor --store {path.parent} says what can be saved",
    )


def _explained(error: duckdb.Error, path: Path) -> PebrError:
    text = str(error)
    if _is_damage(error):
        return _damaged(error, path)
    if "not a valid DuckDB database" in text or isinstance(error, duckdb.SerializationException):
        return DataError(
            "this is not a readable DuckDB database",
            where=str(path),
            help=f"pebr-data doctor --store {path.parent} says what can be saved; or name another store with --store",
        )
    if "newer version of DuckDB" in text or "version number" in text:
        return RefusedError(
            "a newer DuckDB wrote this catalog", where=str(path), help="pip install --upgrade duckdb, then try again"
        )
    return StorageError(
        f"the catalog could not be opened: {text}",
        where=str(path),
        help="see to the file's permissions and the disk, or name another store with --store",
    )
