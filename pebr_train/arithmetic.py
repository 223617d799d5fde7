"""Batch arithmetic: how many prompts and completions make an update, and how many updates a stage takes.

TRL's words: `generation_batch_size` and `per_device_train_batch_size` count *completions*; a generation batch is
sampled at once and consumed by several updates; with `num_iterations` above 1 every update is taken that often.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from pebr_train.recipe import GrpoStage, SftStage, StageConfig


@dataclass(frozen=True, slots=True)
class BatchPlan:
    """What a stage's batches come to.

    Attributes:
        num_samples: Samples in the mixture; None while it is not known.
        prompts_per_update: Distinct prompts an update sees.
        completions_per_update: Completions an update sees (for SFT: one per prompt).
        prompts_per_generation: Prompts sampled at once; None for SFT.
        completions_per_generation: TRL's `generation_batch_size`; None for SFT.
        updates: Distinct update batches; None while the mixture's size is needed and not known.
        optimizer_steps: `updates` times `num_iterations`.
        epochs: Passes over the mixture that the updates come to; None while its size is not known.
    """

    num_samples: int | None
    prompts_per_update: int
    completions_per_update: int
    prompts_per_generation: int | None
    completions_per_generation: int | None
    updates: int | None
    optimizer_steps: int | None
    epochs: float | None

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON-serialisable values."""
        return asdict(self)


def steps_per_generation_batch(stage: GrpoStage, num_processes: int) -> int:
    """Optimizer steps that one generation batch feeds; checkpoints lie on multiples of it."""
    return generation_batch_size(stage, num_processes) // _per_update(stage, num_processes) * stage.num_iterations


def generation_batch_size(stage: GrpoStage, num_processes: int) -> int:
    """Completions sampled at once: the recipe's, or those of one update."""
    return stage.generation_batch_size or _per_update(stage, num_processes)


def batch_plan(stage: StageConfig, num_processes: int, num_samples: int | None) -> BatchPlan:
    """What the stage's settings come to for a mixture of `num_samples`.

    Follows TRL 1.16: GRPO drops the last partial generation batch of an epoch, SFT keeps the last partial batch.
    """
    per_update = _per_update(stage, num_processes)
    if isinstance(stage, SftStage):
        steps = _steps(stage, None if num_samples is None else math.ceil(num_samples / per_update))
        epochs = None if not num_samples or steps is None else steps * per_update / num_samples
        return BatchPlan(num_samples, per_update, per_update, None, None, steps, steps, epochs)
    generated = generation_batch_size(stage, num_processes)
    prompts = generated // stage.num_generations
    per_batch = steps_per_generation_batch(stage, num_processes)
    steps = _steps(stage, None if num_samples is None else num_samples // prompts * per_batch)
    updates = None if steps is None else math.ceil(steps / stage.num_iterations)
    epochs = None if not num_samples or steps is None else steps / per_batch * prompts / num_samples
    return BatchPlan(
        num_samples, per_update // stage.num_generations, per_update, prompts, generated, updates, steps, epochs
    )


def batch_problems(stage: GrpoStage, num_processes: int) -> Iterator[tuple[str, str]]:
    """What does not divide as it must: (key, message) for each mistake."""
    per_update, group = _per_update(stage, num_processes), stage.num_generations
    made_of = (
        f"{per_update} completions an update (per_device_train_batch_size {stage.per_device_train_batch_size} x "
        f"gradient_accumulation_steps {stage.gradient_accumulation_steps} x {num_processes} processes)"
    )
    if per_update % group:
        yield "per_device_train_batch_size", f"{made_of} must be whole groups of num_generations {group}"
    generated = generation_batch_size(stage, num_processes)
    if generated % group:
        yield "generation_batch_size", f"{generated} must be divisible by num_generations {group}"
    if generated % per_update:
        yield "generation_batch_size", f"{generated} must be divisible by the {made_of}"
    elif stage.save_steps % steps_per_generation_batch(stage, num_processes):
        yield (
            "save_steps",
            f"{stage.save_steps} must be a multiple of the {steps_per_generation_batch(stage, num_processes)} steps "
            "that one generation batch feeds, so that a checkpoint never cuts one in two",
        )


def _per_update(stage: StageConfig, num_processes: int) -> int:
    return stage.per_device_train_batch_size * stage.gradient_accumulation_steps * num_processes


def _steps(stage: StageConfig, steps_per_epoch: int | None) -> int | None:
    if stage.max_steps is not None:
        return stage.max_steps
    return None if steps_per_epoch is None else math.ceil(stage.num_train_epochs * steps_per_epoch)
