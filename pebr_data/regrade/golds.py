"""Corrected golds from a file: JSON lines or CSV with `sample_id`, `answer` and, if you like, `reason`.

A review list (`pebr_data.regrade.review`) is such a file, too: its rows have a `verdict` and what a person reads to
give it. There `answer` may stay empty, and a row without both says nothing.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from pebr_data.catalog.golds import GoldFix
from pebr_data.catalog.reviews import GoldReview
from pebr_data.errors import ConfigError
from pebr_data.grading import Grader, infer_answer_type
from pebr_data.grading.versions import Grading
from pebr_data.strict_yaml import nearest
from pebr_data.types import Json, Outcome, Sample

COLUMNS = ("sample_id", "answer", "reason")
_REQUIRED = COLUMNS[:2]
VERDICT = "verdict"
TOLD = (
    "question", "images", "gold", "majority", "num_majority", "num_correct", "num_rollouts", "suspicion"
)  # fmt: skip
"""What a review list tells whoever edits it; nothing of it is read back."""
VERDICTS = ("right", "wrong", "drop", "open")
"""The gold is right and not to be suspected again; it is wrong, and `answer` is right; the sample is to be left out;
what was said before is taken back."""
_DECLARED = "declared by the source"
"""The reason that a sample's answer type carries when its source gave it."""

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_HELP = 'write {"sample_id": …, "answer": …, "reason": …} a line (JSON), or the columns sample_id,answer,reason (CSV)'


@dataclass(frozen=True, slots=True)
class GoldRow:
    """A correction or a verdict as the file has it, and the line it begins on; empty where nothing is said."""

    line: int
    sample_id: str
    answer: str
    reason: str
    verdict: str = ""


@dataclass(frozen=True, slots=True)
class GoldFile:
    """A file of corrections: the rows that can be read, and what is wrong with the others, by line.

    A review list (`is_review`) adds to the corrections in force; any other file holds all of them.
    """

    path: Path
    rows: tuple[GoldRow, ...]
    problems: tuple[tuple[int, str], ...]
    is_review: bool = False

    @property
    def answered(self) -> frozenset[str]:
        """The samples whose gold it gives."""
        return frozenset(row.sample_id for row in self.rows if row.answer)


def read_gold_file(path: Path) -> GoldFile:
    """The corrections in a file: CSV when its name ends so, else JSON lines. Empty lines are skipped.

    Raises:
        ConfigError: It cannot be read.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = _csv_rows(file) if path.suffix.lower() == ".csv" else _json_rows(file)
            return _checked(path, lines)
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ConfigError(f"the golds cannot be read: {why}", where=str(path), help=_HELP) from error


def corrections(file: GoldFile, samples: Mapping[str, Sample], catalog: str, grader: Grader) -> list[GoldFix]:
    """What a file corrects, by sample_id; a row that repeats the source's gold corrects nothing.

    Args:
        file: The file.
        samples: The catalog's samples among those it names, by id, with their sources' golds.
        catalog: The catalog's name, for messages.
        grader: Who will compare with the new golds.

    Raises:
        ConfigError: A line is wrong, a sample is not in the catalog, or a new gold cannot be graded against; `problems`
            holds every mistake.
    """
    problems = list(file.problems)
    changed: list[tuple[GoldRow, Sample]] = []
    for row in file.rows:
        sample = samples.get(row.sample_id)
        if sample is None:
            problems.append((row.line, f"there is no sample {row.sample_id} in the catalog {catalog}"))
        elif row.answer and row.answer != sample.answer:
            changed.append((row, _corrected(sample, row.answer)))
    verdicts = Grading(grader).grade([("", sample, "stop") for _, sample in changed])
    for (row, _), verdict in zip(changed, verdicts, strict=True):
        if verdict.outcome is Outcome.UNGRADABLE:
            problems.append((row.line, f"sample {row.sample_id}: {verdict.reason}"))
    if problems:
        raise ConfigError(
            f"{len(problems)} {'corrections' if len(problems) > 1 else 'correction'} cannot be used",
            where=str(file.path),
            help=_HELP,
            problems=tuple(f"{file.path}:{line}: {problem}" for line, problem in sorted(problems)),
        )
    return [
        GoldFix(sample.sample_id, sample.answer, *_type_of(sample), row.reason)
        for row, sample in sorted(changed, key=lambda one: one[1].sample_id)
    ]


def reviews(file: GoldFile, golds: Mapping[str, str]) -> list[GoldReview]:
    """What a review list says of golds; one that it corrects is right from then on. Nothing for any other file.

    Args:
        file: The file.
        golds: The golds of its samples, by id.
    """
    said = [
        replace(row, verdict="right" if row.answer else row.verdict, answer=row.answer or golds[row.sample_id])
        for row in file.rows
        if file.is_review and row.sample_id in golds
    ]
    return [GoldReview(row.sample_id, row.verdict, row.answer, row.reason) for row in said if row.verdict]


def with_fix(sample: Sample, fix: GoldFix | None) -> Sample:
    """The sample with its corrected gold, or as it is."""
    if fix is None:
        return sample
    if fix.answer_type is None:
        return replace(sample, answer=fix.answer)
    return replace(sample, answer=fix.answer, answer_type=fix.answer_type, answer_type_reason=fix.answer_type_reason)


def _corrected(sample: Sample, answer: str) -> Sample:
    """The sample with another gold, and the type of that one where the old one's was not declared but inferred."""
    if sample.answer_type_reason in (None, _DECLARED):
        return replace(sample, answer=answer)
    found = infer_answer_type(answer, sample.options, sample.question)
    return replace(sample, answer=answer, answer_type=found.answer_type, answer_type_reason=found.reason)


