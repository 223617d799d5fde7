"""Known: what a probe says of many samples' pass rates, under a prior fitted to each stratum of them.

    known = learn(counts)                                    # the columns of `CELL`, a row each sample
    judged = known.join(counts, num_generations=8)           # mean, interval, P(informative), signal, which prior

A stratum is a source and an answer type, split by the pass rate of a guess where options differ in number, and by
`LEVEL` where samples have it. All is computed once for each distinct cell and joined to the samples: a million of them
have some hundred.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import polars as pl

from pebr_data.difficulty.conditional import GivenReward, forecast_given_reward
from pebr_data.difficulty.counts import IntArray
from pebr_data.difficulty.fit import fit_priors, resample_priors
from pebr_data.difficulty.forecast import Forecast, forecast
from pebr_data.difficulty.posterior import Posterior
from pebr_data.difficulty.prior import Prior, Priors
from pebr_data.difficulty.signal import expected_signal
from pebr_data.types import ScaleRewards

STRATUM = ("source", "answer_type", "num_options")
CELL = (*STRATUM, "num_correct", "num_rollouts")
"""What decides all that is known of a sample; `num_rollouts` counts those that say something about the policy."""
LEVEL = "level"
"""Beside `CELL` where samples are chosen by more than counts: in words, what else the choice went by, or null. What is
believed of a pass rate must be conditional on that, or the forecast of the chosen is biased."""

MAX_FITS = 30
"""How many fits `Known.forecast` may cost in all at each level, some 20 ms each: more strata, fewer redrawn priors."""
DRAWS = (4, 12)
"""Redrawn priors, at least and at most."""
_Told = tuple[tuple[int, ...], ...]
"""The numbers of each cell: k, n, stratum and samples."""
_MOST_KEPT = 32
"""Fits kept by a process."""
_DIGITS = 4
"""Significant digits of a prior's parameters: far finer than any fit is, coarse enough to be the same everywhere."""


