"""What looks wrong about how a source's first rows were mapped. Each is a guess in a line, for a person to judge."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from pebr_data.config import FieldsConfig, RowSourceConfig
from pebr_data.errors import DataError
from pebr_data.grading.equivalence import gold_problem
from pebr_data.sources.base import Reject
from pebr_data.sources.columns import find, root_of
from pebr_data.strict_yaml import nearest
from pebr_data.types import Candidate

MAX_ANSWER_CHARS = 200
"""A longer gold is a solution rather than an answer."""

_FEW = 3
"""From this many rows on, all being the same is suspicious."""

_SHORT_CHARS = 40
_ANSWERS = frozenset(
    {
        "answer", "gold", "gold_answer", "gt", "gt_answer", "ground_truth", "groundtruth", "final_answer",
        "correct_answer", "correct_option", "answer_option", "label", "target", "solution", "reference_answer",
        "short_answer",
    }
)  # fmt: skip
_IMAGES = re.compile(r"image|img|picture|photo|figure|pixels", re.IGNORECASE)
_MARKS = re.compile(r"<\|?(?:image|img|video)[^>\s]{0,20}\|?>|\[IMG\]", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class SeenRow:
    """A raw row with all its columns, and what became of it."""

    where: str
    columns: Mapping[str, Any]
    item: Candidate | Reject


def suspicions(rows: Sequence[SeenRow], config: RowSourceConfig) -> list[str]:
    """What looks wrong, most telling first."""
    candidates = [row.item for row in rows if isinstance(row.item, Candidate)]
    return [
        *_of_rejects(rows),
        *_of_columns(rows, config),
        *_of_answers(candidates, config.fields),
        *_of_better_answers(rows, config.fields),
        *_of_questions(candidates),
        *_of_images(rows, candidates, config.fields),
    ]


def _of_rejects(rows: Sequence[SeenRow]) -> Iterator[str]:
    if rows and all(isinstance(row.item, Reject) for row in rows):
        yield "not one of these rows becomes a sample"


def _of_columns(rows: Sequence[SeenRow], config: RowSourceConfig) -> Iterator[str]:
    names = list(dict.fromkeys(name for row in rows for name in row.columns))
    for column in config.columns():
        if names and not any(_value(row, column) is not None for row in rows):
            near = nearest(column, names)
            there = f"; did you mean `{near}`?" if near and near != column else ""
            held = "null in all of these rows" if column in names else "in none of these rows"
            yield f"the column `{column}` is {held}{there}"


def _of_answers(candidates: Sequence[Candidate], fields: FieldsConfig) -> Iterator[str]:
    golds = [candidate.answer for candidate in candidates]
    if len(golds) >= _FEW and len(set(golds)) == 1:
        yield f"all golds are equal: {golds[0][:60]!r}"
    too_long = sum(len(gold) > MAX_ANSWER_CHARS for gold in golds)
    if too_long:
        yield f"{too_long} golds are longer than {MAX_ANSWER_CHARS} characters; is this the answer's column?"
    boxed = sum("\\boxed" in gold for gold in golds)
    if boxed and fields.answer_in is None:
        yield f"{boxed} golds hold \\boxed{{}}; set `answer_in: boxed` to take what is in it"
    tagged = sum("<answer>" in gold.lower() for gold in golds)
    if tagged and fields.answer_in is None:
        yield f"{tagged} golds hold an <answer> tag; set `answer_in: answer_tag` to take what is in it"
    unusable = Counter(
        re.sub(r"'.*?'|\".*?\"", "…", problem)
        for candidate in candidates
        if (problem := _gold_problem(candidate)) is not None
    )
    for problem, count in unusable.most_common(2):
        yield f"{count} golds cannot be graded against: {problem}"


def _gold_problem(candidate: Candidate) -> str | None:
    kind = "choice" if candidate.options and candidate.answer_type is None else candidate.answer_type
    return gold_problem(candidate.answer, kind, candidate.options)


def _of_better_answers(rows: Sequence[SeenRow], fields: FieldsConfig) -> Iterator[str]:
    """Columns called like an answer that are short, or differ, where the golds are long, or all equal."""
    used = {root_of(column) for column in fields.columns()}
    golds = [row.item.answer for row in rows if isinstance(row.item, Candidate)]
    if len(golds) < _FEW:
        return
    for name in dict.fromkeys(name for row in rows for name in row.columns):
        if name in used or name.casefold() not in _ANSWERS:
            continue
        values = [str(row.columns[name]) for row in rows if isinstance(row.columns.get(name), str | int | float)]
        if len(values) < _FEW or len(set(values)) == 1:
            continue
        short = median(map(len, values)) <= _SHORT_CHARS
        if short and (median(map(len, golds)) > _SHORT_CHARS or len(set(golds)) == 1):
            yield f"the column `{name}` looks like a better answer than `{fields.answer}`, e.g. {values[0][:40]!r}"


def _of_questions(candidates: Sequence[Candidate]) -> Iterator[str]:
    questions = [candidate.question for candidate in candidates]
    if len(questions) >= _FEW and len(set(questions)) == 1:
        yield f"all questions are equal: {questions[0][:60]!r}"
    same = len(candidates) - len({(one.question, one.answer, one.images) for one in candidates})
    if same:
        yield f"{same} rows repeat an earlier one"
    marked = [match[0] for question in questions if (match := _MARKS.search(question))]
    if marked:
        yield f"{len(marked)} questions still hold {marked[0]!r}, which a policy would read as text"
    hidden = sum(any(option not in one.question for option in one.options) for one in candidates)
    if hidden:
        yield f"{hidden} questions do not show their options, and a policy sees nothing else; set `show_options: true`"


def _of_images(rows: Sequence[SeenRow], candidates: Sequence[Candidate], fields: FieldsConfig) -> Iterator[str]:
    without = sum(not candidate.images for candidate in candidates)
    if without and fields.images is not None:
        yield f"{without} of {len(candidates)} samples have no image"
    if fields.images is None:
        held = [name for row in rows[:1] for name in row.columns if _IMAGES.search(name)]
        if held:
            yield f"`images` is null, but the column `{held[0]}` may hold images"


def _value(row: SeenRow, column: str) -> Any:
    try:
        return find(row.columns, column)
    except DataError as error:
        return error
