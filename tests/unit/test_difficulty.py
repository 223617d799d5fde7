from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pebr_data.difficulty.pass_rate import band, posterior
from pebr_data.difficulty.signal import expected_informative, informative_probability
from pebr_data.types import Band

counts = st.integers(0, 64).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
group_sizes = st.integers(1, 32)


@pytest.mark.parametrize(
    ("num_correct", "expected"), [(0, Band.HARD), *((k, Band.MEDIUM) for k in range(1, 8)), (8, Band.EASY)]
)
def test_bands_of_complete_groups_are_the_papers(num_correct: int, expected: Band) -> None:
    assert band(num_correct, 8, 8) is expected


@given(counts, group_sizes)
def test_an_incomplete_group_has_no_band(pair: tuple[int, int], missing: int) -> None:
    num_correct, num_rollouts = pair
    assert band(num_correct, num_rollouts, num_rollouts + missing) is Band.UNPROBED


@pytest.mark.parametrize(("k", "n", "group"), [(3, 2, 8), (-1, 2, 8), (0, 9, 8), (0, 0, 0)])
def test_counts_that_cannot_be_are_refused(k: int, n: int, group: int) -> None:
    with pytest.raises(ValueError, match=r"cannot be|do not fit"):
        band(k, n, group)


@given(counts)
def test_posterior_interval_holds_its_mean_and_the_observed_share_pulls_it(pair: tuple[int, int]) -> None:
    k, n = pair
    mean, low, high = posterior(k, n)
    assert 0 <= low < mean < high <= 1
    assert mean == pytest.approx((k + 1) / (n + 2))
    mirrored = posterior(n - k, n)
    assert mirrored == pytest.approx((1 - mean, 1 - high, 1 - low))


@given(counts)
def test_more_correct_rollouts_raise_the_whole_posterior(pair: tuple[int, int]) -> None:
    k, n = pair
    better = posterior(k + 1, n + 1)
    worse = posterior(k, n + 1)
    assert all(high > low for high, low in zip(better, worse, strict=True))


def test_eight_of_eight_wrong_still_allows_a_pass_rate_of_a_third() -> None:
    _, low, high = posterior(0, 8)
    assert (low, high) == pytest.approx((1 - 0.975 ** (1 / 9), 1 - 0.025 ** (1 / 9)))


def test_posterior_is_calibrated_on_the_population_its_prior_describes() -> None:
    rng = np.random.default_rng(0)
    truth = rng.beta(1, 1, size=40_000)
    correct = rng.binomial(8, truth)
    for k in range(9):
        mean, low, high = posterior(k, 8)
        seen = truth[correct == k]
        assert seen.mean() == pytest.approx(mean, abs=0.015)
        assert np.mean((seen > low) & (seen < high)) == pytest.approx(0.95, abs=0.015)


@given(st.floats(0, 1), group_sizes)
def test_informative_probability_is_symmetric_and_a_probability(p: float, group_size: int) -> None:
    value = informative_probability(p, group_size)
    assert -1e-12 <= value <= 1
    assert value == pytest.approx(informative_probability(1 - p, group_size), abs=1e-12)


def test_half_of_the_groups_are_informative_between_the_paper_sizes_bounds() -> None:
    assert informative_probability(0.083, 8) == pytest.approx(0.5, abs=2e-3)
    assert informative_probability(0.917, 8) == pytest.approx(0.5, abs=2e-3)
    assert informative_probability(0.0, 8) == informative_probability(1.0, 8) == 0.0
    assert informative_probability(0.5, 1) == 0.0


def test_informative_probability_is_the_share_of_drawn_groups_with_both_outcomes() -> None:
    rng = np.random.default_rng(1)
    for p in (0.05, 0.3, 0.8):
        correct = rng.binomial(8, p, size=50_000)
        assert np.mean((correct > 0) & (correct < 8)) == pytest.approx(informative_probability(p, 8), abs=0.01)


@given(counts, group_sizes, st.sampled_from([(1.0, 1.0), (0.5, 0.5), (2.0, 5.0)]))
def test_expected_informative_is_the_integral_over_the_posterior(
    pair: tuple[int, int], group_size: int, prior: tuple[float, float]
) -> None:
    k, n = pair
    a, b = prior[0] + k, prior[1] + n - k
    # Midpoints in p = sin^2(x): the density stays bounded for a, b >= 1/2.
    x = (np.arange(20_000) + 0.5) / 20_000 * math.pi / 2
    p = np.sin(x) ** 2
    log_density = (2 * a - 1) * np.log(np.sin(x)) + (2 * b - 1) * np.log(np.cos(x))
    weight = np.exp(log_density - log_density.max())
    integral = np.sum(weight * (1 - p**group_size - (1 - p) ** group_size)) / weight.sum()
    assert expected_informative(k, n, group_size, prior) == pytest.approx(integral, abs=1e-6)


def test_expected_informative_is_what_the_next_group_shows() -> None:
    rng = np.random.default_rng(2)
    truth = rng.beta(1, 1, size=100_000)
    first, second = rng.binomial(8, truth), rng.binomial(8, truth)
    for k in (0, 4, 8):
        following = second[first == k]
        share = np.mean((following > 0) & (following < 8))
        assert share == pytest.approx(expected_informative(k, 8, 8), abs=0.02)


def test_an_easy_sample_may_still_teach() -> None:
    assert 0.12 < expected_informative(8, 8, 8) < 0.48


@pytest.mark.parametrize("call", [
    lambda: informative_probability(1.1, 8), lambda: informative_probability(0.5, 0),
    lambda: expected_informative(9, 8, 8), lambda: expected_informative(1, 8, 0),
    lambda: expected_informative(1, 8, 8, (0.0, 1.0)), lambda: posterior(1, 8, (0.0, 1.0)),
    lambda: posterior(1, 8, level=1.0),
])  # fmt: skip
def test_arguments_out_of_range_are_refused(call: object) -> None:
    assert callable(call)
    with pytest.raises(ValueError, match=r"must be|cannot be"):
        call()
