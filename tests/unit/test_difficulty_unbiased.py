"""Signal from the training's side: exact expectations, and estimates without a prior that are right on average."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pebr_data.difficulty.counts import FloatArray
from pebr_data.difficulty.prior import UNIFORM, Prior
from pebr_data.difficulty.signal import expected_informative, expected_signal, signal
from pebr_data.difficulty.unbiased import unbiased_signal
from pebr_data.types import ScaleRewards

lightly = settings(max_examples=25, deadline=None)
rates = st.floats(0, 1)
scales = st.sampled_from(["group", "batch", "none"])
counts = st.integers(0, 20).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


def binomial(n: int, p: float) -> FloatArray:
    k = np.arange(n + 1)
    return np.array([comb(n, int(j)) for j in k]) * p**k * (1 - p) ** (n - k)


@lightly
@given(rates, st.integers(2, 12), st.integers(0, 12), scales)
def test_the_u_statistic_has_the_signal_as_its_mean_for_every_pass_rate(
    p: float, group_size: int, more: int, scale: ScaleRewards
) -> None:
    n = group_size + more
    estimate = unbiased_signal(np.arange(n + 1), n, group_size, scale).value
    assert binomial(n, p) @ estimate == pytest.approx(signal(p, group_size, scale), abs=1e-9)


@lightly
@given(rates, st.integers(2, 6), st.integers(0, 8), scales)
def test_its_variance_is_unbiased_too(p: float, group_size: int, more: int, scale: ScaleRewards) -> None:
    n = max(2 * group_size, 4) + more
    estimate = unbiased_signal(np.arange(n + 1), n, group_size, scale)
    weight = binomial(n, p)
    true = weight @ estimate.value**2 - (weight @ estimate.value) ** 2
    assert weight @ estimate.variance == pytest.approx(true, abs=1e-9)


def test_it_is_the_share_of_groups_dealt_from_the_rollouts() -> None:
    rng = np.random.default_rng(0)
    dealt = rng.permuted(np.tile(np.arange(12) < 3, (40_000, 1)), axis=1)[:, :4].sum(axis=1)
    assert np.mean((dealt > 0) & (dealt < 4)) == pytest.approx(unbiased_signal(3, 12, 4).value, abs=0.01)


def test_with_fewer_rollouts_than_it_takes_there_is_no_estimate() -> None:
    group = unbiased_signal([1, 1, 1], [7, 8, 16], 8)
    assert np.isnan(group.value).tolist() == [True, False, False]
    assert np.isnan(group.variance).tolist() == [True, True, False]
    single = unbiased_signal([0, 1, 1], [1, 2, 4], 8, "none")
    assert np.isnan(single.value).tolist() == [True, False, False]
    assert np.isnan(single.variance).tolist() == [True, True, False]


@lightly
@given(counts, st.integers(2, 16), scales)
def test_expected_signal_is_the_signal_averaged_over_what_is_known(
    pair: tuple[int, int], group_size: int, scale: ScaleRewards
) -> None:
    prior = Prior(a=1.0, b=2.0, zero=0.2, one=0.1)
    known = prior.posterior(*pair)
    p = (np.arange(4_000) + 0.5) / 4_000
    k, n = pair
    density = p**k * (1 - p) ** (1 + n - k)
    beta = density @ signal(p, group_size, scale) / density.sum()
    expected = (1 - known.never() - known.always()) * beta
    assert expected_signal(known, group_size, scale) == pytest.approx(expected, abs=2e-5)


@lightly
@given(counts, st.integers(2, 16))
def test_for_pairs_both_scales_order_samples_alike(pair: tuple[int, int], n: int) -> None:
    known = UNIFORM.posterior([pair[0], n // 2], [pair[1], n])
    group, none = expected_signal(known, 2, "group"), expected_signal(known, 2, "none")
    assert group == pytest.approx(4 * none)


@lightly
@given(rates, st.integers(2, 16))
def test_a_larger_group_is_more_often_informative_and_no_signal_leaves_its_range(p: float, group_size: int) -> None:
    assert signal(p, group_size) <= signal(p, group_size + 1) + 1e-12
    assert 0 <= signal(p, group_size) <= 1 - 2.0 ** (1 - group_size) + 1e-12
    assert 0 <= signal(p, group_size, "none") <= (1 - 1 / group_size) / 4


def test_expected_signal_is_what_trl_advantages_show() -> None:
    rng = np.random.default_rng(1)
    prior = Prior(a=0.7, b=1.5, zero=0.15)
    p = np.where(rng.random(200_000) < 0.15, 0.0, rng.beta(0.7, 1.5, 200_000))
    k = rng.binomial(8, p)
    rewards = rng.random((len(p), 8)) < p[:, None]
    centred = rewards - rewards.mean(axis=1, keepdims=True)
    deviation = rewards.std(axis=1, ddof=1, keepdims=True)
    scaled = np.divide(centred, deviation, out=np.zeros_like(centred), where=deviation > 0)
    known = prior.posterior(np.arange(9), 8)
    for j in range(9):
        here = k == j
        assert np.mean(centred[here] ** 2) == pytest.approx(expected_signal(known, 8, "none")[j], abs=0.01)
        assert np.mean(scaled[here] ** 2) == pytest.approx(7 / 8 * expected_signal(known, 8, "group")[j], abs=0.02)


def test_a_spike_takes_its_share_of_the_expected_signal() -> None:
    plain = expected_informative(0, 8, 8, (1.0, 3.0))
    spiked = Prior(a=1.0, b=3.0, zero=0.3)
    weight = spiked.posterior(0, 8).never()
    assert expected_informative(0, 8, 8, spiked) == pytest.approx((1 - weight) * plain)


def test_arguments_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="group size 0"):
        unbiased_signal(1, 8, 0)
    with pytest.raises(ValueError, match="group size 0"):
        expected_signal(UNIFORM.posterior(1, 8), 0, "none")
    with pytest.raises(ValueError, match="pass rates"):
        signal(-0.1, 8)
