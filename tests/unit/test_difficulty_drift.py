"""Drift learnt from stages whose learning is known, and the forecasts of later stages that it gives."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np
import pytest

from pebr_data.difficulty import drift as module
from pebr_data.difficulty.drift import Drift, fit_drift, forecast_trained
from pebr_data.difficulty.forecast import forecast
from pebr_data.difficulty.prior import UNIFORM
from tests.drifting import UPDATES, G, Policy, Two, holds, medium, two_stages

REPETITIONS = 12
ENOUGH = 9
"""Of as many: each interval holds with probability 0.95, and a little less with as few draws as here."""
STILL, ALIKE, BOTH, APART = Policy(0.0, 0.0), Policy(0.8, 0.0), Policy(0.5, 0.8), Policy(-0.3, 1.2)


@pytest.fixture(scope="module", autouse=True)
def few_draws() -> Iterator[None]:
    """Enough for the intervals of one stage among many."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "PARTICLES", (48, 48))
        patch.setattr(module, "GRIDS", ((13, 7), (13, 7)))
        patch.setattr(module, "NUM_DRAWS", 300)
        patch.setattr("pebr_data.difficulty.forecast.NUM_DRAWS", 300)
        yield


@cache
def repeated(policy: Policy) -> list[Two]:
    return [two_stages(policy, seed) for seed in range(REPETITIONS)]


@pytest.mark.parametrize("policy", [STILL, ALIKE, BOTH, APART], ids=str)
def test_what_one_stage_teaches_foresees_the_next(policy: Policy) -> None:
    found = repeated(policy)
    assert sum(holds(one.trained.zero_variance, one.zero_variance) for one in found) >= ENOUGH
    assert sum(holds(one.trained.mean_reward, one.mean_reward) for one in found) >= ENOUGH
    assert abs(np.mean([one.trained.zero_variance.mean - one.zero_variance for one in found])) < 0.03


@pytest.mark.parametrize("policy", [ALIKE, APART], ids=str)
def test_the_forecast_of_the_probed_policy_misses_one_that_is_trained(policy: Policy) -> None:
    assert sum(holds(one.plain.zero_variance, one.zero_variance) for one in repeated(policy)) <= 2


@pytest.mark.parametrize("policy", [STILL, ALIKE, BOTH, APART], ids=str)
def test_what_is_believed_is_near_the_truth(policy: Policy) -> None:
    """In log-odds over all updates; with as few draws as here the intervals are a little narrow."""
    shifts, spreads = zip(*(one.drift.expected() for one in repeated(policy)), strict=True)
    assert sum(holds(shift, policy.alike / UPDATES) for shift in shifts) >= ENOUGH
    assert abs(np.mean([shift.mean for shift in shifts]) * UPDATES - policy.alike) < 0.15
    # A spread cannot be believed to be under none.
    assert abs(np.mean([spread.mean for spread in spreads]) * UPDATES**0.5 - policy.apart) < 0.3


def test_a_policy_that_does_not_change_is_foreseen_as_it_was_probed() -> None:
    differences = [one.trained.zero_variance.mean - one.plain.zero_variance.mean for one in repeated(STILL)]
    # That it does not change is not certain, and any change makes some pass rates more extreme.
    assert 0 <= np.mean(differences) < 0.05


def test_without_training_both_forecasts_are_one() -> None:
    known = medium(200, np.random.default_rng(3))[1]
    drift = Drift(np.array([0.1]), np.array([0.3]), np.array([[1.0]]))
    trained, plain = forecast_trained(known, np.zeros(200), G, drift), forecast(known, G)
    assert trained.zero_variance.mean == pytest.approx(plain.zero_variance.mean, abs=0.01)
    assert trained.squared_advantage.high == pytest.approx(plain.squared_advantage.high, abs=0.02)


def test_the_same_seed_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_GROUPS", 200)  # 384 are drawn from
    one, two = (two_stages(Policy(0.5, 0.5), 7) for _ in range(2))
    assert np.array_equal(one.drift.weight, two.drift.weight)
    assert one.trained == two.trained


IMPOSSIBLE: list[tuple[list[float], list[int], list[int] | None]] = [
    ([1.0, 2.0], [3], None),
    ([1.0, 2.0], [3, 9], None),
    ([0.0, 0.0], [3, 4], None),
    ([-1.0, 2.0], [3, 4], None),
    ([1.0, 2.0], [3, 4], [0]),
]


@pytest.mark.parametrize(("updates", "correct", "sample"), IMPOSSIBLE)
def test_groups_that_cannot_be_are_refused(updates: list[float], correct: list[int], sample: list[int] | None) -> None:
    known = UNIFORM.posterior([1, 2], 8)
    with pytest.raises(ValueError, match=r"groups|any training"):
        fit_drift(known, updates, correct, G, sample=sample)
