"""Priors and posteriors of the pass rate: exact against numeric integrals, and calibrated on populations they fit."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pebr_data.difficulty.counts import Counts, FloatArray
from pebr_data.difficulty.fit import MIN_SAMPLES, fit_prior, fit_priors, resample_priors
from pebr_data.difficulty.guessing import chance
from pebr_data.difficulty.pass_rate import posterior as uniform_posterior
from pebr_data.difficulty.populations import POPULATIONS, draw_outcomes, draw_population
from pebr_data.difficulty.prior import UNIFORM, Prior
from pebr_data.difficulty.signal import informative_probability
from pebr_data.difficulty.simulation import probe
from pebr_data.difficulty.stopping import exact_stops

lightly = settings(max_examples=25, deadline=None)
SPIKED = Prior(a=0.8, b=2.5, zero=0.2, one=0.1, guess=0.15, chance=0.25)

counts = st.integers(0, 40).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
shapes = st.floats(0.1, 20)
weights = st.floats(0, 0.3)
priors = st.builds(
    Prior, a=shapes, b=shapes, zero=weights, one=weights, guess=weights, chance=st.just(0.25),
    floor=st.sampled_from([0.0, 0.25]),
)  # fmt: skip


def draw(prior: Prior, size: int, rng: np.random.Generator) -> FloatArray:
    spikes = [prior.zero, prior.guess, prior.one]
    part = rng.choice(4, size=size, p=[*spikes, 1 - sum(spikes)])
    above = prior.floor + (1 - prior.floor) * rng.beta(prior.a, prior.b, size)
    return np.choose(part, [0.0, prior.chance, 1.0, above])


@lightly
@given(counts)
def test_without_spikes_and_flat_it_is_the_uniform_posterior(pair: tuple[int, int]) -> None:
    known = UNIFORM.posterior(*pair)
    assert (known.mean(), *known.interval()) == pytest.approx(uniform_posterior(*pair))


@lightly
@given(counts, priors, st.integers(1, 16))
def test_what_is_known_is_a_distribution(pair: tuple[int, int], prior: Prior, group_size: int) -> None:
    known = prior.posterior(*pair)
    low, high = known.interval()
    assert 0 <= low <= high <= 1
    assert 0 <= known.mean() <= 1
    assert 0 <= known.informative(group_size) <= 1 - 2.0 ** (1 - group_size) + 1e-12
    assert known.predictive(group_size).sum() == pytest.approx(1)
    assert known.cdf(1.0) == pytest.approx(1)
    assert known.never() + known.guessed() + known.always() <= 1 + 1e-12


@lightly
@given(counts, priors, st.integers(2, 12))
def test_the_next_group_has_the_moments_of_the_pass_rate(pair: tuple[int, int], prior: Prior, group_size: int) -> None:
    known = prior.posterior(*pair)
    row = known.predictive(group_size)
    assert row @ np.arange(group_size + 1) / group_size == pytest.approx(known.mean())
    assert row[1:-1].sum() == pytest.approx(known.informative(group_size), abs=1e-9)


@lightly
@given(counts, priors)
def test_for_pairs_the_informative_probability_is_twice_the_variance_of_an_outcome(
    pair: tuple[int, int], prior: Prior
) -> None:
    known = prior.posterior(*pair)
    assert known.informative(2) == pytest.approx(2 * known.moment(1, 1), abs=1e-12)


@lightly
@given(counts, priors)
def test_a_correct_rollout_more_raises_the_mean(pair: tuple[int, int], prior: Prior) -> None:
    k, n = pair
    worse, better = prior.posterior(k, n + 1).mean(), prior.posterior(k + 1, n + 1).mean()
    assert worse <= prior.posterior(k, n).mean() + 1e-12
    assert prior.posterior(k, n).mean() <= better + 1e-12


@lightly
@given(counts, priors, st.sampled_from([0.025, 0.3, 0.5, 0.9, 0.975]))
def test_the_quantile_is_the_least_pass_rate_that_reaches_its_probability(
    pair: tuple[int, int], prior: Prior, probability: float
) -> None:
    known = prior.posterior(*pair)
    at = float(known.quantile(probability))
    assert known.cdf(at) >= probability - 1e-6
    if at > 1e-6:
        assert known.cdf(at * (1 - 1e-9)) <= probability + 1e-6


@pytest.mark.parametrize(("k", "n"), [(0, 8), (8, 8), (3, 8), (0, 0), (2, 16)])
def test_the_spikes_weigh_what_bayes_rule_gives_them(k: int, n: int) -> None:
    p = (np.arange(200_000) + 0.5) / 200_000
    density = p ** (SPIKED.a - 1) * (1 - p) ** (SPIKED.b - 1)
    beta = np.sum(density * p**k * (1 - p) ** (n - k)) / np.sum(density)
    spikes = np.array([SPIKED.zero * (k == 0), SPIKED.guess * 0.25**k * 0.75 ** (n - k), SPIKED.one * (k == n)])
    total = spikes.sum() + beta * (1 - SPIKED.zero - SPIKED.guess - SPIKED.one)
    known = SPIKED.posterior(k, n)
    assert [known.never(), known.guessed(), known.always()] == pytest.approx(spikes / total, abs=1e-3)


def test_hundred_thousand_rollouts_do_not_underflow() -> None:
    known = SPIKED.posterior([0, 50_000, 25_000, 100_000], 100_000)
    assert known.mean() == pytest.approx([0, 0.5, 0.25, 1], abs=1e-3)


@pytest.mark.parametrize(("k", "n"), [(0, 8), (8, 8), (3, 8), (0, 0), (2, 16)])
def test_above_a_floor_it_is_what_bayes_rule_gives(k: int, n: int) -> None:
    prior = Prior(a=0.8, b=2.5, guess=0.3, chance=0.25, floor=0.25)
    q = (np.arange(200_000) + 0.5) / 200_000
    p = 0.25 + 0.75 * q
    density = q ** (prior.a - 1) * (1 - q) ** (prior.b - 1)
    density *= 0.7 / density.sum()
    weight = np.append(density * p**k * (1 - p) ** (n - k), 0.3 * 0.25**k * 0.75 ** (n - k))
    weight, p = weight / weight.sum(), np.append(p, 0.25)
    known = prior.posterior(k, n)
    assert known.guessed() == pytest.approx(weight[-1], abs=1e-3)
    assert known.mean() == pytest.approx(weight @ p, abs=1e-3)
    assert known.informative(8) == pytest.approx(weight @ informative_probability(p, 8), abs=1e-3)
    assert known.predictive(4)[1] == pytest.approx(weight @ (4 * p * (1 - p) ** 3), abs=1e-3)
    assert known.cdf(0.5) == pytest.approx(weight[p <= 0.5].sum(), abs=1e-3)


@pytest.mark.parametrize(
    "wrong", [{"a": 0.0}, {"zero": -0.1}, {"zero": 0.6, "one": 0.4}, {"guess": 0.1}, {"floor": 0.25}]
)
def test_priors_that_cannot_be_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="cannot be"):
        Prior(**wrong)  # type: ignore[arg-type]


def test_counts_that_cannot_be_are_refused() -> None:
    for k, n in ((3, 2), (-1, 2), (0.5, 2)):
        with pytest.raises(ValueError, match=r"cannot be|whole numbers"):
            Counts.of([1, k], [2, n])


@lightly
@given(st.lists(counts, min_size=1, max_size=30), st.booleans())
def test_counts_hold_every_sample(pairs: list[tuple[int, int]], large: bool) -> None:
    pairs = [*pairs, (0, 100_000)] if large else pairs
    k, n = (np.array(column) for column in zip(*pairs, strict=True))
    found = Counts.of(k, n)
    assert (found.num_correct[found.index] == k).all()
    assert (found.num_rollouts[found.index] == n).all()
    assert found.num_samples.sum() == len(pairs)
    assert len(found.num_correct) == len(set(pairs))


@pytest.mark.parametrize(
    "truth",
    [
        Prior(a=1, b=1),
        Prior(a=0.4, b=0.4),
        Prior(a=1.0, b=3.0, zero=0.2),
        Prior(a=2.0, b=1.5, zero=0.15, one=0.25),
        Prior(a=3.0, b=1.5, guess=0.3, chance=0.25),
        Prior(a=1.0, b=2.0, guess=0.3, chance=0.25, floor=0.25),
    ],
    ids=["uniform", "u", "zero", "both", "guess", "above chance"],
)
def test_known_mixtures_are_recovered(truth: Prior) -> None:
    rng = np.random.default_rng(0)
    k = rng.binomial(8, draw(truth, 300_000, rng))
    found = fit_prior(k, np.full_like(k, 8), chance=truth.chance)
    assert (found.zero, found.one, found.guess) == pytest.approx((truth.zero, truth.one, truth.guess), abs=0.01)
    assert (found.a, found.b) == pytest.approx((truth.a, truth.b), rel=0.08)
    assert found.floor == truth.floor
    assert "300,000" in found.reason


def test_counts_of_all_sizes_and_stopped_early_fit_the_same_prior() -> None:
    rng = np.random.default_rng(1)
    p = draw(Prior(a=1.0, b=3.0, zero=0.2), 200_000, rng)
    stopped = probe(rng.random((len(p), 8)) < p[:, None], lambda k, n: exact_stops(k, n, 8), capacity=64)
    several = rng.integers(0, 17, size=len(p))
    for k, n in ((stopped.num_correct, stopped.num_rollouts), (rng.binomial(several, p), several)):
        found = fit_prior(k, n)
        assert (found.zero, found.a, found.b) == pytest.approx((0.2, 1.0, 3.0), rel=0.1)


@pytest.mark.parametrize("name", POPULATIONS)
def test_a_fitted_posterior_is_calibrated_in_every_bin(name: str) -> None:
    """To 0.01, and four standard errors of the bin's own mean."""
    population = draw_population(name, 200_000)
    p, stratum = population.pass_rate, population.stratum
    k = draw_outcomes(population, 8).sum(axis=1)
    guess = [float(chance(population.num_options[stratum == s][0])) for s in np.unique(stratum)]
    known = fit_priors(k, 8, stratum, chances=guess).posterior(k, 8, stratum)
    worth, low, high = informative_probability(p, 8), *known.interval()
    for bin_ in np.unique(9 * stratum + k):
        here = 9 * stratum + k == bin_
        for truth, said in ((p, known.mean()), (worth, known.informative(8))):
            assert truth[here].mean() == pytest.approx(
                said[here].mean(), abs=0.01 + 4 * truth[here].std() / np.sqrt(here.sum())
            )
        assert np.mean((p >= low)[here] & (p <= high)[here]) > 0.95 - 0.01 - 2 / np.sqrt(here.sum())


