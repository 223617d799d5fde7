"""The forecast given the mean reward, held against passes of policies whose learning is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from scipy.special import expit, logit

from pebr_data.difficulty import conditional
from pebr_data.difficulty.conditional import GivenReward, blocks_of, forecast_given_reward
from pebr_data.difficulty.counts import BoolArray, FloatArray, IntArray
from pebr_data.difficulty.forecast import Forecast, forecast
from pebr_data.difficulty.prior import UNIFORM, Prior

G = 8
GROUPS = 320
BATCH = np.arange(GROUPS) // 16
WHOLE = np.zeros(GROUPS, dtype=np.int64)
REPETITIONS = 24


@pytest.fixture(autouse=True)
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Enough for the interval of one pass among many."""
    monkeypatch.setattr(conditional, "NUM_DRAWS", (200, 200))
    monkeypatch.setattr("pebr_data.difficulty.forecast.NUM_DRAWS", 400)


@dataclass(frozen=True)
class Told:
    """A pass, its zero-variance share, and both forecasts of it."""

    seen: float
    free: Forecast
    given: GivenReward

    @property
    def is_free_within(self) -> bool:
        return self.free.zero_variance.low <= self.seen <= self.free.zero_variance.high

    @property
    def is_given_within(self) -> bool:
        return self.given.zero_variance.low <= self.seen <= self.given.zero_variance.high


def medium(rng: np.random.Generator) -> tuple[FloatArray, IntArray]:
    """Pass rates and probe counts (8 each) of samples that the probe found medium, from a uniform population."""
    p = rng.random(2 * GROUPS)
    k = rng.binomial(8, p)
    chosen = np.flatnonzero((k > 0) & (k < 8))[:GROUPS]
    return p[chosen], k[chosen]


def pass_of(
    shift: Callable[[FloatArray, np.random.Generator], FloatArray],
    seed: int,
    block: IntArray = BATCH,
    prior: Prior = UNIFORM,
) -> Told:
    """One pass of a policy whose log-odds are what they were when it was probed, and what `shift` gives for them."""
    rng = np.random.default_rng(seed)
    p, k = medium(rng)
    correct = rng.binomial(G, expit(logit(p) + shift(p, rng)))
    known = prior.posterior(k, 8)
    total = np.bincount(block, weights=correct).astype(np.int64)
    given = forecast_given_reward(known, block, total, G, seed=seed)
    return Told(float(np.mean((correct == 0) | (correct == G))), forecast(known, G), given)


def shares(told: list[Told]) -> tuple[float, float]:
    """How often the free and the conditional interval hold what was seen."""
    return float(np.mean([one.is_free_within for one in told])), float(np.mean([one.is_given_within for one in told]))


@pytest.mark.parametrize("block", [WHOLE, BATCH], ids=["pass", "batch"])
def test_a_policy_that_learnt_leaves_the_forecast_and_not_the_conditional_one(block: IntArray) -> None:
    told = [pass_of(lambda p, _: np.full_like(p, 1.2), seed, block) for seed in range(REPETITIONS)]
    free, given = shares(told)
    assert free < 0.2
    assert given >= 0.86
    assert np.mean([one.seen - one.given.zero_variance.mean for one in told]) == pytest.approx(0, abs=0.01)
    assert np.mean([one.given.shift.low <= 1.2 <= one.given.shift.high for one in told]) >= 0.85


def test_a_policy_that_learns_ever_more_is_followed_batch_by_batch() -> None:
    ever_more = np.linspace(-2.0, 3.0, GROUPS)
    told = {
        name: [pass_of(lambda p, _: ever_more, seed, block) for seed in range(REPETITIONS)]
        for name, block in (("pass", WHOLE), ("batch", BATCH))
    }
    assert shares(told["batch"])[1] >= 0.86
    assert shares(told["pass"])[1] < 0.5
    assert shares(told["batch"])[0] < 0.2


def test_a_policy_that_learnt_nothing_is_within_both() -> None:
    free, given = shares([pass_of(lambda p, _: np.zeros_like(p), seed) for seed in range(REPETITIONS)])
    assert min(free, given) >= 0.86


@pytest.mark.parametrize("learnt", [0.0, 1.0])
def test_pass_rates_that_were_misjudged_are_flagged_whatever_was_learnt(learnt: float) -> None:
    def misjudged(p: FloatArray, rng: np.random.Generator) -> FloatArray:
        return learnt + rng.choice([-1.8, 1.8], len(p))

    assert shares([pass_of(misjudged, seed) for seed in range(REPETITIONS)])[1] < 0.2


def test_a_prior_that_is_too_sure_is_flagged_though_the_mean_reward_is_right() -> None:
    too_sure = Prior(a=40.0, b=40.0)
    told = [pass_of(lambda p, _: np.zeros_like(p), seed, prior=too_sure) for seed in range(REPETITIONS)]
    assert shares(told)[1] < 0.2
    assert all(one.seen > one.given.zero_variance.high for one in told if not one.is_given_within)


