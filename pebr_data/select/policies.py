"""Selection policies: which samples of a probed pool a mixture takes. Pure functions of columns, no I/O.

Adding a policy is a function here and a line in `POLICIES`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pebr_data.errors import RefusedError
from pebr_data.select.constraints import in_turns, least_first
from pebr_data.select.draw import draw
from pebr_data.types import Band, Diagnosis

POOL = {
    "sample_id": pl.String, "source": pl.String, "skill": pl.String, "band": pl.String, "gap": pl.String,
    "signal": pl.Float64, "diagnosis": pl.String,
}  # fmt: skip
"""The columns of a pool, one row per sample of the split, probed or not: the sample, its source and skill; the band
that its rollouts put it in; why the policy cannot judge it (`unprobed`, `incomplete`, `unsure`, `ungradable`, `error`),
or null; its expected signal, for `signal` alone and there null where `gap` is not; for `diagnosis` alone its diagnosis,
null for easy samples and for those that have none."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a mixture asks of its policy.

    Attributes:
        salt: Decides the order, and with it which samples are taken when there are more than wanted.
        size: How many to take at most; None for all.
        band: The band to take from; None for any.
        threshold: The least expected signal; None for any.
        quotas: How many to take of each source; None for any number, a source that is not named gives none.
        caps: How many to take at most of each source, of each skill, of each band: column -> number.
        diagnoses: The diagnoses to take; empty for any.
        least: How many to take at least of each source, skill or band that has as many: column -> number.
        cover: The column whose values get an equal share as far as they go; None for no shares.
    """

    salt: str
    size: int | None = None
    band: Band | None = None
    threshold: float | None = None
    quotas: Mapping[str, int] | None = None
    caps: Mapping[str, int] = field(default_factory=dict)
    diagnoses: tuple[Diagnosis, ...] = ()
    least: Mapping[str, int] = field(default_factory=dict)
    cover: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """The samples taken, and for every other sample of the pool the reason it was not.

    Attributes:
        kept: Their ids, in training order.
        drops: sample_id, reason; in the pool's order.
    """

    kept: pl.Series
    drops: pl.DataFrame

    def reasons(self) -> dict[str, int]:
        """How many samples were left out, per reason."""
        return dict(self.drops.group_by("reason").len().sort("reason").iter_rows())


class Policy(Protocol):
    """Takes samples from a pool."""

    def __call__(self, pool: pl.DataFrame, terms: Terms) -> Choice:
        """Choose from `pool`, which has the columns of `POOL` and every sample of the split."""


def choose_pebr(pool: pl.DataFrame, terms: Terms) -> Choice:
    """The paper's rule: every sample whose complete group falls into the band (PeBR-R1, arXiv 2509.13031).

    Easy ones teach perception, medium ones reasoning, hard ones go into the warm-up. Drop reasons: the gap of an
    unprobed sample, `band-easy`, `band-medium`, `band-hard`, `source-cap`, `skill-cap`, `over-limit`.
    """
    fits = pl.col("band") == str(terms.band)
    why = pl.coalesce("gap", pl.concat_str(pl.lit("band-"), "band"))
    return _take(pool, fits, terms, why=why, left="over-limit")


def choose_signal(pool: pl.DataFrame, terms: Terms) -> Choice:
    """The samples with the highest expected signal, ties by the seeded draw; in training they come in the draw's order.

    Deviates from the paper: it goes by what the training's groups will show rather than by the probe's. Drop reasons:
    the gap of a sample that cannot be judged, `below-threshold`, `source-cap`, `skill-cap`, `over-limit`.
    """
    least = 0.0 if terms.threshold is None else terms.threshold
    fits = pl.col("signal").is_not_null() & (pl.col("signal") >= least)
    why = pl.coalesce("gap", pl.lit("below-threshold"))
    return _take(pool, fits, terms, why=why, left="over-limit", first="signal")


def choose_random(pool: pl.DataFrame, terms: Terms) -> Choice:
    """The control: a uniform draw from all samples that could have been chosen, whatever their pass rate.

    It draws from what `pebr` or `signal` could have drawn from, as many of each source where it has quotas, so that the
    two differ in the choice alone. Drop reasons: the gap of a sample that cannot be judged, `not-drawn`, the caps'.
    """
    return _take(pool, pl.col("gap").is_null(), terms, why=pl.col("gap"), left="not-drawn")


def choose_all(pool: pl.DataFrame, terms: Terms) -> Choice:
    """The whole split, probed or not: demonstrations, say. Drop reasons: `over-limit` and the caps'."""
    return _take(pool, pl.col("band").is_not_null(), terms, why=pl.col("gap"), left="over-limit")


