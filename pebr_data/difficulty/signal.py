"""Signal: how likely a group of G rollouts is to carry a non-zero advantage.

GRPO centres rewards within a group, so a group that is all right or all wrong teaches nothing. With a pass rate p the
others are a share P_inf(p) = 1 - p^G - (1 - p)^G. What a group is worth depends on the training's `scale_rewards`:

* `group`: each group's advantages are divided by the group's standard deviation, so every informative group weighs the
  same, and the signal is P_inf: the expected squared advantage where that deviation is taken over G. TRL divides by the
  sample deviation (over G - 1), which makes it (1 - 1/G) P_inf: the same order, so the same choice.
* `none`: advantages are only centred; the signal is the expected squared advantage p(1-p)(1 - 1/G).
* `batch`: as `none`, divided by one number for the whole batch, which does not change the order.

Both prefer coin-flippers: somebody who guesses among four options has p = 1/4. See `guessing` for telling them apart.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pebr_data.difficulty.counts import FloatArray
from pebr_data.difficulty.pass_rate import UNIFORM_PRIOR
from pebr_data.difficulty.posterior import Posterior
from pebr_data.difficulty.prior import Prior
from pebr_data.types import ScaleRewards


def informative_probability(pass_rate: npt.ArrayLike, group_size: int) -> FloatArray:
    """P_inf(p): the probability that `group_size` rollouts are neither all correct nor all not; in [0, 1].

    Args:
        pass_rate: p, in [0, 1], any shape.
        group_size: G, 1 or more (the training's `num_generations`).

    Raises:
        ValueError: An argument is out of its range.
    """
    p = _pass_rates(pass_rate, group_size)
    values: FloatArray = np.clip(1.0 - p**group_size - (1.0 - p) ** group_size, 0.0, 1.0)
    return values


def signal(pass_rate: npt.ArrayLike, group_size: int, scale_rewards: ScaleRewards = "group") -> FloatArray:
    """The signal of a group of G rollouts with known pass rates; see the module.

    Returns:
        In [0, 1] under `group`, in [0, (1 - 1/G)/4] otherwise.

    Raises:
        ValueError: An argument is out of its range.
    """
    if scale_rewards == "group":
        return informative_probability(pass_rate, group_size)
    p = _pass_rates(pass_rate, group_size)
    return p * (1.0 - p) * (1.0 - 1.0 / group_size)


def expected_signal(posterior: Posterior, group_size: int, scale_rewards: ScaleRewards = "group") -> FloatArray:
    """E[signal] for each sample, over what is known of its pass rate; exact. Ranges as for `signal`.

    Args:
        posterior: What is known of the samples, from any prior.
        group_size: G of the training, 1 or more.
        scale_rewards: As in the training.

    Raises:
        ValueError: The group size is out of its range.
    """
    if scale_rewards == "group":
        return posterior.informative(group_size)
    if group_size < 1:
        raise ValueError(f"group size {group_size} must be positive")
    return posterior.moment(1, 1) * (1.0 - 1.0 / group_size)


def expected_informative(
    num_correct: npt.ArrayLike,
    num_rollouts: npt.ArrayLike,
    group_size: int,
    prior: Prior | tuple[float, float] = UNIFORM_PRIOR,
) -> FloatArray:
    """E[P_inf(p)] when p is known from `num_correct` of `num_rollouts` only.

    With p ~ Beta(A, B), A = a + k and B = b + n - k, and the beta function B(·,·):
    1 - B(A + G, B) / B(A, B) - B(A, B + G) / B(A, B), times the weight of the Beta when the prior has spikes.

    Args:
        num_correct: k, 0 .. num_rollouts, any shape.
        num_rollouts: n, 0 or more.
        group_size: G of the next group, 1 or more.
        prior: A prior, or the (a, b) of a Beta, both positive.

    Raises:
        ValueError: An argument is out of its range.
    """
    known = prior if isinstance(prior, Prior) else Prior(*prior)
    return known.posterior(num_correct, num_rollouts).informative(group_size)


def _pass_rates(pass_rate: npt.ArrayLike, group_size: int) -> FloatArray:
    p = np.asarray(pass_rate, dtype=np.float64)
    if np.any((p < 0) | (p > 1)) or group_size < 1:
        raise ValueError(f"pass rates must be in [0, 1] and group size {group_size} positive")
    return p
