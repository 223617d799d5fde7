"""Two stages of one policy whose learning is known: for the tests of drift and their bench."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit

from pebr_data.difficulty.counts import FloatArray
from pebr_data.difficulty.drift import Drift, fit_drift, forecast_trained
from pebr_data.difficulty.forecast import Expected, Forecast, forecast
from pebr_data.difficulty.posterior import Posterior
from pebr_data.difficulty.prior import UNIFORM

G = 8
SAMPLES, PROMPTS, UPDATES = 128, 16, 24


@dataclass(frozen=True)
class Policy:
    """How the log-odds of its pass rates change: for all alike, and a standard deviation, in `UPDATES` updates."""

    alike: float
    apart: float

    def paths(self, p: FloatArray, num_updates: int, rng: np.random.Generator) -> FloatArray:
        """Pass rates after 0 .. `num_updates` updates, (updates + 1, samples)."""
        steps = rng.normal(self.alike / UPDATES, self.apart / UPDATES**0.5, (num_updates, p.size))
        return expit(logit(p) + np.concatenate([np.zeros((1, p.size)), np.cumsum(steps, axis=0)]))


@dataclass(frozen=True)
class Two:
    """Two stages of one policy: what the first taught of it, and the second's pass as foreseen and seen."""

    drift: Drift
    trained: Forecast
    plain: Forecast
    zero_variance: float
    mean_reward: float


def medium(count: int, rng: np.random.Generator) -> tuple[FloatArray, Posterior]:
    """Pass rates, and what a probe of 8 rollouts says of them, of samples that it found medium."""
    p = rng.random(3 * count)
    k = rng.binomial(8, p)
    chosen = np.flatnonzero((k > 0) & (k < 8))[:count]
    return p[chosen], UNIFORM.posterior(k[chosen], 8)


def two_stages(policy: Policy, seed: int) -> Two:
    """The first is over its samples three times, the second over others, with the updates of the first behind them."""
    rng = np.random.default_rng(seed)
    p, known = medium(SAMPLES, rng)
    sample = np.concatenate([rng.permutation(SAMPLES) for _ in range(UPDATES * PROMPTS // SAMPLES)])
    update = np.arange(sample.size) // PROMPTS
    correct = rng.binomial(G, policy.paths(p, UPDATES, rng)[update, sample])
    drift = fit_drift(known, update, correct, G, sample=sample, seed=seed)

    p, known = medium(2 * SAMPLES, rng)
    update = UPDATES + np.arange(p.size) // PROMPTS
    correct = rng.binomial(G, policy.paths(p, int(update.max()), rng)[update, np.arange(p.size)])
    return Two(
        drift,
        forecast_trained(known, update, G, drift, seed=seed),
        forecast(known, G, seed=seed),
        float(np.mean((correct == 0) | (correct == G))),
        float(correct.mean() / G),
    )


def holds(figure: Expected, truth: float) -> bool:
    return figure.low <= truth <= figure.high
