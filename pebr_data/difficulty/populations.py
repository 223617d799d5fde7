"""Populations of samples whose pass rates are known, to try stopping and selection on before spending GPUs.

population = draw_population("hard", 100_000, seed=0)
outcomes = draw_outcomes(population, num_rollouts=16, seed=0)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pebr_data.difficulty.counts import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Population:
    """Samples with their true pass rates.

    Attributes:
        pass_rate: p, [samples].
        stratum: Source of each sample, 0 or 1, [samples].
        num_options: Options of each question, 0 for an open one, [samples].
        guesser: Whether the policy only guesses, p = 1/options, [samples].
    """

    pass_rate: FloatArray
    stratum: IntArray
    num_options: IntArray
    guesser: BoolArray


def uniform(num_samples: int, rng: np.random.Generator) -> Population:
    """Every pass rate as likely as any other."""
    return _open(rng.random(num_samples))


def u_shaped(num_samples: int, rng: np.random.Generator) -> Population:
    """Most samples nearly always or nearly never right, Beta(0.4, 0.4): a trained policy on a mixed pool."""
    return _open(rng.beta(0.4, 0.4, num_samples))


def hard(num_samples: int, rng: np.random.Generator) -> Population:
    """A fifth is never right (wrong gold, unreadable image), the rest seldom, Beta(0.8, 3)."""
    p = rng.beta(0.8, 3.0, num_samples)
    return _open(np.where(rng.random(num_samples) < 0.2, 0.0, p))


def two_source(num_samples: int, rng: np.random.Generator) -> Population:
    """Half from an easy source (15 % always right, Beta(4, 1.5)), half from a hard one (25 % never, Beta(0.7, 2.5))."""
    easy = np.where(rng.random(num_samples) < 0.15, 1.0, rng.beta(4.0, 1.5, num_samples))
    other = np.where(rng.random(num_samples) < 0.25, 0.0, rng.beta(0.7, 2.5, num_samples))
    stratum = rng.integers(2, size=num_samples)
    return _open(np.where(stratum == 0, easy, other), stratum)


def guessers(num_samples: int, rng: np.random.Generator) -> Population:
    """Four-way questions, a third of which the policy only guesses (p = 1/4); the rest Beta(1, 1) above chance."""
    guesser = rng.random(num_samples) < 1 / 3
    p = np.where(guesser, 0.25, 0.25 + 0.75 * rng.random(num_samples))
    zeros = np.zeros(num_samples, dtype=np.int64)
    return Population(p, zeros, zeros + 4, guesser)


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


def draw_outcomes(population: Population, num_rollouts: int, seed: int = 0) -> BoolArray:
    """Whether each rollout is correct, [samples, num_rollouts]: what any stopping rule meets, in this order."""
    rng = np.random.default_rng([seed, 1])
    drawn = rng.random((len(population.pass_rate), num_rollouts), dtype=np.float32)
    return np.asarray(drawn < population.pass_rate[:, None])


def _open(pass_rate: FloatArray, stratum: IntArray | None = None) -> Population:
    zeros = np.zeros(len(pass_rate), dtype=np.int64)
    return Population(pass_rate, zeros if stratum is None else stratum, zeros, zeros.astype(np.bool_))
