"""The forecast that a finished stage is held against: a store with known pass rates, and runs drawn from them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.special import expit, logit

from pebr_data.select.mixture import select
from pebr_data.types import Mixture
from pebr_train.believed import Believed, believe
from pebr_train.done import Done
from pebr_train.first_pass import FirstPass, Span, check_forecast
from pebr_train.pace import Pace, foresee_first_pass, learn_drift, training_before
from pebr_train.recipe import GrpoStage, Recipe, RewardConfig
from pebr_train.rollouts import RolloutLog
from tests.drawn_store import SIGNAL, draw_store
from tests.probed_store import make_config

PROMPTS, TOKENS = 16, 5
STAGE = GrpoStage(
    kind="grpo", name="reasoning", mixture="reasoning", learning_rate=1e-5, per_device_train_batch_size=8 * PROMPTS,
    rewards=(RewardConfig(name="accuracy", weight=1.0),),
)  # fmt: skip


@dataclass(frozen=True)
class World:
    """A mixture that was chosen by a probe of samples with known pass rates."""

    mixture: Mixture
    truth: dict[str, float]
    believed: Believed


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    root = tmp_path_factory.mktemp("first_pass")
    truth = draw_store(root / "store")
    config = make_config(root, SIGNAL)
    (mixture,) = select(config, root / "store", names=["reasoning"])
    assert mixture.probe_id is not None
    return World(mixture, truth, believe(STAGE, config, root / "store", mixture.probe_id))


def trained(
    path: Path,
    world: World,
    learnt: float,
    reward: str = "accuracy",
    seed: int = 5,
    stage: GrpoStage = STAGE,
    shift: float = 0.0,
    an_update: float = 0.0,
    updates_before: int = 0,
    pace: Pace | None = None,
) -> tuple[Span, ...]:
    """A stage over two epochs whose policy has learnt from the second step on.

    It solves a share `learnt` of what it did not, which is more in log-odds the less it could; or `shift` in log-odds,
    or so much for each update, those before the stage included.
    """
    mixture, truth = world.mixture, world.truth
    log, rng = RolloutLog(path), np.random.default_rng(seed)
    order = [*mixture.sample_ids, *mixture.sample_ids]
    for step in range(len(order) // PROMPTS):
        shown = order[step * PROMPTS : (step + 1) * PROMPTS]
        p = np.array([truth[one] for one in shown])
        p = expit(logit(p + (1 - p) * learnt * (step > 0)) + shift * (step > 0) + an_update * (updates_before + step))
        outcomes = rng.random((PROMPTS, 8)) < p[:, None]
        columns = {
            "step": [step] * (8 * PROMPTS),
            "prompt_index": np.repeat(np.arange(PROMPTS), 8).tolist(),
            "sample_id": np.repeat(shown, 8).tolist(),
            "num_tokens": [TOKENS] * (8 * PROMPTS),
            f"reward_{reward}": outcomes.ravel().astype(float).tolist(),
        }
        log.write(step, 0, columns)
    return check_forecast(stage, world.believed, len(mixture.sample_ids), log, pace=pace)


def test_a_policy_that_stays_as_it_was_probed_shows_what_was_foreseen(world: World, tmp_path: Path) -> None:
    first, whole = trained(tmp_path, world, learnt=0.0)
    assert (first.name, first.num_groups) == ("before any update", PROMPTS)
    # TRL leaves out the last batch of an epoch that is not full.
    assert (whole.name, whole.num_groups) == ("first pass", len(world.mixture.sample_ids) // PROMPTS * PROMPTS)
    spans = [span for seed in range(10) for span in trained(tmp_path / str(seed), world, learnt=0.0, seed=seed)]
    # Each is within with probability 0.95.
    assert sum(span.zero_variance.within for span in spans) >= 17
    assert sum(span.mean_reward.within for span in spans) >= 17
    assert all(span.zero_variance.low <= span.zero_variance.foreseen <= span.zero_variance.high for span in spans)


def test_a_policy_that_learns_leaves_the_forecast_after_its_first_updates(world: World, tmp_path: Path) -> None:
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
    world: World, tmp_path: Path, asked: object, scale: str
) -> None:
    stage = STAGE.model_copy(update={"trl": {"scale_rewards": asked}})
    assert stage.scale_rewards == scale
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


def test_the_tokens_of_an_update_stand_beside_those_foreseen(world: World, tmp_path: Path) -> None:
    stage = STAGE.model_copy(update={"gradient_accumulation_steps": 2})
    _, whole = trained(tmp_path, world, learnt=0.0, stage=stage)
    figure = whole.tokens_per_update
    assert figure is not None
    assert figure.seen == TOKENS * 2 * 8 * PROMPTS
    assert figure.low <= figure.foreseen <= figure.high


def test_the_share_given_the_mean_rewards_follows_a_policy_that_learns(world: World, tmp_path: Path) -> None:
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
    world: World, tmp_path: Path
) -> None:
    _, whole = trained(tmp_path, world, learnt=0.7)
    assert whole.given_reward is not None
    assert whole.given_reward.shift_low > 0
    assert not whole.given_reward.zero_variance.within
    assert "not even of a policy that has learnt all samples alike since" in whole.verdict


def test_the_pace_of_one_stage_foresees_the_next(world: World, tmp_path: Path) -> None:
    """Both by one probe: the second begins with what the first has taught, and goes on with half the learning rate."""
    an_update = 0.12
    trained(tmp_path / "one", world, learnt=0.0, an_update=an_update)
    drift = learn_drift(STAGE, world.believed, RolloutLog(tmp_path / "one"), before=0.0)
    assert drift is not None
    shift, _ = drift.expected()
    assert shift.low * STAGE.learning_rate < an_update < shift.high * STAGE.learning_rate
    num_steps = 2 * len(world.mixture.sample_ids) // PROMPTS
    pace = Pace("one", drift, before=num_steps * STAGE.learning_rate, per_step=STAGE.learning_rate / 2)
    stage = STAGE.model_copy(update={"learning_rate": STAGE.learning_rate / 2})

    ids = pl.Series("sample_id", world.mixture.sample_ids)
    told = foresee_first_pass(stage, world.believed, ids, pace, num_processes=1)
    spans = trained(
        tmp_path / "two", world, learnt=0.0, an_update=an_update / 2, updates_before=2 * num_steps, stage=stage, seed=6,
        pace=pace,
    )  # fmt: skip

    whole = spans[1]
    assert told is not None
    assert whole.trained is not None and whole.trained.learnt_from == "one"
    assert whole.trained.zero_variance.foreseen == pytest.approx(told.zero_variance.mean, abs=0.01)
    assert whole.trained.zero_variance.within
    assert whole.trained.mean_reward.within
    assert not whole.zero_variance.within
    assert not whole.mean_reward.within
    assert whole.verdict.endswith("of one that goes on changing as in the stage one")


def test_a_stage_that_shows_nothing_after_its_first_step_has_no_pace(world: World, tmp_path: Path) -> None:
    assert learn_drift(STAGE, world.believed, RolloutLog(tmp_path), before=0.0) is None
    trained(tmp_path, world, learnt=0.0)
    RolloutLog(tmp_path).forget_from(1)
    assert learn_drift(STAGE, world.believed, RolloutLog(tmp_path), before=0.0) is None


@pytest.mark.parametrize(
    ("probe", "expected"),
    [("base", None), ("warmup", 30 * 2e-5 + 10 * 1e-5), ("perception", 10 * 1e-5), ("counting", 0.0)],
)
def test_training_since_the_probe_is_steps_times_learning_rates(probe: str, expected: float | None) -> None:
    rewards = [{"name": "accuracy", "weight": 1.0}]
    sft = {"kind": "sft", "mixture": "m", "per_device_train_batch_size": 8}
    grpo = {**sft, "kind": "grpo", "rewards": rewards}
    recipe = Recipe.model_validate(
        {
            "name": "r", "model": "pebr-tiny", "catalog": "c.yaml",
            "stages": [
                {**sft, "name": "warmup", "learning_rate": 1.0},
                {**grpo, "name": "perception", "learning_rate": 2e-5},
                {**grpo, "name": "counting", "learning_rate": 1e-5},
                {**grpo, "name": "reasoning", "learning_rate": 1e-5, "probe": probe},
            ],
        },
        strict=False,
    )  # fmt: skip
    last = recipe.stages[-1]
    assert isinstance(last, GrpoStage)
    found = training_before(recipe, last, {"warmup": 20, "perception": 30, "counting": 10}.__getitem__)
    assert found == (None if expected is None else pytest.approx(expected))


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


def test_a_stage_that_logs_no_accuracy_is_not_checked(world: World, tmp_path: Path) -> None:
    assert trained(tmp_path, world, learnt=0.0, reward="keyword") == ()
