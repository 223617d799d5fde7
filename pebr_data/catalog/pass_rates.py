"""Pass rates: what a probe's grades say of each sample, and how sure that is."""

from __future__ import annotations

import duckdb
import polars as pl

from pebr_data.catalog.gradings import grader_version
from pebr_data.catalog.queries import load_query
from pebr_data.catalog.rollouts import probe_fingerprint
from pebr_data.catalog.samples import require_catalog
from pebr_data.difficulty.pass_rate import band, posterior
from pebr_data.types import Band


def pass_rates(
    connection: duckdb.DuckDBPyConnection,
    probe_id: str,
    group_size: int,
    catalog: str | None,
    split: str | None,
    version: str | None = None,
) -> pl.DataFrame:
    """One row per sample; see `Catalog.pass_rates` for the columns."""
    probe_fingerprint(connection, probe_id)
    if catalog is not None:
        require_catalog(connection, catalog)
    counts: pl.DataFrame = connection.sql(
        load_query("outcome_counts"),
        params={
            "probe_id": probe_id,
            "grader_version": grader_version(connection, probe_id) if version is None else version,
            "group_size": group_size,
            "catalog": catalog,
            "split": split,
        },
    ).pl()
    counts = counts.with_columns(
        num_rollouts=pl.sum_horizontal("num_correct", "num_wrong", "num_unparsed", "num_truncated")
    )
    # Few distinct counts, many samples: each distinct pair is judged once.
    pairs = counts.select("num_correct", "num_rollouts").unique()
    judged = [_judge(num_correct, num_rollouts, group_size) for num_correct, num_rollouts in pairs.iter_rows()]
    return counts.join(
        pl.DataFrame(judged, schema=_JUDGED, orient="row"),
        on=["num_correct", "num_rollouts"],
        how="left",
        maintain_order="left",
    ).select(COLUMNS)


COLUMNS = (
    "sample_id", "source", "split", "skill", "num_rollouts", "num_correct", "num_wrong", "num_unparsed",
    "num_truncated", "num_ungradable", "num_error", "pass_rate", "band", "posterior_mean", "posterior_low",
    "posterior_high",
)  # fmt: skip

_JUDGED: dict[str, type[pl.DataType]] = {
    "num_correct": pl.Int64,
    "num_rollouts": pl.Int64,
    "pass_rate": pl.Float64,
    "band": pl.String,
    "posterior_mean": pl.Float64,
    "posterior_low": pl.Float64,
    "posterior_high": pl.Float64,
}


def _judge(num_correct: int, num_rollouts: int, group_size: int) -> tuple[object, ...]:
    where = band(num_correct, num_rollouts, group_size)
    rate = None if where is Band.UNPROBED else num_correct / num_rollouts
    spread = posterior(num_correct, num_rollouts) if num_rollouts else (None, None, None)
    return (num_correct, num_rollouts, rate, str(where), *spread)
