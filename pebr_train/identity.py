"""What decides which model a stage makes. A stage is never continued, or taken as finished, under another identity."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from pebr_data.config import CatalogConfig
from pebr_data.hashing import digest
from pebr_data.manifest import read_manifest
from pebr_data.models import ResolvedModel
from pebr_data.types import StopRule
from pebr_train.recipe import BASE, GrpoStage, Recipe, StageConfig

NOT_DECISIVE = {"name", "save_steps", "gradient_checkpointing"}
"""Settings of a stage that change how it is trained but not what comes out."""


@dataclass(frozen=True, slots=True)
class Identities:
    """The identity of every point of a run.

    Attributes:
        recipe: The recipe.
        config: Its catalog.
        base: The model before any stage.
        clip: The dual encoder that rewards read, if any.
    """

    recipe: Recipe
    config: CatalogConfig
    base: ResolvedModel
    clip: ResolvedModel | None = None

    def model(self, label: str) -> str:
        """A digest of all that decides the model `base` or after a stage."""
        if label == BASE:
            return digest({"model": self.base.name, "revision": self.base.revision})
        return digest(self.stage(next(stage for stage in self.recipe.stages if stage.name == label)))

    def stage(self, stage: StageConfig) -> dict[str, Any]:
        """All that decides what a stage makes, by readable keys."""
        position = self.recipe.stages.index(stage)
        before = BASE if position == 0 else self.recipe.stages[position - 1].name
        settings = {
            key: value for key, value in stage.model_dump(mode="json").items() if key not in NOT_DECISIVE | {"probe"}
        }
        return {
            **settings,
            "seed": self.recipe.seed,
            "num_processes": self.recipe.num_processes,
            "starts_from": f"{before} {self.model(before)[:16]}",
            "data": self._data(stage),
            "clip": f"{self.clip.name} {self.clip.revision}" if self.clip and isinstance(stage, GrpoStage) else None,
        }

    def evaluation(self, label: str) -> dict[str, Any]:
        """All that decides what the evaluation of a label finds; not the seed, as keys seed its rollouts."""
        assert self.recipe.evaluation is not None
        settings = self.recipe.evaluation.model_dump(mode="json", exclude={"at"})
        return {
            "model": self.model(label),
            **settings,
            "probe": self._probe(),
            **self._sources(),
        }

    def _data(self, stage: StageConfig) -> dict[str, Any]:
        if stage.shards is not None:
            return {"content": read_manifest(self.recipe.beside(stage.shards), format="trl").content}
        assert stage.mixture is not None
        label = self.recipe.probe_of(stage)
        mixtures = {
            name: mixture.model_dump(mode="json", exclude={"control"}) for name, mixture in self.config.mixtures.items()
        }
        chosen = mixtures[stage.mixture]
        return {
            "mixture": chosen,
            "matches": mixtures.get(str(chosen.get("match"))),
            "probed": f"{label} {self.model(label)[:16]}",
            "probe": self._probe(),
            **self._sources(),
        }

    def _probe(self) -> dict[str, Any]:
        probe = self.config.probe.model_dump(mode="json", exclude={"perception"})
        # What says nothing is left out, so that runs from before there was a choice go on.
        silent = {"confidence", "max_rollouts"} if probe["stop"] != StopRule.POSTERIOR else set[str]()
        silent |= set() if probe["shuffle_options"] else {"shuffle_options"}
        return {key: value for key, value in probe.items() if key not in silent}

    def _sources(self) -> dict[str, Any]:
        return {"sources": [source.model_dump(mode="json", exclude={"license"}) for source in self.config.sources]}


def differences(before: Any, now: Any) -> str:
    """Every key that differs, with both values."""
    return ", ".join(_differences(before, now))


def _differences(before: Any, now: Any, prefix: str = "") -> list[str]:
    if isinstance(before, dict) and isinstance(now, dict):
        keys = list(dict.fromkeys((*before, *now)))
        return [found for key in keys for found in _differences(before.get(key), now.get(key), f"{prefix}.{key}")]
    return [] if before == now else [f"{prefix.removeprefix('.')} ({_show(before)} -> {_show(now)})"]


def _show(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."