def test_samples_of_two_skills_that_are_learnt_unequally_are_foreseen_by_skill_alone() -> None:
    skill = np.arange(GROUPS) % 2
    told = {
        name: [pass_of(lambda p, _: 2.5 * skill - 0.5, seed, block) for seed in range(REPETITIONS)]
        for name, block in (("batch", BATCH), ("skill", skill), ("other", np.arange(GROUPS) // 2 % 2))
    }
    assert shares(told["skill"])[1] >= 0.86
    # It is the skill that explains it, not that there are two blocks.
    assert shares(told["batch"])[1] < 0.5
    assert shares(told["other"])[1] < 0.5


def test_it_is_the_conditional_distribution_of_the_rasch_model() -> None:
    rng = np.random.default_rng(3)
    p = np.repeat([0.15, 0.4, 0.6, 0.9], 6)
    certain = Prior(a=1.0, b=1.0).posterior(np.rint(1e7 * p).astype(np.int64), 10_000_000)
    foreseen = forecast_given_reward(certain, np.zeros(24, dtype=np.int64), [60], 4)
    # Any delta gives the same conditional distribution; rejection samples it under one that makes 60 of 96 likely.
    correct = rng.binomial(4, expit(logit(p) + 0.5), size=(200_000, 24))
    kept = correct[correct.sum(axis=1) == 60]
    truth = np.mean((kept == 0) | (kept == 4), axis=1)
    assert len(kept) > 10_000
    assert foreseen.zero_variance.mean == pytest.approx(truth.mean(), abs=0.008)
    assert foreseen.zero_variance.low == pytest.approx(np.quantile(truth, 0.025), abs=1.01 / 24)
    assert foreseen.zero_variance.high == pytest.approx(np.quantile(truth, 0.975), abs=1.01 / 24)


def test_spikes_stay_where_they_are() -> None:
    known = Prior(a=2.0, b=2.0, zero=0.6, one=0.2).posterior([0] * 200, 1)
    never = known.never().mean()
    for share in (0.02, 0.06):
        told = forecast_given_reward(known, np.zeros(200, dtype=np.int64), [int(share * 200 * G)], G)
        assert never < told.zero_variance.mean < 1.0
    every = Prior(a=2.0, b=2.0, zero=1.0 - 1e-9).posterior([0] * 20, 8)
    assert forecast_given_reward(every, np.zeros(20, dtype=np.int64), [0], G).zero_variance.mean == 1.0


@pytest.mark.parametrize(("num_correct", "alike"), [([0, 0], 1.0), ([16 * G, 16 * G], 1.0), ([16 * G, 0], 1.0)])
def test_blocks_that_are_all_right_or_all_wrong_say_so(num_correct: list[int], alike: float) -> None:
    known = UNIFORM.posterior([4] * 32, 8)
    told = forecast_given_reward(known, np.arange(32) // 16, num_correct, G)
    assert (told.num_blocks, told.zero_variance.mean, told.zero_variance.low) == (2, alike, alike)
    assert np.isfinite([told.shift.low, told.shift.mean, told.shift.high]).all()


def test_the_same_seed_gives_the_same_figures_and_plausible_priors_widen_them() -> None:
    rng = np.random.default_rng(5)
    _, k = medium(rng)
    known = UNIFORM.posterior(k, 8)
    once, again = (forecast_given_reward(known, WHOLE, [1_400], G, seed=7) for _ in range(2))
    assert once == again
    others = [Prior(a=a, b=a).posterior(k, 8) for a in (0.4, 4.0)]
    wide = forecast_given_reward(known, WHOLE, [1_400], G, alternatives=others)
    assert wide.zero_variance.high - wide.zero_variance.low > once.zero_variance.high - once.zero_variance.low


@pytest.mark.parametrize(
    ("block", "num_correct", "match"),
    [
        ([0, 0, 1], [3], "blocks of"),
        ([0, 0, 0], [25], "blocks of"),
        ([0, 0, 0], [-1], "blocks of"),
        ([0, 0], [3], "cannot be forecast"),
    ],
)
def test_what_cannot_have_been_seen_is_refused(block: list[int], num_correct: list[int], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        forecast_given_reward(UNIFORM.posterior([1, 2, 3], 8), block, num_correct, G)


@pytest.mark.parametrize(
    ("sizes", "blocks"),
    [
        ([16, 16, 16], [0, 1, 2]),
        ([8, 8, 8, 8], [0, 0, 1, 1]),
        ([8, 8, 8], [0, 0, 0]),
        ([3], [0]),
        ([40, 2], [0, 0]),
        ([2, 40], [0, 0]),
    ],
)
def test_blocks_are_of_neighbours_and_large_enough(sizes: list[int], blocks: list[int]) -> None:
    label = np.repeat(np.arange(len(sizes)) * 4, sizes)
    order = np.random.default_rng(0).permutation(len(label))
    found = blocks_of(label[order])
    assert (found == np.repeat(blocks, sizes)[order]).all()


def test_draws_of_pass_rates_have_the_moments_of_the_posterior() -> None:
    rng = np.random.default_rng(0)
    prior = Prior(a=1.5, b=1.0, zero=0.2, guess=0.2, one=0.1, chance=0.25)
    known = prior.posterior(np.repeat([0, 3, 8], 1), [8, 8, 8])
    drawn = np.stack([known.draw(rng) for _ in range(20_000)])
    assert drawn.mean(axis=0) == pytest.approx(known.mean(), abs=0.01)
    assert (drawn * (1 - drawn)).mean(axis=0) == pytest.approx(known.moment(1, 1), abs=0.005)

    def share(which: BoolArray) -> FloatArray:
        return np.asarray(which.mean(axis=0), dtype=np.float64)

    assert share(drawn == 0) == pytest.approx(known.never(), abs=0.01)
    assert share(drawn == 0.25) == pytest.approx(known.guessed(), abs=0.01)
    assert share(drawn == 1) == pytest.approx(known.always(), abs=0.01)
