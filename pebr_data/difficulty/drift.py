"""Drift: how pass rates change while a policy is trained, learnt from one stage and carried over to the next.

    drift = fit_drift(posterior, updates, num_correct, group_size=8)        # groups of a stage that was trained
    seen = forecast_trained(of_the_next, updates_of_the_next, 8, drift)

A policy is not the one that was probed any more when it is trained on what the probe chose. Let the log-odds of each
sample's pass rate be a Brownian motion with drift in the training u since the probe: logit p(u) = logit p + shift u +
spread W(u), with a W of its own for each sample. `shift` is what all have learnt alike, `spread` how unequally they
have: together they say how a mean reward rises and how pass rates move to 0 and 1, where groups have no variance.

Both are learnt from the groups of a trained stage by their joint likelihood, which is an average over draws of the pass
rates and of the paths, so that the visits of one sample hold each other to account; the prior is flat over a change of
up to `MOST` in the time that was seen. The forecast of the next stage draws from what is then believed. It takes for
granted that the next stage goes on at that pace, on other samples and for other rewards: that is a guess that only the
run can judge, and it is a better one than that nothing changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit

from pebr_data.difficulty.conditional import NEVER
from pebr_data.difficulty.counts import FloatArray, IntArray
from pebr_data.difficulty.forecast import Expected, Forecast, figures_of, forecast_of
from pebr_data.difficulty.posterior import Posterior
from pebr_data.types import ScaleRewards

MOST = 3.0
"""Log-odds that all samples together, or one against the others (a standard deviation), are taken to change at most."""
GRIDS = ((13, 7), (21, 11))
"""Values of `shift` and `spread` that are tried: first over all that is possible, then where it is likely."""
LIKELY = 12.0
"""Log-likelihood below the highest at which the second grid ends."""
MAX_GROUPS = 2_000
"""Groups a fit looks at, of samples drawn at random where there are more."""
PARTICLES = (64, 256)
"""Draws of each sample's pass rate and path, at least and at most; more where there are fewer groups."""
NUM_DRAWS = 1_000
"""Passes that a forecast draws."""


@dataclass(frozen=True, slots=True, eq=False)
class Drift:
    """What is believed of `shift` and `spread`.

    Attributes:
        shift: Values of it, log-odds per unit of training, [shifts].
        spread: Values of it, log-odds per square root of a unit of training, [spreads].
        weight: Probability of each pair, [shifts, spreads].
    """

    shift: FloatArray
    spread: FloatArray
    weight: FloatArray

    def draw(self, rng: np.random.Generator, count: int) -> tuple[FloatArray, FloatArray]:
        """Pairs of a shift and a spread, [count] each."""
        chosen = rng.choice(self.weight.size, count, p=self.weight.ravel())
        row, column = np.unravel_index(chosen, self.weight.shape)
        return self.shift[row], self.spread[column]

    def expected(self, level: float = 0.95) -> tuple[Expected, Expected]:
        """Shift and spread, each with its interval."""
        return (
            _expected(self.shift, self.weight.sum(axis=1), level),
            _expected(self.spread, self.weight.sum(axis=0), level),
        )


