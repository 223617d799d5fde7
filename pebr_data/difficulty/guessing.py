"""Guessing: how many correct rollouts a sample gets without seeing anything, and whether this one gets more.

A four-way guesser has p = 1/4 and looks like the best of training samples; what it teaches is luck. Two things tell:
the number of options, and the pass rate in the `blind` condition, where the policy is shown no image.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt
from scipy.special import betainc, betaincinv

from pebr_data.difficulty.counts import FloatArray
from pebr_data.difficulty.posterior import Posterior

NUM_NODES = 96


def chance(num_options: npt.ArrayLike) -> FloatArray:
    """The pass rate of a blind guess: 1/m among m options, 0 for an open question (m = 0).

    Raises:
        ValueError: A number of options is negative.
    """
    m = np.asarray(num_options)
    if np.any(m < 0):
        raise ValueError("a number of options is negative")
    each: FloatArray = np.divide(1.0, m, out=np.zeros(m.shape), where=m > 0)
    return each


def guess_floor(num_options: npt.ArrayLike, blind: Posterior | None = None) -> FloatArray:
    """The pass rate to expect without the image: the larger of `chance` and E[p] in the blind condition.

    A correct answer above it is worth a look; a blind policy may do better than chance (a skewed choice of answers)
    and a shown one worse.

    Args:
        num_options: m of each sample, 0 for an open question.
        blind: What is known of the blind pass rates, where they were probed.
    """
    floor = chance(num_options)
    return floor if blind is None else np.maximum(floor, blind.mean())


def above_chance(posterior: Posterior, num_options: npt.ArrayLike) -> FloatArray:
    """P(p > 1/m) for each sample, in [0, 1]; for an open question P(p > 0)."""
    return 1.0 - posterior.cdf(chance(num_options))


def image_helps(image: Posterior, blind: Posterior, num_options: npt.ArrayLike = 0) -> FloatArray:
    """P(p with the image > p without it, and > chance) for each sample, in [0, 1].

    The two pass rates are taken as independent given their rollouts. For each Beta of the image's the probability is
    the integral of F_blind(Q(u)) over u from F(chance) to 1, F its distribution function and Q the inverse, by
    Gauss-Legendre quadrature (within 0.001); what spikes add is exact: nothing is above p = 1, and p = 0 is above
    nothing.

    Args:
        image: What is known of the pass rates in the `image` condition.
        blind: Likewise in the `blind` condition, for the same samples.
        num_options: m of each sample, 0 for an open question.

    Raises:
        ValueError: The two are not of the same samples.
    """
    if image.index.shape != blind.index.shape:
        raise ValueError(f"{image.num_samples} samples with the image, {blind.num_samples} without")
    floors = np.broadcast_to(chance(num_options), image.index.shape)
    rows = np.stack([image.index.ravel(), blind.index.ravel(), floors.ravel()], axis=1)
    distinct, where = np.unique(rows, axis=0, return_inverse=True)
    x, y, floor = distinct[:, 0].astype(np.int64), distinct[:, 1].astype(np.int64), distinct[:, 2].astype(np.float64)
    b, begins = image.b[x], image.floor[x]

    def scaled(pass_rate: FloatArray, begin: FloatArray) -> FloatArray:
        return np.clip((pass_rate - begin) / (1.0 - begin), 0.0, 1.0)

    # Each Beta of the image's above the floor, over the blind ones and over each blind spike.
    nodes, weights = _nodes()
    values = np.zeros(len(distinct))
    for weight, a in zip(image.weights[x].T, image.a[x].T, strict=True):
        start: FloatArray = betainc(a, b, scaled(floor, begins))
        u = start[:, None] + (1.0 - start[:, None]) * (nodes + 1.0) / 2.0
        points = begins[:, None] + (1.0 - begins[:, None]) * betaincinv(a[:, None], b[:, None], u)
        over_betas = blind.betas_below(y[:, None], points) @ weights * (1.0 - start) / 2.0
        lowest = np.maximum(scaled(blind.places[y], begins[:, None]), scaled(floor, begins)[:, None])
        over_spikes = 1.0 - betainc(a[:, None], b[:, None], lowest)
        values += weight * (over_betas + np.sum(blind.spikes[y] * over_spikes, axis=1))

    # The image's spikes above the floor, over what lies below each.
    for weight, place in zip(image.spikes[x].T, image.places[x].T, strict=True):
        lower = np.sum(blind.spikes[y] * (blind.places[y] < place[:, None]), axis=1)
        values += weight * (place > floor) * (blind.betas_below(y, place) + lower)
    each: FloatArray = np.clip(values, 0.0, 1.0)[where.ravel()].reshape(image.index.shape)
    return each


@cache
def _nodes() -> tuple[FloatArray, FloatArray]:
    """Nodes in (-1, 1) and weights that sum to 2; finding them takes longer than using them."""
    nodes, weights = np.polynomial.legendre.leggauss(NUM_NODES)
    return nodes, weights
