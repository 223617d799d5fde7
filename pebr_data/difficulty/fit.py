"""Fitting priors to counts: empirical Bayes, per stratum, shrunk towards the fit of all strata.

Maximum likelihood of a Beta with spikes seen through binomial rollouts: EM (Dempster, Laird and Rubin 1977) from fixed
starts, then truncated Newton (Nash 1984) on all parameters within `BOUNDS`, so that the Beta cannot turn into a spike.
A spike is taken in when BIC (Schwarz 1978) says so, and where questions have options the Beta begins at chance if that
is likelier than at 0. Only distinct counts are touched: a million samples fit like forty.
Nothing is random but `resample_priors`, which is seeded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import numpy.typing as npt
from scipy.special import betaln, digamma

from pebr_data.difficulty.counts import BoolArray, Counts, FloatArray, IntArray
from pebr_data.difficulty.prior import UNIFORM, Prior, Priors, log_likelihood_at_spikes, splits

BOUNDS = (0.1, 100.0)
"""Of a and b. Below 0.1 a Beta is two spikes, above 100 it is one point: neither can be told apart by few rollouts."""
SPIKE_ODDS = (1e-6, 50.0)
"""Of a spike against the Beta, so that no sample is ever certain to be one."""
MIN_SAMPLES = 50
"""Samples with two or more rollouts below which nothing is fitted: a single rollout says nothing of the spread."""
POOLED_SAMPLES = 20.0
"""How many samples the pooled fit counts for in a stratum's own fit."""
MAX_FLOORED_ROLLOUTS = 64
"""Correct rollouts of one sample above which a Beta from chance on is not tried: each costs a part."""
EM_STEPS = 12
SEARCH = {"ftol": 1e-11, "maxfun": 1_000}
"""Tight: where a spike and the Beta explain the same samples the likelihood is nearly flat, and BIC compares maxima."""

Point = FloatArray
"""(log a, log b, log odds of p = 0, of p = chance, of p = 1 against the Beta); a spike that is not there has -inf."""


def fit_prior(
    num_correct: npt.ArrayLike, num_rollouts: npt.ArrayLike, pooled: Prior | None = None, *, chance: float = 0.0
) -> Prior:
    """The prior under which these samples' counts are likeliest.

    Args:
        num_correct: k of each sample.
        num_rollouts: n of each; they may differ, and early stopping may have chosen them.
        pooled: The prior to shrink towards: it counts for `POOLED_SAMPLES` samples drawn from it (a data-augmentation
            prior; Bedrick, Christensen and Johnson 1996). None: no shrinkage.
        chance: Pass rate of a guess, 1/options; 0 for open questions. Above 0 a spike there, and a Beta from there on,
            are tried too.

    Returns:
        The fitted prior. With fewer than `MIN_SAMPLES` samples of two or more rollouts, `pooled`, or the uniform prior
        where that is None; `reason` says so.

    Raises:
        ValueError: A count cannot be, or `chance` is not in [0, 1).
    """
    counts = Counts.of(num_correct, num_rollouts)
    return _fit(counts.num_correct, counts.num_rollouts, counts.num_samples, pooled, chance)


def fit_priors(
    num_correct: npt.ArrayLike,
    num_rollouts: npt.ArrayLike,
    stratum: npt.ArrayLike = 0,
    *,
    chances: Sequence[float] = (),
    groups: Sequence[int] = (),
) -> Priors:
    """One prior per stratum (source × answer type, say), each shrunk towards that of all samples together.

    Args:
        num_correct: k of each sample.
        num_rollouts: n of each.
        stratum: 0, 1, … of each; a stratum without samples gets the pooled prior.
        chances: Pass rate of a guess in stratum 0, 1, …; 0 for open questions, as for those left out at the end.
        groups: Group of stratum 0, 1, …: a stratum is then shrunk towards the prior of its group, and that towards the
            prior of all. None by default.

    Raises:
        ValueError: A count cannot be, or a chance is not in [0, 1).
    """
    counts = Counts.of(num_correct, num_rollouts, stratum)
    return _fit_strata(counts, counts.num_samples, chances, groups)


