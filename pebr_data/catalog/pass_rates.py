"""Pass rates: what a probe's grades say of each sample, and how sure that is."""

from __future__ import annotations

import duckdb
import polars as pl

from pebr_data.catalog.gradings import grader_version
from pebr_data.catalog.queries import load_query
from pebr_data.catalog.rollouts import probe_fingerprint
from pebr_data.catalog.samples import require_catalog
from pebr_data.difficulty.pass_rate import band, posterior

COLUMNS = (
    "sample_id", "source", "split", "skill", "num_rollouts", "num_correct", "num_wrong", "num_unparsed",
    "num_truncated", "num_ungradable", "num_error", "pass_rate", "band", "posterior_mean", "posterior_low",
    "posterior_high",
)  # fmt: skip
_PAIR = ("num_correct", "num_rollouts")


def pass_rates(
    connection: duckdb.DuckDBPyConnection,
    probe_id: str,
    group_size: int,
    catalog: str | None,
    split: str | None,
    version: str | None,
) -> pl.DataFrame:
    """One row per sample; see `Catalog.pass_rates` for the columns."""
    outcomes = outcome_counts(connection, "pass_rates", probe_id, group_size, catalog, split, version)
    counts = with_bands(outcomes, group_size)
    pairs = counts.select(_PAIR).unique()
    spreads = [
        (correct, total, *(posterior(correct, total) if total else (None, None, None)))
        for correct, total in pairs.iter_rows()
    ]
    names = ("posterior_mean", "posterior_low", "posterior_high")
    schema = {**dict.fromkeys(_PAIR, pl.Int64), **dict.fromkeys(names, pl.Float64)}
    complete = pl.col("num_rollouts") == group_size
    return (
        counts.join(pl.DataFrame(spreads, schema, orient="row"), on=_PAIR, how="left", maintain_order="left")
        .with_columns(pass_rate=pl.when(complete).then(pl.col("num_correct") / pl.col("num_rollouts")))
        .select(COLUMNS)
    )


def bands(
    connection: duckdb.DuckDBPyConnection, probe_id: str, group_size: int, catalog: str | None, split: str | None
) -> pl.DataFrame:
    """One row per sample; see `Catalog.bands` for the columns."""
    return with_bands(outcome_counts(connection, "bands", probe_id, group_size, catalog, split), group_size)


def outcome_counts(
    connection: duckdb.DuckDBPyConnection,
    query: str,
    probe_id: str,
    group_size: int,
    catalog: str | None,
    split: str | None,
    version: str | None = None,
) -> pl.DataFrame:
    """What a query makes of the counts of each sample's outcomes (`outcome_counts.sql`).

    Raises:
        DataError: There is no such probe or catalog.
    """
    probe_fingerprint(connection, probe_id)
    if catalog is not None:
        require_catalog(connection, catalog)
    counts: pl.DataFrame = connection.sql(
        f"WITH outcome_counts AS (\n{load_query('outcome_counts')})\n{load_query(query)}",
        params={
            "probe_id": probe_id,
            "grader_version": grader_version(connection, probe_id) if version is None else version,
            "group_size": group_size,
            "catalog": catalog,
            "split": split,
        },
    ).pl()
    return counts


def with_bands(counts: pl.DataFrame, group_size: int) -> pl.DataFrame:
    """The counts (`num_correct`, `num_rollouts`) with the `band` they make beside them, in the same order."""
    # Few distinct counts, many samples: each distinct pair is judged once.
    pairs = counts.select(_PAIR).unique()
    judged = [(correct, total, str(band(correct, total, group_size))) for correct, total in pairs.iter_rows()]
    schema = {**dict.fromkeys(_PAIR, pl.Int64), "band": pl.String}
    return counts.join(pl.DataFrame(judged, schema, orient="row"), on=_PAIR, how="left", maintain_order="left")
