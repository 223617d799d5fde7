"""Intervals: what they reduce to, and that they cover the truth as often as they say, by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from pebr_train import intervals
from pebr_train.intervals import difference_interval, mean_interval


@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_zero_one_values_give_the_wilson_interval(case: tuple[int, int]) -> None:
    correct, total = case
    estimate = mean_interval([1.0] * correct + [0.0] * (total - correct))
    expected = binomtest(correct, total).proportion_ci(method="wilson")
    assert estimate is not None
    assert (estimate.low, estimate.high) == pytest.approx((expected.low, expected.high), abs=1e-9)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=60))
def test_the_interval_holds_the_mean_and_stays_between_zero_and_one(values: list[float]) -> None:
    estimate = mean_interval(values)
    assert estimate is not None
    assert 0 <= estimate.low <= estimate.mean <= estimate.high <= 1
    assert estimate.num_samples == len(values)


def test_equal_values_still_have_a_width() -> None:
    estimate = mean_interval([1.0] * 20)
    assert estimate is not None
    assert estimate.high == 1
    assert estimate.low < 0.9


def test_no_samples_have_no_mean() -> None:
    assert mean_interval([]) is None
    assert difference_interval([], []) is None


def test_values_outside_the_range_are_refused() -> None:
    with pytest.raises(ValueError, match=r"0 \.\. 1"):
        mean_interval([0.5, 1.5])


def test_unpaired_values_are_refused() -> None:
    with pytest.raises(ValueError, match="2 and 1"):
        difference_interval([0.0, 1.0], [1.0])


def test_a_difference_is_the_same_every_time() -> None:
    before, after = [0.0, 0.25, 1.0, 0.5] * 20, [0.5, 0.25, 0.75, 1.0] * 20
    assert difference_interval(before, after) == difference_interval(before, after)


# True pass rates: U-shaped as trained policies have them, nearly all hard, and spread evenly.
@pytest.mark.parametrize(("a", "b"), [(0.4, 0.5), (0.2, 4.0), (1.0, 1.0)])
@pytest.mark.parametrize("num_samples", [60, 500])
def test_pass_at_one_is_covered_nineteen_times_in_twenty(a: float, b: float, num_samples: int) -> None:
    rng = np.random.default_rng(1)
    trials = 1500
    rates = rng.beta(a, b, size=(trials, num_samples))
    shares = rng.binomial(4, rates) / 4
    estimates = [mean_interval(row.tolist()) for row in shares]
    covered = np.mean([e is not None and e.low <= a / (a + b) <= e.high for e in estimates])
    assert 0.92 <= covered <= 0.975


def test_counting_rollouts_as_independent_would_not_cover() -> None:
    """Why values are per sample: 2,000 rollouts of 250 samples are not 2,000 trials."""
    rng = np.random.default_rng(2)
    correct = rng.binomial(8, rng.beta(0.4, 0.4, size=(600, 250))).sum(axis=1)
    naive = [binomtest(int(k), 2000).proportion_ci(method="wilson") for k in correct]
    assert np.mean([low <= 0.5 <= high for low, high in naive]) < 0.7


@pytest.mark.parametrize("gain", [0.0, 0.12])
def test_a_paired_difference_is_covered_nineteen_times_in_twenty(gain: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intervals, "NUM_RESAMPLES", 1000)
    rng = np.random.default_rng(3)
    trials, num_samples = 500, 150
    rates = rng.beta(0.5, 0.5, size=(trials, num_samples)) * (1 - gain)
    before = rng.binomial(4, rates) / 4
    after = rng.binomial(4, rates + gain) / 4
    pairs = zip(before, after, strict=True)
    estimates = [difference_interval(x.tolist(), y.tolist()) for x, y in pairs]
    covered = np.mean([e is not None and e.low <= gain <= e.high for e in estimates])
    assert 0.92 <= covered <= 0.975


def test_pairing_narrows_the_interval() -> None:
    rng = np.random.default_rng(4)
    rates = rng.beta(0.3, 0.3, size=400)
    before, after = rng.binomial(4, rates) / 4, rng.binomial(4, np.minimum(rates + 0.05, 1)) / 4
    paired = difference_interval(before.tolist(), after.tolist())
    unpaired = difference_interval(before.tolist(), rng.permutation(after).tolist())
    assert paired is not None and unpaired is not None
    assert paired.high - paired.low < 0.7 * (unpaired.high - unpaired.low)
