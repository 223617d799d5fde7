"""Signal: how likely a group of G rollouts is to carry a non-zero advantage.

GRPO centres rewards within a group, so a group that is all right or all wrong teaches nothing. With a pass rate p the
others are a share P_inf(p) = 1 - p^G - (1 - p)^G; under `scale_rewards="group"` this is also the expected squared
advantage of a group.
"""

from __future__ import annotations

import math

from pebr_data.difficulty.pass_rate import UNIFORM_PRIOR


def informative_probability(pass_rate: float, group_size: int) -> float:
    """P_inf(p): the probability that `group_size` rollouts are neither all correct nor all not.

    Args:
        pass_rate: p, in [0, 1].
        group_size: G, 1 or more (the training's `num_generations`).

    Raises:
        ValueError: An argument is out of its range.
    """
    if not 0 <= pass_rate <= 1 or group_size < 1:
        raise ValueError(f"pass rate {pass_rate} must be in [0, 1] and group size {group_size} positive")
    if group_size == 1:
        return 0.0
    return 1.0 - pass_rate**group_size - (1.0 - pass_rate) ** group_size


def expected_informative(
    num_correct: int, num_rollouts: int, group_size: int, prior: tuple[float, float] = UNIFORM_PRIOR
) -> float:
    """E[P_inf(p)] when p is known from `num_correct` of `num_rollouts` only.

    With p ~ Beta(A, B), A = a + k and B = b + n - k, and the beta function B(·,·):
    1 - B(A + G, B) / B(A, B) - B(A, B + G) / B(A, B).

    Args:
        num_correct: k, 0 .. num_rollouts.
        num_rollouts: n, 0 or more.
        group_size: G of the next group, 1 or more.
        prior: (a, b), both positive.

    Raises:
        ValueError: An argument is out of its range.
    """
    if not 0 <= num_correct <= num_rollouts or group_size < 1 or min(prior) <= 0:
        raise ValueError(f"{num_correct} of {num_rollouts}, group size {group_size}, prior {prior} cannot be")
    if group_size == 1:
        return 0.0
    a, b = prior[0] + num_correct, prior[1] + num_rollouts - num_correct
    whole = _log_beta(a, b)
    all_correct = math.exp(_log_beta(a + group_size, b) - whole)
    none_correct = math.exp(_log_beta(a, b + group_size) - whole)
    return 1.0 - all_correct - none_correct


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