def resample_priors(
    num_correct: npt.ArrayLike,
    num_rollouts: npt.ArrayLike,
    stratum: npt.ArrayLike = 0,
    *,
    chances: Sequence[float] = (),
    groups: Sequence[int] = (),
    near: Priors | None = None,
    num_draws: int = 20,
    seed: int = 0,
) -> tuple[Priors, ...]:
    """`fit_priors` of samples drawn again with replacement within each stratum: how far the fit itself may be off.

    The bootstrap for empirical Bayes of Laird and Louis (1987). The spikes are chosen anew in each draw, where the Beta
    begins is not; the search starts from the fit of all: `near`, what `fit_priors` gave, or it is fitted here.
    """
    counts = Counts.of(num_correct, num_rollouts, stratum)
    near = near or _fit_strata(counts, counts.num_samples, chances, groups)
    rng = np.random.default_rng(seed)
    draws = []
    for _ in range(num_draws):
        weight = np.zeros_like(counts.num_samples)
        for s in np.unique(counts.stratum):
            here = counts.stratum == s
            num = counts.num_samples[here]
            weight[here] = rng.multinomial(num.sum(), num / num.sum())
        draws.append(_fit_strata(counts, weight, chances, groups, near))
    return tuple(draws)


@dataclass(frozen=True, slots=True, eq=False)
class _Cells:
    """Distinct counts, how many samples have them (any positive number), and what a prior's parts make of them.

    Attributes:
        k: Correct rollouts, [cells].
        n: Rollouts, [cells].
        weight: Samples, [cells].
        at_spikes: Log-likelihood at each spike, [cells, 3].
        floor: Where the Beta begins.
        known: j of each of `splits`, [cells, ways].
        log_ways: Log ways(j), likewise.
    """

    k: FloatArray
    n: FloatArray
    weight: FloatArray
    at_spikes: FloatArray
    floor: float
    known: FloatArray
    log_ways: FloatArray

    @classmethod
    def of(cls, k: npt.ArrayLike, n: npt.ArrayLike, weight: npt.ArrayLike, chance: float, floor: float = 0.0) -> _Cells:
        k, n, weight = (np.asarray(values, dtype=np.float64) for values in (k, n, weight))
        some = (n > 0) & (weight > 0)
        k, n, weight = k[some], n[some], weight[some]
        at_spikes = log_likelihood_at_spikes(np.full_like(k, chance), k, n)
        return cls(k, n, weight, at_spikes, floor, *splits(np.full_like(k, floor), k, n))

    def from_chance(self, chance: float) -> _Cells:
        """The same under a Beta that begins at chance."""
        return self.of(self.k, self.n, self.weight, chance, chance)

    @property
    def num_samples(self) -> float:
        return float(self.weight.sum())

    @property
    def share(self) -> FloatArray:
        """Roughly q, where p = floor + (1 - floor) q: [cells]."""
        return np.clip((self.k / self.n - self.floor) / (1.0 - self.floor), 0.0, 1.0)


def _fit_strata(
    counts: Counts, weight: IntArray, chances: Sequence[float], groups: Sequence[int], near: Priors | None = None
) -> Priors:
    num_strata = int(counts.stratum.max()) + 1 if counts.stratum.size else 1
    chance = [*chances, *[0.0] * num_strata]

    def fit(here: BoolArray, pooled: Prior | None, chance: float, start: Prior | None) -> Prior:
        return _fit(counts.num_correct[here], counts.num_rollouts[here], weight[here], pooled, chance, start)

    every = np.ones(counts.stratum.shape, dtype=np.bool_)
    if num_strata == 1:
        only = fit(every, None, chance[0], near.pooled if near else None)
        return Priors(only, (only,))
    pooled = fit(every, None, 0.0, near.pooled if near else None)
    # A group of one stratum is that stratum: to shrink it towards itself would be to count it twice.
    several = [group for group, size in Counter(groups).items() if 1 < size < len(groups)]
    members = {group: np.isin(counts.stratum, np.flatnonzero(np.asarray(groups) == group)) for group in several}
    shared = {group: fit(here, pooled, 0.0, near.groups[group] if near else None) for group, here in members.items()}
    towards = [shared.get(group, pooled) for group in groups] or [pooled] * num_strata
    strata = [
        fit(counts.stratum == s, towards[s], chance[s], near.strata[s] if near else None) for s in range(num_strata)
    ]
    return Priors(pooled, tuple(strata), shared)


