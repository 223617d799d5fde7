"""Spread: for continuous rewards, how much the rollouts of a sample differ beyond what the scorer's own noise makes.

Under `scale_rewards="group"` a group whose rewards differ by noise alone gets advantages as large as any other. So what
counts is not the spread but its share that is real. To know it, each completion is scored several times under what
should not matter (other image augmentations, other sampled references): a one-way random-effects design.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import fdtri

from pebr_data.difficulty.counts import FloatArray
from pebr_data.types import ScaleRewards


@dataclass(frozen=True, slots=True, eq=False)
class Spread:
    """Variance components of the rewards.

    Attributes:
        between: Variance between a sample's rollouts, noise taken out; unbiased, so it may be negative, [samples].
        noise: Variance of the scorer on one completion, one for all samples.
        reliability: between / (between + noise), the share of a single score's variance that is real, in [0, 1];
            0 where nothing varies, [samples].
        low: Lower end of its interval.
        high: Upper end.
    """

    between: FloatArray
    noise: float
    reliability: FloatArray
    low: FloatArray
    high: FloatArray


def spread(scores: npt.ArrayLike, level: float = 0.95) -> Spread:
    """Variance components by ANOVA for score = sample + rollout + noise (Searle, Casella and McCulloch 1992, ch. 3-4).

    With R rollouts and S scores each, MSB = S × variance of the rollouts' means and MSW = variance within a rollout:
    between = (MSB - MSW) / S, noise = MSW. The noise belongs to the scorer, so MSW is the mean over all samples. The
    interval is exact for normal scores: MSB / MSW over (1 + S between / noise) is F(R - 1, N R (S - 1)) distributed.

    Args:
        scores: [samples, rollouts, scores of one completion], at least 1 × 2 × 2, finite.
        level: In (0, 1).

    Raises:
        ValueError: The shape, a score or the level cannot be.
    """
    x = np.asarray(scores, dtype=np.float64)
    if x.ndim != 3 or x.shape[0] < 1 or min(x.shape[1:]) < 2 or not np.all(np.isfinite(x)):
        raise ValueError(
            f"scores of shape {x.shape} must be finite: samples, 2 or more rollouts, 2 or more scores each"
        )
    if not 0 < level < 1:
        raise ValueError(f"level {level} must be between 0 and 1")
    num_samples, num_rollouts, num_scores = x.shape
    noise = float(x.var(axis=2, ddof=1).mean())
    rollouts = num_scores * x.mean(axis=2).var(axis=1, ddof=1)
    between = (rollouts - noise) / num_scores
    freedom = (num_rollouts - 1, num_samples * num_rollouts * (num_scores - 1))
    tail = (1 - level) / 2
    ends = [
        _share(rollouts / float(fdtri(*freedom, probability)) - noise, num_scores * noise)
        for probability in (1 - tail, tail)
    ]
    return Spread(between, noise, _share(between, noise), *ends)


def spread_signal(spread: Spread, group_size: int, scale_rewards: ScaleRewards = "group") -> FloatArray:
    """What of a group's expected squared advantage is real, [samples]; the counterpart of `expected_signal`.

    Under `group` every group has the same squared advantage, of which `reliability` is real; otherwise
    between × (1 - 1/G), 0 where the estimate is negative.

    Args:
        spread: The variance components.
        group_size: G of the training, 1 or more.
        scale_rewards: As in the training.
    """
    if group_size < 1:
        raise ValueError(f"group size {group_size} must be positive")
    if scale_rewards == "group":
        return spread.reliability * float(group_size > 1)
    return np.maximum(spread.between, 0.0) * (1.0 - 1.0 / group_size)


def _share(part: FloatArray, noise: float) -> FloatArray:
    """The share of a part in part + noise: for a part that is at least 0, and 0 where both are 0."""
    part = np.maximum(part, 0.0)
    return np.divide(part, part + noise, out=np.zeros_like(part), where=part > 0)
