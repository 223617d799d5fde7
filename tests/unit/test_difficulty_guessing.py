"""What looks like signal and is not: guesses, and the scorer's own noise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pebr_data.difficulty.fit import fit_prior
from pebr_data.difficulty.guessing import above_chance, chance, guess_floor, image_helps
from pebr_data.difficulty.prior import UNIFORM, Prior
from pebr_data.difficulty.spread import spread, spread_signal

lightly = settings(max_examples=25, deadline=None)
counts = st.integers(0, 16).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
SPIKED = Prior(a=0.6, b=1.5, zero=0.2, one=0.1, guess=0.2, chance=0.25)


def test_chance_is_one_among_the_options_and_nothing_for_an_open_question() -> None:
    assert chance([0, 1, 2, 4]).tolist() == [0, 1, 0.5, 0.25]
    with pytest.raises(ValueError, match="negative"):
        chance(-1)


def test_the_guess_floor_is_the_better_of_chance_and_the_blind_policy() -> None:
    blind = UNIFORM.posterior([8, 0, 8], 8)
    assert guess_floor([4, 4, 0], blind) == pytest.approx([0.9, 0.25, 0.9])
    assert guess_floor(4) == 0.25


def test_guessers_are_told_from_solvers_as_often_as_is_said() -> None:
    rng = np.random.default_rng(3)
    guesser = rng.random(200_000) < 0.3
    k = rng.binomial(8, np.where(guesser, 0.25, rng.beta(3.0, 1.5, guesser.shape)))
    guessed = fit_prior(k, np.full_like(k, 8), chance=0.25).posterior(np.arange(9), 8).guessed()
    for j in range(9):
        here = guesser[k == j]
        assert here.mean() == pytest.approx(guessed[j], abs=0.01 + 2 / np.sqrt(here.size))
    assert guessed[1] > 0.7 > 0.02 > guessed[7]


def test_above_chance_is_the_share_of_samples_that_are() -> None:
    rng = np.random.default_rng(0)
    p = rng.random(200_000)
    k = rng.binomial(8, p)
    for j in range(9):
        assert np.mean(p[k == j] > 0.25) == pytest.approx(above_chance(UNIFORM.posterior(j, 8), 4), abs=0.01)


@lightly
@given(counts, counts, st.sampled_from([UNIFORM, SPIKED]), st.sampled_from([0, 2, 4]))
def test_that_the_image_helps_is_a_probability_and_grows_with_its_correct_rollouts(
    shown: tuple[int, int], blind: tuple[int, int], prior: Prior, options: int
) -> None:
    k, n = shown
    said = image_helps(prior.posterior([k, k + 1], n + 1), prior.posterior([blind[0]] * 2, blind[1]), options)
    assert (said >= 0).all()
    assert (said <= 1).all()
    assert said[0] <= said[1] + 1e-3


@lightly
@given(counts, counts)
def test_one_of_the_two_is_better_when_ties_cannot_be(shown: tuple[int, int], blind: tuple[int, int]) -> None:
    first, second = UNIFORM.posterior(*shown), UNIFORM.posterior(*blind)
    assert image_helps(first, second) + image_helps(second, first) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize(
    "prior",
    [UNIFORM, SPIKED, Prior(a=0.1, b=0.1), Prior(a=5, b=0.2), Prior(a=1, b=2, guess=0.3, chance=0.25, floor=0.25)],
)
@pytest.mark.parametrize("options", [0, 4])
def test_that_the_image_helps_is_the_share_of_drawn_pairs_in_which_it_does(prior: Prior, options: int) -> None:
    rng = np.random.default_rng(1)

    def draw(k: int, n: int) -> np.ndarray:
        known = prior.posterior([k], n)
        part = rng.choice(3 + known.a.shape[1], size=50_000, p=[*known.spikes[0], *known.weights[0]])
        q = rng.beta(known.a[0][np.maximum(part - 3, 0)], known.b[0])
        return np.choose(np.minimum(part, 3), [0.0, prior.chance, 1.0, prior.floor + (1 - prior.floor) * q])

    for shown, blind in (((4, 8), (1, 8)), ((8, 8), (8, 8)), ((0, 8), (2, 8)), ((0, 0), (0, 0))):
        x, y = draw(*shown), draw(*blind)
        said = image_helps(prior.posterior(*shown), prior.posterior(*blind), options)
        assert np.mean((x > y) & (x > chance(options))) == pytest.approx(said, abs=0.01)


def test_pairs_of_different_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="2 samples with the image, 3 without"):
        image_helps(UNIFORM.posterior([1, 2], 8), UNIFORM.posterior([1, 2, 3], 8))


def scores(between: float, noise: float, shape: tuple[int, int, int], seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    num_samples, num_rollouts, _ = shape
    level = rng.normal(size=(num_samples, 1, 1)) + between * rng.normal(size=(num_samples, num_rollouts, 1))
    return level + noise * rng.normal(size=shape)


@pytest.mark.parametrize("between", [0.0, 0.5, 2.0])
def test_variance_components_are_unbiased_and_their_interval_covers(between: float) -> None:
    found = spread(scores(between, 1.0, (4_000, 8, 3)))
    assert found.noise == pytest.approx(1, rel=0.02)
    assert found.between.mean() == pytest.approx(between**2, abs=0.02 + 0.03 * between**2)
    truth = between**2 / (1 + between**2)
    assert np.mean((found.low <= truth) & (truth <= found.high)) == pytest.approx(0.95 if truth else 0.975, abs=0.015)


def test_a_spread_of_noise_alone_is_no_signal_and_one_without_noise_is_all_signal() -> None:
    noise = spread(scores(0.0, 1.0, (500, 8, 4)))
    assert spread_signal(noise, 8).mean() < 0.15
    sharp = spread(scores(1.0, 0.0, (500, 8, 2)))
    assert sharp.noise == pytest.approx(0, abs=1e-25)
    assert spread_signal(sharp, 8) == pytest.approx(np.ones(500))
    assert spread_signal(sharp, 8, "none").mean() == pytest.approx(7 / 8, rel=0.05)
    constant = spread(np.ones((3, 4, 2)))
    assert spread_signal(constant, 8).tolist() == [0, 0, 0]
    assert spread_signal(sharp, 1).tolist() == spread_signal(sharp, 1, "none").tolist() == [0] * 500


@lightly
@given(st.floats(0, 3), st.floats(0, 3), st.integers(0, 99))
def test_reliability_is_a_share_within_its_interval(between: float, noise: float, seed: int) -> None:
    found = spread(scores(between, noise, (3, 4, 2), seed))
    for value in (found.reliability, found.low, found.high):
        assert ((value >= 0) & (value <= 1)).all()
    assert (found.low <= found.reliability).all()
    assert ((found.reliability <= found.high) | (found.between < 0)).all()


@pytest.mark.parametrize("wrong", [np.ones((2, 8)), np.ones((2, 8, 1)), np.ones((2, 1, 3)), np.full((2, 8, 2), np.nan)])
def test_scores_that_say_nothing_of_noise_are_refused(wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match="must be finite"):
        spread(wrong)
