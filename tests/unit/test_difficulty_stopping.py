"""Stopping early: the paper's bands stay what they are, and what is said of pass rates holds whenever one looks."""

from __future__ import annotations

import json
from itertools import product

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from pebr_data.difficulty.frozen import FrozenPriors
from pebr_data.difficulty.intervals import confidence_sequence
from pebr_data.difficulty.known import learn
from pebr_data.difficulty.pass_rate import band
from pebr_data.difficulty.prior import UNIFORM, Prior
from pebr_data.difficulty.signal import informative_probability
from pebr_data.difficulty.simulation import probe
from pebr_data.difficulty.stopping import (
    band_edges,
    band_probabilities,
    exact_bands,
    exact_stops,
    next_round,
    pilot,
    posterior_stops,
    sure_bands,
)
from pebr_data.types import Band

lightly = settings(max_examples=25, deadline=None)
ALL_SEQUENCES = np.array(list(product((False, True), repeat=8)))


@pytest.mark.parametrize(("capacity", "smallest"), [(1, 1), (1, 2), (1, 3), (1, 4), (600, 1), (2_048, 1)])
def test_exact_stopping_leaves_every_band_of_eight_as_it_is(capacity: int, smallest: int) -> None:
    seen = probe(ALL_SEQUENCES, lambda k, n: exact_stops(k, n, 8), capacity=capacity, smallest=smallest)
    expected = [band(int(sequence.sum()), 8, 8).value for sequence in ALL_SEQUENCES]
    assert exact_bands(seen.num_correct, seen.num_rollouts, 8).tolist() == expected
    assert (seen.num_rollouts < 8).any() == (capacity < 2_048)


def test_exact_stopping_stops_nowhere_sooner_than_the_band_is_certain() -> None:
    bands = np.array([band(int(sequence.sum()), 8, 8).value for sequence in ALL_SEQUENCES])
    for n in range(9):
        for begun in np.unique(ALL_SEQUENCES[:, :n], axis=0):
            ends = set(bands[(ALL_SEQUENCES[:, :n] == begun).all(axis=1)])
            assert bool(exact_stops(begun.sum(), n, 8)) == (len(ends) == 1)


def test_a_sample_that_is_not_stopped_is_unprobed() -> None:
    assert exact_bands([0, 0, 3, 1], [0, 7, 3, 2], 8).tolist() == [Band.UNPROBED] * 3 + [Band.MEDIUM]


def test_the_edges_of_the_bands_are_where_half_of_the_groups_inform() -> None:
    assert band_edges(8) == pytest.approx((0.083, 0.917), abs=5e-4)
    assert informative_probability(band_edges(5, 0.7), 5) == pytest.approx([0.7, 0.7])
    assert band_edges(2, 0.32) == pytest.approx((0.2, 0.8))
    with pytest.raises(ValueError, match=r"groups of 2 are informative with probability 0.5 at most"):
        band_edges(2)


@lightly
@given(st.integers(0, 16).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.integers(3, 16))
def test_band_probabilities_are_probabilities_and_mirror(pair: tuple[int, int], group_size: int) -> None:
    k, n = pair
    row = band_probabilities(UNIFORM.posterior(k, n), group_size)
    assert row.sum() == pytest.approx(1)
    assert row.min() >= 0
    assert band_probabilities(UNIFORM.posterior(n - k, n), group_size)[::-1] == pytest.approx(row)


def test_the_posterior_rule_stops_where_a_band_is_sure_and_goes_on_where_it_is_open() -> None:
    k, n = np.array([4, 0, 0, 1, 0]), np.array([8, 8, 1, 8, 16])
    prior = Prior(a=1, b=1, zero=0.3)
    stops = posterior_stops(prior.posterior(k, n), n, 8, confidence=0.9, max_rollouts=16)
    # 4/8 is medium; 0/8 is most likely a spike; one rollout is too few; 1/8 is open; sixteen are all there are.
    assert stops.tolist() == [True, True, False, False, True]
    with pytest.raises(ValueError, match="confidence"):
        posterior_stops(prior.posterior(k, n), n, 8, confidence=0.2, max_rollouts=16)


def test_bands_called_at_a_confidence_are_right_at_least_that_often() -> None:
    rng = np.random.default_rng(0)
    p = rng.beta(0.5, 0.5, 50_000)
    prior = Prior(a=0.5, b=0.5)
    seen = probe(
        rng.random((len(p), 16)) < p[:, None],
        lambda k, n: posterior_stops(prior.posterior(k, n), n, 8, confidence=0.9, max_rollouts=16),
        capacity=64,
    )
    rows = band_probabilities(prior.posterior(seen.num_correct, seen.num_rollouts), 8)
    sure = rows.max(axis=1) >= 0.9
    truth = np.digitize(p, band_edges(8))
    right = rows.argmax(axis=1) == truth
    assert right[sure].mean() == pytest.approx(rows.max(axis=1)[sure].mean(), abs=0.01)
    assert right[sure].mean() > 0.9
    assert (seen.num_rollouts[~sure] == 16).all()


