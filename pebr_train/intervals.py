"""95 % intervals for means over samples, and for paired differences between two evaluations of the same samples.

A sample is the unit everywhere: the rollouts of one sample share its difficulty, so they are averaged first and
never counted as independent.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

Z_95 = NormalDist().inv_cdf(0.975)
NUM_RESAMPLES = 10_000
BOOTSTRAP_SEED = 0


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean with its 95 % interval.

    Attributes:
        mean: The mean over samples.
        low: Lower end.
        high: Upper end.
        num_samples: Samples it is over.
    """

    mean: float
    low: float
    high: float
    num_samples: int


def mean_interval(values: Sequence[float]) -> Estimate | None:
    """The mean of one value in 0 .. 1 per sample, with a Wilson interval; None for no samples.

    For values that are 0 or 1 (greedy accuracy) this is the Wilson score interval. For values in between (a sample's
    share of correct rollouts, an F1) it is the Wilson interval at the effective sample size m(1-m) / SE², with SE
    the standard error over samples: the sample-clustered interval of Dean and Pagano (2015), "Evaluating confidence
    interval methods for binomial proportions in clustered surveys". Unlike the normal interval it stays within
    0 .. 1 and has a width when all values are equal (then the effective size is the number of samples).

    Raises:
        ValueError: A value is not in 0 .. 1.
    """
    if not values:
        return None
    if not all(0.0 <= value <= 1.0 for value in values):
        raise ValueError("mean_interval takes values in 0 .. 1")
    n = len(values)
    mean = math.fsum(values) / n
    variance = math.fsum((value - mean) ** 2 for value in values) / n
    effective = mean * (1 - mean) * n / variance if variance > 1e-12 else float(n)
    low, high = _wilson(mean, effective)
    return Estimate(mean, low, high, n)


def difference_interval(before: Sequence[float], after: Sequence[float]) -> Estimate | None:
    """The mean of `after - before`, paired by position, with a percentile bootstrap interval; None for no samples.

    Samples are drawn with replacement, both their values together, 10,000 times under a fixed seed: the same values
    always give the same interval.

    Raises:
        ValueError: The two differ in length.
    """
    import numpy as np

    if len(before) != len(after):
        raise ValueError(f"paired values differ in number: {len(before)} and {len(after)}")
    if not before:
        return None
    differences = np.asarray(after, dtype=np.float64) - np.asarray(before, dtype=np.float64)
    n = len(differences)
    rng = np.random.default_rng(BOOTSTRAP_SEED)
    resampled = np.empty(NUM_RESAMPLES)
    rows_at_once = max(1, 1_000_000 // n)
    for start in range(0, NUM_RESAMPLES, rows_at_once):
        rows = min(rows_at_once, NUM_RESAMPLES - start)
        drawn = rng.integers(n, size=(rows, n), dtype=np.int32)
        resampled[start : start + rows] = differences[drawn].mean(axis=1)
    low, high = np.quantile(resampled, (0.025, 0.975))
    return Estimate(float(differences.mean()), float(low), float(high), n)


def _wilson(mean: float, size: float) -> tuple[float, float]:
    """Wilson (1927) score interval of a proportion `mean` of `size` trials."""
    z2 = Z_95 * Z_95
    center = (mean + z2 / (2 * size)) / (1 + z2 / size)
    half = Z_95 / (1 + z2 / size) * math.sqrt(mean * (1 - mean) / size + z2 / (4 * size * size))
    return max(0.0, min(mean, center - half)), min(1.0, max(mean, center + half))
