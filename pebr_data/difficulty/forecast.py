"""Forecast: what the first pass of training over a chosen set of samples will show, before it is run.

    seen = forecast_chosen(k, n, chosen, group_size=8)
    seen.zero_variance.mean, seen.zero_variance.low, seen.zero_variance.high

Chosen samples look better than they are: among those picked for 4 of 8 some were lucky (the winner's curse). Two ways
out, both here. By shrinkage: a posterior under a prior fitted to *all* probed samples does not care why a sample was
looked at. By fresh rollouts: choose by one half of each sample's rollouts, forecast from the other (`split_counts`,
`forecast_fresh`); it asks less of the prior's shape, but concerns the set chosen by half.

The forecast holds for the policy that was probed and the accuracy reward; a policy drifts as it trains.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pebr_data.difficulty.counts import BoolArray, FloatArray, IntArray
from pebr_data.difficulty.fit import fit_priors, resample_priors
from pebr_data.difficulty.posterior import Posterior
from pebr_data.types import ScaleRewards

NUM_DRAWS = 3_000


@dataclass(frozen=True, slots=True)
class Expected:
    """A figure of the first pass: its expectation, and where it will lie with the forecast's level."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Forecast:
    """The first pass: one group of G rollouts per sample, accuracy rewards of 0 or 1.

    Attributes:
        num_samples: Samples in the set.
        group_size: G.
        zero_variance: Share of groups with one outcome only, in [0, 1].
        mean_reward: Share of correct rollouts, in [0, 1].
        squared_advantage: Mean over groups of the mean squared advantage as TRL computes it: the reward minus the
            group's mean, over the group's sample standard deviation (over G - 1) under `group`, undivided otherwise.
            In [0, 1 - 1/G] and [0, 1/4].
    """

    num_samples: int
    group_size: int
    zero_variance: Expected
    mean_reward: Expected
    squared_advantage: Expected


def forecast(
    posterior: Posterior,
    group_size: int,
    scale_rewards: ScaleRewards = "group",
    *,
    alternatives: Sequence[Posterior] = (),
    level: float = 0.95,
    seed: int = 0,
) -> Forecast:
    """What one pass over these samples will show.

    Means are exact, from each sample's posterior predictive. Intervals are quantiles of seeded draws of whole passes:
    a multinomial of the predictive over 0 .. G correct for the samples that share counts.

    Args:
        posterior: What is known of the chosen samples; one or more.
        group_size: G of the training, 2 or more.
        scale_rewards: As in the training; TRL's `batch` is reported undivided.
        alternatives: What would be known of the same samples under other plausible priors (`resample_priors`): the
            draws go through them in turn, so that the interval holds the prior's own uncertainty.
        level: In (0, 1).
        seed: Of the draws.

    Raises:
        ValueError: An argument is out of its range.
    """
    if posterior.num_samples < 1 or group_size < 2 or not 0 < level < 1:
        raise ValueError(f"{posterior.num_samples} samples, group size {group_size}, level {level} cannot be forecast")
    figures = figures_of(group_size, scale_rewards)
    rng = np.random.default_rng(seed)
    worlds = alternatives or (posterior,)
    num_each = -(-NUM_DRAWS // len(worlds))
    drawn = np.concatenate([_passes(world, group_size, num_each, rng) for world in worlds]) @ figures
    return forecast_of(posterior.num_samples, group_size, _mean_pass(posterior, group_size) @ figures, drawn, level)


def figures_of(group_size: int, scale_rewards: ScaleRewards) -> FloatArray:
    """What a group with 0 .. G correct rollouts adds to each figure of a `Forecast`, [G + 1, 3]."""
    j = np.arange(group_size + 1)
    mixed = ((j > 0) & (j < group_size)).astype(np.float64)
    share = j / group_size
    worth = mixed * (1.0 - 1.0 / group_size) if scale_rewards == "group" else share * (1.0 - share)
    return np.stack([1.0 - mixed, share, worth], axis=1)


def forecast_of(num_samples: int, group_size: int, mean: FloatArray, drawn: FloatArray, level: float) -> Forecast:
    """The forecast with these means, [3], and the quantiles of these drawn passes, [draws, 3]."""
    tail = (1 - level) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail], axis=0)
    zero_variance, mean_reward, squared = (
        Expected(float(m), float(min(m, lo)), float(max(m, hi))) for m, lo, hi in zip(mean, low, high, strict=True)
    )
    return Forecast(num_samples, group_size, zero_variance, mean_reward, squared)


