"""The parts of the perception reward in the catalog: which samples are still to be scored, and what was found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import duckdb
import polars as pl

from pebr_data.catalog.connection import transaction
from pebr_data.catalog.queries import load_query


@dataclass(frozen=True, slots=True)
class PartScore:
    """What one part of the reward comes to for a sample's rollouts.

    Attributes:
        sample_id: The sample.
        part: `keyword`, `format`, `length` or `similarity`.
        scorer: Names the reward's settings and, for `similarity`, the dual encoder.
        num_rollouts: How many were scored.
        mean: Mean score, 0 .. 1.
        variance: Between rollouts, the scorer's noise taken out, so it may be negative; None for one rollout.
        noise: Variance of the scorer on one completion; 0 where it is exact.
    """

    sample_id: str
    part: str
    scorer: str
    num_rollouts: int
    mean: float
    variance: float | None
    noise: float

    @property
    def deviation(self) -> float | None:
        """Standard deviation between rollouts, the scorer's noise taken out."""
        return None if self.variance is None else max(self.variance, 0.0) ** 0.5


@dataclass(frozen=True, slots=True)
class Perception:
    """The scores in an open catalog; see `Catalog.perception`."""

    connection: duckdb.DuckDBPyConnection

    def unscored(self, probe_id: str, part: str, scorer: str) -> list[str]:
        """The samples some of whose rollouts this scorer has not seen, by id."""
        rows = self.connection.execute(
            load_query("unscored_samples"), {"probe_id": probe_id, "part": part, "scorer": scorer}
        ).fetchall()
        return [sample_id for (sample_id,) in rows]

    def save(self, probe_id: str, scores: Sequence[PartScore]) -> None:
        """Keeps scores in one transaction, in place of those of the same samples and parts."""
        if not scores:
            return
        with transaction(self.connection):
            self.connection.register("batch", pl.DataFrame([asdict(one) for one in scores], _COLUMNS).to_arrow())
            self.connection.execute(
                "INSERT OR REPLACE INTO perception BY NAME SELECT ? AS probe_id, * FROM batch", [probe_id]
            )
            self.connection.unregister("batch")

    def of(self, probe_id: str, sample_id: str) -> list[PartScore]:
        """What was found for one sample, by part."""
        rows = self.connection.execute(
            f"SELECT {', '.join(_COLUMNS)} FROM perception WHERE probe_id = ? AND sample_id = ? ORDER BY part",
            [probe_id, sample_id],
        ).fetchall()
        return [PartScore(*row) for row in rows]

    def parts(self, catalog: str | None = None) -> pl.DataFrame:
        """A row for each catalog, probe, split and part, over the samples with two rollouts or more.

        Columns: catalog, probe_id, split, part, num_samples, mean, deviation (mean standard deviation between a
        sample's rollouts), without_spread (share of the samples whose rollouts do not differ beyond the noise),
        reliability (mean share of a score's variance that is real; `pebr_data.difficulty.spread`).
        """
        found: pl.DataFrame = self.connection.sql(load_query("perception_parts"), params={"catalog": catalog}).pl()
        return found


_COLUMNS = {
    "sample_id": pl.String, "part": pl.String, "scorer": pl.String, "num_rollouts": pl.Int16, "mean": pl.Float64,
    "variance": pl.Float64, "noise": pl.Float64,
}  # fmt: skip
