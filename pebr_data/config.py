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
from pebr_data.types import Band, Condition, Diagnosis, Json, ScaleRewards, StopRule
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
    "PerceptionConfig",
    "ProbeConfig",
    "QuotasConfig",
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


class PerceptionConfig(StrictModel):
    """How a probe scores the parts of the perception reward; none of it is part of the fingerprint.

    Attributes:
        clip: The dual encoder of `similarity`, as the recipe's `reward_models.clip`; without, that part is not scored.
        floor: As of the reward `similarity`.
        ceiling: Likewise.
        max_tokens: As of the reward `length`.
    """

    clip: str | None = Field(default=None, min_length=1)
    floor: float = Field(default=0.0, ge=-1, lt=1)
    ceiling: float = Field(default=0.4, gt=-1, le=1)
    max_tokens: int = Field(default=512, ge=1)

    @model_validator(mode="after")
    def _in_order(self) -> PerceptionConfig:
        if self.floor >= self.ceiling:
            raise ValueError("`floor` must lie below `ceiling`")
        return self


class ProbeConfig(StrictModel):
    """How a policy is probed. The defaults are the paper's released configuration.

    The paper's probe showed the policy up to 4,194,304 pixels and trained it on 802,816; here both use the latter.

    Attributes:
        shuffle_options: Every rollout is shown the options of a multiple-choice question in an order of its own.
        rollouts: Completions per sample: the paper's G.
        stop: `exact` makes no more rollouts of a sample once the band of all G is certain; `posterior` goes on until
            one band has probability `confidence`, or `max_rollouts` are made.
        confidence: Of the rule `posterior`.
        max_rollouts: The most that `posterior` makes of a sample; twice `rollouts` by default.
        split: The split that is probed.
        engine_options: How the engine is run; not part of the fingerprint. See `pebr_data.engine_options`.
    """

    template: str = "sections"
    condition: Condition = Condition.IMAGE
    temperature: float = Field(default=1.2, ge=0)
    top_p: float = Field(default=0.99, gt=0, le=1)
    max_completion_length: int = Field(default=2048, ge=1)
    max_pixels: int = Field(default=802_816, ge=28 * 28)
    shuffle_options: bool = False
    rollouts: int = Field(default=8, ge=1)
    stop: StopRule = StopRule.NONE
    confidence: float = Field(default=0.9, gt=1 / 3, lt=1)
    max_rollouts: int | None = Field(default=None, ge=1)
    perception: PerceptionConfig = PerceptionConfig()
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
        band: Bands.
        pass_rate: The least and the largest share of a complete group that is correct.
    """

    source: tuple[str, ...] = ()
    skill: tuple[str, ...] = ()
    answer_type: tuple[str, ...] = ()
    band: tuple[Band, ...] = ()
    pass_rate: tuple[float, float] | None = None

    @field_validator("pass_rate", mode="after")
    @classmethod
    def _is_interval(cls, bounds: tuple[float, float] | None) -> tuple[float, float] | None:
        if bounds is not None and not 0 <= bounds[0] <= bounds[1] <= 1:
            raise ValueError("`pass_rate` is the least and the largest, both between 0 and 1: [0.1, 0.9]")
        return bounds


class QuotasConfig(StrictModel):
    """How many samples a mixture takes at least of every kind that has as many.

    Attributes:
        source: At least this many of each source.
        skill: At least this many of each skill.
        band: At least this many of each band.
    """

    source: int | None = Field(default=None, ge=1)
    skill: int | None = Field(default=None, ge=1)
    band: int | None = Field(default=None, ge=1)


class CapsConfig(StrictModel):
    """How many samples a mixture takes at most of any one kind.

    Attributes:
        source: At most this many of each source.
        skill: At most this many of each skill.
        band: At most this many of each band.
    """

    source: int | None = Field(default=None, ge=1)
    skill: int | None = Field(default=None, ge=1)
    band: int | None = Field(default=None, ge=1)


MATCHED = ("pebr", "signal", "diagnosis")
"""The policies whose mixtures a `random` one can match."""


class MixtureConfig(StrictModel):
    """Which samples a stage trains on.

    Attributes:
        policy: `pebr` takes one band of a finished probe; `signal` takes the samples with the highest expected signal;
            `diagnosis` takes those that are hard for given reasons; `random` takes probed samples whatever their pass
            rate; `all` takes the split, probed or not (demonstrations for the warm-up, say).
        band: The band that `pebr` takes.
        diagnosis: The diagnosis, or list of them, that `diagnosis` takes.
        match: `random` takes as many samples of each source as this `pebr`, `signal` or `diagnosis` mixture under the
            same probe.
        limit: At most this many samples.
        seed: Chooses which samples stay when there are more, and their order.
        threshold: The least expected signal that `signal` takes.
        num_generations: The training's G, for the signal and the forecast; the probe's `rollouts` by default.
        scale_rewards: The training's, likewise.
        where: Which samples may be taken at all.
        quotas: How many of every source, skill or band at least.
        caps: How many of any one source, skill or band at most.
        cover: Of this kind everyone gets its share before any gets more.
        control: Also choose `<name>_control`, the `random` mixture that matches this one. By default where the policy
            is one of `MATCHED` and no other mixture matches this one.
    """

    policy: Literal["pebr", "signal", "diagnosis", "random", "all"]
    band: Literal[Band.EASY, Band.MEDIUM, Band.HARD] | None = None
    diagnosis: tuple[Diagnosis, ...] = ()
    match: str | None = None
    split: str = "train"
    limit: int | None = Field(default=None, ge=1)
    seed: int = Field(default=0, ge=0)
    threshold: float | None = Field(default=None, gt=0, lt=1)
    num_generations: int | None = Field(default=None, ge=2)
    scale_rewards: ScaleRewards = "group"
    where: WhereConfig = WhereConfig()
    quotas: QuotasConfig = QuotasConfig()
    caps: CapsConfig = CapsConfig()
    cover: Literal["source", "skill", "band"] | None = None
    control: bool | None = None

    @field_validator("diagnosis", mode="before")
    @classmethod
    def _one_or_several(cls, value: Json) -> Json:
        return (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value

    @model_validator(mode="after")
    def _fits_policy(self) -> MixtureConfig:
        if self.policy == "pebr" and self.band is None:
            raise ValueError("the policy `pebr` needs a `band`: easy, medium or hard")
        if self.policy != "random" and self.match is not None:
            raise ValueError("`match` belongs to the policy `random`")
        if self.policy != "pebr" and self.band is not None:
            raise ValueError("`band` belongs to the policy `pebr`")
        if (self.policy == "diagnosis") != bool(self.diagnosis):
            raise ValueError(
                "the policy `diagnosis` needs a `diagnosis`, or a list of them, and no other policy has one"
            )
        if self.policy != "signal" and self.threshold is not None:
            raise ValueError("`threshold` belongs to the policy `signal`")
        if self.policy == "random" and self.match is None and self.limit is None:
            raise ValueError("the policy `random` needs `match` (a mixture's name) or `limit` (a number)")
        if self.policy == "signal" and self.threshold is None and self.limit is None:
            raise ValueError("the policy `signal` needs `limit` (a number of samples) or `threshold` (a signal)")
        constrained = (self.where, self.quotas, self.caps) != (WhereConfig(), QuotasConfig(), CapsConfig())
        if self.match is not None and (constrained or self.cover):
            raise ValueError("`where`, `quotas`, `caps` and `cover` are those of the mixture that `match` names")
        if self.limit is None and (self.quotas != QuotasConfig() or self.cover):
            raise ValueError("`quotas` and `cover` say what goes first, so they need a `limit`")
        if self.control and self.policy not in MATCHED:
            raise ValueError("`control` belongs to the policies `pebr`, `signal` and `diagnosis`")
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
        """The mixtures, each followed by its control where it has one."""
        every: dict[Name, MixtureConfig] = {}
        spoken_for = {mixture.match for mixture in mixtures.values()} | {
            name for name in mixtures if f"{name}_control" in mixtures
        }
        for name, mixture in mixtures.items():
            every[name] = mixture
            by_default = mixture.policy in MATCHED and name not in spoken_for
            if by_default if mixture.control is None else mixture.control:
                # A config that was dumped and is read again has it already.
                if mixtures.get(f"{name}_control", mixture.control_of(name)) != mixture.control_of(name):
                    raise ValueError(f"`control` of `{name}` makes a mixture `{name}_control`, which is there already")
                every[f"{name}_control"] = mixture.control_of(name)
        return every

    @property
    def controls(self) -> frozenset[str]:
        """The mixtures that are there to be compared with, and that nobody wrote down."""
        made = ((f"{name}_control", mixture.control_of(name)) for name, mixture in self.mixtures.items())
        return frozenset(name for name, control in made if self.mixtures.get(name) == control)

    def with_engine_options(self, given: Mapping[str, Json]) -> CatalogConfig:
        """The same with these engine options; each replaces the one of the YAML."""
        options = {**self.probe.engine_options, **given}
        return self.model_copy(update={"probe": self.probe.model_copy(update={"engine_options": options})})


def under(config: CatalogConfig, condition: Condition) -> CatalogConfig:
    """The catalog, probed under another condition."""
    return config.model_copy(update={"probe": config.probe.model_copy(update={"condition": condition})})


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
        elif matched.policy not in MATCHED:
            yield (
                ("mixtures", name, "match"),
                f"`{mixture.match}` must have the policy `pebr`, `signal` or `diagnosis` to be matched",
            )


def _no_such(what: str, name: str, known: Iterable[str]) -> str:
    near = nearest(name, known)
    return f"there is no {what} `{name}`; " + (f"did you mean `{near}`?" if near else f"there are: {', '.join(known)}")
