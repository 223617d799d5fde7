"""The forecast that a finished stage is held against: a store with known pass rates, and runs drawn from them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.special import expit, logit

from pebr_data.config import CatalogConfig
from pebr_data.select.mixture import select
from pebr_data.types import Mixture
from pebr_train.done import Done
from pebr_train.first_pass import FirstPass, Span, check_forecast, scale_rewards_of
from pebr_train.recipe import GrpoStage, RewardConfig
from pebr_train.rollouts import RolloutLog
from tests.drawn_store import SIGNAL, draw_store
from tests.probed_store import make_config

PROMPTS, TOKENS = 16, 5
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
    stage: GrpoStage = STAGE,
    shift: float = 0.0,
) -> tuple[Span, ...]:
    """A stage over two epochs whose policy has learnt from the second step on.

    It solves a share `learnt` of what it did not, which is more in log-odds the less it could; or `shift` in log-odds.
    """
    config, store, mixture, truth = world
    log, rng = RolloutLog(path), np.random.default_rng(seed)
    order = [*mixture.sample_ids, *mixture.sample_ids]
    for step in range(len(order) // PROMPTS):
        shown = order[step * PROMPTS : (step + 1) * PROMPTS]
        p = np.array([truth[one] for one in shown])
        p = expit(logit(p + (1 - p) * learnt * (step > 0)) + shift * (step > 0))
        outcomes = rng.random((PROMPTS, 8)) < p[:, None]
        columns = {
            "step": [step] * (8 * PROMPTS),
            "prompt_index": np.repeat(np.arange(PROMPTS), 8).tolist(),
            "sample_id": np.repeat(shown, 8).tolist(),
            "num_tokens": [TOKENS] * (8 * PROMPTS),
            f"reward_{reward}": outcomes.ravel().astype(float).tolist(),
        }
        log.write(step, 0, columns)
    assert mixture.probe_id is not None
    return check_forecast(stage, config, store, mixture.probe_id, len(mixture.sample_ids), log)


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
    assert whole.squared_advantage is not None
    assert not whole.squared_advantage.within
    assert whole.given_reward is not None
    assert whole.given_reward.shift_low > 0


@pytest.mark.parametrize(("asked", "scale"), [("group", "group"), (True, "group"), (False, "none"), ("none", "none")])
def test_the_squared_advantage_is_that_of_the_rewards_as_the_stage_scales_them(
    world: tuple[CatalogConfig, Path, Mixture, dict[str, float]], tmp_path: Path, asked: object, scale: str
) -> None:
    stage = STAGE.model_copy(update={"trl": {"scale_rewards": asked}})
    assert scale_rewards_of(stage) == scale
    _, whole = trained(tmp_path, world, learnt=0.0, stage=stage)
    figure = whole.squared_advantage
    assert figure is not None
    assert figure.low <= figure.foreseen <= figure.high <= (1 - 1 / 8 if scale == "group" else 1 / 4)
    logged = [pl.read_parquet(file) for file in sorted(tmp_path.glob("*.parquet"))]
    rewards = np.stack([one["reward_accuracy"].to_numpy().reshape(PROMPTS, 8) for one in logged])
    rewards = rewards[: whole.num_groups // PROMPTS].reshape(-1, 8)
    centred = rewards - rewards.mean(axis=1, keepdims=True)
    if scale == "group":
        centred /= rewards.std(axis=1, ddof=1, keepdims=True) + 1e-9
    assert figure.seen == pytest.approx(np.mean(centred**2))


def test_the_tokens_of_an_update_stand_beside_those_foreseen(
    world: tuple[CatalogConfig, Path, Mixture, dict[str, float]], tmp_path: Path
) -> None:
    stage = STAGE.model_copy(update={"gradient_accumulation_steps": 2})
    _, whole = trained(tmp_path, world, learnt=0.0, stage=stage)
    figure = whole.tokens_per_update
    assert figure is not None
    assert figure.seen == TOKENS * 2 * 8 * PROMPTS
    assert figure.low <= figure.foreseen <= figure.high


def test_the_share_given_the_mean_rewards_follows_a_policy_that_learns(
    world: tuple[CatalogConfig, Path, Mixture, dict[str, float]], tmp_path: Path
) -> None:
    first, whole = trained(tmp_path, world, learnt=0.0, shift=1.5)
    assert first.given_reward is not None
    assert whole.given_reward is not None
    assert (first.given_reward.num_blocks, whole.given_reward.num_blocks) == (1, whole.num_groups // PROMPTS)
    assert not whole.zero_variance.within
    assert whole.given_reward.zero_variance.within
    assert whole.given_reward.zero_variance.seen == whole.zero_variance.seen
    assert whole.verdict.endswith("of one that has learnt all samples alike since")
    assert first.verdict == "as foreseen of the policy that was probed"


def test_the_share_given_the_mean_rewards_flags_a_policy_that_learns_some_samples_more(
    world: tuple[CatalogConfig, Path, Mixture, dict[str, float]], tmp_path: Path
) -> None:
    _, whole = trained(tmp_path, world, learnt=0.7)
    assert whole.given_reward is not None
    assert whole.given_reward.shift_low > 0
    assert not whole.given_reward.zero_variance.within
    assert "not even of a policy that has learnt all samples alike since" in whole.verdict


def test_a_record_of_an_earlier_version_still_loads() -> None:
    figure = {"foreseen": 0.1, "low": 0.0, "high": 0.2, "seen": 0.1, "within": True}
    span = {"name": "first pass", "num_groups": 9, "zero_variance": figure, "mean_reward": figure}
    told = {"probed": "base", "started_from": "base", "spans": [span]}
    assert FirstPass.model_validate(told).spans[0].verdict == ""
    loaded = FirstPass.model_validate(told)
    assert (loaded.scale_rewards, loaded.spans[0].given_reward) == (None, None)
    record = {
        "stage": "reasoning", "identity": {}, "identity_digest": "", "optimizer_steps": 1, "num_samples": 9,
        "seconds": 1.0, "mixture_id": "", "probe_id": "", "files": {}, "first_pass": told,
    }  # fmt: skip
    done = Done.model_validate(record)
    assert Done.model_validate_json(done.model_dump_json()) == done


def test_a_stage_that_logs_no_accuracy_is_not_checked(
    world: tuple[CatalogConfig, Path, Mixture, dict[str, float]], tmp_path: Path
) -> None:
    assert trained(tmp_path, world, learnt=0.0, reward="keyword") == ()
