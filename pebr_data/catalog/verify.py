"""Whether an open catalog is whole: every block reads, and every row refers to what is there."""

from __future__ import annotations

import json

import duckdb
import polars as pl

from pebr_data.catalog.mixtures import digest_choice
from pebr_data.catalog.queries import load_query
from pebr_data.catalog.schema import SCHEMA_VERSION, schema_version
from pebr_data.errors import DataError


def read_everything(connection: duckdb.DuckDBPyConnection) -> None:
    """Reads every value of every table; DuckDB checks each block's checksum on the way.

    Raises:
        DataError: A block is damaged; the message names the table.
    """
    tables = [name for (name,) in connection.execute("SELECT table_name FROM duckdb_tables() ORDER BY 1").fetchall()]
    for table in tables:
        try:
            connection.execute(f'SELECT bit_xor(hash(rows)) FROM "{table}" AS rows').fetchall()
        except duckdb.Error as error:
            raise DataError(f"a block of the table {table} is damaged: {_first_line(error)}") from error


def broken_rules(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Each rule that rows of the catalog break, with how many do and one of them; none in a whole catalog.

    One of an older schema is not checked: it is to be migrated first.
    """
    if schema_version(connection, "") < SCHEMA_VERSION:
        return []
    rows = connection.execute(load_query("broken_rules")).fetchall()
    found = [f"{count:,} {rule} ({example}{', …' if count > 1 else ''})" for rule, count, example in rows]
    return found + [
        f"the mixture {mixture_id} is not the choice that was frozen" for mixture_id in _altered(connection)
    ]


def image_hashes(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Every image that a sample refers to."""
    rows = connection.execute("SELECT DISTINCT image_hash FROM sample_images ORDER BY 1").fetchall()
    return [image_hash for (image_hash,) in rows]


def _altered(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """The mixtures whose samples and drop reasons no longer have the digest they were frozen under."""
    altered = []
    for mixture_id, catalog, name, probe_id, config, digest in connection.execute(
        "SELECT mixture_id, catalog, name, probe_id, config, digest FROM mixtures ORDER BY created, mixture_id"
    ).fetchall():
        kept = connection.sql(
            "SELECT sample_id FROM mixture_samples WHERE mixture_id = ? ORDER BY position", params=[mixture_id]
        ).pl()
        drops: pl.DataFrame = connection.sql(
            "SELECT sample_id, reason FROM mixture_drops WHERE mixture_id = ? ORDER BY sample_id", params=[mixture_id]
        ).pl()
        if digest_choice(catalog, name, probe_id, json.loads(config), kept["sample_id"], drops) != digest:
            altered.append(str(mixture_id))
    return altered


def _first_line(error: duckdb.Error) -> str:
    return str(error).splitlines()[0]
