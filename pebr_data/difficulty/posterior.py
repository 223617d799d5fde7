"""What is known of pass rates: for each sample a mixture of p = 0, p = chance, p = 1 and Beta distributions.

Everything is exact: moments are ratios of beta functions, the distribution function is the regularised incomplete beta
function (NIST DLMF 8.17), and the quantile its inverse, moved by the weights of the spikes. There is one Beta, or above
a floor several, whose quantile is found by bisection.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.special import betainc, betaincinv, betaln, comb

from pebr_data.difficulty.counts import BoolArray, FloatArray, IntArray

BISECTIONS = 50


@dataclass(frozen=True, slots=True, eq=False)
class Posterior:
    """Distributions of pass rates, one per sample; methods give arrays in the samples' shape.

    Attributes:
        spikes: P(p = 0), P(p = chance) and P(p = 1), [cells, 3].
        chance: Pass rate of a guess, [cells]; 0 where there is no spike for it.
        floor: Where the Betas that p has otherwise begin, [cells]: (p - floor) / (1 - floor) has them.
        weights: P(each of these Betas), [cells, Betas].
        a: First parameters, [cells, Betas].
        b: Second parameter of all of them, [cells].
        index: The cell of each sample.
    """

    spikes: FloatArray
    chance: FloatArray
    floor: FloatArray
    weights: FloatArray
    a: FloatArray
    b: FloatArray
    index: IntArray

    @property
    def num_samples(self) -> int:
        """Number of samples."""
        return self.index.size

    @property
    def beta(self) -> FloatArray:
        """Weight of the Betas together, [cells]."""
        weight: FloatArray = np.clip(self.weights.sum(axis=1), 0.0, 1.0)
        return weight

    @property
    def places(self) -> FloatArray:
        """Where the spikes are, [cells, 3]."""
        return np.stack([np.zeros_like(self.chance), self.chance, np.ones_like(self.chance)], axis=1)

    def take(self, which: BoolArray | IntArray) -> Posterior:
        """The distributions of some of the samples: a mask or positions."""
        return replace(self, index=self.index[which])

    def mean(self) -> FloatArray:
        """E[p], in [0, 1]."""
        return self.moment(1, 0)

    def never(self) -> FloatArray:
        """P(p = 0): the policy cannot solve the sample."""
        return self._each(self.spikes[:, 0])

    def guessed(self) -> FloatArray:
        """P(p = chance): the policy only guesses."""
        return self._each(self.spikes[:, 1])

    def always(self) -> FloatArray:
        """P(p = 1): the policy cannot fail on the sample."""
        return self._each(self.spikes[:, 2])

    def moment(self, num_correct: int, num_wrong: int) -> FloatArray:
        """E[p^i (1-p)^j]: the probability that the next i rollouts are correct and the j after them are not.

        For a Beta from 0 on B(a+i, b+j) / B(a, b); above a floor the same of each way that i may be split.

        Args:
            num_correct: i, 0 or more.
            num_wrong: j, 0 or more.
        """
        i, j = num_correct, num_wrong
        if min(i, j) < 0:
            raise ValueError(f"moment ({i}, {j}) cannot be")
        return self._each(self._moment(i, j))

    def informative(self, group_size: int) -> FloatArray:
        """P(a group of `group_size` rollouts has both outcomes) = 1 - E[p^G] - E[(1-p)^G], in [0, 1]; 0 for G = 1."""
        if group_size < 1:
            raise ValueError(f"group size {group_size} must be positive")
        same = self.moment(group_size, 0) + self.moment(0, group_size)
        values: FloatArray = np.clip(1.0 - same, 0.0, 1.0)
        return values

    def predictive(self, group_size: int) -> FloatArray:
        """P(j of the next G rollouts are correct), j = 0 .. G: [..., G + 1], each row sums to 1.

        Beta-binomial (Skellam 1948) for the Beta part, binomial at the spikes.
        """
        values: FloatArray = self.predictive_cells(group_size)[self.index]
        return values

    def predictive_cells(self, group_size: int) -> FloatArray:
        """As `predictive`, once per cell: [cells, G + 1]."""
        if group_size < 1:
            raise ValueError(f"group size {group_size} must be positive")
        each = [comb(group_size, j) * self._moment(j, group_size - j) for j in range(group_size + 1)]
        rows: FloatArray = np.stack(each, axis=1)
        rows /= rows.sum(axis=1, keepdims=True)
        return rows

    def draw(self, rng: np.random.Generator) -> FloatArray:
        """One draw of every sample's pass rate, each in [0, 1]."""
        each = np.cumsum(np.concatenate([self.spikes, self.weights], axis=1), axis=1)[self.index]
        part = np.sum(rng.random(self.index.shape)[..., None] * each[..., -1:] >= each, axis=-1)
        which, floor = np.maximum(part - 3, 0), self.floor[self.index]
        betas = floor + (1.0 - floor) * rng.beta(self.a[self.index, which], self.b[self.index])
        values: FloatArray = np.choose(np.minimum(part, 3), [*np.moveaxis(self.places[self.index], -1, 0), betas])
        return values

    def cdf(self, pass_rate: npt.ArrayLike) -> FloatArray:
        """P(p <= pass_rate); `pass_rate` is one number or one per sample."""
        x = np.asarray(pass_rate, dtype=np.float64)
        if np.any((x < 0) | (x > 1)):
            raise ValueError("a pass rate lies between 0 and 1")
        if x.ndim == 0:
            every = np.arange(len(self.b))
            return self._each(np.sum(self.spikes * (self.places <= x), axis=1) + self.betas_below(every, x))
        spikes = np.sum(self.spikes[self.index] * (self.places[self.index] <= x[..., None]), axis=-1)
        values: FloatArray = spikes + self.betas_below(self.index, x)
        return values

    def betas_below(self, cell: IntArray, pass_rate: FloatArray) -> FloatArray:
        """P(p comes from the Betas and is at most `pass_rate`) in some of the cells; the two broadcast."""
        floor = self.floor[cell]
        q = np.clip((pass_rate - floor) / (1.0 - floor), 0.0, 1.0)[..., None]
        below: FloatArray = np.sum(self.weights[cell] * betainc(self.a[cell], self.b[cell][..., None], q), axis=-1)
        return below

    def quantile(self, probability: float) -> FloatArray:
        """The smallest p with P(pass rate <= p) >= probability, in [0, 1]."""
        if not 0 <= probability <= 1:
            raise ValueError(f"probability {probability} must be in [0, 1]")
        zero, guess, _ = self.spikes.T
        beta = self.beta
        to_guess = zero + self.betas_below(np.arange(len(beta)), self.chance)
        past = probability > to_guess + guess
        inner = (probability - zero - guess * past) / np.maximum(beta, np.finfo(np.float64).tiny)
        values = np.select(
            [probability <= zero, (probability > to_guess) & ~past, probability > zero + guess + beta],
            [0.0, self.chance, 1.0],
            self._betas_quantile(np.clip(inner, 0.0, 1.0)),
        )
        return self._each(values)

    def interval(self, level: float = 0.95) -> tuple[FloatArray, FloatArray]:
        """Equal-tailed interval of p that holds it with probability `level` or, at a spike, more."""
        if not 0 < level < 1:
            raise ValueError(f"level {level} must be between 0 and 1")
        tail = (1 - level) / 2
        return self.quantile(tail), self.quantile(1 - tail)

    def _moment(self, i: int, j: int) -> FloatArray:
        """As `moment`, once per cell: [cells]."""
        places, floor = self.places, self.floor
        values: FloatArray = np.sum(self.spikes * places**i * (1.0 - places) ** j, axis=1)
        a, b, above = self.a, self.b[:, None], bool(floor.any())
        for known in range(0 if above else i, i + 1):
            betas = np.sum(self.weights * np.exp(betaln(a + known, b + j) - betaln(a, b)), axis=1)
            values = values + comb(i, known) * floor ** (i - known) * (1.0 - floor) ** (known + j) * betas
        return values

    def _betas_quantile(self, probability: FloatArray) -> FloatArray:
        """The p below which the Betas, as a distribution of their own, have this probability: [cells]."""
        if self.weights.shape[1] == 1:
            q: FloatArray = betaincinv(self.a[:, 0], self.b, probability)
            return self.floor + (1.0 - self.floor) * q
        every, goal = np.arange(len(self.b)), probability * self.beta
        low, high = self.floor.copy(), np.ones_like(self.floor)
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            short = self.betas_below(every, middle) < goal
            low, high = np.where(short, middle, low), np.where(short, high, middle)
        return high

    def _each(self, cells: FloatArray) -> FloatArray:
        values: FloatArray = cells[self.index]
        return values