def forecast_chosen(
    num_correct: npt.ArrayLike,
    num_rollouts: npt.ArrayLike,
    chosen: BoolArray | IntArray,
    group_size: int,
    scale_rewards: ScaleRewards = "group",
    *,
    stratum: npt.ArrayLike = 0,
    chances: Sequence[float] = (),
    level: float = 0.95,
    seed: int = 0,
) -> Forecast:
    """The forecast for chosen samples by shrinkage: the prior is fitted to all probed ones.

    Args:
        num_correct: k of every probed sample, whether it was chosen or not, [samples].
        num_rollouts: n of each; early stopping may have chosen them.
        chosen: Mask or positions of the chosen ones.
        group_size: G of the training.
        scale_rewards: As in the training.
        stratum: Stratum of each, for `fit_priors`.
        chances: Pass rate of a guess in each stratum, likewise.
        level: Of the intervals.
        seed: Of the draws and of the prior's resampling.
    """
    k, n, s = np.broadcast_arrays(np.asarray(num_correct), np.asarray(num_rollouts), np.asarray(stratum))
    fitted = fit_priors(k, n, s, chances=chances)
    redrawn = resample_priors(k, n, s, chances=chances, near=fitted, seed=seed)
    known = [priors.posterior(k[chosen], n[chosen], s[chosen]) for priors in (fitted, *redrawn)]
    return forecast(known[0], group_size, scale_rewards, alternatives=known[1:], level=level, seed=seed)


def forecast_fresh(
    num_correct: npt.ArrayLike,
    num_rollouts: npt.ArrayLike,
    group_size: int,
    scale_rewards: ScaleRewards = "group",
    *,
    stratum: npt.ArrayLike = 0,
    chances: Sequence[float] = (),
    level: float = 0.95,
    seed: int = 0,
) -> Forecast:
    """The forecast for chosen samples from rollouts that did not choose them: the prior is fitted to these alone.

    Args:
        num_correct: k of the chosen samples in the half that the choice did not see.
        num_rollouts: n of that half, 2 or more for most of them.
        group_size: G of the training.
        scale_rewards: As in the training.
        stratum: Stratum of each.
        chances: Pass rate of a guess in each stratum.
        level: Of the intervals.
        seed: Of the draws and of the prior's resampling.
    """
    everything = np.ones(np.broadcast(num_correct, num_rollouts).shape, dtype=np.bool_)
    return forecast_chosen(
        num_correct, num_rollouts, everything, group_size, scale_rewards,
        stratum=stratum, chances=chances, level=level, seed=seed,
    )  # fmt: skip


def split_counts(
    num_correct: npt.ArrayLike, num_rollouts: npt.ArrayLike, seed: int = 0
) -> tuple[IntArray, IntArray, IntArray, IntArray]:
    """Each sample's counts as if its rollouts had been dealt at random into two halves, the first rounded down.

    Only for n fixed in advance: then the order carries no information, k of the first half is hypergeometric, and the
    halves are independent given p. Early stopping makes the last rollouts depend on the first.

    Returns:
        (k, n) of the first half, (k, n) of the second.
    """
    k, n = np.broadcast_arrays(np.asarray(num_correct), np.asarray(num_rollouts))
    half = n // 2
    first = np.random.default_rng(seed).hypergeometric(k, n - k, half)
    return first, half, k - first, n - half


def _mean_pass(posterior: Posterior, group_size: int) -> FloatArray:
    """Expected share of groups with 0 .. G correct, [G + 1]."""
    num = np.bincount(posterior.index.ravel(), minlength=len(posterior.b))
    shares: FloatArray = num @ posterior.predictive_cells(group_size) / num.sum()
    return shares


def _passes(posterior: Posterior, group_size: int, num_draws: int, rng: np.random.Generator) -> FloatArray:
    """Shares of groups with 0 .. G correct in drawn passes, [num_draws, G + 1]."""
    num = np.bincount(posterior.index.ravel(), minlength=len(posterior.b))
    rows = posterior.predictive_cells(group_size)
    total = np.zeros((num_draws, group_size + 1))
    for here, row in zip(num, rows, strict=True):
        if here:
            total += rng.multinomial(here, row, size=num_draws)
    total /= num.sum()
    return total
