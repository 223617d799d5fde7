"""What a store holds, in numbers: samples, rejects, bands and outcomes."""

from __future__ import annotations

from dataclasses import dataclass

import duckdb
import polars as pl

from pebr_data.catalog.pass_rates import outcome_counts, with_bands
from pebr_data.catalog.queries import load_query
from pebr_data.catalog.rollouts import Probe, known_probes, list_probes
from pebr_data.catalog.samples import catalog_names
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
    probes = list_probes(connection, catalog)
    bands: list[pl.DataFrame] = []
    outcomes: list[pl.DataFrame] = []
    for name in catalog_names(connection) if catalog is None else [catalog]:
        for probe in known_probes(connection, name) if catalog is None else probes:
            counts = outcome_counts(connection, "alike_samples", probe.probe_id, group_size, name, None)
            counts = with_bands(counts, group_size).with_columns(catalog=pl.lit(name), probe_id=pl.lit(probe.probe_id))
            counts = counts.filter(_num_graded().sum().over("split") > 0)
            bands.append(_count_bands(counts))
            outcomes.append(_count_outcomes(counts))
    return Stats(
        probes=tuple(probes),
        samples=connection.sql(load_query("sample_counts"), params={"catalog": catalog}).pl(),
        rejects=connection.sql(load_query("reject_counts"), params={"catalog": catalog}).pl(),
        bands=pl.concat(bands) if bands else _empty(("num_samples", *Band)),
        outcomes=pl.concat(outcomes) if outcomes else _empty(("num_samples", *Outcome)),
    )


def _count_bands(counts: pl.DataFrame) -> pl.DataFrame:
    size = pl.col("num_samples")
    per_band = {str(band): size.filter(pl.col("band") == str(band)).sum() for band in Band}
    return counts.group_by(_WHERE).agg(num_samples=size.sum(), **per_band).sort(_WHERE)


def _count_outcomes(counts: pl.DataFrame) -> pl.DataFrame:
    size = pl.col("num_samples")
    per_outcome = {str(outcome): (pl.col(f"num_{outcome}") * size).sum() for outcome in Outcome}
    return counts.group_by(_WHERE).agg(num_samples=size.filter(_num_graded() > 0).sum(), **per_outcome).sort(_WHERE)


def _num_graded() -> pl.Expr:
    """Rollouts of each of the samples, whatever their outcome."""
    return pl.sum_horizontal(f"num_{outcome}" for outcome in Outcome)


def _empty(counts: tuple[str, ...]) -> pl.DataFrame:
    return pl.DataFrame(schema={**dict.fromkeys(_WHERE, pl.String), **{str(name): pl.Int64 for name in counts}})
