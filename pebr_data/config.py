"""The catalog YAML as typed values: which sources there are, how to probe them, which mixtures to choose.

`load_yaml` and `StrictModel` are what recipes are read with too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from pebr_data.prompts import TEMPLATES
from pebr_data.strict_yaml import FileModel, StrictModel, load_yaml, nearest
from pebr_data.types import Band, Condition
from pebr_data.yaml_document import Location

__all__ = [
    "CatalogConfig",
    "FieldsConfig",
    "FileModel",
    "FileSourceConfig",
    "MixtureConfig",
    "ProbeConfig",
    "ShapesSourceConfig",
    "SourceConfig",
    "StrictModel",
    "load_catalog_config",
    "load_yaml",
]

EngineName = Literal["transformers"]
"""The names in `pebr_data.engines.base.ENGINES`, which lies in a layer above."""

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)]


class ShapesSourceConfig(StrictModel):
    """The generator of rendered scenes.

    Attributes:
        seed: The world's seed; the same seed gives the same scenes.
        splits: Number of samples of each split. No scene is in two splits.
    """

    type: Literal["shapes"]
    name: Name
    seed: int = Field(default=0, ge=0)
    splits: dict[Name, Annotated[int, Field(ge=1)]] = Field(min_length=1)


class FieldsConfig(StrictModel):
    """Where a row holds what a sample needs: a column, or a path into it such as `messages.0.content`.

    Attributes:
        question_after: The question is what follows the last occurrence of this text in its column; the whole column
            where the text does not occur. Takes an instruction off that was baked into the prompt.
        answer_after: The answer is the rest of the line after the last occurrence of this text in its column. Rows
            without it are rejected.
        images: A path or a list of paths, relative to the source's `image_root`; null for text only.
        grading: A column with a mapping of grading rules (synonyms, tolerance, …): `pebr_data.grading.GradingRules`.
        metadata: Columns to keep as they are.
    """

    question: str = "question"
    question_after: str | None = Field(default=None, min_length=1)
    answer: str = "answer"
    answer_after: str | None = Field(default=None, min_length=1)
    images: str | None = "images"
    answer_type: str | None = None
    options: str | None = None
    keywords: str | None = None
    description: str | None = None
    response: str | None = None
    skill: str | None = None
    grading: str | None = None
    split: str | None = None
    metadata: tuple[str, ...] = ()


class FileSourceConfig(StrictModel):
    """Rows in a JSON list or in JSON lines, with images beside them.

    Attributes:
        file: The data file. A path may lead through a tar archive: `data/pebr.tar/train.json`.
        image_root: The directory or tar archive that image paths in rows are relative to; the data file's own
            directory when not given. Nothing outside it is ever read.
        split: The split of every row that does not name its own through `fields.split`.
        fields: Which column holds what.
        reject_phrases: Rows whose response holds one of these (case ignored) are rejected.
    """

    type: Literal["json", "jsonl"]
    name: Name
    file: Path
    image_root: Path | None = None
    split: Name = "train"
    fields: FieldsConfig = FieldsConfig()
    reject_phrases: tuple[Annotated[str, Field(min_length=1)], ...] = ()


SourceConfig = Annotated[ShapesSourceConfig | FileSourceConfig, Field(discriminator="type")]


class ProbeConfig(StrictModel):
    """How a policy is probed. The defaults are the paper's released configuration.

    The paper's probe showed the policy up to 4,194,304 pixels and trained it on 802,816; here both use the latter.

    Attributes:
        rollouts: Completions per sample: the paper's G.
        split: The split that is probed.
    """

    template: str = "sections"
    condition: Condition = Condition.IMAGE
    temperature: float = Field(default=1.2, ge=0)
    top_p: float = Field(default=0.99, gt=0, le=1)
    max_completion_length: int = Field(default=2048, ge=1)
    max_pixels: int = Field(default=802_816, ge=28 * 28)
    rollouts: int = Field(default=8, ge=1)
    engine: EngineName = "transformers"
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
    if config.probe.template not in TEMPLATES:
        yield ("probe", "template"), _no_such("prompt template", config.probe.template, TEMPLATES)
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
