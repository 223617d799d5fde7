from __future__ import annotations

from typing import Any

import pytest

from pebr_train.arithmetic import batch_plan, batch_problems, steps_per_generation_batch
from pebr_train.recipe import GrpoStage, SftStage


def grpo(**settings: Any) -> GrpoStage:
    values = {"kind": "grpo", "name": "s", "mixture": "m", "learning_rate": 1e-6, "per_device_train_batch_size": 16}
    return GrpoStage.model_validate({**values, "rewards": [{"name": "format", "weight": 1.0}], **settings})


def sft(**settings: Any) -> SftStage:
    values = {"kind": "sft", "name": "s", "mixture": "m", "learning_rate": 1e-6, "per_device_train_batch_size": 16}
    return SftStage.model_validate({**values, **settings})


def test_the_papers_perception_stage_is_560_prompts_a_rollout_batch_and_112_an_update() -> None:
    stage = grpo(per_device_train_batch_size=14, gradient_accumulation_steps=8, generation_batch_size=4480)

    plan = batch_plan(stage, num_processes=8, num_samples=5600)

    assert (plan.prompts_per_update, plan.completions_per_update) == (112, 896)
    assert (plan.prompts_per_generation, plan.completions_per_generation) == (560, 4480)
    assert (plan.updates, plan.optimizer_steps, plan.epochs) == (50, 50, 1.0)
    assert not list(batch_problems(stage.model_copy(update={"save_steps": 10}), 8))


def test_the_last_partial_generation_batch_of_an_epoch_is_dropped_as_trl_does() -> None:
    assert batch_plan(grpo(num_train_epochs=2.0), 1, num_samples=11).updates == 2 * 5


def test_sft_keeps_the_last_partial_batch() -> None:
    assert batch_plan(sft(num_train_epochs=2.0), 1, num_samples=33).updates == 2 * 3


def test_max_steps_wins_and_needs_no_mixture() -> None:
    assert batch_plan(grpo(max_steps=7), 1, num_samples=None).optimizer_steps == 7
    assert batch_plan(grpo(), 1, num_samples=None).optimizer_steps is None


def test_each_update_is_taken_num_iterations_times() -> None:
    stage = grpo(num_iterations=2, generation_batch_size=64)

    plan = batch_plan(stage, 1, num_samples=32)

    assert steps_per_generation_batch(stage, 1) == 8
    assert (plan.updates, plan.optimizer_steps) == (16, 32)


@pytest.mark.parametrize("num_samples", [16, 19, 40])
def test_steps_agree_with_trls_own_sampler(num_samples: int) -> None:
    pytest.importorskip("trl")
    from trl.trainer.utils import RepeatSampler

    stage = grpo(generation_batch_size=64, num_iterations=2)
    # As GRPOTrainer builds it: each micro-batch loads a whole generation batch, `steps_per_generation` times.
    sampler = RepeatSampler(range(num_samples), mini_repeat_count=8, batch_size=64 // 8, repeat_count=2 * (64 // 16))

    plan = batch_plan(stage, 1, num_samples)

    assert plan.optimizer_steps == len(sampler) // 64
