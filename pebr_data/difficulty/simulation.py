"""Simulation: any stopping rule and any choice on samples whose pass rates are known, and how both did.

    outcomes = draw_outcomes(population, 16)
    probed = probe(outcomes, stops, capacity=256)               # stops(k, n) -> which samples need no more
    verdict = judge(population, probed, chosen, foreseen, 8)    # chosen: a mask, from any policy

The rounds are those of `stopping.next_round`. `judge` does not care where counts come from: a scripted engine that goes
through the real probe gives them as well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from pebr_data.difficulty.counts import BoolArray, IntArray
from pebr_data.difficulty.forecast import Forecast
from pebr_data.difficulty.populations import Population
from pebr_data.difficulty.signal import informative_probability
from pebr_data.difficulty.stopping import next_round

Stops = Callable[[IntArray, IntArray], BoolArray]
"""k and n of every sample -> where no more rollouts are needed."""


@dataclass(frozen=True, slots=True, eq=False)
class Probed:
    """What a probe with early stopping saw.

    Attributes:
        num_correct: k of each sample.
        num_rollouts: n of each.
        num_rounds: Rounds it took.
    """

    num_correct: IntArray
    num_rollouts: IntArray
    num_rounds: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a choice did against the truth. A sample is truly informative when P_inf(p) >= 1/2.

    Attributes:
        num_chosen: Samples chosen.
        num_rollouts: Rollouts used on all samples, under all conditions.
        precision: Share of the chosen that truly are what was wanted; NaN when none was chosen.
        recall: Share of what was wanted that was chosen; NaN when there is nothing of the kind.
        signal: Mean P_inf(p) of the chosen: the share of groups that will teach.
        guessers: Share of the chosen that are only guessed.
        zero_variance: Share of the chosen whose drawn training group has one outcome only.
        forecast_error: Forecast of that share minus it.
        within: Whether the forecast's interval holds it.
    """

    num_chosen: int
    num_rollouts: int
    precision: float
    recall: float
    signal: float
    guessers: float
    zero_variance: float
    forecast_error: float
    within: bool


def probe(
    outcomes: BoolArray, stops: Stops, *, capacity: int, smallest: int = 1, first: IntArray | None = None
) -> Probed:
    """Probe in rounds until every sample is stopped or its outcomes are used up.

    Args:
        outcomes: Whether each rollout is correct, [samples, most rollouts].
        stops: The stopping rule.
        capacity: Rollouts the engine runs at a time.
        smallest: Rollouts of one sample asked for together at least.
        first: Rollouts of each sample before the rule is asked; none by default.
    """
    num_samples, most = outcomes.shape
    correct_of_first = np.zeros((num_samples, most + 1), dtype=np.int16)
    np.cumsum(outcomes, axis=1, out=correct_of_first[:, 1:])
    every = np.arange(num_samples)
    n = np.zeros(num_samples, dtype=np.int64) if first is None else np.minimum(first, most)
    k, num_rounds = correct_of_first[every, n].astype(np.int64), int(n.any())
    while True:
        ask = next_round(stops(k, n), n, max_rollouts=most, capacity=capacity, smallest=smallest)
        if not ask.any():
            return Probed(k, n, num_rounds)
        n = n + ask
        k = correct_of_first[every, n].astype(np.int64)
        num_rounds += 1


def judge(
    population: Population,
    probed: Probed,
    chosen: BoolArray,
    foreseen: Forecast,
    group_size: int,
    seed: int = 0,
    *,
    wanted: BoolArray | None = None,
    others: Sequence[Probed] = (),
) -> Verdict:
    """Hold a choice and its forecast against the truth and a drawn first pass of training.

    Args:
        population: The truth.
        probed: The counts that the choice went by.
        chosen: Mask over the samples; at least one.
        foreseen: The forecast for them.
        group_size: G of the training.
        seed: Of the drawn pass.
        wanted: Mask over the samples: what the choice should have taken; the truly informative when not given.
        others: The probes of other conditions that the choice went by as well.
    """
    p = population.pass_rate
    worth = informative_probability(p, group_size)
    truly = worth >= 0.5 if wanted is None else wanted
    hits = int(np.count_nonzero(truly & chosen))
    correct = np.random.default_rng([seed, 2]).binomial(group_size, p[chosen])
    realised = float(np.mean((correct == 0) | (correct == group_size)))
    return Verdict(
        num_chosen=int(chosen.sum()),
        num_rollouts=sum(int(one.num_rollouts.sum()) for one in (probed, *others)),
        precision=_share(hits, int(chosen.sum())),
        recall=_share(hits, int(truly.sum())),
        signal=float(worth[chosen].mean()),
        guessers=float(population.guesser[chosen].mean()),
        zero_variance=realised,
        forecast_error=foreseen.zero_variance.mean - realised,
        within=foreseen.zero_variance.low <= realised <= foreseen.zero_variance.high,
    )


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
