"""The catalog YAML as typed values: which sources there are, how to probe them, which mixtures to choose.

`load_yaml` and `StrictModel` are what recipes are read with too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from pebr_data.engine_options import check_options
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
from pebr_data.types import Band, Condition, Json
from pebr_data.yaml_document import Location

__all__ = [
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
    "load_catalog_config",
    "load_yaml",
]

EngineName = Literal["transformers", "vllm", "server"]
"""The names in `pebr_data.engines.base.ENGINES`, which lies in a layer above."""


class ProbeConfig(StrictModel):
    """How a policy is probed. The defaults are the paper's released configuration.

    The paper's probe showed the policy up to 4,194,304 pixels and trained it on 802,816; here both use the latter.

    Attributes:
        rollouts: Completions per sample: the paper's G.
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
    engine: EngineName = "transformers"
    engine_options: dict[str, Json] = Field(default_factory=dict)
    split: str | None = "train"


class MixtureConfig(StrictModel):
    """Which samples a stage trains on.

    Attributes:
        policy: `pebr` takes one band of a finished probe; `random` takes probed samples whatever their pass rate; `all`
            takes the split, probed or not (demonstrations for the warm-up, say).
        band: The band that `pebr` takes.
        match: `random` takes as many samples as this `pebr` mixture has under the same probe.
        limit: At most this many samples.
        seed: Chooses which samples stay when there are more, and their order.
    """

    policy: Literal["pebr", "random", "all"]
    band: Literal[Band.EASY, Band.MEDIUM, Band.HARD] | None = None
    match: str | None = None
    split: str = "train"
    limit: int | None = Field(default=None, ge=1)
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _fits_policy(self) -> MixtureConfig:
        if self.policy == "pebr" and self.band is None:
            raise ValueError("the policy `pebr` needs a `band`: easy, medium or hard")
        if self.policy != "random" and self.match is not None:
            raise ValueError("`match` belongs to the policy `random`")
        if self.policy != "pebr" and self.band is not None:
            raise ValueError("`band` belongs to the policy `pebr`")
        if self.policy == "random" and self.match is None and self.limit is None:
            raise ValueError("the policy `random` needs `match` (a mixture's name) or `limit` (a number)")
        return self


class CatalogConfig(FileModel):
    """A catalog YAML."""

    name: Name
    sources: tuple[SourceConfig, ...] = Field(min_length=1)
    probe: ProbeConfig = ProbeConfig()
    mixtures: dict[Name, MixtureConfig] = Field(default_factory=dict)


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
        elif matched.policy != "pebr":
            yield ("mixtures", name, "match"), f"`{mixture.match}` must have the policy `pebr` to be matched"


def _no_such(what: str, name: str, known: Iterable[str]) -> str:
    near = nearest(name, known)
    return f"there is no {what} `{name}`; " + (f"did you mean `{near}`?" if near else f"there are: {', '.join(known)}")