@dataclass(frozen=True, slots=True)
class Stratum:
    """Samples that share a prior.

    Attributes:
        source: Their source.
        answer_type: Their answer type, or None.
        chance: Pass rate of a guess; 0 for open questions.
        num_samples: How many have rollouts.
        prior: What is believed of each before its rollouts.
        level: Their `LEVEL`, or None.
    """

    source: str
    answer_type: str | None
    chance: float
    num_samples: int
    prior: Prior
    level: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """What is known of the samples of one split.

    Attributes:
        strata: The strata with rollouts, by source, answer type and chance.
        cells: The columns of `CELL`, `LEVEL` where it was learnt by, `stratum` (its number) and `num_samples`, a row
            each distinct cell.
        priors: The fitted priors, parameters rounded.
    """

    strata: tuple[Stratum, ...]
    cells: pl.DataFrame
    priors: Priors

    def join(
        self,
        samples: pl.DataFrame,
        num_generations: int,
        scale_rewards: ScaleRewards = "group",
    ) -> pl.DataFrame:
        """The samples with what is known of each beside them, in the same order; null for those without rollouts.

        Args:
            samples: The columns of `CELL`, `LEVEL` where it was learnt by, and any others.
            num_generations: The training's G.
            scale_rewards: The training's.

        Returns:
            `samples` and posterior_mean, posterior_low, posterior_high (95 %), informative (P of both outcomes among G
            rollouts), signal (expected under `scale_rewards`) and prior (where it comes from, in words).
        """
        known = self._posterior(self.priors, np.arange(len(self.cells)))
        low, high = known.interval()
        reasons = [one.prior.reason for one in self.strata]
        judged = self.cells.select(
            *self._cell,
            posterior_mean=pl.Series(known.mean(), dtype=pl.Float64),
            posterior_low=pl.Series(low, dtype=pl.Float64),
            posterior_high=pl.Series(high, dtype=pl.Float64),
            informative=pl.Series(known.informative(num_generations), dtype=pl.Float64),
            signal=pl.Series(expected_signal(known, num_generations, scale_rewards), dtype=pl.Float64),
            prior=pl.Series([reasons[s] for s in self.cells["stratum"]], dtype=pl.String),
        ).filter(pl.col("num_rollouts") > 0)
        return samples.join(judged, on=self._cell, how="left", nulls_equal=True, maintain_order="left")

    def redrawn(self, seed: int = 0) -> tuple[Priors, ...]:
        """Other plausible priors: fitted to samples drawn again, for the intervals of `forecast`."""
        levels = [one.level for one in self.strata]
        # As many draws as there would be without levels: a choice by them leaves more to the priors, not less.
        num_draws = int(np.clip(MAX_FITS // (len(self.strata) // max(len({*levels}), 1) + 1), *DRAWS))
        return _redrawn(_told(self.cells), tuple(one.chance for one in self.strata), _groups(levels), num_draws, seed)

    def forecast(
        self,
        chosen: pl.DataFrame,
        num_generations: int,
        scale_rewards: ScaleRewards = "group",
        *,
        redrawn: Sequence[Priors] = (),
        seed: int = 0,
    ) -> Forecast:
        """What the first pass over chosen samples will show; the prior of all samples takes the winner's curse off.

        Args:
            chosen: The columns of `CELL`, `LEVEL` where it was learnt by, a row each chosen sample, one at least; those
                without rollouts are as the prior of their stratum has them.
            num_generations: The training's G, 2 or more.
            scale_rewards: The training's.
            redrawn: What `redrawn` gave, so that the intervals hold the prior's own uncertainty.
            seed: Of the draws.
        """
        known, others = self.under_all(chosen, redrawn)
        return forecast(known, num_generations, scale_rewards, alternatives=others, seed=seed)

    def forecast_given_reward(
        self,
        chosen: pl.DataFrame,
        block: IntArray,
        num_correct: IntArray,
        num_generations: int,
        *,
        redrawn: Sequence[Priors] = (),
        seed: int = 0,
    ) -> GivenReward:
        """What a pass over chosen samples would show, given the mean reward of each block of them.

        Args:
            chosen: As for `forecast`.
            block: Which block each is in, [chosen].
            num_correct: Correct rollouts seen in each, [blocks].
            num_generations: The training's G, 2 or more.
            redrawn: As for `forecast`.
            seed: Of the draws.
        """
        known, others = self.under_all(chosen, redrawn)
        return forecast_given_reward(known, block, num_correct, num_generations, alternatives=others, seed=seed)

    def under_all(self, samples: pl.DataFrame, redrawn: Sequence[Priors]) -> tuple[Posterior, list[Posterior]]:
        """What is known of these samples, as of `posterior_of`, under the fitted priors and under each redrawn one."""
        cells = self._cells_of(samples)
        known, *others = (self._posterior(priors, cells) for priors in (self.priors, *redrawn))
        return known, others

    def posterior_of(self, samples: pl.DataFrame) -> Posterior:
        """What is known of each of these samples; the columns of `CELL`, and `LEVEL` as learnt by."""
        return self._posterior(self.priors, self._cells_of(samples))

    def sources_of_priors(self) -> dict[str, int]:
        """Where the priors come from, in words, and for how many probed samples each."""
        told = Counter[str]()
        for one in self.strata:
            told[one.prior.reason] += one.num_samples
        return {reason: count for reason, count in told.most_common() if count}

    def to_json(self) -> list[Mapping[str, object]]:
        """The strata and their priors' parameters."""
        return [
            {
                "source": one.source,
                "answer_type": one.answer_type,
                "chance": one.chance,
                "num_samples": one.num_samples,
                **{name: getattr(one.prior, name) for name in ("a", "b", "zero", "guess", "one", "reason")},
                **({"floor": one.prior.floor} if one.prior.floor else {}),
                **({LEVEL: one.level} if LEVEL in self._cell else {}),
            }
            for one in self.strata
        ]

    @property
    def _cell(self) -> tuple[str, ...]:
        """The columns that decide."""
        return (*CELL, LEVEL) if LEVEL in self.cells.columns else CELL

    def _cells_of(self, samples: pl.DataFrame) -> IntArray:
        """Which cell each sample is in."""
        numbered = self.cells.select(*self._cell).with_row_index("cell")
        found = samples.select(self._cell).join(
            numbered, on=self._cell, how="left", nulls_equal=True, maintain_order="left"
        )
        return found["cell"].to_numpy().astype(np.int64)

    def _posterior(self, priors: Priors, cell: IntArray) -> Posterior:
        """What is known of the samples in these cells."""
        columns = (self.cells[name].to_numpy() for name in ("num_correct", "num_rollouts", "stratum"))
        known = priors.posterior(*columns)
        return replace(known, index=known.index[cell])


def learn(samples: pl.DataFrame) -> Known:
    """Fit the priors to samples of one split: all that were probed, chosen or not.

    Args:
        samples: The columns of `CELL`; also `LEVEL` where it is to count, and `num_samples` where a row is that many
            alike.
    """
    size = pl.col("num_samples").sum() if "num_samples" in samples.columns else pl.len()
    levels = (LEVEL,) if LEVEL in samples.columns else ()
    cell, named = (*CELL, *levels), ("source", "answer_type", "chance", *levels)
    grouped = samples.group_by(cell).agg(num_samples=size.cast(pl.Int64)).with_columns(chance=guess_chance())
    strata = (
        grouped.group_by(named)
        .agg(num_probed=pl.col("num_samples").filter(pl.col("num_rollouts") > 0).sum())
        .sort(named, nulls_last=True)
        .with_row_index("stratum")
    )
    cells = grouped.join(strata, on=named, nulls_equal=True).sort("stratum", *cell, nulls_last=True)
    cells = cells.select(*cell, pl.col("stratum").cast(pl.Int64), "num_samples")
    groups = _groups(strata[LEVEL].to_list()) if levels else ()
    fitted = _fitted(_told(cells), tuple(strata["chance"]), groups)
    priors = Priors(_rounded(fitted.pooled), tuple(map(_rounded, fitted.strata[: max(len(strata), 1)])))
    told = zip(strata.iter_rows(named=True), priors.strata, strict=False)
    return Known(
        tuple(
            Stratum(row["source"], row["answer_type"], row["chance"], row["num_probed"], prior, row.get(LEVEL))
            for row, prior in told
        ),
        cells,
        priors,
    )


def guess_chance() -> pl.Expr:
    """Pass rate of a guess: 1/options where the answer is one of them, 1/2 for yes or no, 0 for an open question."""
    options = pl.col("num_options")
    return (
        pl.when(pl.col("answer_type") == "yes_no").then(0.5)
        .when((pl.col("answer_type") == "choice") & (options > 1)).then(1.0 / options)
        .otherwise(0.0)
    )  # fmt: skip


def _told(cells: pl.DataFrame) -> _Told:
    return tuple(cells.select("num_correct", "num_rollouts", "stratum", "num_samples").iter_rows())


def _counts_of(told: _Told) -> tuple[IntArray, IntArray, IntArray]:
    """k, n and stratum of every sample, [samples] each."""
    k, n, stratum, num_samples = np.array(told, dtype=np.int64).reshape(-1, 4).T
    return np.repeat(k, num_samples), np.repeat(n, num_samples), np.repeat(stratum, num_samples)


@lru_cache(maxsize=_MOST_KEPT)
def _fitted(told: _Told, chances: tuple[float, ...], groups: tuple[int, ...]) -> Priors:
    """`fit_priors`, once for the same cells: a command asks again for each of its mixtures."""
    return fit_priors(*_counts_of(told), chances=chances, groups=groups)


@lru_cache(maxsize=_MOST_KEPT)
def _redrawn(
    told: _Told, chances: tuple[float, ...], groups: tuple[int, ...], num_draws: int, seed: int
) -> tuple[Priors, ...]:
    """`resample_priors`, likewise."""
    k, n, stratum = _counts_of(told)
    near = _fitted(told, chances, groups)
    return resample_priors(k, n, stratum, chances=chances, groups=groups, near=near, num_draws=num_draws, seed=seed)


def _groups(levels: Sequence[str | None]) -> tuple[int, ...]:
    """The strata of one level have one number; none where there is one level, or none."""
    numbers = {level: number for number, level in enumerate(dict.fromkeys(levels))}
    return tuple(numbers[level] for level in levels) if len(numbers) > 1 else ()


def _rounded(prior: Prior) -> Prior:
    a, b, zero, one, guess = (
        float(f"{value:.{_DIGITS}g}") for value in (prior.a, prior.b, prior.zero, prior.one, prior.guess)
    )
    return replace(prior, a=a, b=b, zero=zero, one=one, guess=guess)
