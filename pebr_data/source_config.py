"""The sources of a catalog YAML as typed values: where rows lie, what their columns mean, which rows are kept."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from pebr_data.strict_yaml import StrictModel

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)]
Text = Annotated[str, Field(min_length=1)]
Scalar = str | int | float | bool


class ShapesSourceConfig(StrictModel):
    """The generator of rendered scenes.

    Attributes:
        license: The licence of its samples, for the cards of exports.
        seed: The world's seed; the same seed gives the same scenes.
        splits: Number of samples of each split. No scene is in two splits.
    """

    type: Literal["shapes"]
    name: Name
    license: Text | None = None
    seed: int = Field(default=0, ge=0)
    splits: dict[Name, Annotated[int, Field(ge=1)]] = Field(min_length=1)


class FieldsConfig(StrictModel):
    r"""Where a row holds what a sample needs: a column, or a path into it such as `messages.0.content`.

    Attributes:
        question_after: The question is what follows the last occurrence of this text in its column; the whole column
            where the text does not occur. Takes an instruction off that was baked into the prompt.
        answer_after: The answer is the rest of the line after the last occurrence of this text in its column. Rows
            without it are rejected.
        answer_in: The answer stands in the last `\boxed{}` or `<answer>` tag of its column; rows without are rejected.
        answer_is: The answer names one of the options: by its letter, its index from 0 or from 1, or its text. Rows in
            which it does not are rejected. When not given, the answer is kept as it stands.
        images: A column or several, each holding an image or a list of them; null for text only. An image is encoded
            bytes, `{bytes, path}`, base64 text, or a path under the source's `image_root`.
        options: A column with a list or a mapping, or one column for each option.
        options_in_question: The options are read out of the question, which keeps them.
        show_options: The options are written under the question. A policy is shown nothing but the question.
        grading: A column with a mapping of `pebr_data.grading.GradingRules`, or a rule -> the column that states it.
        pass_rates: Columns with pass rates (0..1) that the dataset ships; kept under `pass_rates` in the metadata, left
            out where they are null or no such rate.
        metadata: Columns to keep as they are.
    """

    question: Text = "question"
    question_after: Text | None = None
    answer: Text = "answer"
    answer_after: Text | None = None
    answer_in: Literal["boxed", "answer_tag"] | None = None
    answer_is: Literal["letter", "index0", "index1", "option"] | None = None
    images: Text | tuple[Text, ...] | None = "images"
    answer_type: Text | None = None
    options: Text | tuple[Text, ...] | None = None
    options_in_question: bool = False
    show_options: bool = False
    keywords: Text | None = None
    description: Text | None = None
    response: Text | None = None
    skill: Text | None = None
    grading: Text | dict[Text, Text] | None = None
    split: Text | None = None
    pass_rates: tuple[Text, ...] = ()
    metadata: tuple[Text, ...] = ()

    @model_validator(mode="after")
    def _options_are_there(self) -> FieldsConfig:
        if self.options is not None and self.options_in_question:
            raise ValueError("`options` and `options_in_question` are two answers to one question; keep one")
        if self.show_options and self.options is None:
            raise ValueError("`show_options` needs `options`")
        if self.answer_is is not None and self.options is None and not self.options_in_question:
            raise ValueError("`answer_is` needs `options` or `options_in_question`")
        return self

    def columns(self) -> tuple[str, ...]:
        """Every column or path that is read, each once."""
        graded = (self.grading,) if isinstance(self.grading, str) else tuple((self.grading or {}).values())
        several = [*_several(self.images), *graded, *_several(self.options), *self.pass_rates, *self.metadata]
        single = (
            self.question, self.answer, self.answer_type, self.keywords, self.description, self.response, self.skill,
            self.split,
        )  # fmt: skip
        return tuple(dict.fromkeys([column for column in single if column is not None] + several))


def _several(columns: str | tuple[str, ...] | None) -> tuple[str, ...]:
    return () if columns is None else (columns,) if isinstance(columns, str) else columns


class RowCondition(StrictModel):
    """What a row must meet to be kept; every key that is given must hold.

    Attributes:
        column: A column, or a path into it.
        equals: The value, as text or number.
        one_of: `in` in the YAML: one of these values.
        not_in: None of these values; a missing value is none of them.
        min: A number that is at least this.
        max: A number that is at most this.
        matches: Text in which this RE2 pattern is found. RE2 takes linear time whatever the text.
        present: Whether the value is there: not null, not an empty text or list.
    """

    column: Text
    equals: Scalar | None = None
    one_of: tuple[Scalar, ...] | None = Field(default=None, alias="in", min_length=1)
    not_in: tuple[Scalar, ...] | None = Field(default=None, min_length=1)
    min: float | None = None
    max: float | None = None
    matches: Text | None = None
    present: bool | None = None

    @field_validator("matches")
    @classmethod
    def _is_a_pattern(cls, pattern: str | None) -> str | None:
        if pattern is not None:
            import pyarrow as pa
            import pyarrow.compute as pc

            try:
                pc.match_substring_regex(pa.nulls(1, pa.string()), pattern)
            except pa.ArrowInvalid as error:
                raise ValueError(f"no RE2 pattern: {error}") from None
        return pattern

    @model_validator(mode="after")
    def _asks_something(self) -> RowCondition:
        asked = (self.equals, self.one_of, self.not_in, self.min, self.max, self.matches, self.present)
        if all(value is None for value in asked):
            raise ValueError("a condition needs one of equals, in, not_in, min, max, matches, present")
        return self


class RowSourceConfig(StrictModel):
    """What every source of rows can say.

    Attributes:
        name: Part of each `sample_id`.
        license: The licence of its samples, for the cards of exports; a row's own `license` among its metadata counts
            more.
        image_root: The directory or tar archive that image paths in rows are relative to; where the data lies when not
            given. Nothing outside it is ever read.
        allowed_hosts: Hosts (`images.example.org`, `127.0.0.1:8000`) that images are fetched from where a row names
            them by an address; no other address is ever asked. An address in a private network must stand here itself.
        fields: Which column holds what.
        constants: Columns that every row gets, for `fields` to name.
        keep_if: Rows that miss one of these conditions are left out, counted with the condition as the reason.
        reject_phrases: Rows whose response holds one of these (case ignored) are rejected.
    """

    name: Name
    license: Text | None = None
    image_root: Path | None = None
    allowed_hosts: tuple[Text, ...] = ()
    fields: FieldsConfig = FieldsConfig()
    constants: dict[Text, Scalar] = Field(default_factory=dict)
    keep_if: tuple[RowCondition, ...] = ()
    reject_phrases: tuple[Text, ...] = ()

    @field_validator("allowed_hosts")
    @classmethod
    def _are_hosts(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        for host in hosts:
            if not re.fullmatch(r"([\w.-]+|\[[0-9a-fA-F:.]+\])(:\d{1,5})?", host, re.ASCII):
                raise ValueError("a host is expected, with its port where that is unusual: no scheme, no path")
        return tuple(host.lower() for host in hosts)

    def columns(self) -> tuple[str, ...]:
        """Every column or path that is read, each once."""
        return tuple(dict.fromkeys([*self.fields.columns(), *(condition.column for condition in self.keep_if)]))


class FileSourceConfig(RowSourceConfig):
    """Rows in a JSON list or in JSON lines, with images beside them.

    Attributes:
        file: The data file. A path may lead through a tar archive: `data/pebr.tar/train.json`.
        split: The split of every row that does not name its own through `fields.split`.
    """

    type: Literal["json", "jsonl"]
    file: Path
    split: Name = "train"


class TableSourceConfig(RowSourceConfig):
    """Rows in Parquet or Arrow files, streamed.

    Attributes:
        files: A file, a directory (all files of the type below it) or a glob pattern.
        split: As in `FileSourceConfig`.
    """

    type: Literal["parquet", "arrow"]
    files: Text
    split: Name = "train"


class WebDatasetSourceConfig(RowSourceConfig):
    """Samples as groups of files in tar shards, streamed and never extracted.

    Attributes:
        files: A shard, a directory (all `.tar` below it) or a glob pattern.
        split: As in `FileSourceConfig`.
    """

    type: Literal["webdataset"]
    files: Text
    split: Name = "train"


class FolderSourceConfig(RowSourceConfig):
    """Images in directories, one row an image; or one row a line of a `metadata.jsonl` or `metadata.csv` among them.

    Attributes:
        folder: The directory.
        split: As in `FileSourceConfig`.
    """

    type: Literal["folder"]
    folder: Path
    split: Name = "train"


class HubSourceConfig(RowSourceConfig):
    """A dataset of the Hugging Face hub, or a local copy of one.

    Attributes:
        dataset: A hub id (`owner/name`), or a directory whose path starts with `./`, `../` or `/`: one that
            `save_to_disk` wrote, or a copy of a dataset's repository.
        revision: The commit to read, 40 hex digits; a hub id needs it, because data behind a branch changes.
        config: The dataset's configuration, where it has several.
        splits: Splits of the dataset to read, each with the split its rows get here; every split under its own name
            when empty.
    """

    type: Literal["hub"]
    dataset: Annotated[str, Field(pattern=r"^(\.{0,2}/.*|\.{1,2}|[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)$")]
    revision: str | None = None
    config: Text | None = None
    splits: dict[Text, Name] = Field(default_factory=dict)

    @field_validator("revision")
    @classmethod
    def _is_a_commit(cls, revision: str | None) -> str | None:
        if revision is not None and (len(revision) != 40 or set(revision) - set("0123456789abcdef")):
            raise ValueError("a commit of 40 hex digits is expected; branches and tags move")
        return revision

    @property
    def is_local(self) -> bool:
        """Whether `dataset` is a directory."""
        return self.dataset.startswith((".", "/"))


SourceConfig = Annotated[
    ShapesSourceConfig
    | FileSourceConfig
    | TableSourceConfig
    | WebDatasetSourceConfig
    | FolderSourceConfig
    | HubSourceConfig,
    Field(discriminator="type"),
]
