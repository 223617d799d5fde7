"""Lengths: how many tokens the completions of a first pass will have, from those of the probe."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import polars as pl

from pebr_data.difficulty.forecast import Expected


def expected_tokens(
    lengths: pl.DataFrame, mean_reward: Expected, num_samples: int, group_size: int, level: float = 0.95
) -> Expected:
    """Mean tokens of a completion over the first pass.

    Samples were chosen by their outcomes, and right answers may be shorter than wrong ones. So the mean lengths of the
    correct and of the other rollouts are weighted by the forecast of the mean reward, not by what the probe drew
    (post-stratification). The interval is normal: what the measured samples leave open of the others, what the probe's
    rollouts leave open of a sample, the pass's own draws, and the mean reward's interval.

    Args:
        lengths: Of a random part of the chosen samples: the columns of `Catalog.completion_lengths`, not empty.
        mean_reward: The forecast for the chosen samples.
        num_samples: How many were chosen.
        group_size: G of the training.
        level: Of the interval.
    """
    total = pl.col("num_rollouts", "sum_tokens", "sum_squares").sum()
    each = lengths.group_by("sample_id").agg(total).sort("sample_id")
    num, tokens, squares = (each[name].to_numpy() for name in ("num_rollouts", "sum_tokens", "sum_squares"))
    means = tokens / num
    measured, share = len(each), len(each) / max(num_samples, len(each))
    within = max(float(squares.sum() - (num * means**2).sum()) / max(int(num.sum()) - measured, 1), 0.0)
    between = float(means.var(ddof=1)) if measured > 1 else 0.0
    variance = (1 - share) * between / measured + within * (
        share * float(np.mean(1.0 / num)) / measured + 1.0 / (num_samples * group_size)
    )

    parts = {is_correct: (count, its) for is_correct, count, its in lengths.group_by("is_correct").agg(
        pl.col("num_rollouts").sum(), pl.col("sum_tokens").sum()
    ).iter_rows()}  # fmt: skip
    mean, slope = float(tokens.sum() / num.sum()), 0.0
    if len(parts) == 2:
        right, other = (parts[which][1] / parts[which][0] for which in (True, False))
        mean, slope = other + mean_reward.mean * (right - other), abs(right - other)
    z = NormalDist().inv_cdf((1 + level) / 2)
    reach = float(np.sqrt(z**2 * variance + (slope * (mean_reward.high - mean_reward.low) / 2) ** 2))
    return Expected(mean, max(mean - reach, 0.0), mean + reach)
