"""Estimating what a probe has still to do from what it has done: rollouts, tokens and time, each with its interval.

Rollouts: under `none` what is owed. A rule that stops early makes as many as the outcomes ask for, so their expected
number is computed for every sample, by going through all that its next rounds may bring, under the fitted prior of its
stratum. Tokens: the mean of the completions so far. Time: the probe's own pace.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import polars as pl

from pebr_data.difficulty.counts import BoolArray, FloatArray
from pebr_data.difficulty.fit import MIN_SAMPLES
from pebr_data.difficulty.frozen import FrozenPriors
from pebr_data.difficulty.known import CELL, Known, guess_chance, learn
from pebr_data.difficulty.prior import Priors
from pebr_data.difficulty.stopping import exact_stops
from pebr_data.probe.early_stop import Stopping
from pebr_data.probe.pace import Pace
from pebr_data.probe.rounds import SMALLEST
from pebr_data.types import Sample, StopRule

LEVEL_95 = 1.96


@dataclass(frozen=True, slots=True)
class Amount:
    """How much of something, and where it will lie 95 times in 100; `low` and `high` are the mean where it is known."""

    mean: float
    low: float
    high: float

    def times(self, other: Amount) -> Amount:
        """The product of two amounts that vary independently, to first order, not below 0."""
        mean = self.mean * other.mean
        spread = math.hypot(*((one.high - one.low) / max(one.mean, 1e-12) for one in (self, other))) / 2
        return Amount(mean, max(mean * (1 - spread), 0.0), mean * (1 + spread))


@dataclass(frozen=True, slots=True)
class Estimate:
    """What is still to be made.

    Attributes:
        rollouts: How many.
        tokens: Their completion tokens.
        seconds: Time that takes, without loading the model; None before anything was timed.
        num_measured: Samples with rollouts that it goes by.
    """

    rollouts: Amount
    tokens: Amount
    seconds: Amount | None
    num_measured: int


def estimate(
    samples: Sequence[Sample],
    counts: pl.DataFrame,
    lengths: pl.DataFrame,
    num_owed: int,
    stopping: Stopping,
    pace: Pace | None,
) -> Estimate | None:
    """What a probe of these samples has still to make; None where nothing was measured.

    Args:
        samples: What is probed.
        counts: What their rollouts came to, as `Catalog.bands` gives it.
        lengths: How long they are, as `Catalog.completion_lengths` gives it.
        num_owed: Rollouts that are owed at most.
        stopping: When a sample has enough.
        pace: Of this probe.
    """
    per_sample = lengths.group_by("sample_id").agg(pl.col("num_rollouts", "sum_tokens").sum())
    if not len(per_sample):
        return None
    rollouts = Amount(num_owed, num_owed, num_owed)
    if stopping.rule is not StopRule.NONE and num_owed:
        rollouts = _expected_rollouts(samples, counts, num_owed, stopping)
    tokens = rollouts.times(_ratio(per_sample["sum_tokens"].to_numpy(), per_sample["num_rollouts"].to_numpy()))
    seconds = None
    if pace is not None and pace.num_tokens:
        seconds = tokens.times(_exactly(pace.seconds / pace.num_tokens))
    return Estimate(rollouts, tokens, seconds, len(per_sample))


def _ratio(total: npt.NDArray[np.float64], number: npt.NDArray[np.float64]) -> Amount:
    """Sum over sum across samples, whose rollouts are alike (ratio estimate; Cochran 1977, ch. 6)."""
    mean = float(total.sum() / number.sum())
    size = len(total)
    if size < 2:
        return Amount(mean, 0.0, 2 * mean)
    error = float(np.std(total - mean * number, ddof=1) / number.mean() / math.sqrt(size))
    return Amount(mean, mean - LEVEL_95 * error, mean + LEVEL_95 * error)


def _exactly(value: float) -> Amount:
    return Amount(value, value, value)


def _expected_rollouts(samples: Sequence[Sample], counts: pl.DataFrame, num_owed: int, stopping: Stopping) -> Amount:
    cells = (
        pl.DataFrame(
            [(one.sample_id, one.source, one.answer_type, len(one.options)) for one in samples],
            schema=["sample_id", "source", "answer_type", "num_options"],
            orient="row",
        )
        .join(counts.select("sample_id", "num_correct", "num_rollouts"), on="sample_id", how="left")
        .with_columns(pl.col("num_options", "num_correct", "num_rollouts").fill_null(0).cast(pl.Int64))
        .select(CELL)
    )
    known = learn(cells)
    means = [_under(priors, known, cells, stopping) for priors in (known.priors, *known.redrawn())]
    mean = min(means[0], num_owed)
    if cells.filter(pl.col("num_rollouts") > 1).height < MIN_SAMPLES:
        # Nothing was fitted, so all that is known is what must be made and what may be.
        return Amount(mean, min(_least(cells), num_owed), num_owed)
    error = LEVEL_95 * float(np.std(means[1:], ddof=1))
    return Amount(mean, max(mean - error, 0.0), min(mean + error, num_owed))


def _least(cells: pl.DataFrame) -> float:
    return float((2 - cells["num_rollouts"]).clip(0).sum())


def _under(priors: Priors, known: Known, cells: pl.DataFrame, stopping: Stopping) -> float:
    """The expected number of rollouts under these priors, summed over the samples."""
    keys = cells.select("source", "answer_type", guess_chance()).rows()
    strata = [(one.source, one.answer_type, one.chance) for one in known.strata]
    place = {key: number for number, key in enumerate(strata)}
    tables = _more(priors, len(strata), _stops(priors, known, stopping), stopping.most)
    k, n = cells["num_correct"].to_numpy(), cells["num_rollouts"].to_numpy()
    return float(tables[[place[key] for key in keys], np.minimum(k, stopping.most), np.minimum(n, stopping.most)].sum())


def _stops(priors: Priors, known: Known, stopping: Stopping) -> BoolArray:
    """Whether k of n is enough, [strata, k, n]."""
    size = stopping.most + 1
    if stopping.rule is StopRule.EXACT:
        k, n = np.indices((size, size))
        return np.broadcast_to(exact_stops(k, n, stopping.group_size), (len(known.strata), size, size))
    frozen = FrozenPriors.of(replace(known, strata=tuple(
        replace(one, prior=prior) for one, prior in zip(known.strata, priors.strata, strict=False)
    )))  # fmt: skip
    strata = list(frozen.strata)
    return frozen.tables(
        strata, group_size=stopping.group_size, max_rollouts=stopping.most, confidence=stopping.confidence
    ).stops


def _more(priors: Priors, num_strata: int, stops: BoolArray, most: int) -> FloatArray:
    """Expected further rollouts after k of n, [strata, k, n], in rounds of `SMALLEST`, from the last one back."""
    more = np.zeros((num_strata, most + 1, most + 1))
    strata = np.arange(num_strata)
    for n in range(most - 1, -1, -1):
        size = min(SMALLEST, most - n)
        for k in range(n + 1):
            chances = priors.posterior(np.full(num_strata, k), np.full(num_strata, n), strata).predictive(size)
            following: FloatArray = sum(
                (chances[:, j] * more[:, k + j, n + size] for j in range(size + 1)), np.zeros(num_strata)
            )
            more[:, k, n] = np.where(stops[:, k, n], 0.0, size + following)
    return more
