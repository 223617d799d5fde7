"""What is known of pass rates: for each sample a mixture of p = 0, p = chance, p = 1 and a Beta distribution.

Everything is exact: moments are ratios of beta functions, the distribution function is the regularised incomplete beta
function (NIST DLMF 8.17), and the quantile its inverse, moved by the weights of the spikes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.special import betainc, betaincinv, betaln, gammaln

from pebr_data.difficulty.counts import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Posterior:
    """Distributions of pass rates, one per sample; methods give arrays in the samples' shape.

    Attributes:
        spikes: P(p = 0), P(p = chance) and P(p = 1), [cells, 3].
        chance: Pass rate of a guess, [cells]; 0 where there is no spike for it.
        a: First parameter of the Beta that p has otherwise, [cells].
        b: Second parameter, [cells].
        index: The cell of each sample.
    """

    spikes: FloatArray
    chance: FloatArray
    a: FloatArray
    b: FloatArray
    index: IntArray

    @property
    def num_samples(self) -> int:
        """Number of samples."""
        return self.index.size

    @property
    def beta(self) -> FloatArray:
        """Weight of the Beta, [cells]."""
        weight: FloatArray = np.clip(1.0 - self.spikes.sum(axis=1), 0.0, 1.0)
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

        For the Beta part B(a+i, b+j) / B(a, b).

        Args:
            num_correct: i, 0 or more.
            num_wrong: j, 0 or more.
        """
        i, j = num_correct, num_wrong
        if min(i, j) < 0:
            raise ValueError(f"moment ({i}, {j}) cannot be")
        places = self.places
        values = self.beta * np.exp(betaln(self.a + i, self.b + j) - betaln(self.a, self.b))
        return self._each(values + np.sum(self.spikes * places**i * (1.0 - places) ** j, axis=1))

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
        j = np.arange(group_size + 1)
        log_choose = gammaln(group_size + 1) - gammaln(j + 1) - gammaln(group_size - j + 1)
        a, b, places = self.a[:, None], self.b[:, None], self.places[:, :, None]
        # Each [cells, G + 1]; of the spikes [cells, 3, G + 1] first.
        beta = self.beta[:, None] * np.exp(betaln(a + j, b + group_size - j) - betaln(a, b))
        spikes = np.sum(self.spikes[:, :, None] * places**j * (1.0 - places) ** (group_size - j), axis=1)
        rows: FloatArray = np.exp(log_choose) * (beta + spikes)
        rows /= rows.sum(axis=1, keepdims=True)
        return rows

    def cdf(self, pass_rate: npt.ArrayLike) -> FloatArray:
        """P(p <= pass_rate); `pass_rate` is one number or one per sample."""
        x = np.asarray(pass_rate, dtype=np.float64)
        if np.any((x < 0) | (x > 1)):
            raise ValueError("a pass rate lies between 0 and 1")
        if x.ndim == 0:
            spikes = np.sum(self.spikes * (self.places <= x), axis=1)
            return self._each(spikes + self.beta * betainc(self.a, self.b, x))
        at = self.index
        spikes = np.sum(self.spikes[at] * (self.places[at] <= x[..., None]), axis=-1)
        values: FloatArray = spikes + self.beta[at] * betainc(self.a[at], self.b[at], x)
        return values

    def quantile(self, probability: float) -> FloatArray:
        """The smallest p with P(pass rate <= p) >= probability, in [0, 1]."""
        if not 0 <= probability <= 1:
            raise ValueError(f"probability {probability} must be in [0, 1]")
        zero, guess, _ = self.spikes.T
        beta = self.beta
        to_guess = zero + beta * betainc(self.a, self.b, self.chance)
        past = probability > to_guess + guess
        inner = (probability - zero - guess * past) / np.maximum(beta, np.finfo(np.float64).tiny)
        values = np.select(
            [probability <= zero, (probability > to_guess) & ~past, probability > zero + guess + beta],
            [0.0, self.chance, 1.0],
            betaincinv(self.a, self.b, np.clip(inner, 0.0, 1.0)),
        )
        return self._each(values)

    def interval(self, level: float = 0.95) -> tuple[FloatArray, FloatArray]:
        """Equal-tailed interval of p that holds it with probability `level` or, at a spike, more."""
        if not 0 < level < 1:
            raise ValueError(f"level {level} must be between 0 and 1")
        tail = (1 - level) / 2
        return self.quantile(tail), self.quantile(1 - tail)

    def _each(self, cells: FloatArray) -> FloatArray:
        values: FloatArray = cells[self.index]
        return values
