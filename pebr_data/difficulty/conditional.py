"""The forecast of a pass given the rewards it showed: what tells a policy that learnt from a forecast that was wrong.

    foreseen = forecast_given_reward(posterior, block, num_correct, group_size=8)
    foreseen.zero_variance.low <= seen <= foreseen.zero_variance.high

A policy that learns while it is forecast has other pass rates than those foreseen, and other groups without variance
for that reason alone. Let learning add one delta to the log-odds of every pass rate: logit p' = logit p + delta. That
is Rasch's model, in which the number of correct rollouts is sufficient for delta (Rasch 1960; Andersen 1970): once that
number is given, how it falls onto the groups says nothing of how much was learnt, and is foreseen by what was known of
the pass rates before. So the mean reward is taken from the run, and the zero-variance share is held against it.

Nothing is fitted. A rollout is correct where a standard logistic variable exceeds -(logit p + delta); so of one draw of
all pass rates and of all these variables, the delta that gives the number seen is an order statistic, and the correct
rollouts are those below it. Drawn again and again this is the conditional distribution, but for a fiducial delta, whose
difference from a flat prior vanishes with the number of rollouts in a block.

Samples that share a delta are a block: those that one policy was shown. (Blocks by a trait of the samples, such as
their skill, take up not only what was learnt of it but also what the prior did not know of it.) A block of n groups
takes one of their n degrees of freedom away from what is checked; of one group alone nothing would be left. A pass
outside its conditional interval was not foreseen even if every block learnt: the pass rates were misjudged, or samples
of one block were learnt to unequal degrees.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import logit

from pebr_data.difficulty.counts import IntArray
from pebr_data.difficulty.forecast import Expected
from pebr_data.difficulty.posterior import Posterior

NUM_DRAWS = (200, 1_000)
"""Draws of a pass, at least and at most."""
MAX_ROLLOUTS = 20_000_000
"""Drawn in all, some ten seconds; beyond it there are fewer draws."""
MIN_GROUPS = 16
"""Groups of a block at least, so that blocks take no more than a sixteenth of what is checked."""
NEVER = -1_000.0
"""Log-odds of p = 0, and its negative those of p = 1: they stay what they are while any other sample can change."""


@dataclass(frozen=True, slots=True)
class GivenReward:
    """What a pass shows, given its mean reward.

    Attributes:
        num_blocks: Blocks whose mean rewards were given.
        zero_variance: Share of groups with one outcome only, in [0, 1].
        shift: The one delta that gives all samples together the number of correct rollouts seen, in log-odds.
    """

    num_blocks: int
    zero_variance: Expected
    shift: Expected


def forecast_given_reward(
    posterior: Posterior,
    block: npt.ArrayLike,
    num_correct: npt.ArrayLike,
    group_size: int,
    *,
    alternatives: Sequence[Posterior] = (),
    level: float = 0.95,
    seed: int = 0,
) -> GivenReward:
    """What a pass over these samples would show, one group of G each, had it the mean rewards that it had.

    Means and intervals are those of seeded draws.

    Args:
        posterior: What was known of the samples, [samples].
        block: Which block each is in, 0 or more, [samples]; the samples of one share a delta.
        num_correct: Correct rollouts seen in each block, [blocks].
        group_size: G, 2 or more.
        alternatives: As for `forecast`.
        level: Of the intervals, in (0, 1).
        seed: Of the draws.

    Raises:
        ValueError: An argument is out of its range.
    """
    its, total = np.asarray(block, dtype=np.int64), np.asarray(num_correct, dtype=np.int64)
    if posterior.num_samples < 1 or group_size < 2 or not 0 < level < 1 or its.shape != posterior.index.shape:
        raise ValueError(f"{posterior.num_samples} samples, group size {group_size}, level {level} cannot be forecast")
    size = np.bincount(its, minlength=len(total)) * group_size
    if size.shape != total.shape or np.any(total < 0) or np.any(total > size):
        raise ValueError(f"{total.tolist()} correct rollouts in blocks of {size.tolist()} cannot be")

    rng = np.random.default_rng(seed)
    worlds = alternatives or (posterior,)
    num_draws = int(np.clip(MAX_ROLLOUTS // (posterior.num_samples * group_size), *NUM_DRAWS))
    # Block by block, the easiest rollouts first: which of them are correct is the same in every draw.
    is_correct = np.arange(size.sum()) < np.repeat(np.cumsum(size) - size + total, size)
    apart = 4 * abs(NEVER) * its[:, None]
    figures = np.empty((num_draws, 2))
    for draw in range(num_draws):
        ability = np.clip(logit(worlds[draw % len(worlds)].draw(rng)), NEVER, -NEVER)
        needed = rng.logistic(size=(posterior.num_samples, group_size)) - ability[:, None]
        outcomes = np.empty(needed.size, dtype=np.bool_)
        outcomes[np.argsort((needed + apart).ravel())] = is_correct
        correct = outcomes.reshape(needed.shape).sum(axis=1)
        figures[draw] = np.mean((correct == 0) | (correct == group_size)), _shift(needed.ravel(), int(total.sum()))
    tail = (1 - level) / 2
    low, high = np.quantile(figures, [tail, 1 - tail], axis=0)
    zero_variance, shift = (Expected(*map(float, one)) for one in zip(figures.mean(axis=0), low, high, strict=True))
    return GivenReward(len(total), zero_variance, shift)


def blocks_of(label: npt.ArrayLike, min_groups: int = MIN_GROUPS) -> IntArray:
    """Blocks, numbered from 0, of neighbouring labels that have enough groups between them.

    Args:
        label: Of each group, [groups]; whole numbers, such as the step of its batch.
        min_groups: Groups of a block at least, unless there are fewer in all; what is left over joins the last one.
    """
    distinct, index, num = np.unique(np.asarray(label), return_inverse=True, return_counts=True)
    number = np.zeros(len(distinct), dtype=np.int64)
    current, held, left = 0, 0, int(num.sum())
    for position, count in enumerate(num):
        if held >= min_groups and left >= min_groups:
            current, held = current + 1, 0
        number[position] = current
        held, left = held + int(count), left - int(count)
    blocks: IntArray = number[index]
    return blocks


def _shift(needed: npt.NDArray[np.float64], num_correct: int) -> float:
    """The middle of the deltas under which so many rollouts are correct; the nearest one where all or none are."""
    last = min(max(num_correct, 1), len(needed)) - 1
    after = min(max(num_correct, 0), len(needed) - 1)
    some = np.partition(needed, (last, after))
    return float(some[last] + some[after]) / 2
