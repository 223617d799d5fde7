"""The catalog YAML as typed values: which sources there are, how to probe them, which mixtures to choose.

`load_yaml` and `StrictModel` are what recipes are read with too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from pebr_data.engine_options import check_options, policy_engine
from pebr_data.grading import GradingRules
from pebr_data.prompts import TEMPLATES
from pebr_data.source_config import (
    FieldsConfig,
    FileSourceConfig,
    FolderSourceConfig,
    HubSourceConfig,
    Name,
    RowCondition,
    RowSourceConfig,
    ShapesSourceConfig,
    SourceConfig,
    TableSourceConfig,
    WebDatasetSourceConfig,
)
from pebr_data.strict_yaml import FileModel, StrictModel, load_yaml, nearest
from pebr_data.types import Band, Condition, Json, ScaleRewards, StopRule
from pebr_data.yaml_document import Location

__all__ = [
    "CapsConfig",
    "CatalogConfig",
    "FieldsConfig",
    "FileModel",
    "FileSourceConfig",
    "FolderSourceConfig",
    "HubSourceConfig",
    "MixtureConfig",
    "Name",
    "ProbeConfig",
    "RowCondition",
    "RowSourceConfig",
    "ShapesSourceConfig",
    "SourceConfig",
    "StrictModel",
    "TableSourceConfig",
    "WebDatasetSourceConfig",
    "WhereConfig",
    "load_catalog_config",
    "load_yaml",
]

EngineName = Literal["transformers", "vllm", "server", "ray"]
"""The names in `pebr_data.engines.base.ENGINES`, which lies in a layer above."""


class ProbeConfig(StrictModel):
    """How a policy is probed. The defaults are the paper's released configuration.

    The paper's probe showed the policy up to 4,194,304 pixels and trained it on 802,816; here both use the latter.

    Attributes:
        rollouts: Completions per sample: the paper's G.
        stop: `exact` makes no more rollouts of a sample once the band of all G is certain.
        split: The split that is probed.
        engine_options: How the engine is run; not part of the fingerprint. See `pebr_data.engine_options`.
    """

    template: str = "sections"
    condition: Condition = Condition.IMAGE
    temperature: float = Field(default=1.2, ge=0)
    top_p: float = Field(default=0.99, gt=0, le=1)
    max_completion_length: int = Field(default=2048, ge=1)
    max_pixels: int = Field(default=802_816, ge=28 * 28)
    rollouts: int = Field(default=8, ge=1)
    stop: StopRule = StopRule.NONE
    engine: EngineName = "transformers"
    engine_options: dict[str, Json] = Field(default_factory=dict)
    split: str | None = "train"

    @property
    def policy_engine(self) -> str:
        """The engine that shapes the answers: what `ray` places, else `engine`."""
        return policy_engine(self.engine, self.engine_options)


class WhereConfig(StrictModel):
    """Which samples a mixture may take at all: a list each, one of whose values a sample must have.

    Attributes:
        source: Names of sources.
        skill: Skills.
        answer_type: Answer types.
    """

    source: tuple[str, ...] = ()
    skill: tuple[str, ...] = ()
    answer_type: tuple[str, ...] = ()


class CapsConfig(StrictModel):
    """How many samples a mixture takes of any one kind.

    Attributes:
        source: At most this many of each source.
        skill: At most this many of each skill.
    """

    source: int | None = Field(default=None, ge=1)
    skill: int | None = Field(default=None, ge=1)


class MixtureConfig(StrictModel):
    """Which samples a stage trains on.

    Attributes:
        policy: `pebr` takes one band of a finished probe; `signal` takes the samples with the highest expected signal;
            `random` takes probed samples whatever their pass rate; `all` takes the split, probed or not (demonstrations
            for the warm-up, say).
        band: The band that `pebr` takes.
        match: `random` takes as many samples of each source as this `pebr` or `signal` mixture under the same probe.
        limit: At most this many samples.
        seed: Chooses which samples stay when there are more, and their order.
        threshold: The least expected signal that `signal` takes.
        num_generations: The training's G, for the signal and the forecast; the probe's `rollouts` by default.
        scale_rewards: The training's, likewise.
        where: Which samples may be taken at all.
        caps: How many of any one source or skill.
        control: Also choose `<name>_control`, the `random` mixture that matches this one.
    """

    policy: Literal["pebr", "signal", "random", "all"]
    band: Literal[Band.EASY, Band.MEDIUM, Band.HARD] | None = None
    match: str | None = None
    split: str = "train"
    limit: int | None = Field(default=None, ge=1)
    seed: int = Field(default=0, ge=0)
    threshold: float | None = Field(default=None, gt=0, lt=1)
    num_generations: int | None = Field(default=None, ge=2)
    scale_rewards: ScaleRewards = "group"
    where: WhereConfig = WhereConfig()
    caps: CapsConfig = CapsConfig()
    control: bool = False

    @model_validator(mode="after")
    def _fits_policy(self) -> MixtureConfig:
        if self.policy == "pebr" and self.band is None:
            raise ValueError("the policy `pebr` needs a `band`: easy, medium or hard")
        if self.policy != "random" and self.match is not None:
            raise ValueError("`match` belongs to the policy `random`")
        if self.policy != "pebr" and self.band is not None:
            raise ValueError("`band` belongs to the policy `pebr`")
        if self.policy != "signal" and self.threshold is not None:
            raise ValueError("`threshold` belongs to the policy `signal`")
        if self.policy == "random" and self.match is None and self.limit is None:
            raise ValueError("the policy `random` needs `match` (a mixture's name) or `limit` (a number)")
        if self.policy == "signal" and self.threshold is None and self.limit is None:
            raise ValueError("the policy `signal` needs `limit` (a number of samples) or `threshold` (a signal)")
        if self.match is not None and (self.where != WhereConfig() or self.caps != CapsConfig()):
            raise ValueError("`where` and `caps` are those of the mixture that `match` names")
        if self.control and self.policy not in ("pebr", "signal"):
            raise ValueError("`control` belongs to the policies `pebr` and `signal`")
        return self

    def control_of(self, name: str) -> MixtureConfig:
        """The random mixture of equal size that this one, called `name`, is compared with."""
        return MixtureConfig(
            policy="random",
            match=name,
            split=self.split,
            seed=self.seed,
            num_generations=self.num_generations,
            scale_rewards=self.scale_rewards,
        )


class CatalogConfig(FileModel):
    """A catalog YAML."""

    name: Name
    sources: tuple[SourceConfig, ...] = Field(min_length=1)
    probe: ProbeConfig = ProbeConfig()
    mixtures: dict[Name, MixtureConfig] = Field(default_factory=dict)

    @field_validator("mixtures", mode="after")
    @classmethod
    def _add_controls(cls, mixtures: dict[Name, MixtureConfig]) -> dict[Name, MixtureConfig]:
        """The mixtures, each followed by its control where it asks for one."""
        every: dict[Name, MixtureConfig] = {}
        for name, mixture in mixtures.items():
            every[name] = mixture
            if mixture.control:
                # A config that was dumped and is read again has it already.
                if mixtures.get(f"{name}_control", mixture.control_of(name)) != mixture.control_of(name):
                    raise ValueError(f"`control` of `{name}` makes a mixture `{name}_control`, which is there already")
                every[f"{name}_control"] = mixture.control_of(name)
        return every

    def with_engine_options(self, given: Mapping[str, Json]) -> CatalogConfig:
        """The same with these engine options; each replaces the one of the YAML."""
        options = {**self.probe.engine_options, **given}
        return self.model_copy(update={"probe": self.probe.model_copy(update={"engine_options": options})})


def load_catalog_config(path: Path) -> CatalogConfig:
    """The catalog YAML at `path`.

    Raises:
        ConfigError: The file is missing or wrong; `problems` holds every mistake.
    """
    return load_yaml(path, CatalogConfig, check=_check_names)


def _check_names(config: CatalogConfig) -> Iterator[tuple[Location, str]]:
    seen: set[str] = set()
    for position, source in enumerate(config.sources):
        if source.name in seen:
            yield ("sources", position, "name"), f"another source is called `{source.name}` already"
        seen.add(source.name)
        fields = getattr(source, "fields", None)
        for rule in fields.grading if fields is not None and isinstance(fields.grading, dict) else ():
            if rule not in GradingRules.model_fields:
                yield (
                    ("sources", position, "fields", "grading"),
                    _no_such("grading rule", rule, GradingRules.model_fields),
                )
    if config.probe.template not in TEMPLATES:
        yield ("probe", "template"), _no_such("prompt template", config.probe.template, TEMPLATES)
    for key, message in check_options(config.probe.engine, config.probe.engine_options):
        yield ("probe", "engine_options", key), message
    for name, mixture in config.mixtures.items():
        if mixture.match is None:
            continue
        matched = config.mixtures.get(mixture.match)
        if matched is None:
            yield ("mixtures", name, "match"), _no_such("mixture", mixture.match, config.mixtures)
        elif matched.policy not in ("pebr", "signal"):
            yield (
                ("mixtures", name, "match"),
                f"`{mixture.match}` must have the policy `pebr` or `signal` to be matched",
            )


def _no_such(what: str, name: str, known: Iterable[str]) -> str:
    near = nearest(name, known)
    return f"there is no {what} `{name}`; " + (f"did you mean `{near}`?" if near else f"there are: {', '.join(known)}")
