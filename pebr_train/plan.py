"""What a run would do and what it would come to, without doing it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pebr_data.catalog.connection import CATALOG_FILE
from pebr_data.catalog.store import Catalog
from pebr_data.config import CatalogConfig
from pebr_data.errors import DataError, RefusedError, UsageError
from pebr_data.manifest import read_manifest
from pebr_data.models import SHIPPED
from pebr_data.probe.run import fingerprint_of, model_of
from pebr_data.select.mixture import preview
from pebr_train.arithmetic import BatchPlan, batch_plan
from pebr_train.checkpoints import newest_complete
from pebr_train.done import read_done
from pebr_train.recipe import BASE, Recipe, StageConfig
from pebr_train.rundir import RunDir


@dataclass(frozen=True, slots=True)
class StagePlan:
    """One stage: its name, where it stands, and its batch arithmetic."""

    name: str
    state: str
    batches: BatchPlan


@dataclass(frozen=True, slots=True)
class RunPlan:
    """A run before it is done.

    Attributes:
        recipe: The resolved recipe.
        directory: The run's directory.
        samples: Samples of the catalog per split; empty while it is not built.
        stages: In order.
        notes: What the numbers do not say.
    """

    recipe: dict[str, Any]
    directory: Path
    samples: dict[str, int]
    stages: tuple[StagePlan, ...]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The plan as JSON-serialisable values."""
        return {
            "recipe": self.recipe,
            "run": str(self.directory),
            "samples": self.samples,
            "stages": [{"name": one.name, "state": one.state, **one.batches.to_json()} for one in self.stages],
            "notes": list(self.notes),
        }


def plan(recipe: Recipe, config: CatalogConfig, *, store: Path, runs: Path) -> RunPlan:
    """What `run` would do.

    Raises:
        BusyError: Another process keeps the catalog.
        DataError: A finished stage or an export is damaged.
    """
    directory = RunDir(runs / recipe.name)
    samples = _samples(store, config)
    stages, notes = [], []
    for stage in recipe.stages:
        num_samples = _num_samples(recipe, config, stage, directory, store, bool(samples))
        state = _state(directory, stage)
        if num_samples is None:
            notes.append(
                f"stage {stage.name}: the size of {stage.mixture} is known once {recipe.probe_of(stage)} is probed"
            )
        stages.append(StagePlan(stage.name, state, batch_plan(stage, recipe.num_processes, num_samples)))
    if not samples:
        notes.append("the catalog is not built yet")
    split = config.probe.split
    probed = dict.fromkeys(recipe.probe_of(stage) for stage in recipe.stages if stage.mixture is not None)
    if split is not None and split in samples and probed:
        each = samples[split] * config.probe.rollouts
        notes.append(f"probes of {', '.join(probed)}: {each:,} rollouts each, less what the store holds already")
    return RunPlan(recipe.model_dump(mode="json"), directory.path, samples, tuple(stages), tuple(notes))


def _samples(store: Path, config: CatalogConfig) -> dict[str, int]:
    if not (store / CATALOG_FILE).is_file():
        return {}
    with Catalog.open(store, read_only=True) as catalog:
        if config.name not in catalog.names():
            return {}
        counts: dict[str, int] = {}
        for sample in catalog.samples(config.name):
            counts[sample.split] = counts.get(sample.split, 0) + 1
    return counts


def _num_samples(
    recipe: Recipe, config: CatalogConfig, stage: StageConfig, directory: RunDir, store: Path, built: bool
) -> int | None:
    """Samples the stage trains on, as far as that is known without probing; a finished stage remembers."""
    if stage.shards is not None:
        return read_manifest(recipe.beside(stage.shards), format="trl").num_samples
    done = read_done(directory.stage(stage.name))
    if done is not None:
        return done.num_samples
    assert stage.mixture is not None
    label = recipe.probe_of(stage)
    own = directory.stage(label).final
    reference = recipe.model_reference(recipe.model) if label == BASE else str(own)
    if not built or not (own.is_dir() or reference in SHIPPED or Path(reference).is_dir()):
        return None
    probe_id = fingerprint_of(config, model_of(config, reference)).probe_id
    try:
        _, choices = preview(config, store, probe_id=probe_id, names=[stage.mixture])
    except (DataError, RefusedError, UsageError):
        return None
    return len(choices[stage.mixture].kept)


def _state(directory: RunDir, stage: StageConfig) -> str:
    own = directory.stage(stage.name)
    if read_done(own) is not None:
        return "finished"
    checkpoint, _ = newest_complete(own.checkpoints)
    return "to do" if checkpoint is None else f"at step {checkpoint.step}"
