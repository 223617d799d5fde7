"""Priors of the pass rate: what is believed of a sample before its rollouts, from what its neighbours showed.

    prior = fit_prior(num_correct, num_rollouts)          # pebr_data.difficulty.fit
    known = prior.posterior(num_correct, num_rollouts)
    known.mean(), known.interval(), known.informative(8)

A prior is a spike at 0 (samples the policy never solves: wrong gold, unreadable image), a spike at 1 (always solved)
and a Beta(a, b) for the rest: a zero-and-one-inflated beta (Ospina and Ferrari 2010) seen through binomial rollouts. So
0/8 may be the spike or the Beta's tail, and the posterior says how likely each is. Where questions have options, a
third spike, at chance, holds the samples on which the policy only guesses, and the Beta may begin at chance instead of
0, as in the three-parameter logistic model of tests (Birnbaum 1968): p = c + (1 - c) q with q ~ Beta(a, b).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy.special import betaln, gammaln, xlog1py, xlogy

from pebr_data.difficulty.counts import Counts, FloatArray
from pebr_data.difficulty.posterior import Posterior


@dataclass(frozen=True, slots=True)
class Prior:
    """Spikes and a Beta(a, b) otherwise. The default is uniform: every pass rate is as likely as any other.

    Attributes:
        a: First parameter of the Beta, positive.
        b: Second parameter, positive.
        zero: P(p = 0), in [0, 1).
        one: P(p = 1), in [0, 1).
        guess: P(p = chance), in [0, 1); the three together below 1.
        chance: Pass rate of a guess, in (0, 1); 0 when there is no spike for it.
        floor: Where the Beta begins, in [0, 1): 0 or chance.
        reason: Where it comes from, for people: fitted to what, or why not fitted.
    """

    a: float = 1.0
    b: float = 1.0
    zero: float = 0.0
    one: float = 0.0
    guess: float = 0.0
    chance: float = 0.0
    floor: float = 0.0
    reason: str = "uniform"

    def __post_init__(self) -> None:
        spikes = (self.zero, self.one, self.guess)
        if min(self.a, self.b) <= 0 or min(spikes) < 0 or sum(spikes) >= 1:
            raise ValueError(f"a prior with a={self.a}, b={self.b}, spikes {spikes} cannot be")
        if not 0 <= self.chance < 1 or (self.guess > 0 and self.chance == 0):
            raise ValueError(f"a prior with chance {self.chance} and a spike of {self.guess} there cannot be")
        if self.floor not in (0.0, self.chance):
            raise ValueError(f"a Beta that begins at {self.floor} cannot be: at 0, or at chance {self.chance}")

    def posterior(self, num_correct: npt.ArrayLike, num_rollouts: npt.ArrayLike) -> Posterior:
        """What is known of p after k correct of n rollouts.

        The Beta updates to Beta(a + k, b + n - k), and the weights by each part's likelihood of the outcomes:
        B(a + k, b + n - k) / B(a, b), and p^k (1-p)^(n-k) at a spike. Above a floor any number of the k correct ones
        may have been guessed (`splits`), which makes it a mixture of k + 1 Betas, still exact. The likelihood is that
        of the outcomes in their order, so it holds under any stopping rule that looks at outcomes only (the likelihood
        principle; Berger and Wolpert 1988).

        Args:
            num_correct: k, 0 .. n, any shape.
            num_rollouts: n, 0 or more.

        Raises:
            ValueError: A count cannot be.
        """
        return Priors(self, (self,)).posterior(num_correct, num_rollouts, 0)


UNIFORM = Prior()


@dataclass(frozen=True, slots=True)
class Priors:
    """One prior per stratum.

    Attributes:
        pooled: The prior of all strata together.
        strata: The prior of stratum 0, 1, …
        groups: The priors of the groups of strata that were fitted together, by their numbers.
    """

    pooled: Prior
    strata: tuple[Prior, ...]
    groups: Mapping[int, Prior] = field(default_factory=dict)

    def posterior(
        self, num_correct: npt.ArrayLike, num_rollouts: npt.ArrayLike, stratum: npt.ArrayLike = 0
    ) -> Posterior:
        """As `Prior.posterior`, each sample under its stratum's prior.

        Raises:
            ValueError: A count cannot be, or a stratum has no prior.
        """
        counts = Counts.of(num_correct, num_rollouts, stratum)
        if counts.stratum.size and counts.stratum.max() >= len(self.strata):
            raise ValueError(f"stratum {counts.stratum.max()} has no prior; there are {len(self.strata)}")
        rows = [(one.zero, one.guess, one.one, one.chance, one.floor, one.a, one.b) for one in self.strata]
        table = np.array(rows)[counts.stratum]
        spikes, chance, floor, a, b = table[:, :3], table[:, 3], table[:, 4], table[:, 5:6], table[:, 6:]
        k, n = counts.num_correct.astype(np.float64), counts.num_rollouts.astype(np.float64)
        known, log_ways = splits(floor, k, n)
        log_beta = log_ways + betaln(a + known, b + (n - k)[:, None]) - betaln(a, b)
        likelihood = np.concatenate([log_likelihood_at_spikes(chance, k, n), log_beta], axis=1)
        # The likeliest part scales the others: n may be so large that all of them underflow.
        likelihood = np.exp(likelihood - likelihood.max(axis=1, keepdims=True))
        beta = np.broadcast_to(1.0 - spikes.sum(axis=1, keepdims=True), log_ways.shape)
        parts = likelihood * np.concatenate([spikes, beta], axis=1)
        total = parts.sum(axis=1, keepdims=True)
        shares = np.divide(parts, total, out=np.zeros_like(parts), where=total > 0)
        return Posterior(shares[:, :3], chance, floor, shares[:, 3:], a + known, b[:, 0] + n - k, counts.index)


def log_likelihood_at_spikes(chance: FloatArray, num_correct: FloatArray, num_rollouts: FloatArray) -> FloatArray:
    """Log-likelihood of k of n outcomes in order at p = 0, p = chance and p = 1: [cells, 3]."""
    k, wrong = num_correct, num_rollouts - num_correct
    each = [xlogy(k, p) + xlog1py(wrong, -p) for p in (np.zeros_like(chance), chance, np.ones_like(chance))]
    return np.stack(each, axis=1)


def splits(floor: FloatArray, num_correct: FloatArray, num_rollouts: FloatArray) -> tuple[FloatArray, FloatArray]:
    """How k correct rollouts may have come about where p = c + (1 - c) q: j known, with q, and k - j guessed, with c.

    p^k (1-p)^(n-k) is the sum over j of ways(j) q^j (1-q)^(n-k), ways(j) = C(k, j) c^(k-j) (1-c)^(j+n-k). Without a
    floor there is one way, j = k.

    Args:
        floor: c, [cells].
        num_correct: k, [cells].
        num_rollouts: n, [cells].

    Returns:
        j and log ways(j), [cells, the most ways]; ways that there are not have -inf.
    """
    above = floor > 0
    k = num_correct[:, None]
    j = np.arange(1 + int(num_correct[above].max(initial=0.0)), dtype=np.float64)
    c = np.where(above, floor, 0.5)[:, None]
    inner = np.minimum(j, k)
    choose = gammaln(k + 1) - gammaln(inner + 1) - gammaln(k - inner + 1)
    log_ways = choose + (k - inner) * np.log(c) + (inner + num_rollouts[:, None] - k) * np.log1p(-c)
    log_ways = np.where(above[:, None], np.where(j <= k, log_ways, -np.inf), np.where(j == 0, 0.0, -np.inf))
    return np.where(above[:, None], inner, k), log_ways