def fit_drift(
    posterior: Posterior,
    updates: npt.ArrayLike,
    num_correct: npt.ArrayLike,
    group_size: int,
    *,
    sample: npt.ArrayLike | None = None,
    alternatives: Sequence[Posterior] = (),
    seed: int = 0,
) -> Drift:
    """What the groups of a trained stage say of how pass rates change.

    Args:
        posterior: What the probe said of the pass rates, [samples].
        updates: Training between the probe and each group, 0 or more, [groups], in any unit; not 0 for all.
        num_correct: Correct rollouts of each group, [groups].
        group_size: G.
        sample: Whose each group is, [groups]; by default each is of the sample at its place.
        alternatives: As for `forecast`.
        seed: Of the draws.

    Raises:
        ValueError: An argument is out of its range.
    """
    u, k = np.asarray(updates, dtype=np.float64), np.asarray(num_correct, dtype=np.int64)
    of = np.arange(posterior.num_samples) if sample is None else np.asarray(sample, dtype=np.int64)
    if u.shape != k.shape or u.shape != of.shape or np.any(k < 0) or np.any(k > group_size):
        raise ValueError(
            f"{u.shape} updates, {k.shape} counts and {of.shape} samples do not make groups of {group_size}"
        )
    if not u.size or np.any(u < 0) or not u.max() > 0:
        raise ValueError("no group was made after any training")
    rng = np.random.default_rng(seed)
    order = np.lexsort((u, of))
    if order.size > MAX_GROUPS:
        mean_visits = order.size / np.unique(of).size
        kept = rng.choice(np.unique(of), max(1, int(MAX_GROUPS / mean_visits)), replace=False)
        order = order[np.isin(of[order], kept)]
    u, k, of = u[order], k[order], of[order]
    first = np.flatnonzero(np.diff(of, prepend=-1))  # where each sample's groups begin
    num_particles = int(np.clip(MAX_GROUPS * PARTICLES[0] // u.size, *PARTICLES))
    worlds = alternatives or (posterior,)
    drawn = np.stack([worlds[number % len(worlds)].draw(rng) for number in range(num_particles)])
    ability = np.clip(logit(drawn[:, of]), NEVER, -NEVER)  # (particles, groups)
    steps = np.diff(u, prepend=0.0)
    steps[first] = u[first]
    path = np.cumsum(rng.normal(size=ability.shape) * np.sqrt(steps), axis=1)
    before = np.concatenate([np.zeros((num_particles, 1)), path[:, first[1:] - 1]], axis=1)
    path -= np.repeat(before, np.diff(first, append=u.size), axis=1)

    longest = u.max()

    def fit(shifts: FloatArray, spreads: FloatArray) -> FloatArray:
        """The log-likelihood of each pair, [shifts, spreads], of the change in all the time that was seen."""
        changed = ((a * u / longest, c * path / np.sqrt(longest)) for a in shifts for c in spreads)
        found = [_log_likelihood(ability + alike + apart, k, group_size, first) for alike, apart in changed]
        return np.array(found).reshape(len(shifts), len(spreads))

    shifts, spreads = np.linspace(-MOST, MOST, GRIDS[0][0]), np.linspace(0.0, MOST, GRIDS[0][1])
    coarse = fit(shifts, spreads)
    likely = coarse > coarse.max() - LIKELY
    shifts = _between(shifts, likely.any(axis=1), GRIDS[1][0])
    spreads = _between(spreads, likely.any(axis=0), GRIDS[1][1])
    fine = fit(shifts, spreads)
    weight = np.exp(fine - fine.max())
    return Drift(shifts / longest, spreads / np.sqrt(longest), weight / weight.sum())


def forecast_trained(
    posterior: Posterior,
    updates: npt.ArrayLike,
    group_size: int,
    drift: Drift,
    scale_rewards: ScaleRewards = "group",
    *,
    alternatives: Sequence[Posterior] = (),
    level: float = 0.95,
    seed: int = 0,
) -> Forecast:
    """What one pass over these samples will show of a policy that is trained meanwhile; means and intervals of draws.

    Args:
        posterior: What is known of the chosen samples; one or more.
        updates: Training between the probe and each one's group, [samples], in the unit of the drift.
        group_size: G, 2 or more.
        drift: How pass rates change.
        scale_rewards: As for `forecast`.
        alternatives: As for `forecast`.
        level: Of the intervals, in (0, 1).
        seed: Of the draws.

    Raises:
        ValueError: An argument is out of its range.
    """
    u = np.asarray(updates, dtype=np.float64)
    if posterior.num_samples < 1 or group_size < 2 or not 0 < level < 1 or u.shape != posterior.index.shape:
        raise ValueError(f"{posterior.num_samples} samples, group size {group_size}, level {level} cannot be forecast")
    rng = np.random.default_rng(seed)
    worlds = alternatives or (posterior,)
    passes = np.empty((NUM_DRAWS, group_size + 1))
    for number, (shift, spread) in enumerate(zip(*drift.draw(rng, NUM_DRAWS), strict=True)):
        p = worlds[number % len(worlds)].draw(rng)
        ability = np.clip(logit(p), NEVER, -NEVER) + shift * u + spread * np.sqrt(u) * rng.normal(size=u.size)
        passes[number] = np.bincount(rng.binomial(group_size, expit(ability)), minlength=group_size + 1) / u.size
    drawn = passes @ figures_of(group_size, scale_rewards)
    return forecast_of(posterior.num_samples, group_size, drawn.mean(axis=0), drawn, level)


def _log_likelihood(ability: FloatArray, k: IntArray, group_size: int, first: IntArray) -> float:
    """Of all groups, up to a constant: each sample's averaged over its particles."""
    correct = -np.logaddexp(0.0, -ability)
    each = k * correct + (group_size - k) * (correct - ability)
    of_sample = np.add.reduceat(each, first, axis=1)  # (particles, samples)
    highest = of_sample.max(axis=0)
    return float(np.sum(highest + np.log(np.mean(np.exp(of_sample - highest), axis=0))))


def _between(values: FloatArray, likely: npt.NDArray[np.bool_], count: int) -> FloatArray:
    """A finer grid over the likely values and one more on either side."""
    where = np.flatnonzero(likely)
    return np.linspace(values[max(where[0] - 1, 0)], values[min(where[-1] + 1, len(values) - 1)], count)


def _expected(values: FloatArray, weight: FloatArray, level: float) -> Expected:
    below = np.cumsum(weight)
    low, high = (
        values[min(int(np.searchsorted(below, q)), len(values) - 1)] for q in ((1 - level) / 2, (1 + level) / 2)
    )
    return Expected(float(values @ weight), float(low), float(high))
