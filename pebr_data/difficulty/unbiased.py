"""Unbiased estimates of a sample's signal from n rollouts, with no prior: U-statistics (Hoeffding 1948).

Of the groups of G that can be drawn from n rollouts without replacement, C(k, G) + C(n - k, G) of C(n, G) are all the
same: the hypergeometric share has p^G + (1-p)^G as its mean for every p. It is the minimum-variance unbiased estimate,
k being complete and sufficient. Generally the share of ordered draws with i correct and then j wrong,
[k]_i [n - k]_j / [n]_(i+j) in falling factorials, has mean p^i (1-p)^j.

Only for n fixed in advance: a number of rollouts that the outcomes chose biases every one of these.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pebr_data.difficulty.counts import Counts, FloatArray
from pebr_data.types import ScaleRewards


@dataclass(frozen=True, slots=True, eq=False)
class UnbiasedSignal:
    """Estimates per sample; averages over samples are unbiased too.

    Attributes:
        value: Unbiased for the signal; NaN with fewer rollouts than it takes (G, or 2 under `none`).
        variance: Unbiased for the variance of `value`; NaN with fewer than twice as many rollouts. Single ones may be
            negative: only their mean must not be.
    """

    value: FloatArray
    variance: FloatArray


def unbiased_signal(
    num_correct: npt.ArrayLike, num_rollouts: npt.ArrayLike, group_size: int, scale_rewards: ScaleRewards = "group"
) -> UnbiasedSignal:
    """Unbiased estimates of `signal.signal` under each sample's own pass rate.

    The variance is value² minus an unbiased estimate of signal², in which the products of p's powers are again
    falling factorials, of twice the degree.

    Args:
        num_correct: k, 0 .. n, any shape.
        num_rollouts: n, fixed in advance.
        group_size: G of the training, 1 or more.
        scale_rewards: As in the training.

    Raises:
        ValueError: An argument is out of its range.
    """
    if group_size < 1:
        raise ValueError(f"group size {group_size} must be positive")
    counts = Counts.of(num_correct, num_rollouts)
    g = group_size
    if scale_rewards == "group":
        same = _moment(counts, g, 0) + _moment(counts, 0, g)
        value = 1.0 - same
        # signal² = 1 - 2s + s² with s = p^G + (1-p)^G.
        square = 1.0 - 2.0 * same + _moment(counts, 2 * g, 0) + 2.0 * _moment(counts, g, g) + _moment(counts, 0, 2 * g)
    else:
        shrink = 1.0 - 1.0 / g
        value = shrink * _moment(counts, 1, 1)
        square = shrink**2 * _moment(counts, 2, 2)
    return UnbiasedSignal(value[counts.index], (value**2 - square)[counts.index])


def _moment(counts: Counts, num_correct: int, num_wrong: int) -> FloatArray:
    """Unbiased for p^i (1-p)^j, once per distinct count; NaN where n < i + j."""
    k, n = counts.num_correct.astype(np.float64), counts.num_rollouts.astype(np.float64)
    enough = n >= num_correct + num_wrong
    value = np.where(enough, 1.0, np.nan)
    n = np.where(enough, n, np.inf)
    for step in range(num_correct):
        value = value * np.maximum(k - step, 0.0) / (n - step)
    for step in range(num_wrong):
        value = value * np.maximum(counts.num_rollouts - k - step, 0.0) / (n - num_correct - step)
    return value
