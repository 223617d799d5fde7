"""Reviews in the catalog: what a person said of samples' golds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import duckdb

from pebr_data.catalog.schema import now


@dataclass(frozen=True, slots=True)
class GoldReview:
    """What a person said of a gold.

    Attributes:
        sample_id: The sample.
        verdict: `right`: this gold is not suspected again; `drop`: no mixture takes the sample; `open`: neither.
        gold: The gold that was looked at; a `right` one is suspected again when it changes.
        reason: Why; may be empty.
    """

    sample_id: str
    verdict: str
    gold: str
    reason: str


def save_reviews(connection: duckdb.DuckDBPyConnection, reviews: Iterable[GoldReview]) -> None:
    """Puts each in the place of what was said of its sample before; within the caller's transaction."""
    for one in reviews:
        connection.execute("DELETE FROM gold_reviews WHERE sample_id = ?", [one.sample_id])
        if one.verdict != "open":
            row = [one.sample_id, one.verdict, one.gold, one.reason, now()]
            connection.execute("INSERT INTO gold_reviews VALUES (?, ?, ?, ?, ?)", row)


def read_reviews(connection: duckdb.DuckDBPyConnection) -> list[GoldReview]:
    """All that are held, by sample."""
    rows = connection.execute("SELECT sample_id, verdict, gold, reason FROM gold_reviews ORDER BY sample_id").fetchall()
    return [GoldReview(*row) for row in rows]
