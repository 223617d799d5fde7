"""Populations of samples whose pass rates are known, to try stopping and selection on before spending GPUs.

    population = draw_population("hard", 100_000, seed=0)
    outcomes = draw_outcomes(population, num_rollouts=16, seed=0)
    bound = true_diagnoses(population) == "reasoning-bound"

Only guessing aside, a sample is solved in two steps, seeing and reasoning. Shown it takes both, q = q^(1-u) q^u with u
uniform; described, the second alone, q^u; blind it is guessed, unless it needs no image (a share of `NOT_NEEDED`): then
all its failures are the reasoning's, whatever is shown.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pebr_data.difficulty.counts import BoolArray, FloatArray, IntArray
from pebr_data.difficulty.diagnosis import MARGIN
from pebr_data.difficulty.guessing import chance
from pebr_data.types import Condition, Diagnosis

NOT_NEEDED = 0.1
"""Share of the samples of every population that are solved as often without the image."""


@dataclass(frozen=True, slots=True, eq=False)
class Population:
    """Samples with their true pass rates.

    Attributes:
        pass_rate: p when shown the image, [samples].
        blind: p without it, [samples].
        described: p when its description is given instead, [samples].
        stratum: Source of each sample, 0 or 1, [samples].
        num_options: Options of each question, 0 for an open one, [samples].
        guesser: Whether the policy only guesses, p = 1/options, [samples].
    """

    pass_rate: FloatArray
    blind: FloatArray
    described: FloatArray
    stratum: IntArray
    num_options: IntArray
    guesser: BoolArray

    def under(self, condition: Condition) -> FloatArray:
        """The pass rates under one condition, [samples]."""
        rates = {Condition.IMAGE: self.pass_rate, Condition.BLIND: self.blind, Condition.DESCRIBED: self.described}
        return rates[condition]


def uniform(num_samples: int, rng: np.random.Generator) -> Population:
    """Every pass rate as likely as any other."""
    return _population(rng.random(num_samples), rng)


def u_shaped(num_samples: int, rng: np.random.Generator) -> Population:
    """Most samples nearly always or nearly never right, Beta(0.4, 0.4): a trained policy on a mixed pool."""
    return _population(rng.beta(0.4, 0.4, num_samples), rng)


def hard(num_samples: int, rng: np.random.Generator) -> Population:
    """A fifth is never right (wrong gold, unreadable image), the rest seldom, Beta(0.8, 3)."""
    p = rng.beta(0.8, 3.0, num_samples)
    return _population(np.where(rng.random(num_samples) < 0.2, 0.0, p), rng)


def two_source(num_samples: int, rng: np.random.Generator) -> Population:
    """Half from an easy source (15 % always right, Beta(4, 1.5)), half from a hard one (25 % never, Beta(0.7, 2.5))."""
    easy = np.where(rng.random(num_samples) < 0.15, 1.0, rng.beta(4.0, 1.5, num_samples))
    other = np.where(rng.random(num_samples) < 0.25, 0.0, rng.beta(0.7, 2.5, num_samples))
    stratum = rng.integers(2, size=num_samples)
    return _population(np.where(stratum == 0, easy, other), rng, stratum=stratum)


def guessers(num_samples: int, rng: np.random.Generator) -> Population:
    """Four-way questions, a third of which the policy only guesses (p = 1/4); the rest Beta(1, 1) above chance."""
    guesser = rng.random(num_samples) < 1 / 3
    p = np.where(guesser, 0.25, 0.25 + 0.75 * rng.random(num_samples))
    return _population(p, rng, num_options=4, guesser=guesser)


POPULATIONS: dict[str, Callable[[int, np.random.Generator], Population]] = {
    "uniform": uniform,
    "u_shaped": u_shaped,
    "hard": hard,
    "two_source": two_source,
    "guessers": guessers,
}


def draw_population(name: str, num_samples: int, seed: int = 0) -> Population:
    """A population by its name in `POPULATIONS`; the same seed gives the same samples."""
    return POPULATIONS[name](num_samples, np.random.default_rng([seed, 0]))


def draw_outcomes(
    population: Population, num_rollouts: int, seed: int = 0, condition: Condition = Condition.IMAGE
) -> BoolArray:
    """Whether each rollout is correct, [samples, num_rollouts]: what any stopping rule meets, in this order."""
    rng = np.random.default_rng([seed, 1, list(Condition).index(condition)])
    drawn = rng.random((len(population.pass_rate), num_rollouts), dtype=np.float32)
    return np.asarray(drawn < population.under(condition)[:, None])


def true_diagnoses(population: Population) -> npt.NDArray[np.str_]:
    """Why each sample is not always solved, [samples]: the rules of `diagnosis` on the true pass rates.

    Two kinds come first because rates alone hide them. Who only guesses is `guessable` and not bound by reasoning; what
    is never solved, even when described, has a wrong gold.
    """
    shown, described, blind = population.pass_rate, population.described, population.blind
    kinds = {
        Diagnosis.GUESSABLE: population.guesser,
        Diagnosis.SUSPECTED_GOLD: described == 0.0,
        Diagnosis.PERCEPTION_BOUND: described > np.maximum(0.5, shown + MARGIN),
        Diagnosis.REASONING_BOUND: described < 0.5,
        Diagnosis.IMAGE_NOT_NEEDED: (blind > chance(population.num_options) + MARGIN) & (shown <= blind + MARGIN),
    }
    return np.select(list(kinds.values()), list(map(str, kinds)), default=str(Diagnosis.HARD)).astype(np.str_)


def _population(
    pass_rate: FloatArray,
    rng: np.random.Generator,
    *,
    stratum: IntArray | None = None,
    num_options: int = 0,
    guesser: BoolArray | None = None,
) -> Population:
    """Samples with these pass rates when shown; those of the other conditions are drawn."""
    zeros = np.zeros(len(pass_rate), dtype=np.int64)
    guess = chance(zeros + num_options)
    solved = (pass_rate - guess) / (1.0 - guess)
    reasoned = guess + (1.0 - guess) * solved ** rng.random(len(pass_rate))
    needed = rng.random(len(pass_rate)) >= NOT_NEEDED
    return Population(
        pass_rate=pass_rate,
        blind=np.where(needed, guess, pass_rate),
        described=np.where(needed, reasoned, pass_rate),
        stratum=zeros if stratum is None else stratum,
        num_options=zeros + num_options,
        guesser=zeros.astype(np.bool_) if guesser is None else guesser,
    )