def _fit(
    k: IntArray, n: IntArray, weight: IntArray, pooled: Prior | None, chance: float, near: Prior | None = None
) -> Prior:
    if not 0 <= chance < 1:
        raise ValueError(f"chance {chance} must be in [0, 1)")
    usable = int(weight[n >= 2].sum())
    if usable < MIN_SAMPLES:
        instead, name = (UNIFORM, "uniform") if pooled is None else (pooled, "pooled")
        return replace(instead, reason=f"{name}: {usable} samples with two rollouts or more, {MIN_SAMPLES} needed")
    cells = _Cells.of(k, n, weight, chance)
    num_samples = int(cells.num_samples)
    told = cells if pooled is None else _with_pooled(cells, pooled, chance)
    begins = [told]
    if chance and int(told.k.max()) <= MAX_FLOORED_ROLLOUTS:
        begins.append(told.from_chance(chance))
    if near is not None:
        begins = [one for one in begins if one.floor == near.floor] or begins[:1]
    best, best_bic = UNIFORM, np.inf
    # Fewest parameters first: a tie goes to the simpler prior.
    for spikes in sorted(product((False, True), (False, True) if chance else (False,), (False, True)), key=sum):
        for each in begins:
            log_likelihood, prior = _maximise(each, np.array(spikes), chance, near)
            bic = (2 + sum(spikes)) * np.log(num_samples) - 2 * log_likelihood
            if bic < best_bic - 1e-9:
                best, best_bic = prior, bic
    return replace(best, reason=f"fitted to {num_samples:,} samples")


def _with_pooled(cells: _Cells, pooled: Prior, chance: float) -> _Cells:
    """The cells, and `POOLED_SAMPLES` more that fall as the pooled prior predicts, with numbers of rollouts as here."""
    ns, where = np.unique(cells.n, return_inverse=True)
    shares = np.bincount(where, weights=cells.weight) / cells.num_samples
    before = pooled.posterior(0, 0)
    parts = [(cells.k, cells.n, cells.weight)]
    for n, share in zip(ns.astype(np.int64), shares, strict=True):
        k = np.arange(n + 1.0)
        parts.append((k, np.full_like(k, n), POOLED_SAMPLES * share * before.predictive(int(n))))
    every_k, every_n, weight = (np.concatenate(column) for column in zip(*parts, strict=True))
    return _Cells.of(every_k, every_n, weight, chance)


def _maximise(cells: _Cells, spikes: BoolArray, chance: float, near: Prior | None) -> tuple[float, Prior]:
    """The largest log-likelihood (binomial coefficients left out) with these spikes, and where it is."""
    free = np.concatenate([[True, True], spikes])
    low = np.log(np.where(np.arange(5) < 2, BOUNDS[0], SPIKE_ODDS[0]))[free]
    high = np.log(np.where(np.arange(5) < 2, BOUNDS[1], SPIKE_ODDS[1]))[free]

    def whole(some: FloatArray) -> Point:
        point = np.full(5, -np.inf)
        point[free] = some
        return point

    num_samples = cells.num_samples

    def loss(some: FloatArray) -> tuple[float, FloatArray]:
        value, gradient = _log_likelihood(cells, num_samples, whole(some))
        return -value / num_samples, -gradient[free] / num_samples

    # Takes long to import, and most commands fit nothing.
    from scipy.optimize import minimize

    found = []
    starts = [_em(cells, start) for start in _starts(cells, spikes)] if near is None else [_point(near, spikes)]
    for start in starts:
        point = np.clip(start[free], low, high)
        bounds = np.stack([low, high], axis=1)
        # Of the bounded methods the one without BLAS, whose threads cost a hundredfold on four parameters.
        result = minimize(loss, point, jac=True, method="TNC", bounds=bounds, options=SEARCH)
        found.append((-float(result.fun) * num_samples, whole(result.x)))
    value, best = max(found, key=lambda pair: pair[0])
    a, b = np.exp(best[:2])
    zero, guess, one, _ = np.exp(_log_weights(best))
    return value, Prior(float(a), float(b), float(zero), float(one), float(guess), chance, cells.floor)


