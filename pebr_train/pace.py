"""The pace at which a run's training changes pass rates: learnt from one GRPO stage, to foresee the next.

Training is counted in optimizer steps times the learning rate, which is about how far AdamW's steps lead in all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pebr_train.arithmetic import batch_plan, steps_per_generation_batch
from pebr_train.believed import Believed
from pebr_train.recipe import BASE, GrpoStage, Recipe, SftStage
from pebr_train.rollouts import RolloutLog

if TYPE_CHECKING:
    import polars as pl

    from pebr_data.difficulty.counts import FloatArray
    from pebr_data.difficulty.drift import Drift
    from pebr_data.difficulty.forecast import Forecast


@dataclass(frozen=True, slots=True)
class Pace:
    """How pass rates are taken to change in a stage.

    Attributes:
        learnt_from: The stage before it that showed how.
        drift: How.
        before: Training between the probe and the stage's first step.
        per_step: Training of each of its steps.
    """

    learnt_from: str
    drift: Drift
    before: float
    per_step: float

    def at(self, steps: FloatArray) -> FloatArray:
        """Training between the probe and what is sampled after these steps of the stage."""
        return self.before + self.per_step * steps


def training_before(recipe: Recipe, stage: GrpoStage, steps_of: Callable[[str], int]) -> float | None:
    """Training between the stage's probe and its first step; None where fine-tuning, of another pace, lies between.

    Args:
        recipe: The recipe.
        stage: One of its stages.
        steps_of: Optimizer steps of a finished stage.
    """
    labels = [BASE, *(one.name for one in recipe.stages)]
    between = recipe.stages[labels.index(recipe.probe_of(stage)) : recipe.stages.index(stage)]
    if any(isinstance(one, SftStage) for one in between):
        return None
    return float(sum(steps_of(one.name) * one.learning_rate for one in between))


def learn_drift(stage: GrpoStage, believed: Believed, log: RolloutLog, before: float) -> Drift | None:
    """How pass rates changed in a finished stage; None where it logged no accuracy, or nothing after its first step.

    Args:
        stage: The stage.
        believed: What its probe said.
        log: Its completions.
        before: As `training_before` gives it.
    """
    from pebr_data.difficulty.drift import fit_drift

    groups = believed.of_groups(log)
    if groups.is_empty() or not groups["step"].max():
        return None
    sample = groups["sample_id"].rank("dense").to_numpy().astype(np.int64) - 1
    known, others = believed.known.under_all(groups.unique("sample_id").sort("sample_id"), believed.redrawn)
    return fit_drift(
        known,
        before + stage.learning_rate * groups["step"].to_numpy(),
        (groups["mean"] * stage.num_generations).round().to_numpy().astype(np.int64),
        stage.num_generations,
        sample=sample,
        alternatives=others,
    )


def foresee_groups(stage: GrpoStage, believed: Believed, groups: pl.DataFrame, pace: Pace) -> Forecast:
    """What these groups show if pass rates change at that pace.

    Args:
        stage: The stage.
        believed: What its probe says.
        groups: The columns of `Believed.samples` and `step`, the optimizer steps before each was sampled.
        pace: How pass rates change.
    """
    from pebr_data.difficulty.drift import forecast_trained

    known, others = believed.known.under_all(groups, believed.redrawn)
    trained = pace.at(groups["step"].to_numpy().astype(np.float64))
    return forecast_trained(known, trained, stage.num_generations, pace.drift, stage.scale_rewards, alternatives=others)


def foresee_first_pass(
    stage: GrpoStage, believed: Believed, sample_ids: pl.Series, pace: Pace, num_processes: int
) -> Forecast | None:
    """What the first pass over a mixture will show if pass rates change at that pace; None where nothing is sampled."""
    import polars as pl

    plan = batch_plan(stage, num_processes, len(sample_ids))
    per_batch = steps_per_generation_batch(stage, num_processes)
    assert plan.prompts_per_generation is not None and plan.optimizer_steps is not None
    step = np.arange(len(sample_ids)) // plan.prompts_per_generation * per_batch
    last = min(plan.optimizer_steps, len(sample_ids) // plan.prompts_per_generation * per_batch)
    mixture = believed.samples.join(sample_ids.to_frame("sample_id"), on="sample_id", how="semi")
    groups = mixture.with_columns(step=pl.Series(step[: len(mixture)])).filter(pl.col("step") < last)
    return None if groups.is_empty() else foresee_groups(stage, believed, groups, pace)
