"""What became of a row of a source: a sample, or a reject with its reason."""

from __future__ import annotations

from dataclasses import dataclass

import duckdb

from pebr_data.catalog.connection import first_row
from pebr_data.catalog.queries import load_query


@dataclass(frozen=True, slots=True)
class Refusal:
    """A row that did not become a sample of a catalog.

    Attributes:
        catalog: The catalog that was built.
        source: The source in it.
        position: Which of the source's candidates (0, 1, …).
        location: Where it is in the source's files.
        reason: Why it cannot be used.
    """

    catalog: str
    source: str
    position: int
    location: str
    reason: str


def sample_at(connection: duckdb.DuckDBPyConnection, source: str, position: int) -> str | None:
    """The id of the sample that a source's candidate became, None for none; one that a catalog holds, if there is."""
    row = first_row(connection, load_query("sample_at"), {"source": source, "position": position})
    return None if row is None else str(row[0])


def refusals_at(connection: duckdb.DuckDBPyConnection, source: str, position: int) -> list[Refusal]:
    """What catalogs say of a candidate of that source that they rejected."""
    rows = connection.execute(
        "SELECT catalog, source, position, location, reason FROM rejects WHERE source = ? AND position = ? ORDER BY 1",
        [source, position],
    ).fetchall()
    return [Refusal(*row) for row in rows]
