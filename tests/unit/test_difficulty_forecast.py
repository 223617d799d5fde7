"""The forecast of the first pass, held against passes drawn from known pass rates."""

from __future__ import annotations

import numpy as np
import pytest

from pebr_data.difficulty.counts import BoolArray, IntArray
from pebr_data.difficulty.fit import fit_priors
from pebr_data.difficulty.forecast import forecast, forecast_chosen, forecast_fresh, split_counts
from pebr_data.difficulty.guessing import chance
from pebr_data.difficulty.populations import (
    NOT_NEEDED,
    POPULATIONS,
    Population,
    draw_outcomes,
    draw_population,
    true_diagnoses,
)
from pebr_data.difficulty.posterior import Posterior
from pebr_data.difficulty.prior import UNIFORM, Prior
from pebr_data.difficulty.signal import expected_signal
from pebr_data.difficulty.simulation import Probed, judge, probe
from pebr_data.difficulty.stopping import exact_stops
from pebr_data.types import Condition, ScaleRewards


def everything(k: IntArray, n: IntArray) -> BoolArray:
    return np.asarray(n >= 8)


def medium(seen: Probed) -> BoolArray:
    return (seen.num_correct > 0) & (seen.num_correct < seen.num_rollouts)


def strongest(known: Posterior, size: int) -> BoolArray:
    chosen = np.zeros(known.num_samples, dtype=np.bool_)
    chosen[np.argsort(-expected_signal(known, 8), kind="stable")[:size]] = True
    return chosen


def known_of(population: Population, seen: Probed) -> Posterior:
    guess = [float(chance(population.num_options[population.stratum == s][0])) for s in np.unique(population.stratum)]
    k, n, stratum = seen.num_correct, seen.num_rollouts, population.stratum
    return fit_priors(k, n, stratum, chances=guess).posterior(k, n, stratum)


