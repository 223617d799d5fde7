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


def m003_images(connection: duckdb.DuckDBPyConnection) -> None:
    """What is known of each image; those of earlier builds get their row when it is asked for."""
    connection.execute(load_query("m003_images"))


def m004_duplicates(connection: duckdb.DuckDBPyConnection) -> None:
    """Which samples are as good as one, and which a benchmark has too."""
    connection.execute(load_query("m004_duplicates"))


def m005_constraints(connection: duckdb.DuckDBPyConnection) -> None:
    """Mixtures of a million samples are frozen in a moment: no index on their rows, checks instead."""
    connection.execute(load_query("m005_constraints"))


def m006_early_stops(connection: duckdb.DuckDBPyConnection) -> None:
    """Which probes stop where a band is certain."""
    connection.execute(load_query("m006_early_stops"))


def m007_reviews(connection: duckdb.DuckDBPyConnection) -> None:
    """What a person said of golds: that they are right, or that their samples are to be dropped."""
    connection.execute(load_query("m007_reviews"))


def m008_code_version(connection: duckdb.DuckDBPyConnection) -> None:
    """Which pebr chose a mixture."""
    connection.execute(load_query("m008_code_version"))


def m009_plain_ids(connection: duckdb.DuckDBPyConnection) -> None:
    """The samples' ids in mixtures are stored as they are: they are hashes, and trying to compress them takes long."""
    connection.execute(load_query("m009_plain_ids"))


def m010_posterior_stops(connection: duckdb.DuckDBPyConnection) -> None:
    """Which probes stop where a sample's own band is sure, and the priors they judge by."""
    connection.execute(load_query("m010_posterior_stops"))


def m011_option_order(connection: duckdb.DuckDBPyConnection) -> None:
    """In which order a rollout was shown its options."""
    connection.execute(load_query("m011_option_order"))


def m012_perception(connection: duckdb.DuckDBPyConnection) -> None:
    """What the parts of the perception reward come to."""
    connection.execute(load_query("m012_perception"))


def m013_added(connection: duckdb.DuckDBPyConnection) -> None:
    """When a catalog got a sample."""
    connection.execute(load_query("m013_added"))


def m014_packed_drops(connection: duckdb.DuckDBPyConnection) -> None:
    """What mixtures leave out is a list per reason; `mixture_drops` is a view of it, a row a sample."""
    connection.execute(load_query("m014_packed_drops"))


# Append only: a released migration is never edited, because catalogs exist that ran it.
MIGRATIONS: tuple[Callable[[duckdb.DuckDBPyConnection], None], ...] = (
    m001_tables,
    m002_grading,
    m003_images,
    m004_duplicates,
    m005_constraints,
    m006_early_stops,
    m007_reviews,
    m008_code_version,
    m009_plain_ids,
    m010_posterior_stops,
    m011_option_order,
    m012_perception,
    m013_added,
    m014_packed_drops,
)


def number_of(migration: Callable[[duckdb.DuckDBPyConnection], None]) -> int:
    """The number in a migration's name: 1 for `m001_tables`."""
    return int(migration.__name__[1:].split("_")[0])


SCHEMA_VERSION = number_of(MIGRATIONS[-1])


def now() -> datetime:
    """This moment in UTC without a zone, as the catalog stores times."""
    return datetime.now(UTC).replace(tzinfo=None)


def schema_version(connection: duckdb.DuckDBPyConnection, where: str) -> int:
    """The number of the last migration that the open database has had; 0 when it is empty.

    Args:
        connection: An open connection.
        where: The catalog's path, for the message.

    Raises:
        DataError: It is a DuckDB database, but not a pebr catalog.
        RefusedError: A newer pebr has migrated it.
    """
    try:
        [(version,)] = connection.execute("SELECT coalesce(max(number), 0) FROM migrations").fetchall()
    except duckdb.CatalogException:
        # Asked only now: DuckDB takes ten times as long to list its tables.
        if not connection.execute("SELECT table_name FROM duckdb_tables()").fetchall():
            return 0
        raise DataError(
            "this DuckDB database is not a pebr catalog",
            where=where,
            help="name another store with --store, or move the file away",
        ) from None
    if version > SCHEMA_VERSION:
        raise RefusedError(
            f"the catalog has schema {version}, this pebr knows schemas up to {SCHEMA_VERSION}",
            where=where,
            help="upgrade pebr (pip install --upgrade pebr), or name another store with --store",
        )
    return int(version)


def migrate(connection: duckdb.DuckDBPyConnection, version: int, *, is_aside: bool = False) -> None:
    """Brings a database whose last migration was `version` up to date, each step in a transaction of its own.

    Args:
        connection: An open connection.
        version: As `schema_version` gives it.
        is_aside: Whether nobody has the database before it is done: then one checkpoint at the end will do.
    """
    for migration in MIGRATIONS:
        number = number_of(migration)
        if number <= version:
            continue
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
        if not is_aside or migration is MIGRATIONS[-1]:
            connection.execute("CHECKPOINT")
