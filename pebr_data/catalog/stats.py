"""What a store holds, in numbers: samples, rejects, bands and outcomes."""

from __future__ import annotations

from dataclasses import dataclass

import duckdb
import polars as pl

from pebr_data.catalog.pass_rates import pass_rates
from pebr_data.catalog.queries import load_query
from pebr_data.catalog.rollouts import Probe, list_probes
from pebr_data.catalog.samples import catalog_names, require_catalog
from pebr_data.types import Band, Outcome

_WHERE = ("catalog", "probe_id", "split", "skill")


@dataclass(frozen=True, slots=True)
class Stats:
    """Counts of what a store holds, one row per combination that occurs.

    Attributes:
        probes: The policies that were probed, oldest first.
        samples: catalog, source, split, skill, num_samples.
        rejects: catalog, source, reason, num_rejects.
        bands: catalog, probe_id, split, skill, num_samples, easy, medium, hard, unprobed; only splits with rollouts.
        outcomes: catalog, probe_id, split, skill, num_samples (those with rollouts), correct, wrong, unparsed,
            truncated, ungradable, error (rollouts); likewise.
    """

    probes: tuple[Probe, ...]
    samples: pl.DataFrame
    rejects: pl.DataFrame
    bands: pl.DataFrame
    outcomes: pl.DataFrame


def stats(connection: duckdb.DuckDBPyConnection, catalog: str | None, group_size: int) -> Stats:
    """The numbers of one catalog, or of every catalog in the store."""
    if catalog is not None:
        require_catalog(connection, catalog)
    bands: list[pl.DataFrame] = []
    outcomes: list[pl.DataFrame] = []
    for name in catalog_names(connection) if catalog is None else [catalog]:
        for probe in list_probes(connection, name):
            rates = pass_rates(connection, probe.probe_id, group_size, name, None).with_columns(
                catalog=pl.lit(name), probe_id=pl.lit(probe.probe_id)
            )
            seen = pl.sum_horizontal(f"num_{outcome}" for outcome in Outcome).sum().over("split") > 0
            rates = rates.filter(seen)
            bands.append(_count_bands(rates))
            outcomes.append(_count_outcomes(rates))
    return Stats(
        probes=tuple(list_probes(connection, catalog)),
        samples=connection.sql(load_query("sample_counts"), params={"catalog": catalog}).pl(),
        rejects=connection.sql(load_query("reject_counts"), params={"catalog": catalog}).pl(),
        bands=pl.concat(bands) if bands else _empty(("num_samples", *Band)),
        outcomes=pl.concat(outcomes) if outcomes else _empty(("num_samples", *Outcome)),
    )


def _count_bands(rates: pl.DataFrame) -> pl.DataFrame:
    return (
        rates.group_by(_WHERE)
        .agg(
            num_samples=pl.len().cast(pl.Int64),
            **{str(band): (pl.col("band") == str(band)).sum().cast(pl.Int64) for band in Band},
        )
        .sort(_WHERE)
    )


def _count_outcomes(rates: pl.DataFrame) -> pl.DataFrame:
    counts = {str(outcome): pl.col(f"num_{outcome}").sum() for outcome in Outcome}
    rolled = pl.sum_horizontal(f"num_{outcome}" for outcome in Outcome) > 0
    return rates.group_by(_WHERE).agg(num_samples=rolled.sum().cast(pl.Int64), **counts).sort(_WHERE)


def _empty(counts: tuple[str, ...]) -> pl.DataFrame:
    return pl.DataFrame(schema={**dict.fromkeys(_WHERE, pl.String), **{str(name): pl.Int64 for name in counts}})