def choose_diagnosis(pool: pl.DataFrame, terms: Terms) -> Choice:
    """The samples with one of the diagnoses: perception-bound ones teach perception, reasoning-bound ones reasoning.

    Deviates from the paper, which goes by bands alone. Drop reasons: the gap of a sample without a complete group,
    `band-easy`, `not-diagnosed`, `diagnosis-…`, those of caps, `over-limit`.
    """
    fits = pl.col("diagnosis").is_in(list(map(str, terms.diagnoses))).fill_null(False) & pl.col("gap").is_null()
    easy = pl.when(pl.col("band") == str(Band.EASY)).then(pl.lit("band-easy"))
    told = pl.concat_str(pl.lit("diagnosis-"), "diagnosis")
    return _take(pool, fits, terms, why=pl.coalesce("gap", easy, told, pl.lit("not-diagnosed")), left="over-limit")


POLICIES: dict[str, Policy] = {
    "pebr": choose_pebr,
    "signal": choose_signal,
    "diagnosis": choose_diagnosis,
    "random": choose_random,
    "all": choose_all,
}


def _take(
    pool: pl.DataFrame, fits: pl.Expr, terms: Terms, *, why: pl.Expr, left: str, first: str | None = None
) -> Choice:
    """Draws from the samples that fit.

    Args:
        pool: All samples.
        fits: Which may be taken.
        terms: How many, of what.
        why: The reason of those that do not fit.
        left: The reason of those that are left over.
        first: A column whose largest values are taken first; None goes by the draw alone.
    """
    told = pool.select("sample_id", fits=fits, reason=pl.when(fits).then(pl.lit(left)).otherwise(why))
    fitting = told["fits"].arg_true().to_numpy()
    drawn = fitting[draw(pool["sample_id"][fitting], terms.salt)]
    best = np.arange(len(drawn)) if first is None else np.argsort(-pool[first].to_numpy()[drawn], kind="stable")
    if terms.quotas is not None:
        best = best[_within_quotas(pool["source"][drawn[best]], terms.quotas)]
    if terms.cover is not None:
        best = in_turns(pool[terms.cover][drawn], best)
    if terms.least:
        best, needed = least_first(pool.select(list(terms.least))[drawn], best, terms.least)
        _require_room(needed, terms)
    capped: dict[str, list[int]] = {}
    places = best[: terms.size]
    if terms.caps:
        places, capped = _within_caps(pool, drawn, best, terms)
    # Which are taken goes by `first` and the constraints, how training sees them by the draw: no easy batches first.
    taken = drawn[np.sort(places)]
    reasons = told.select("sample_id", "reason")
    for reason, rows in capped.items():
        mark = np.zeros(len(pool), dtype=bool)
        mark[rows] = True
        reasons = reasons.with_columns(reason=pl.when(pl.Series(mark)).then(pl.lit(reason)).otherwise("reason"))
    is_left = np.ones(len(pool), dtype=bool)
    is_left[taken] = False
    return Choice(kept=pool["sample_id"][taken], drops=reasons.filter(is_left))


def _require_room(needed: int, terms: Terms) -> None:
    if terms.size is not None and needed > terms.size:
        raise RefusedError(
            f"the mixture's `quotas` ask for {needed:,} samples, its `limit` is {terms.size:,}",
            where=f"mixture {terms.salt}",
            help="lower the quotas or raise the limit in the catalog YAML",
        )


def _within_quotas(sources: pl.Series, quotas: Mapping[str, int]) -> NDArray[np.intp]:
    """The places of the first so many samples of each source."""
    rank = pl.int_range(pl.len()).over("source")
    most = pl.col("source").replace_strict(quotas, default=0, return_dtype=pl.Int64)
    return sources.alias("source").to_frame().select(rank < most).to_series().arg_true().to_numpy().astype(np.intp)


def _within_caps(
    pool: pl.DataFrame, drawn: NDArray[np.intp], best: NDArray[np.intp], terms: Terms
) -> tuple[NDArray[np.intp], dict[str, list[int]]]:
    """The places in `drawn` that are taken, best first, none over a cap; and the rows that each cap held back."""
    kinds = {name: pool[name].to_list() for name in terms.caps}
    num_taken = {name: Counter[str | None]() for name in kinds}
    taken: list[int] = []
    capped: dict[str, list[int]] = {}
    for place in best.tolist():
        if terms.size is not None and len(taken) == terms.size:
            break
        row = int(drawn[place])
        full = next((name for name, most in terms.caps.items() if num_taken[name][kinds[name][row]] >= most), None)
        if full is not None:
            capped.setdefault(f"{full}-cap", []).append(row)
            continue
        taken.append(place)
        for name, its in kinds.items():
            num_taken[name][its[row]] += 1
    return np.array(taken, dtype=np.intp), capped
