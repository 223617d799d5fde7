"""What a store holds, in numbers: samples, rejects, bands and outcomes."""

from __future__ import annotations

from dataclasses import dataclass

import duckdb
import polars as pl

from pebr_data.catalog.early_stops import early_stops
from pebr_data.catalog.gradings import grader_version
from pebr_data.catalog.pass_rates import outcome_counts, with_bands
from pebr_data.catalog.perception import Perception
from pebr_data.catalog.queries import load_query
from pebr_data.catalog.rollouts import Probe, known_probes, list_probes
from pebr_data.catalog.samples import catalog_names
from pebr_data.types import Band, Outcome

_WHERE = ("catalog", "probe_id", "split", "skill")
_STRATA = {
    **dict.fromkeys(("catalog", "probe_id", "split", "source", "answer_type"), pl.String),
    "num_samples": pl.Int64,
    **dict.fromkeys(("pass_rate", "never", "guessed", "always", "informative"), pl.Float64),
    "prior": pl.String,
}


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
        strata: catalog, probe_id, split, source, answer_type, num_samples (those with rollouts), and of the prior that
            was fitted to them pass_rate (its mean), never (P(p = 0)), guessed (P(p = chance)), always (P(p = 1)),
            informative (of a group of G), prior (where it comes from); likewise.
        perception: `Perception.parts`.
    """

    probes: tuple[Probe, ...]
    samples: pl.DataFrame
    rejects: pl.DataFrame
    bands: pl.DataFrame
    outcomes: pl.DataFrame
    strata: pl.DataFrame
    perception: pl.DataFrame


def stats(connection: duckdb.DuckDBPyConnection, catalog: str | None, group_size: int) -> Stats:
    """The numbers of one catalog, or of every catalog in the store."""
    probes = list_probes(connection, catalog)
    bands: list[pl.DataFrame] = []
    outcomes: list[pl.DataFrame] = []
    strata: list[pl.DataFrame] = [pl.DataFrame(schema=_STRATA)]
    for name in catalog_names(connection) if catalog is None else [catalog]:
        for probe in known_probes(connection, name) if catalog is None else probes:
            counts = outcome_counts(connection, "alike_samples", probe.probe_id, group_size, name, None)
            version = grader_version(connection, probe.probe_id)
            counts = with_bands(counts, group_size, early_stops(connection, probe.probe_id, group_size, version))
            counts = counts.with_columns(catalog=pl.lit(name), probe_id=pl.lit(probe.probe_id))
            counts = counts.filter(_num_graded().sum().over("split") > 0)
            bands.append(_count_bands(counts))
            outcomes.append(_count_outcomes(counts))
            strata += [_strata(part, group_size) for part in counts.partition_by("split")]
    return Stats(
        probes=tuple(probes),
        samples=connection.sql(load_query("sample_counts"), params={"catalog": catalog}).pl(),
        rejects=connection.sql(load_query("reject_counts"), params={"catalog": catalog}).pl(),
        bands=pl.concat(bands) if bands else _empty(("num_samples", *Band)),
        outcomes=pl.concat(outcomes) if outcomes else _empty(("num_samples", *Outcome)),
        strata=pl.concat(strata),
        perception=Perception(connection).parts(catalog),
    )


def _strata(counts: pl.DataFrame, group_size: int) -> pl.DataFrame:
    """The priors of one split of one probe."""
    # SciPy takes a moment to import, and selecting by bands alone needs none of it.
    from pebr_data.difficulty.known import learn

    where = counts.select("catalog", "probe_id", "split").row(0)
    rows = []
    for one in learn(counts).strata:
        known = one.prior.posterior(0, 0)
        believed = (known.mean(), known.never(), known.guessed(), known.always(), known.informative(group_size))
        if one.num_samples:
            rows.append((*where, one.source, one.answer_type, one.num_samples, *map(float, believed), one.prior.reason))
    return pl.DataFrame(rows, schema=_STRATA, orient="row")


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
