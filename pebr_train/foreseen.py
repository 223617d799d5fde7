"""What a GRPO stage of a run will show: foreseen before it begins, and held against it when it has ended."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from pebr_data.config import CatalogConfig
from pebr_data.manifest import Manifest
from pebr_train.believed import REWARD, Believed, believe
from pebr_train.done import read_done
from pebr_train.first_pass import Figure, FirstPass, check_forecast
from pebr_train.pace import Pace, foresee_first_pass, learn_drift, training_before
from pebr_train.recipe import GrpoStage, Recipe, StageConfig
from pebr_train.rollouts import RolloutLog
from pebr_train.rundir import RunDir, StageDir
from pebr_train.voice import Voice

if TYPE_CHECKING:
    from pebr_data.difficulty.forecast import Expected


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What a stage is foreseen by.

    Attributes:
        stage: The stage.
        probed: The label of the model that was probed.
        believed: What its probe says.
        pace: How pass rates are taken to change meanwhile; None where no stage has shown it.
        num_samples: Samples in the mixture.
        num_processes: That train it.
    """

    stage: GrpoStage
    probed: str
    believed: Believed
    pace: Pace | None
    num_samples: int
    num_processes: int


def foresee(
    stage: StageConfig,
    manifest: Manifest,
    recipe: Recipe,
    config: CatalogConfig,
    store: Path,
    run: RunDir,
    voice: Voice,
) -> Foreseen | None:
    """What a stage is foreseen by, told where training is taken into account; None for one that nothing is foreseen of.

    Args:
        stage: A stage that is about to begin or to go on.
        manifest: Its mixture.
        recipe: The recipe.
        config: The catalog.
        store: The store.
        run: The run, with the stages before.
        voice: Takes the forecast.

    Raises:
        BusyError: Another process keeps the catalog.
    """
    if not isinstance(stage, GrpoStage) or stage.mixture is None:
        return None
    if not any(reward.name == REWARD for reward in stage.rewards):
        return None
    believed = believe(stage, config, store, manifest.probe_id)
    pace = _pace(stage, recipe, config, store, run)
    if pace is not None:
        ids = pl.read_parquet(list(manifest.paths), columns=["sample_id"])["sample_id"]
        seen = foresee_first_pass(stage, believed, ids, pace, recipe.num_processes)
        if seen is not None:
            voice.say(
                f"stage {stage.name}, first pass: if pass rates go on changing as in the stage {pace.learnt_from}, "
                f"{_interval(seen.zero_variance)} of groups will have zero variance in accuracy, and "
                f"{_interval(seen.mean_reward)} of completions will be correct"
            )
    probed, num_samples = recipe.probe_of(stage), manifest.num_samples
    return Foreseen(stage, probed, believed, pace, num_samples, recipe.num_processes)


def check(foreseen: Foreseen, directory: StageDir, started_from: str, voice: Voice) -> FirstPass | None:
    """The forecast of a trained stage beside what it showed, told; None where no accuracy was logged.

    Args:
        foreseen: What `foresee` gave.
        directory: The stage's.
        started_from: The label of the model that it started from.
        voice: Takes the verdict.

    Raises:
        BusyError: Another process keeps the catalog.
    """
    stage = foreseen.stage
    spans = check_forecast(
        stage,
        foreseen.believed,
        foreseen.num_samples,
        RolloutLog(directory.rollouts),
        num_processes=foreseen.num_processes,
        pace=foreseen.pace,
    )
    for span in spans:
        told, trained = span.zero_variance, span.trained
        after = "" if trained is None else f", trained as before {_interval(trained.zero_variance)}"
        voice.say(
            f"stage {stage.name}, {span.name}: {told.seen:.1%} of {span.num_groups:,} groups had zero variance in "
            f"accuracy, foreseen {_interval(told)}{after}: {span.verdict}"
        )
    if not spans:
        return None
    return FirstPass(probed=foreseen.probed, started_from=started_from, spans=spans, scale_rewards=stage.scale_rewards)


def _pace(stage: GrpoStage, recipe: Recipe, config: CatalogConfig, store: Path, run: RunDir) -> Pace | None:
    """As the last GRPO stage before this one has shown it; None where none has, or fine-tuning came between."""
    before = recipe.stages[: recipe.stages.index(stage)]
    earlier = next((one for one in reversed(before) if isinstance(one, GrpoStage)), None)
    if earlier is None or earlier.mixture is None:
        return None

    def steps_of(label: str) -> int:
        done = read_done(run.stage(label))
        return 0 if done is None else done.optimizer_steps

    offset, its_offset = (training_before(recipe, one, steps_of) for one in (stage, earlier))
    done = read_done(run.stage(earlier.name))
    if offset is None or its_offset is None or done is None:
        return None
    believed = believe(earlier, config, store, done.probe_id)
    drift = learn_drift(earlier, believed, RolloutLog(run.stage(earlier.name).rollouts), its_offset)
    return None if drift is None else Pace(earlier.name, drift, offset, stage.learning_rate)


def _interval(figure: Expected | Figure) -> str:
    mean = figure.foreseen if isinstance(figure, Figure) else figure.mean
    return f"{mean:.1%} ({figure.low:.1%} to {figure.high:.1%})"
