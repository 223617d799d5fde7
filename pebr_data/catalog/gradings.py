"""Gradings in the catalog: which one counts for a probe, what one has still to judge, and where two of them differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import duckdb
import polars as pl

from pebr_data.catalog.connection import first_row
from pebr_data.catalog.queries import load_query
from pebr_data.catalog.schema import now
from pebr_data.types import FinishReason, Outcome

if TYPE_CHECKING:
    import numpy as np


Completion = tuple[str, int, str, FinishReason, list[int] | None]
"""Sample id, index, text, finish reason, and the order of the options as `Rollout` has it, or None."""


def grader_version(connection: duckdb.DuckDBPyConnection, probe_id: str) -> str | None:
    """The grading in force: whose grades of this probe count. None before anything was graded."""
    row = first_row(connection, "SELECT grader_version FROM gradings_in_force WHERE probe_id = ?", [probe_id])
    return None if row is None else str(row[0])


def grader_versions(connection: duckdb.DuckDBPyConnection, probe_id: str) -> list[str]:
    """Every grading that has judged rollouts of this probe, oldest first."""
    rows = connection.execute(
        "SELECT grader_version FROM gradings WHERE probe_id = ? ORDER BY created, grader_version", [probe_id]
    ).fetchall()
    return [version for (version,) in rows]


def note_grading(connection: duckdb.DuckDBPyConnection, probe_id: str, version: str) -> None:
    """Records that a grading has judged rollouts of a probe; the first one is in force from then on."""
    values = [probe_id, version, now()]
    connection.execute("INSERT INTO gradings VALUES (?, ?, ?) ON CONFLICT DO NOTHING", values)
    connection.execute("INSERT INTO gradings_in_force VALUES (?, ?, ?) ON CONFLICT DO NOTHING", values)


def use_grading(connection: duckdb.DuckDBPyConnection, probe_id: str, version: str) -> None:
    """Puts a grading in force for a probe. The grades of the one before stay."""
    connection.execute(
        "INSERT INTO gradings_in_force VALUES (?, ?, ?) ON CONFLICT (probe_id) DO UPDATE SET "
        "grader_version = excluded.grader_version, created = excluded.created "
        "WHERE gradings_in_force.grader_version <> excluded.grader_version",
        [probe_id, version, now()],
    )


def num_rollouts(connection: duckdb.DuckDBPyConnection, probe_id: str) -> int:
    """Every rollout of a probe, errors included."""
    row = first_row(connection, "SELECT count(*) FROM rollouts WHERE probe_id = ?", [probe_id])
    return int(row[0]) if row else 0


def ungraded(connection: duckdb.DuckDBPyConnection, probe_id: str, version: str) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Where the rollouts lie that a grading has not judged: row numbers for `completions_at`, ascending, int64."""
    found = connection.execute(load_query("ungraded_rollouts"), {"probe_id": probe_id, "grader_version": version})
    places: np.ndarray[Any, np.dtype[np.int64]] = found.fetchnumpy()["place"]
    return places


def completions_at(connection: duckdb.DuckDBPyConnection, probe_id: str, places: Sequence[int]) -> list[Completion]:
    """The probe's rollouts at these row numbers.

    A row number holds for as long as nobody writes to its row; one that has moved is left out.
    """
    if not places:
        return []
    return connection.execute(
        load_query("rollouts_at"),
        {"probe_id": probe_id, "first": min(places), "last": max(places), "places": list(places)},
    ).fetchall()


def confusion(
    connection: duckdb.DuckDBPyConnection, probe_id: str, before: str, after: str
) -> dict[tuple[Outcome, Outcome], int]:
    """How many of a probe's rollouts have one outcome under a grading and another, or the same, under a second."""
    rows = connection.execute(
        load_query("outcome_confusion"), {"probe_id": probe_id, "before": before, "after": after}
    ).fetchall()
    return {(Outcome(old), Outcome(new)): count for old, new, count in rows}


def disputed_samples(
    connection: duckdb.DuckDBPyConnection, probe_id: str, one: str, other: str, catalog: str | None
) -> pl.DataFrame:
    """The samples whose grades two gradings dispute, the most disputed first.

    A rollout is disputed when one of the two holds it for correct and the other does not, or when it says nothing
    (`ungradable`, `error`) under one of them only. How an answer is not correct is no dispute.

    Columns: sample_id, num_disputed, num_rollouts (those that both have judged), num_correct_one,
    num_correct_other; and of the first disputed rollout example (its index), outcome_one, outcome_other, answer_one,
    answer_other, reason_one, reason_other.
    """
    found: pl.DataFrame = connection.sql(
        load_query("disputed_samples"),
        params={"probe_id": probe_id, "one": one, "other": other, "catalog": catalog},
    ).pl()
    return found