def test_it_is_calibrated_after_early_stopping_too_where_k_of_n_is_not() -> None:
    population = draw_population("hard", 100_000)
    seen = probe(draw_outcomes(population, 8), lambda k, n: exact_stops(k, n, 8), capacity=64)
    k, n = seen.num_correct, seen.num_rollouts
    known = fit_prior(k, n).posterior(k, n)
    worst_raw = 0.0
    for pair in set(zip(k.tolist(), n.tolist(), strict=True)):
        here = (k == pair[0]) & (n == pair[1])
        truth = population.pass_rate[here]
        assert truth.mean() == pytest.approx(known.mean()[here][0], abs=0.01 + 4 * truth.std() / np.sqrt(here.sum()))
        worst_raw = max(worst_raw, abs(truth.mean() - pair[0] / pair[1]))
    assert worst_raw > 0.1


def test_too_little_data_gives_the_pooled_or_the_uniform_prior_and_says_why() -> None:
    few = np.zeros(MIN_SAMPLES - 1, dtype=int)
    assert dataclasses.replace(fit_prior(few, 8), reason="uniform") == UNIFORM
    assert fit_prior(few, 8).reason == "uniform: 49 samples with two rollouts or more, 50 needed"
    assert dataclasses.replace(fit_prior(few, 8, SPIKED), reason="uniform") == SPIKED
    assert fit_prior(few, 8, SPIKED).reason.startswith("pooled: 49 samples")
    # However many: one rollout a sample says nothing of how pass rates spread.
    assert fit_prior(np.arange(10_000) % 2, 1).reason.startswith("uniform")
    assert fit_prior([], []).reason.startswith("uniform: 0 samples")