def _type_of(sample: Sample) -> tuple[str | None, str | None]:
    if sample.answer_type_reason in (None, _DECLARED):
        return None, None
    return sample.answer_type, sample.answer_type_reason


@dataclass(frozen=True, slots=True)
class _Line:
    """What stands on a line: a value, or why there is none."""

    number: int
    value: Json
    problem: str | None = None


def _json_rows(file: Iterable[str]) -> Iterator[_Line]:
    for number, line in enumerate(file, start=1):
        if line.strip():
            try:
                # A number is taken as it is written: 0.50 stays 0.50.
                yield _Line(number, json.loads(line, parse_int=str, parse_float=str))
            except (ValueError, RecursionError) as error:
                why = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
                yield _Line(number, None, f"this is not JSON: {why}")


def _csv_rows(file: Iterable[str]) -> Iterator[_Line]:
    reader = csv.reader(file, strict=True)
    header: list[str] | None = None
    begins = 1
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            yield _Line(begins, None, f"this is not CSV: {error}")
            return
        if cells is None:
            return
        if any(cell.strip() for cell in cells):
            if header is None:
                header = [cell.strip() for cell in cells]
                if not set(_REQUIRED) <= set(header):
                    yield _Line(begins, None, f"the first line must name the columns {' and '.join(_REQUIRED)}")
                    return
            elif len(cells) > len(header):
                problem = f"there are {len(cells)} cells under {len(header)} columns; a comma belongs into quotes"
                yield _Line(begins, None, problem)
            else:
                yield _Line(begins, dict(zip(header, cells, strict=False)))
        begins = reader.line_num + 1


def _checked(path: Path, lines: Iterable[_Line]) -> GoldFile:
    rows: list[GoldRow] = []
    problems: list[tuple[int, str]] = []
    seen: dict[str, int] = {}
    is_review = False
    for line in lines:
        wrong = list(_problems(line.value)) if line.problem is None else [line.problem]
        if not wrong:
            answer, reason, verdict = (line.value.get(name) or "" for name in ("answer", "reason", VERDICT))
            row = GoldRow(line.number, line.value["sample_id"].strip(), answer, reason, verdict.strip())
            is_review |= VERDICT in line.value
            if row.sample_id in seen:
                wrong = [f"sample {row.sample_id} is corrected on line {seen[row.sample_id]} already"]
            seen.setdefault(row.sample_id, line.number)
            rows.append(row)
        problems += [(line.number, problem) for problem in wrong]
    return GoldFile(path, tuple(rows), tuple(problems), is_review)


def _problems(value: Json) -> Iterator[str]:
    if not isinstance(value, dict):
        yield "this is no JSON object"
        return
    is_review = VERDICT in value
    known = (*COLUMNS, VERDICT, *TOLD) if is_review else COLUMNS
    required = _REQUIRED[:1] if is_review else _REQUIRED
    for name in value:
        if name not in known:
            near = nearest(name, known)
            meant = f"did you mean `{near}`?" if near else f"there are: {', '.join(known)}"
            yield f"there is no `{name}`; {meant}"
    for name in (*COLUMNS, VERDICT) if is_review else COLUMNS:
        content = value.get(name)
        if content is None:
            if name in required:
                yield f"`{name}` is missing"
        elif not isinstance(content, str):
            yield f"`{name}` must be text"
        elif name in required and not content.strip():
            yield f"`{name}` is empty"
        elif _LONE_SURROGATE.search(content):
            yield f"`{name}` holds half a character (a lone surrogate)"
    if is_review:
        yield from _verdict_problems(value.get(VERDICT), value.get("answer"))


def _verdict_problems(verdict: Json, answer: Json) -> Iterator[str]:
    if not isinstance(verdict, str | None) or not isinstance(answer, str | None):
        return
    said, gives = (verdict or "").strip(), bool((answer or "").strip())
    if said and said not in VERDICTS:
        near = nearest(said, VERDICTS)
        yield f"there is no verdict `{said}`; " + (f"did you mean `{near}`?" if near else f"use {', '.join(VERDICTS)}")
    elif said == "wrong" and not gives:
        yield "the verdict is `wrong`, so `answer` must say what is right"
    elif said not in ("", "wrong") and gives:
        yield f"the verdict is `{said}`, so `answer` must stay empty"
