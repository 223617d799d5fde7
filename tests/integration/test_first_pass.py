"""The forecast that a finished stage is held against: a store with known pass rates, and runs drawn from them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pebr_data.config import CatalogConfig
from pebr_data.select.mixture import select
from pebr_data.types import Mixture
from pebr_train.first_pass import Span, check_forecast
from pebr_train.recipe import GrpoStage, RewardConfig
from pebr_train.rollouts import RolloutLog
from tests.drawn_store import SIGNAL, draw_store
from tests.probed_store import make_config

PROMPTS = 16
STAGE = GrpoStage(
    kind="grpo", name="reasoning", mixture="reasoning", learning_rate=1e-5, per_device_train_batch_size=8 * PROMPTS,
    rewards=(RewardConfig(name="accuracy", weight=1.0),),
)  # fmt: skip


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[CatalogConfig, Path, Mixture, dict[str, float]]:
    root = tmp_path_factory.mktemp("first_pass")
    truth = draw_store(root / "store")
    config = make_config(root, SIGNAL)
    (mixture,) = select(config, root / "store", names=["reasoning"])
    return config, root / "store", mixture, truth


def trained(
    path: Path,
    world: tuple[CatalogConfig, Path, Mixture, dict[str, float]],
    learnt: float,
    reward: str = "accuracy",
    seed: int = 5,
) -> tuple[Span, ...]:
    """A stage over two epochs whose policy solves a share `learnt` more of what it did not, from the second step on."""
    config, store, mixture, truth = world
    log, rng = RolloutLog(path), np.random.default_rng(seed)
    order = [*mixture.sample_ids, *mixture.sample_ids]
    for step in range(len(order) // PROMPTS):
        shown = order[step * PROMPTS : (step + 1) * PROMPTS]
        p = np.array([truth[one] for one in shown])
        p = p + (1 - p) * learnt * (step > 0)
        outcomes = rng.random((PROMPTS, 8)) < p[:, None]
        columns = {
            "step": [step] * (8 * PROMPTS),
            "prompt_index": np.repeat(np.arange(PROMPTS), 8).tolist(),
            "sample_id": np.repeat(shown, 8).tolist(),
            f"reward_{reward}": outcomes.ravel().astype(float).tolist(),
        }
        log.write(step, 0, columns)
    assert mixture.probe_id is not None
    return check_forecast(STAGE, config, store, mixture.probe_id, len(mixture.sample_ids), log)


def test_a_policy_that_stays_as_it_was_probed_shows_what_was_foreseen(
    world: tuple[CatalogConfig, Path, Mixture, dict[str, float]], tmp_path: Path
) -> None:
    first, whole = trained(tmp_path, world, learnt=0.0)
    assert (first.name, first.num_groups) == ("before any update", PROMPTS)
    # TRL leaves out the last batch of an epoch that is not full.
    assert (whole.name, whole.num_groups) == ("first pass", len(world[2].sample_ids) // PROMPTS * PROMPTS)
    spans = [span for seed in range(10) for span in trained(tmp_path / str(seed), world, learnt=0.0, seed=seed)]
    # Each is within with probability 0.95.
    assert sum(span.zero_variance.within for span in spans) >= 17
    assert sum(span.mean_reward.within for span in spans) >= 17
    assert all(span.zero_variance.low <= span.zero_variance.foreseen <= span.zero_variance.high for span in spans)


def test_a_policy_that_learns_leaves_the_forecast_after_its_first_updates(
    world: tuple[CatalogConfig, Path, Mixture, dict[str, float]], tmp_path: Path
) -> None:
    first, whole = trained(tmp_path, world, learnt=0.7)
    assert first.mean_reward.within
    assert first.zero_variance.within
    assert whole.mean_reward.seen > whole.mean_reward.high
    assert not whole.mean_reward.within
    assert not whole.zero_variance.within


def test_a_stage_that_logs_no_accuracy_is_not_checked(
    world: tuple[CatalogConfig, Path, Mixture, dict[str, float]], tmp_path: Path
) -> None:
    assert trained(tmp_path, world, learnt=0.0, reward="keyword") == ()
