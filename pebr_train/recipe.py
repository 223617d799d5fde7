"""The recipe: the YAML of a training, as typed values.

A recipe names the base model, the catalog and the stages in order. Trainer settings keep TRL's own names; what is not
listed here passes through `trl:`, checked against the installed TRL. Sampling (temperature, top_p, completion length,
image size) is not a recipe's to set: it is the probe's, in the catalog.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import Field, ValidationError, model_validator

from pebr_data.config import CatalogConfig, FileModel, Name, StrictModel, load_catalog_config, load_yaml
from pebr_data.errors import ConfigError
from pebr_data.strict_yaml import nearest
from pebr_data.types import ScaleRewards
from pebr_data.yaml_document import Location

BASE = "base"
"""The label of the model before any stage, in `probe:` and `evaluation.at`."""

Part = Literal["vision_tower", "projector", "language_model"]
Positive = Annotated[int, Field(ge=1)]


class RewardConfig(StrictModel):
    """One reward of a stage.

    Attributes:
        name: A name in `pebr_train.rewards.REWARDS`.
        weight: Its share of the sum; 0 logs it without rewarding it.
        params: The reward's own settings.
    """

    name: str
    weight: float = Field(ge=0)
    params: dict[str, Any] = Field(default_factory=dict)


class _Stage(StrictModel):
    name: Name
    mixture: Name | None = None
    shards: Path | None = None
    probe: Name | None = None
    freeze: tuple[Part, ...] = ()
    learning_rate: float = Field(gt=0)
    lr_scheduler_type: str = "constant"
    warmup_steps: float = Field(default=0, ge=0)
    num_train_epochs: float = Field(default=1.0, gt=0)
    max_steps: Positive | None = None
    per_device_train_batch_size: Positive
    gradient_accumulation_steps: Positive = 1
    save_steps: Positive = 50
    gradient_checkpointing: bool = True
    bf16: bool | None = None
    trl: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _has_one_origin(self) -> _Stage:
        if (self.mixture is None) == (self.shards is None):
            raise ValueError(
                "a stage needs either `mixture` (a name in the catalog) or `shards` (an exported directory)"
            )
        if self.shards is not None and self.probe is not None:
            raise ValueError("`probe` chooses a mixture; `shards` are chosen already")
        return self


class SftStage(_Stage):
    """A stage of supervised fine-tuning on the samples' reference responses.

    Attributes:
        mixture: The catalog's mixture to train on.
        shards: Or an exported directory, relative to the recipe.
        probe: Whose probe the mixture is chosen by: `base`, or the name of an earlier stage. Default: `base`.
        freeze: Parts of the model that stay as they are.
        warmup_steps: Steps of learning-rate warm-up; below 1, their share of all steps (transformers' meaning).
        max_steps: Optimizer steps, whatever `num_train_epochs` says.
        save_steps: Optimizer steps between two checkpoints.
        bf16: Mixed precision; when not given, on where the device is a GPU that has it.
        trl: Further settings of TRL's `SFTConfig`.
    """

    kind: Literal["sft"]


class GrpoStage(_Stage):
    """A stage of GRPO (Shao et al., arXiv 2402.03300) as TRL implements it; defaults are the paper's where it has one.

    Attributes:
        mixture: The catalog's mixture to train on.
        shards: Or an exported directory, relative to the recipe.
        probe: Whose probe the mixture is chosen by: `base`, or the name of an earlier stage. Default: the last SFT
            stage before this one, so that both RL mixtures go by the warmed-up model, as in the paper.
        freeze: Parts of the model that stay as they are.
        warmup_steps: Steps of learning-rate warm-up; below 1, their share of all steps (transformers' meaning).
        max_steps: Optimizer steps, whatever `num_train_epochs` says.
        save_steps: Optimizer steps between two checkpoints.
        bf16: Mixed precision; when not given, on where the device is a GPU that has it.
        trl: Further settings of TRL's `GRPOConfig`.
        num_generations: Completions per prompt: the paper's G.
        generation_batch_size: Completions sampled at once; those of one update when not given.
        num_iterations: How often each update is taken.
        beta: Weight of the KL term.
        rewards: What is rewarded, and what is only logged (weight 0).
    """

    kind: Literal["grpo"]
    num_generations: int = Field(default=8, ge=2)
    generation_batch_size: Positive | None = None
    num_iterations: Positive = 1
    beta: float = Field(default=0.01, ge=0)
    epsilon: float = Field(default=0.2, gt=0)
    epsilon_high: float | None = Field(default=0.3, gt=0)
    use_bias_correction_kl: bool = False
    rewards: tuple[RewardConfig, ...] = Field(min_length=1)

    @property
    def scale_rewards(self) -> ScaleRewards:
        """`trl.scale_rewards`, by the names that TRL has for its booleans; TRL's default where it says nothing."""
        asked = self.trl.get("scale_rewards", "group")
        return cast(ScaleRewards, {True: "group", False: "none"}.get(asked, asked))


StageConfig = SftStage | GrpoStage


class RewardModels(StrictModel):
    """Models that rewards read.

    Attributes:
        clip: A dual encoder for `similarity`, named as `model` is.
    """

    clip: str | None = None


class EvaluationConfig(StrictModel):
    """What is measured on held-out samples, and when.

    Attributes:
        split: The held-out split of the catalog.
        limit: At most this many samples, the first of the split.
        num_samples: Sampled completions per sample, at the probe's temperature; one greedy completion comes on top.
        at: `base` and names of stages; all of them when not given.
    """

    split: str = "test"
    limit: Positive | None = None
    num_samples: Positive = 4
    at: tuple[Name, ...] | None = None


class Recipe(FileModel):
    """A recipe YAML.

    Attributes:
        name: Names the run's directory.
        model: The base: the name of a shipped model, a directory (relative to the recipe) or a hub id.
        catalog: The catalog YAML, relative to the recipe.
        seed: Of the order of samples and of sampling in training. Probes and evaluations seed each rollout by its key.
        num_processes: How many processes the batch sizes are meant for.
    """

    name: Name
    model: str
    catalog: Path
    seed: int = Field(default=0, ge=0)
    num_processes: Positive = 1
    reward_models: RewardModels = RewardModels()
    stages: tuple[Annotated[StageConfig, Field(discriminator="kind")], ...] = Field(min_length=1)
    evaluation: EvaluationConfig | None = None

    @property
    def catalog_path(self) -> Path:
        """Where the catalog YAML lies."""
        return self.beside(self.catalog)

    def beside(self, path: Path) -> Path:
        """A path as the recipe gives it, relative to the recipe, made relative to the process."""
        joined = self.base_dir / path
        plain = Path(os.path.normpath(joined))
        # Behind a symlink `a/../b` is not `b`.
        return plain if not joined.exists() or (plain.exists() and plain.samefile(joined)) else joined

    @property
    def evaluated(self) -> tuple[str, ...]:
        """The labels that are evaluated, in training order."""
        if self.evaluation is None:
            return ()
        labels = (BASE, *(stage.name for stage in self.stages))
        return labels if self.evaluation.at is None else tuple(one for one in labels if one in self.evaluation.at)

    def model_reference(self, model: str) -> str:
        """A model as the recipe names it, with directories made relative to the recipe instead of the process."""
        path = Path(model)
        local = model.startswith((".", "~")) or path.is_absolute() or (self.base_dir / path / "config.json").is_file()
        return str((self.base_dir / path.expanduser()).resolve()) if local else model

    def probe_of(self, stage: StageConfig) -> str:
        """Whose probe chooses the stage's mixture: `base` or an earlier stage's name."""
        if stage.probe is not None:
            return stage.probe
        if isinstance(stage, SftStage):
            return BASE
        earlier = self.stages[: self.stages.index(stage)]
        return next((one.name for one in reversed(earlier) if isinstance(one, SftStage)), BASE)


def load_recipe(path: Path) -> tuple[Recipe, CatalogConfig]:
    """The recipe at `path`, checked against its catalog and the installed TRL.

    Raises:
        ConfigError: The recipe or its catalog is missing or wrong; `problems` holds every mistake.
        UnavailableError: TRL is needed to check `trl:` and is not installed.
    """
    catalogs: list[CatalogConfig] = []

    def check(recipe: Recipe) -> Iterator[tuple[Location, str]]:
        yield from _check_recipe(recipe)
        try:
            catalogs.append(load_catalog_config(recipe.catalog_path))
        except ConfigError as error:
            for problem in error.problems or (str(error),):
                yield ("catalog",), problem
            return
        yield from _check_against_catalog(recipe, catalogs[0])

    recipe = load_yaml(path, Recipe, check=check)
    return recipe, catalogs[0]


def _check_recipe(recipe: Recipe) -> Iterator[tuple[Location, str]]:
    earlier = [BASE]
    for position, stage in enumerate(recipe.stages):
        at: Location = ("stages", position)
        if stage.name in earlier:
            taken = "is the model before any stage" if stage.name == BASE else "names another stage already"
            yield (*at, "name"), f"`{stage.name}` {taken}"
        if stage.probe is not None and stage.probe not in earlier:
            yield (*at, "probe"), f"`{stage.probe}` is not known here; expected one of {', '.join(earlier)}"
        earlier.append(stage.name)
        for location, message in (*_check_trl(stage), *_check_grpo(stage, recipe)):
            yield (*at, *location), message
    at_labels = recipe.evaluation.at if recipe.evaluation is not None and recipe.evaluation.at is not None else ()
    for position, label in enumerate(at_labels):
        if label not in earlier:
            yield ("evaluation", "at", position), f"`{label}` is no stage; expected some of {', '.join(earlier)}"


def _check_trl(stage: StageConfig) -> Iterator[tuple[Location, str]]:
    from pebr_train.knobs import OWNED, trl_fields

    if not stage.trl:
        return
    known, own = trl_fields(stage.kind), type(stage).model_fields
    for key in stage.trl:
        if key in OWNED:
            yield ("trl", key), f"`{key}` cannot be set: {OWNED[key]}"
        elif key in own:
            yield ("trl", key), f"`{key}` is a key of the stage itself: move it out of `trl`"
        elif key not in known:
            near = nearest(key, (*known, *own))
            hint = f"; did you mean `{near}`?" if near else ""
            yield ("trl", key), f"`{key}` is no setting of the installed TRL's {stage.kind.upper()}Config{hint}"


def _check_grpo(stage: StageConfig, recipe: Recipe) -> Iterator[tuple[Location, str]]:
    from pebr_train.arithmetic import batch_problems
    from pebr_train.rewards import REWARDS

    if not isinstance(stage, GrpoStage):
        return
    for key, message in batch_problems(stage, recipe.num_processes):
        yield (key,), message
    for position, reward in enumerate(stage.rewards):
        at: Location = ("rewards", position)
        kind = REWARDS.get(reward.name)
        if kind is None:
            near = nearest(reward.name, REWARDS)
            hint = f"did you mean `{near}`?" if near else f"expected one of {', '.join(REWARDS)}"
            yield (*at, "name"), f"there is no reward `{reward.name}`; {hint}"
            continue
        if reward.name in [other.name for other in stage.rewards[:position]]:
            yield (*at, "name"), f"`{reward.name}` is listed twice"
        try:
            kind.Params.model_validate(reward.params, strict=True)
        except ValidationError as error:
            for detail in error.errors(include_url=False):
                keys = tuple(str(part) for part in detail["loc"])
                near = nearest(keys[-1], kind.Params.model_fields) if keys else None
                hint = f"; did you mean `{near}`?" if detail["type"] == "extra_forbidden" and near else ""
                yield (*at, "params", *keys), f"`{'.'.join(keys)}`: {detail['msg']}{hint}"
        if reward.name == "similarity" and recipe.reward_models.clip is None:
            yield (*at, "name"), "`similarity` needs `reward_models.clip`"
    if not any(reward.weight > 0 for reward in stage.rewards):
        yield ("rewards",), "at least one reward needs a weight above 0"


def _check_against_catalog(recipe: Recipe, config: CatalogConfig) -> Iterator[tuple[Location, str]]:
    for position, stage in enumerate(recipe.stages):
        if stage.mixture is not None and stage.mixture not in config.mixtures:
            near = nearest(stage.mixture, config.mixtures)
            hint = f"; did you mean `{near}`?" if near else f"; it has {', '.join(config.mixtures) or 'none'}"
            yield ("stages", position, "mixture"), f"the catalog {config.name} has no mixture `{stage.mixture}`{hint}"
        if isinstance(stage, GrpoStage) and stage.mixture is not None and config.probe.temperature == 0:
            message = f"at `probe.temperature: 0` in {config.path} all of a prompt's completions are the same"
            yield ("stages", position, "kind"), f"`grpo` cannot learn: {message}"
