"""The catalog's schema: named migrations, each recorded in the table `migrations` and followed by a checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import duckdb

from pebr_data.catalog.queries import load_query
from pebr_data.errors import DataError, RefusedError


def m001_tables(connection: duckdb.DuckDBPyConnection) -> None:
    """Samples, probes, rollouts, grades and mixtures."""
    connection.execute(load_query("m001_tables"))


def m002_grading(connection: duckdb.DuckDBPyConnection) -> None:
    """Answer types with their reasons, grading rules, corrected golds, and which grading counts."""
    connection.execute(load_query("m002_grading"))


# Append only: a released migration is never edited, because catalogs exist that ran it.
MIGRATIONS: tuple[Callable[[duckdb.DuckDBPyConnection], None], ...] = (m001_tables, m002_grading)
SCHEMA_VERSION = len(MIGRATIONS)


def now() -> datetime:
    """This moment in UTC without a zone, as the catalog stores times."""
    return datetime.now(UTC).replace(tzinfo=None)


def schema_version(connection: duckdb.DuckDBPyConnection, where: str) -> int:
    """How many migrations the open database has had; 0 when it is empty.

    Args:
        connection: An open connection.
        where: The catalog's path, for the message.

    Raises:
        DataError: It is a DuckDB database, but not a pebr catalog.
        RefusedError: A newer pebr has migrated it.
    """
    tables = {name for (name,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
    if not tables:
        return 0
    if "migrations" not in tables:
        raise DataError(
            "this DuckDB database is not a pebr catalog",
            where=where,
            help="name another store with --store, or move the file away",
        )
    [(version,)] = connection.execute("SELECT coalesce(max(number), 0) FROM migrations").fetchall()
    if version > SCHEMA_VERSION:
        raise RefusedError(
            f"the catalog has schema {version}, this pebr knows schemas up to {SCHEMA_VERSION}",
            where=where,
            help="upgrade pebr (pip install --upgrade pebr), or name another store with --store",
        )
    return int(version)


def migrate(connection: duckdb.DuckDBPyConnection, version: int) -> None:
    """Brings a database that has had `version` migrations up to date, each in a transaction of its own."""
    for number, migration in enumerate(MIGRATIONS[version:], start=version + 1):
        connection.begin()
        try:
            connection.execute(
                "CREATE TABLE IF NOT EXISTS migrations "
                "(number INTEGER PRIMARY KEY, name VARCHAR NOT NULL, applied TIMESTAMP NOT NULL)"
            )
            migration(connection)
            connection.execute("INSERT INTO migrations VALUES (?, ?, ?)", [number, migration.__name__, now()])
        except BaseException:
            connection.rollback()
            raise
        connection.commit()
        connection.execute("CHECKPOINT")
