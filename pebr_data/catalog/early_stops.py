"""Which probes stop a sample where its band is certain: of theirs, and only theirs, incomplete groups have a band."""

from __future__ import annotations

import duckdb

from pebr_data.catalog.connection import first_row
from pebr_data.catalog.schema import now


def note_early_stop(connection: duckdb.DuckDBPyConnection, probe_id: str, group_size: int) -> None:
    """Records that a probe was told to stop where the band of a group of `group_size` is certain."""
    connection.execute(
        "INSERT INTO early_stops VALUES (?, ?, ?) ON CONFLICT (probe_id) DO UPDATE SET "
        "rollouts = excluded.rollouts, created = excluded.created WHERE early_stops.rollouts < excluded.rollouts",
        [probe_id, group_size, now()],
    )


def stops_early(connection: duckdb.DuckDBPyConnection, probe_id: str, group_size: int) -> bool:
    """Whether an incomplete group of `group_size` of that probe has a band once both outcomes are in it.

    A probe that stopped by a group of eight has settled every smaller group as well, and no larger one.
    """
    row = first_row(connection, "SELECT rollouts FROM early_stops WHERE probe_id = ?", [probe_id])
    return row is not None and group_size <= row[0]
