"""Stopping: which samples need more rollouts, and how many to ask for next. Pure functions of counts.

    stopped = exact_stops(k, n, group_size=8)
    ask = next_round(stopped, n, max_rollouts=8, capacity=256)

`exact` stops as soon as the paper's band of the full group is certain; `posterior` as soon as the sample's own band is
sure enough. Both look at outcomes only, so `Prior.posterior` stays what it is; k/n does not, and is never shown as a
pass rate.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pebr_data.difficulty.counts import BoolArray, FloatArray, IntArray
from pebr_data.difficulty.posterior import Posterior
from pebr_data.difficulty.signal import informative_probability
from pebr_data.types import Band

FIRST_ROUND = 2
"""Rollouts of every sample before any rule stops it: one says neither that outcomes vary nor that they do not."""

PILOT = 128
"""Samples that get a full group before any is stopped by its posterior."""


def exact_stops(num_correct: npt.ArrayLike, num_rollouts: npt.ArrayLike, group_size: int) -> BoolArray:
    """Where the band of the full group is certain: both outcomes were seen (medium, whatever follows), or n = G.

    Args:
        num_correct: k, 0 .. n, any shape.
        num_rollouts: n, 0 or more; n > G, as rounds may give, is judged by all of them.
        group_size: G of the probe, 1 or more.
    """
    k, n = np.asarray(num_correct), np.asarray(num_rollouts)
    return np.asarray(((k > 0) & (k < n)) | (n >= group_size))


def exact_bands(num_correct: npt.ArrayLike, num_rollouts: npt.ArrayLike, group_size: int) -> npt.NDArray[np.str_]:
    """The paper's bands of samples that `exact_stops` stopped: those the full group would have given, always.

    Returns:
        `Band` values as strings; `unprobed` where the rule has not stopped.
    """
    k, n = np.asarray(num_correct), np.asarray(num_rollouts)
    stopped = exact_stops(k, n, group_size)
    bands = np.select([~stopped, k == 0, k == n], [Band.UNPROBED.value, Band.HARD.value, Band.EASY.value], "medium")
    return bands.astype(np.str_)


def band_edges(group_size: int, threshold: float = 0.5) -> tuple[float, float]:
    """The pass rates between which a group of G is informative with probability `threshold` or more.

    The two solutions of 1 - p^G - (1-p)^G = threshold; 0.083 and 0.917 for G = 8 and 1/2.

    Args:
        group_size: G of the training, 2 or more.
        threshold: In (0, 1 - 2^(1-G)); G = 2 has no pass rate above 1/2.

    Raises:
        ValueError: No pass rate is that informative.
    """
    most = float(informative_probability(0.5, group_size))
    if not 0 < threshold < most:
        raise ValueError(f"groups of {group_size} are informative with probability {most:.3g} at most, not {threshold}")
    # Takes long to import, and most commands find no edges.
    from scipy.optimize import brentq

    low = brentq(lambda p: float(informative_probability(p, group_size)) - threshold, 0.0, 0.5)
    return float(low), 1.0 - float(low)


def band_probabilities(posterior: Posterior, group_size: int, threshold: float = 0.5) -> FloatArray:
    """P(hard), P(medium), P(easy) of each sample's own pass rate: below, between and above `band_edges`.

    Deviates from the paper, whose bands are events of eight rollouts: a band here is a property of the sample, and
    more rollouts make it surer.

    Returns:
        [..., 3]; each row sums to 1.

    Raises:
        ValueError: No pass rate is as informative as `threshold`.
    """
    low, high = band_edges(group_size, threshold)
    hard, below = posterior.cdf(low), posterior.cdf(high)
    return np.stack([hard, np.maximum(below - hard, 0.0), 1.0 - below], axis=-1)


def sure_bands(
    posterior: Posterior, group_size: int, *, confidence: float, threshold: float = 0.5
) -> npt.NDArray[np.str_]:
    """The band that has probability `confidence` or more; `unprobed` where none has.

    Args:
        posterior: What is known of each sample.
        group_size: G of the training.
        confidence: In (1/3, 1): with three bands one always has a third.
        threshold: As for `band_edges`.

    Raises:
        ValueError: An argument is out of its range.
    """
    if not 1 / 3 < confidence < 1:
        raise ValueError(f"confidence {confidence} must be between 1/3 and 1")
    chances = band_probabilities(posterior, group_size, threshold)
    names = np.array([Band.HARD.value, Band.MEDIUM.value, Band.EASY.value])
    sure = chances.max(axis=-1) >= confidence
    return np.where(sure, names[chances.argmax(axis=-1)], Band.UNPROBED.value).astype(np.str_)


def posterior_stops(
    posterior: Posterior,
    num_rollouts: npt.ArrayLike,
    group_size: int,
    *,
    confidence: float,
    max_rollouts: int,
    threshold: float = 0.5,
) -> BoolArray:
    """Where one band has probability `confidence` or more, or the rollouts are used up.

    Args:
        posterior: What is known of each sample, under a prior that was fitted to others like it.
        num_rollouts: n of each.
        group_size: G of the training.
        confidence: In (1/3, 1): with three bands one always has a third.
        max_rollouts: Where to give up.
        threshold: As for `band_edges`.

    Raises:
        ValueError: An argument is out of its range.
    """
    n = np.asarray(num_rollouts)
    sure = sure_bands(posterior, group_size, confidence=confidence, threshold=threshold) != Band.UNPROBED.value
    return np.asarray((sure & (n >= FIRST_ROUND)) | (n >= max_rollouts))


def pilot(sample_ids: Sequence[str], group_size: int) -> IntArray:
    """Rollouts of each sample before `posterior_stops` is asked: enough to fit the prior that it then judges by.

    `FIRST_ROUND` of each, and G of the `PILOT` samples whose ids come first: ids are hashes, so that is a draw. Two
    rollouts tell the mean and spread of the pass rates, but hardly whether a share of them is 0 or 1.
    """
    first = np.full(len(sample_ids), FIRST_ROUND, dtype=np.int64)
    first[np.argsort(np.asarray(sample_ids, dtype=np.str_), kind="stable")[:PILOT]] = group_size
    return first


def next_round(
    stopped: BoolArray, num_rollouts: npt.ArrayLike, *, max_rollouts: int, capacity: int, smallest: int = 1
) -> IntArray:
    """How many more rollouts to ask of each sample: few, so that none is wasted, but enough to keep the engine full.

    Every open sample gets the same: `capacity` shared among the open ones, at least `smallest`, at most what is left to
    it. While many are open a round is as small as it may be; as they run out, the engine's free places are filled with
    rollouts that may turn out not needed but cost no time.

    Args:
        stopped: Samples that need no more, [num_samples].
        num_rollouts: n of each.
        max_rollouts: The most any sample gets.
        capacity: Rollouts the engine runs at a time.
        smallest: Rollouts of one sample worth asking for together, where the engine shares its prompt and image.

    Returns:
        0 where stopped, else 1 .. max_rollouts - n.

    Raises:
        ValueError: `capacity`, `smallest` or `max_rollouts` is not positive.
    """
    if min(capacity, smallest, max_rollouts) < 1:
        raise ValueError(f"capacity {capacity}, smallest {smallest}, max_rollouts {max_rollouts} must be positive")
    n = np.asarray(num_rollouts, dtype=np.int64)
    left = np.where(stopped, 0, np.maximum(max_rollouts - n, 0))
    num_open = int(np.count_nonzero(left))
    if num_open == 0:
        return left
    share = max(-(-capacity // num_open), smallest)
    asked: IntArray = np.minimum(np.maximum(share, FIRST_ROUND - n), left)
    return asked
