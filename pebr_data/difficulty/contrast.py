"""Contrasts: how sure one pass rate exceeds another, or a number, given the rollouts of both."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import betainc, betaincinv

from pebr_data.difficulty.counts import Counts, FloatArray
from pebr_data.difficulty.pass_rate import UNIFORM_PRIOR

NUM_NODES = 96


def above(num_correct: npt.ArrayLike, num_rollouts: npt.ArrayLike, threshold: npt.ArrayLike) -> FloatArray:
    """P(p > threshold) of each sample after k of n rollouts, under a uniform prior: 1 - I_t(1 + k, 1 + n - k).

    Args:
        num_correct: k, 0 .. n, any shape.
        num_rollouts: n, 0 or more.
        threshold: t, one number or one a sample; below 0 everything is above it, from 1 on nothing.

    Raises:
        ValueError: A count cannot be.
    """
    t, at = np.unique(np.broadcast_to(np.asarray(threshold, np.float64), np.shape(num_correct)), return_inverse=True)
    counts = Counts.of(num_correct, num_rollouts, at.reshape(np.shape(num_correct)))
    a, b = _beta(counts.num_correct, counts.num_rollouts)
    values: FloatArray = 1.0 - betainc(a, b, np.clip(t[counts.stratum], 0.0, 1.0))
    return values[counts.index]


def exceeds(
    num_correct: npt.ArrayLike,
    num_rollouts: npt.ArrayLike,
    other_correct: npt.ArrayLike,
    other_rollouts: npt.ArrayLike,
    margin: float = 0.0,
) -> FloatArray:
    """P(p > q + margin) of each sample, p known from k of n rollouts and q from others; independent uniform priors.

    The mean of F_q(Q_p(u) - margin) over u from 0 to 1, by Gauss-Legendre quadrature (within 0.001), once for each
    distinct quadruple of counts.

    Args:
        num_correct: k of p, 0 .. n, any shape.
        num_rollouts: n of p.
        other_correct: k of q, in the same shape.
        other_rollouts: n of q.
        margin: By how much, in [0, 1).

    Raises:
        ValueError: A count cannot be.
    """
    first, second = Counts.of(num_correct, num_rollouts), Counts.of(other_correct, other_rollouts)
    if not first.index.size:
        return np.zeros(first.index.shape)
    pairs, where = np.unique(first.index * len(second.num_correct) + second.index, return_inverse=True)
    x, y = np.divmod(pairs, len(second.num_correct))
    nodes, weights = np.polynomial.legendre.leggauss(NUM_NODES)
    a, b = _beta(first.num_correct, first.num_rollouts)
    c, d = _beta(second.num_correct, second.num_rollouts)
    # Quantiles of p, [cells, nodes]; then P(q below them), [pairs, nodes].
    quantiles = np.maximum(betaincinv(a[:, None], b[:, None], (nodes + 1.0) / 2.0) - margin, 0.0)
    values: FloatArray = betainc(c[y][:, None], d[y][:, None], quantiles[x]) @ weights / 2.0
    return np.clip(values, 0.0, 1.0)[where].reshape(first.index.shape)


def _beta(num_correct: npt.ArrayLike, num_rollouts: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    k, n = np.asarray(num_correct, np.float64), np.asarray(num_rollouts, np.float64)
    return UNIFORM_PRIOR[0] + k, UNIFORM_PRIOR[1] + n - k