@pytest.mark.parametrize("name", POPULATIONS)
@pytest.mark.parametrize("early", [False, True])
def test_the_zero_variance_share_comes_true_within_two_points_for_both_policies(name: str, early: bool) -> None:
    population = draw_population(name, 20_000)
    stops = (lambda k, n: exact_stops(k, n, 8)) if early else everything
    seen = probe(draw_outcomes(population, 8), stops, capacity=256)
    known = known_of(population, seen)
    paper = medium(seen)
    for chosen in (paper, strongest(known, int(paper.sum()) // 2)):
        foreseen = forecast(known.take(chosen), 8)
        assert abs(judge(population, seen, chosen, foreseen, 8).forecast_error) < 0.02


@pytest.mark.parametrize("scale", ["group", "none"])
def test_all_three_figures_come_true(scale: ScaleRewards) -> None:
    rng = np.random.default_rng(0)
    p = rng.beta(0.5, 1.0, 60_000)
    k = rng.binomial(8, p)
    chosen = (k > 0) & (k < 8)
    seen = forecast(Prior(a=0.5, b=1.0).posterior(k[chosen], 8), 6, scale)
    rewards = rng.random((chosen.sum(), 6)) < p[chosen][:, None]
    advantages = rewards - rewards.mean(axis=1, keepdims=True)
    deviation = rewards.std(axis=1, ddof=1, keepdims=True)
    if scale == "group":
        advantages = np.divide(advantages, deviation, out=np.zeros_like(advantages), where=deviation > 0)
    for figure, realised in (
        (seen.zero_variance, np.mean(deviation == 0)),
        (seen.mean_reward, rewards.mean()),
        (seen.squared_advantage, np.mean(advantages**2)),
    ):
        assert figure.low < figure.mean < figure.high
        assert figure.mean == pytest.approx(realised, abs=0.008)


def test_its_interval_holds_as_many_passes_as_it_says() -> None:
    rng = np.random.default_rng(1)
    k = rng.binomial(8, rng.random(200))
    known = UNIFORM.posterior(k, 8)
    figure = forecast(known, 8, level=0.9).zero_variance
    p = rng.beta(1 + k, 9 - k, size=(2_000, 200))
    correct = rng.binomial(8, p)
    realised = np.mean((correct == 0) | (correct == 8), axis=1)
    assert np.mean((realised >= figure.low) & (realised <= figure.high)) == pytest.approx(0.9, abs=0.04)


def test_where_the_prior_is_little_known_the_interval_is_wider() -> None:
    rng = np.random.default_rng(2)
    k = rng.binomial(4, rng.beta(1, 3, 400))
    n = np.full_like(k, 4)
    chosen = k > 0
    certain = forecast(fit_priors(k, n).posterior(k[chosen], 4), 8).zero_variance
    honest = forecast_chosen(k, n, chosen, 8).zero_variance
    assert honest.mean == pytest.approx(certain.mean)
    assert honest.high - honest.low > 1.2 * (certain.high - certain.low)


def test_raw_shares_of_the_chosen_suffer_the_winners_curse_and_both_forecasts_do_not() -> None:
    population = draw_population("u_shaped", 20_000)
    seen = probe(draw_outcomes(population, 8), everything, capacity=256)
    first_k, first_n, other_k, other_n = split_counts(seen.num_correct, seen.num_rollouts)
    half = Probed(first_k, first_n, 0)
    chosen = medium(half)
    share = first_k[chosen] / first_n[chosen]
    correct = np.random.default_rng(3).binomial(8, population.pass_rate[chosen])
    realised = np.mean((correct == 0) | (correct == 8))
    assert np.mean(share**8 + (1 - share) ** 8) < realised - 0.05
    fresh = forecast_fresh(other_k[chosen], other_n[chosen], 8).zero_variance
    assert fresh.low - 0.01 < realised < fresh.high + 0.01
    known = known_of(population, half).take(chosen)
    assert forecast(known, 8).zero_variance.mean == pytest.approx(realised, abs=0.02)


def test_halves_of_the_rollouts_add_up_and_are_dealt_fairly() -> None:
    k, n = np.array([0, 3, 8, 5, 1] * 4_000), np.array([8, 8, 8, 9, 1] * 4_000)
    first_k, first_n, other_k, other_n = split_counts(k, n)
    assert (first_k + other_k == k).all()
    assert (first_n + other_n == n).all()
    assert set(zip(n.tolist(), first_n.tolist(), strict=True)) == {(8, 4), (9, 4), (1, 0)}
    assert first_k[k == 3].mean() == pytest.approx(1.5, abs=0.05)
    assert ((first_k >= 0) & (first_k <= first_n) & (other_k <= other_n)).all()


def test_an_empty_set_cannot_be_forecast() -> None:
    with pytest.raises(ValueError, match="0 samples"):
        forecast(UNIFORM.posterior([], []), 8)
    with pytest.raises(ValueError, match="group size 1"):
        forecast(UNIFORM.posterior(1, 8), 1)


@pytest.mark.parametrize("name", POPULATIONS)
def test_signal_chooses_more_truly_informative_samples_than_the_paper_at_equal_size(name: str) -> None:
    population = draw_population(name, 20_000)
    seen = probe(draw_outcomes(population, 8), everything, capacity=256)
    known = known_of(population, seen)
    paper = np.random.default_rng(0).permutation(np.flatnonzero(medium(seen)))
    some = np.isin(np.arange(20_000), paper[: len(paper) // 2])
    best = strongest(known, len(paper) // 2)
    ours, theirs = (judge(population, seen, pick, forecast(known.take(pick), 8), 8) for pick in (best, some))
    assert ours.num_chosen == theirs.num_chosen
    assert ours.precision > theirs.precision + 0.015
    assert ours.recall > theirs.recall
    assert ours.signal > theirs.signal


def test_a_verdict_counts_what_it_says() -> None:
    p = np.array([0.5, 0.5, 0.0, 1.0])
    zeros = np.zeros(4, dtype=np.int64)
    population = Population(p, p, p, zeros, zeros, np.array([True, False, False, False]))
    seen = Probed(np.array([1, 1, 0, 2]), np.array([2, 2, 8, 2]), 1)
    chosen = np.array([True, False, True, False])
    verdict = judge(population, seen, chosen, forecast(UNIFORM.posterior([1, 0], [2, 8]), 8), 8)
    assert (verdict.num_chosen, verdict.num_rollouts) == (2, 14)
    assert (verdict.precision, verdict.recall, verdict.guessers) == (0.5, 0.5, 0.5)
    assert verdict.signal == pytest.approx((1 - 2 / 256) / 2)
    assert verdict.zero_variance >= 0.5
    foreseen = forecast(UNIFORM.posterior([1, 0], [2, 8]), 8)
    never = judge(population, seen, chosen, foreseen, 8, wanted=p == 0.0, others=[seen, seen])
    assert (never.precision, never.recall, never.num_rollouts) == (0.5, 1.0, 3 * 14)
    assert never.zero_variance == verdict.zero_variance


@pytest.mark.parametrize("name", POPULATIONS)
def test_populations_and_their_outcomes_are_what_they_say(name: str) -> None:
    population = draw_population(name, 5_000, seed=3)
    assert (population.pass_rate == draw_population(name, 5_000, seed=3).pass_rate).all()
    assert ((population.pass_rate >= 0) & (population.pass_rate <= 1)).all()
    assert (population.pass_rate[population.guesser] == chance(4)).all()
    outcomes = draw_outcomes(population, 16, seed=3)
    assert outcomes.shape == (5_000, 16)
    assert np.mean(outcomes.mean(axis=1) - population.pass_rate) == pytest.approx(0, abs=0.01)
    assert not outcomes[population.pass_rate == 0].any()
    assert outcomes[population.pass_rate == 1].all()


@pytest.mark.parametrize("name", POPULATIONS)
def test_pass_rates_under_every_condition_are_what_they_say(name: str) -> None:
    population = draw_population(name, 20_000)
    shown, blind, described = (population.under(one) for one in (Condition.IMAGE, Condition.BLIND, Condition.DESCRIBED))
    guess = chance(population.num_options)
    assert (described >= shown - 1e-9).all() and (described <= 1).all()  # a description spares the seeing
    assert (blind >= guess - 1e-9).all() and (blind <= shown + 1e-9).all()
    assert np.mean(blind > guess) < NOT_NEEDED + 0.01
    assert (described[blind > guess] == shown[blind > guess]).all()
    assert (described[population.guesser] == chance(4)).all()
    for condition in Condition:
        outcomes = draw_outcomes(population, 8, condition=condition)
        assert np.mean(outcomes) == pytest.approx(population.under(condition).mean(), abs=0.01)
    drawn = [draw_outcomes(population, 8, condition=one).tobytes() for one in Condition]
    assert len(set(drawn)) == len(Condition)


def test_true_diagnoses_are_the_rules_on_true_pass_rates() -> None:
    shown, described, blind, options, guesses, expected = zip(
        (0.4, 0.9, 0.0, 0, False, "perception-bound"),
        (0.4, 0.59, 0.0, 0, False, "hard"),  # not by the margin
        (0.1, 0.45, 0.0, 0, False, "reasoning-bound"),
        (0.45, 0.45, 0.45, 0, False, "reasoning-bound"),  # wrong even when described comes first
        (0.7, 0.7, 0.7, 0, False, "image-not-needed"),
        (0.7, 0.7, 0.4, 4, False, "hard"),  # blind it only guesses, or nearly so
        (0.25, 0.25, 0.25, 4, True, "guessable"),
        (0.0, 0.0, 0.0, 0, False, "suspected-gold"),
        strict=True,
    )
    zeros = np.zeros(len(shown), dtype=np.int64)
    rates = (np.array(rate) for rate in (shown, blind, described))
    population = Population(*rates, zeros, np.array(options), np.array(guesses))
    assert tuple(true_diagnoses(population)) == expected
