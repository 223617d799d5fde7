"""Pass rates: what a probe's grades say of each sample, and how sure that is."""

from __future__ import annotations

from collections.abc import Mapping

import duckdb
import numpy as np
import polars as pl

from pebr_data.catalog.connection import first_row
from pebr_data.catalog.early_stops import EarlyStops, PosteriorStop, early_stops
from pebr_data.catalog.gradings import grader_version
from pebr_data.catalog.queries import load_query
from pebr_data.catalog.rollouts import probe_fingerprint
from pebr_data.catalog.samples import require_catalog
from pebr_data.difficulty.pass_rate import band
from pebr_data.hashing import hex_numbers, side_by_side

COLUMNS = (
    "sample_id", "source", "split", "skill", "num_rollouts", "num_correct", "num_wrong", "num_unparsed",
    "num_truncated", "num_ungradable", "num_error", "pass_rate", "band", "posterior_mean", "posterior_low",
    "posterior_high", "informative", "prior",
)  # fmt: skip


def pass_rates(
    connection: duckdb.DuckDBPyConnection,
    probe_id: str,
    group_size: int,
    catalog: str | None,
    split: str | None,
    version: str | None,
    num_generations: int,
) -> pl.DataFrame:
    """One row per sample; see `Catalog.pass_rates` for the columns."""
    # SciPy takes a moment to import, and selecting by bands alone needs none of it.
    from pebr_data.difficulty.known import learn

    outcomes = outcome_counts(connection, "pass_rates", probe_id, group_size, catalog, split, version)
    version = grader_version(connection, probe_id) if version is None else version
    early = early_stops(connection, probe_id, group_size, version)
    counts = with_bands(outcomes, group_size, early).with_row_index()
    # A split at a time: what is measured on one must not move what is believed of another.
    judged = [learn(part).join(part, num_generations) for part in counts.partition_by("split")] or [
        learn(counts).join(counts, num_generations)
    ]
    return pl.concat(judged).sort("index").with_columns(pass_rate=_pass_rate(group_size, early)).select(COLUMNS)


def bands(
    connection: duckdb.DuckDBPyConnection,
    probe_id: str,
    group_size: int,
    catalog: str | None,
    split: str | None,
    *,
    by_rule: bool = True,
) -> pl.DataFrame:
    """One row per sample; see `Catalog.bands` for the columns."""
    counts = outcome_counts(connection, "bands", probe_id, group_size, catalog, split, widened=by_rule)
    numbers = hex_numbers(counts["sample_id"])
    # A million numbers are sorted in a tenth of the time that as many texts take.
    counts = counts.sort("sample_id") if numbers is None else counts.rechunk()[np.argsort(numbers)]
    counts = counts.with_columns(side_by_side(counts["sample_id"]))
    version = grader_version(connection, probe_id)
    early = early_stops(connection, probe_id, group_size, version) if by_rule else EarlyStops(False, {})
    return with_bands(counts, group_size, early).with_columns(pass_rate=_pass_rate(group_size, early))


def _pass_rate(group_size: int, early: EarlyStops) -> pl.Expr:
    """k/n of a complete group; null otherwise, and for a sample that was stopped for what it said: that is biased."""
    complete = (pl.col("num_rollouts") == group_size) & ~pl.col("split").is_in(list(early.posterior))
    return pl.when(complete).then(pl.col("num_correct") / pl.col("num_rollouts"))


def outcome_counts(
    connection: duckdb.DuckDBPyConnection,
    query: str,
    probe_id: str,
    group_size: int,
    catalog: str | None,
    split: str | None,
    version: str | None = None,
    *,
    widened: bool = True,
    parameters: Mapping[str, str | int | None] | None = None,
) -> pl.DataFrame:
    """What a query makes of the counts of each sample's outcomes (`outcome_counts.sql`), with parameters of its own.

    The first `group_size` rollouts count; where the probe stops by its posterior and this is `widened`, all that the
    rule allows.

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
            "rule_size": group_size if widened else None,
            "catalog": catalog,
            "split": split,
            **(parameters or {}),
            "every": catalog is not None and _has_every_sample(connection, catalog),
        },
    ).pl()
    return counts


def with_bands(counts: pl.DataFrame, group_size: int, early: EarlyStops) -> pl.DataFrame:
    """The counts with the `band` they make beside them, in the same order.

    Args:
        counts: The columns of `difficulty.known.CELL`, `split`, `num_ungradable`, `num_error` and whatever else.
        group_size: Rollouts in a complete group.
        early: How the probe stops.
    """
    if not early.posterior:
        return _paper_bands(counts, group_size, stopped_early=early.exact)
    parts = [
        _posterior_bands(part, early.posterior[split])
        if split in early.posterior
        else _paper_bands(part, group_size, stopped_early=early.exact)
        for (split,), part in counts.with_row_index("row").partition_by("split", as_dict=True).items()
    ]
    return pl.concat(parts).sort("row").drop("row") if parts else _paper_bands(counts, group_size, stopped_early=False)


def _posterior_bands(counts: pl.DataFrame, rule: PosteriorStop) -> pl.DataFrame:
    """Bands that the posterior is sure of, under the priors that the probe stops by."""
    from pebr_data.difficulty.frozen import FrozenPriors
    from pebr_data.difficulty.known import CELL, guess_chance

    cells = counts.select(CELL).unique()
    keys = cells.select("source", "answer_type", guess_chance().alias("chance")).rows()
    strata = list(dict.fromkeys(keys))
    tables = FrozenPriors.from_json(rule.priors).tables(
        strata, group_size=rule.group_size, max_rollouts=rule.max_rollouts, confidence=rule.confidence
    )
    place = {key: number for number, key in enumerate(strata)}
    found = tables.bands[
        [place[key] for key in keys], cells["num_correct"].to_numpy(), cells["num_rollouts"].to_numpy()
    ]
    judgements = cells.with_columns(band=pl.Series(found.tolist(), dtype=pl.String))
    return counts.join(judgements, on=CELL, how="left", nulls_equal=True, maintain_order="left")


def _paper_bands(counts: pl.DataFrame, group_size: int, *, stopped_early: bool) -> pl.DataFrame:
    """The paper's bands."""
    # Few distinct counts, many samples: each distinct combination is judged once.
    size = int(counts["num_rollouts"].max() or 0) + 1  # type: ignore[arg-type]
    key = (pl.col("num_correct") * size + pl.col("num_rollouts")) * 2 + is_clear()
    keys = counts.select(key=key)["key"]
    combinations = keys.unique().to_list()
    judged = []
    for one in combinations:
        correct, total = divmod(one // 2, size)
        judged.append(str(band(correct, total, group_size, stopped_early=stopped_early and one % 2 == 1)))
    bands_of = keys.replace_strict(combinations, judged, return_dtype=pl.String)
    return counts.with_columns(band=bands_of)


def _has_every_sample(connection: duckdb.DuckDBPyConnection, catalog: str) -> bool:
    row = first_row(
        connection,
        "SELECT (SELECT count(*) FROM catalog_samples WHERE catalog = ?) = (SELECT count(*) FROM samples)",
        [catalog],
    )
    return row is not None and bool(row[0])


def is_clear() -> pl.Expr:
    """Whether nothing that was seen of a sample keeps its group from ever being complete.

    One rollout that says nothing (`ungradable`, `error`) leaves a full group incomplete, so stopping early bands none.
    """
    return (pl.col("num_ungradable") == 0) & (pl.col("num_error") == 0)
