"""Intervals of a single sample's pass rate that hold whenever one looks, with no prior."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import betaln, xlog1py, xlogy

from pebr_data.difficulty.counts import Counts, FloatArray

MIXING = 0.5
"""Both parameters of the mixing Beta: the Krichevsky-Trofimov (1981) choice, which loses least near p = 0 and p = 1."""
HALVINGS = 60


def confidence_sequence(
    num_correct: npt.ArrayLike, num_rollouts: npt.ArrayLike, level: float = 0.95
) -> tuple[FloatArray, FloatArray]:
    """Bounds that hold p at all numbers of rollouts at once, with probability `level` at least, whatever p is.

    Under p the ratio of the likelihood mixed over Beta(1/2, 1/2) to that of p,
    M_n(p) = B(k + 1/2, n - k + 1/2) / B(1/2, 1/2) / (p^k (1-p)^(n-k)), is a non-negative martingale that starts at 1:
    it ever reaches 1/(1 - level) with probability 1 - level at most (Ville 1939). The sequence is
    {p: M_n(p) < 1/(1 - level)} (Robbins 1970; Howard, Ramdas, McAuliffe and Sekhon 2021). So one may look after every
    rollout, stop by any rule, and go on again. The price is width: 0/8 gives [0, 0.44] where one look gives [0, 0.37].

    Args:
        num_correct: k, 0 .. n, any shape.
        num_rollouts: n, 0 or more; may be chosen by the outcomes.
        level: In (0, 1).

    Returns:
        (low, high), each in [0, 1]; low is 0 for k = 0, high is 1 for k = n. Rounded outwards.

    Raises:
        ValueError: An argument is out of its range.
    """
    if not 0 < level < 1:
        raise ValueError(f"level {level} must be between 0 and 1")
    counts = Counts.of(num_correct, num_rollouts)
    k, n = counts.num_correct.astype(np.float64), counts.num_rollouts.astype(np.float64)
    least = betaln(k + MIXING, n - k + MIXING) - betaln(MIXING, MIXING) + np.log1p(-level)
    peak = np.divide(k, n, out=np.full_like(k, 0.5), where=n > 0)

    def outside(p: FloatArray) -> npt.NDArray[np.bool_]:
        log_likelihood: FloatArray = xlogy(k, p) + xlog1py(n - k, -p)
        return np.asarray(log_likelihood < least)

    # The likelihood is unimodal: halve between an end, which is out or a bound itself, and its peak, which is in.
    ends = []
    for end in (0.0, 1.0):
        out, within = np.full_like(peak, end), peak.copy()
        closed = ~outside(out)
        for _ in range(HALVINGS):
            middle = (out + within) / 2
            far = outside(middle)
            out, within = np.where(far, middle, out), np.where(far, within, middle)
        ends.append(np.where(closed, end, out)[counts.index])
    return ends[0], ends[1]