def test_small_strata_lean_on_the_pooled_fit_and_large_ones_do_not() -> None:
    rng = np.random.default_rng(3)
    p = np.concatenate([rng.beta(1, 4, 20_000), rng.beta(6, 2, 60), rng.beta(6, 2, 10)])
    stratum = np.repeat([0, 1, 2], [20_000, 60, 10])
    k = rng.binomial(8, p)
    found = fit_priors(k, np.full_like(k, 8), stratum)
    pooled, large, small, tiny = (float(prior.posterior(0, 0).mean()) for prior in (found.pooled, *found.strata))
    alone = float(fit_prior(k[stratum == 1], 8).posterior(0, 0).mean())
    assert large == pytest.approx(0.2, abs=0.01)
    assert pooled < small < alone
    assert tiny == pooled
    assert found.strata[2].reason.startswith("pooled: 10 samples")
    assert found.posterior(4, 8, 0).mean() < found.posterior(4, 8, 1).mean()
    with pytest.raises(ValueError, match="stratum 3 has no prior"):
        found.posterior(4, 8, 3)


@settings(max_examples=3, deadline=None)
@given(st.lists(counts, min_size=MIN_SAMPLES, max_size=80), st.sampled_from([0.0, 0.25, 0.5]))
def test_any_counts_fit_within_bounds_and_always_alike(pairs: list[tuple[int, int]], chance: float) -> None:
    k, n = (np.array(column) for column in zip(*pairs, strict=True))
    found = fit_prior(k, n, chance=chance)
    assert 0.1 <= found.a <= 100
    assert 0.1 <= found.b <= 100
    assert fit_prior(k[::-1], n[::-1], chance=chance) == found


def test_resampled_priors_spread_as_fits_to_new_samples_do() -> None:
    rng = np.random.default_rng(4)

    def mean(prior: Prior) -> float:
        return float(prior.posterior(0, 0).mean())

    fits = [mean(fit_prior(rng.binomial(8, rng.beta(1, 2, 400)), np.full(400, 8))) for _ in range(8)]
    k = rng.binomial(8, rng.beta(1, 2, 400))
    again = resample_priors(k, 8, num_draws=8)
    assert np.std([mean(found.pooled) for found in again]) == pytest.approx(np.std(fits), rel=0.6)
    assert again[:2] == resample_priors(k, 8, num_draws=2)