@lightly
@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 20)), min_size=1, max_size=40),
    st.integers(1, 20), st.integers(1, 200), st.integers(1, 8),
)  # fmt: skip
def test_a_round_keeps_the_engine_full_and_no_sample_gets_too_much(
    samples: list[tuple[bool, int]], most: int, capacity: int, smallest: int
) -> None:
    stopped, n = (np.array(column) for column in zip(*samples, strict=True))
    ask = next_round(stopped, n, max_rollouts=most, capacity=capacity, smallest=smallest)
    is_open = ~stopped & (n < most)
    left = np.where(is_open, most - n, 0)
    assert ((ask > 0) == is_open).all()
    assert (ask <= left).all()
    # Full, unless a sample has no more to give.
    assert ask.sum() >= capacity or (ask[is_open] == left[is_open]).any() or not is_open.any()
    assert (n + ask >= min(2, most))[is_open].all()


def test_rounds_without_places_are_refused() -> None:
    with pytest.raises(ValueError, match="must be positive"):
        next_round(np.array([False]), [0], max_rollouts=8, capacity=0)


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_the_confidence_sequence_ever_misses_at_most_as_often_as_it_says(level: float) -> None:
    """Exactly: the probability of every path on which some bound up to 200 rollouts leaves p out."""
    most = 200
    n = np.repeat(np.arange(most + 1), np.arange(1, most + 2))
    k = np.concatenate([np.arange(size + 1) for size in range(most + 1)])
    low, high = confidence_sequence(k, n, level)
    for p in (0.0, 0.003, 0.05, 0.3, 0.5, 0.917, 1.0):
        holds = (low <= p) & (p <= high)
        never_missed = np.array([1.0])
        for size in range(1, most + 1):
            begin = size * (size + 1) // 2
            grown = np.append(never_missed * (1 - p), 0.0) + np.append(0.0, never_missed * p)
            never_missed = grown * holds[begin : begin + size + 1]
        assert 1 - never_missed.sum() <= 1 - level


def test_an_interval_for_one_look_misses_more_often_when_looked_at_always() -> None:
    rng = np.random.default_rng(1)
    k = np.cumsum(rng.random((2_000, 100)) < 0.3, axis=1)
    n = np.broadcast_to(np.arange(1, 101), k.shape)
    low, high = UNIFORM.posterior(k, n).interval()
    assert np.mean(((low > 0.3) | (high < 0.3)).any(axis=1)) > 0.15


@lightly
@given(st.integers(0, 200).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.floats(0.5, 0.99))
def test_the_confidence_sequence_holds_the_share_and_mirrors(pair: tuple[int, int], level: float) -> None:
    k, n = pair
    low, high = confidence_sequence(k, n, level)
    assert 0 <= low <= (k / n if n else 0.5) <= high <= 1
    assert (low == 0) == (k == 0) or n == 0
    assert confidence_sequence(n - k, n, level) == pytest.approx((1 - high, 1 - low), abs=1e-9)
    wider = confidence_sequence(k, n, (1 + level) / 2)
    assert wider[0] <= low
    assert wider[1] >= high


def test_the_confidence_sequence_is_as_wide_as_documented() -> None:
    assert confidence_sequence(0, 8) == pytest.approx((0, 0.44), abs=0.005)
    assert binom.cdf(0, 8, 0.37) == pytest.approx(0.025, abs=0.001)
    with pytest.raises(ValueError, match="level"):
        confidence_sequence(0, 8, 1.0)


def test_frozen_priors_decide_as_the_fitted_ones_do_also_after_having_been_kept() -> None:
    rng = np.random.default_rng(0)
    counts = pl.DataFrame({"num_correct": rng.binomial(8, rng.beta(0.4, 0.4, 300)), "num_rollouts": 8}).with_columns(
        pl.lit("s").alias("source"), pl.lit("count").alias("answer_type"), pl.lit(0, pl.Int64).alias("num_options")
    )
    known = learn(counts.cast({"num_rollouts": pl.Int64}))
    kept = FrozenPriors.from_json(json.loads(json.dumps(FrozenPriors.of(known).to_json())))
    tables = kept.tables([("s", "count", 0.0), ("new", None, 0.25)], group_size=8, max_rollouts=16, confidence=0.9)
    for place, prior in enumerate((known.strata[0].prior, known.priors.pooled)):
        for n in range(17):
            k = np.arange(n + 1)
            posterior = prior.posterior(k, n)
            stops = posterior_stops(posterior, n, 8, confidence=0.9, max_rollouts=16)
            assert tables.stops[place, k, n].tolist() == stops.tolist()
            expected = sure_bands(posterior, 8, confidence=0.9) if n >= 2 else np.full(n + 1, "unprobed")
            assert tables.bands[place, k, n].tolist() == expected.tolist()


def test_a_pilot_is_a_draw_that_gets_whole_groups() -> None:
    ids = [f"{number * 7919 % 1000:04d}" for number in range(400)]
    first = pilot(ids, 8)
    assert (first == 8).sum() == 128
    assert {one for one, size in zip(ids, first, strict=True) if size == 8} == set(sorted(ids)[:128])
    assert (pilot(ids[:100], 8) == 8).all()
