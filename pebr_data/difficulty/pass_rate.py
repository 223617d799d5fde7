"""A sample's pass rate: the paper's bands, and how sure k correct of n lets us be."""

from __future__ import annotations

from pebr_data.types import Band

UNIFORM_PRIOR = (1.0, 1.0)


def band(num_correct: int, num_rollouts: int, group_size: int, *, stopped_early: bool = False) -> Band:
    """The paper's band of a sample (PeBR-R1, arXiv 2509.13031): 8/8 easy, 1..7 medium, 0/8 hard.

    Args:
        num_correct: Correct rollouts, 0 .. num_rollouts.
        num_rollouts: Rollouts that say something about the policy (neither `error` nor `ungradable`).
        group_size: Rollouts in a complete group (8 in the paper).
        stopped_early: The probe stops where the band is certain, so that an incomplete group with both outcomes is
            `medium`: what is left of it cannot change that.

    Returns:
        `unprobed` for any other incomplete group: the released scripts band incomplete groups too, we do not.

    Raises:
        ValueError: The counts cannot be.
    """
    _check(num_correct, num_rollouts)
    if group_size < 1 or num_rollouts > group_size:
        raise ValueError(f"{num_rollouts} rollouts do not fit a group of {group_size}")
    if num_rollouts < group_size:
        return Band.MEDIUM if stopped_early and 0 < num_correct < num_rollouts else Band.UNPROBED
    if num_correct == group_size:
        return Band.EASY
    return Band.HARD if num_correct == 0 else Band.MEDIUM


def posterior(
    num_correct: int, num_rollouts: int, prior: tuple[float, float] = UNIFORM_PRIOR, level: float = 0.95
) -> tuple[float, float, float]:
    """Mean and equal-tailed interval of the pass rate after `num_correct` of `num_rollouts`.

    Beta(a, b) prior and binomial rollouts give Beta(a + k, b + n - k) (conjugacy). The default prior is uniform: before
    any rollout every pass rate is as likely as any other, and over that population the interval covers at its level.

    Args:
        num_correct: k, 0 .. num_rollouts.
        num_rollouts: n, 0 or more. A rule that looked at outcomes alone may have chosen it: the likelihood, and so the
            posterior, is the same; k/n would be biased.
        prior: (a, b), both positive.
        level: The interval's probability, in (0, 1).

    Returns:
        (mean, low, high), each in [0, 1].

    Raises:
        ValueError: The counts, the prior or the level cannot be.
    """
    from scipy.special import betaincinv

    _check(num_correct, num_rollouts)
    if min(prior) <= 0 or not 0 < level < 1:
        raise ValueError(f"prior {prior} must be positive and level {level} between 0 and 1")
    a, b = prior[0] + num_correct, prior[1] + num_rollouts - num_correct
    tail = (1 - level) / 2
    return a / (a + b), float(betaincinv(a, b, tail)), float(betaincinv(a, b, 1 - tail))


def _check(num_correct: int, num_rollouts: int) -> None:
    if not 0 <= num_correct <= num_rollouts:
        raise ValueError(f"{num_correct} correct of {num_rollouts} rollouts cannot be")
