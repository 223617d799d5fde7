"""Corrected golds in the catalog: sets of them, each under a name of its own, and which set samples are read with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import duckdb
import pyarrow as pa

from pebr_data.arrow import arrow_table
from pebr_data.catalog.connection import first_row
from pebr_data.catalog.schema import now
from pebr_data.grading.versions import SOURCE_GOLDS
from pebr_data.hashing import digest

_FIXES = pa.schema(
    [
        ("sample_id", pa.large_string()),
        ("answer", pa.large_string()),
        ("answer_type", pa.large_string()),
        ("answer_type_reason", pa.large_string()),
        ("reason", pa.large_string()),
    ]
)


@dataclass(frozen=True, slots=True)
class GoldFix:
    """A gold that a person has corrected.

    Attributes:
        sample_id: The sample, which keeps its id.
        answer: The gold that stands in for its source's.
        answer_type: The gold's type, where the sample's was told from the source's gold; None leaves the sample's.
        answer_type_reason: What spoke for that type.
        reason: Why it was corrected; may be empty.
    """

    sample_id: str
    answer: str
    answer_type: str | None
    answer_type_reason: str | None
    reason: str


def golds_name(fixes: Iterable[GoldFix]) -> str:
    """The name of a set of corrected golds: 8 hex digits of its samples and answers; `SOURCE_GOLDS` when empty."""
    pairs = sorted([fix.sample_id, fix.answer] for fix in fixes)
    return digest(pairs)[:8] if pairs else SOURCE_GOLDS


def golds_in_force(connection: duckdb.DuckDBPyConnection) -> str:
    """The set that samples are read with."""
    row = first_row(connection, "SELECT golds FROM golds_in_force")
    return SOURCE_GOLDS if row is None else str(row[0])


def read_golds(connection: duckdb.DuckDBPyConnection, name: str) -> list[GoldFix]:
    """The corrections of a set, by sample; none for `SOURCE_GOLDS`."""
    rows = connection.execute(
        "SELECT sample_id, answer, answer_type, answer_type_reason, reason FROM gold_fixes WHERE golds = ? "
        "ORDER BY sample_id",
        [name],
    ).fetchall()
    return [GoldFix(*row) for row in rows]


def save_golds(connection: duckdb.DuckDBPyConnection, fixes: Iterable[GoldFix]) -> str:
    """Keeps a set of corrections, so that a grading can name it, and gives its name. Samples are read as before."""
    kept = list(fixes)
    name = golds_name(kept)
    if kept:
        rows = [{name: getattr(fix, name) for name in _FIXES.names} for fix in kept]
        connection.register("batch", arrow_table(rows, _FIXES))
        connection.execute(
            "INSERT INTO gold_fixes SELECT $golds, batch.*, $now FROM batch "
            "ON CONFLICT (golds, sample_id) DO UPDATE SET reason = excluded.reason",
            {"golds": name, "now": now()},
        )
        connection.unregister("batch")
    return name


def use_golds(connection: duckdb.DuckDBPyConnection, name: str) -> None:
    """Has samples read with this set of corrections, and no other."""
    connection.execute("DELETE FROM golds_in_force WHERE golds <> ?", [name])
    if name != SOURCE_GOLDS:
        connection.execute("INSERT INTO golds_in_force VALUES (?) ON CONFLICT DO NOTHING", [name])