def _point(prior: Prior, spikes: BoolArray) -> Point:
    """A prior as a point to search from; a spike that it lacks begins at a twentieth of the Beta."""
    beta = 1.0 - prior.zero - prior.guess - prior.one
    odds = np.maximum([prior.zero / beta, prior.guess / beta, prior.one / beta], 0.05)
    return np.array([np.log(prior.a), np.log(prior.b), *np.where(spikes, np.log(odds), -np.inf)])


def _log_weights(point: Point) -> FloatArray:
    """Log weights of the spikes and of the Beta, [4]."""
    odds = np.concatenate((point[2:], (0.0,)))
    weights: FloatArray = odds - np.logaddexp.reduce(odds)
    return weights


def _shares(cells: _Cells, point: Point, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Log-likelihood of each cell, and the probability that each part made it: [cells], [cells, 3 + ways].

    `weights` are the point's own, which its gradient needs too.
    """
    a, b = np.exp(point[:2])
    wrong = (cells.n - cells.k)[:, None]
    betas = cells.log_ways + betaln(a + cells.known, b + wrong) - betaln(a, b)
    parts = np.concatenate([weights[:3] + cells.at_spikes, weights[3] + betas], axis=1)
    each = np.logaddexp.reduce(parts, axis=1)
    return each, np.exp(parts - each[:, None])


def _log_likelihood(cells: _Cells, num_samples: float, point: Point) -> tuple[float, Point]:
    """The log-likelihood and its gradient."""
    weights = _log_weights(point)
    each, shares = _shares(cells, point, weights)
    mine = shares * cells.weight[:, None]
    a, b = np.exp(point[:2])
    wrong = (cells.n - cells.k)[:, None]
    common = digamma(a + b) - digamma(a + b + cells.known + wrong)
    in_a = a * (mine[:, 3:] * (digamma(a + cells.known) - digamma(a) + common)).sum()
    in_b = b * (mine[:, 3:] * (digamma(b + wrong) - digamma(b) + common)).sum()
    odds = mine[:, :3].sum(axis=0) - num_samples * np.exp(weights[:3])
    return float((cells.weight * each).sum()), np.array([in_a, in_b, *odds])


def _starts(cells: _Cells, spikes: BoolArray) -> list[Point]:
    """A flat Beta and a two-horned one; each spike at a quarter of the Beta."""
    mean = np.clip(np.average(cells.share, weights=cells.weight), 0.05, 0.95)
    odds = np.where(spikes, np.log(0.25), -np.inf)
    return [np.array([np.log(size * mean), np.log(size * (1 - mean)), *odds]) for size in (2.0, 0.8)]


def _em(cells: _Cells, point: Point) -> Point:
    """A few EM steps: the weights exactly, the Beta by the moments of its share (a generalised M-step)."""
    for _ in range(EM_STEPS):
        mine = _shares(cells, point, _log_weights(point))[1] * cells.weight[:, None]
        beta = mine[:, 3:].sum(axis=1)
        a, b = _moments(cells, beta)
        with np.errstate(divide="ignore"):
            odds = np.log(mine[:, :3].sum(axis=0) / beta.sum())
        point = np.array([np.log(a), np.log(b), *odds])
    return point


def _moments(cells: _Cells, weight: FloatArray) -> tuple[float, float]:
    """(a, b) by the method of moments for unequal n (Kleinman 1973), within `BOUNDS`."""
    share = cells.share
    mean = np.clip(np.average(share, weights=weight), 0.01, 0.99)
    spread = np.average((share - mean) ** 2, weights=weight) / (mean * (1 - mean))
    noise = np.average(1.0 / cells.n, weights=weight)
    correlation = np.clip((spread - noise) / max(1.0 - noise, 1e-9), 1e-3, 0.9)
    size = 1.0 / correlation - 1.0
    return float(np.clip(size * mean, *BOUNDS)), float(np.clip(size * (1 - mean), *BOUNDS))
