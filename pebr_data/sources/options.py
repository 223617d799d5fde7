"""The options of a multiple-choice question: out of a column, several columns, or the question's own text."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping
from typing import Any

from pebr_data.errors import DataError
from pebr_data.sources.columns import find, kind, scalar

MAX_OPTIONS = 26
_MAX_LISTING_CHARS = 20_000
_LABELS = (
    re.compile(r"(?:(?<=\s)|^|(?<=[:;,]))\(([A-Z])\)[ \t]*"),
    re.compile(r"(?:(?<=\s)|^|(?<=[:;,]))([A-Z])[.)][ \t]*"),
    re.compile(r"(?:(?<=\s)|^|(?<=[;,]))([A-Z]):[ \t]*"),
)
"""`(A) 3`, then `A. 3` or `A) 3`, then `A: 3`: the first style in which A, B, … follow each other is the question's."""


def options_of(row: Mapping[str, Any], columns: str | tuple[str, ...] | None) -> tuple[str, ...]:
    """The options in a column with a list, a mapping or a list written as text; or in one column each.

    Of several columns, empty ones at the end are no options; a mapping is taken in the order of its keys.

    Raises:
        DataError: The column holds something else, or an option before others is empty.
    """
    if columns is None:
        return ()
    if isinstance(columns, str):
        value = find(row, columns)
        if isinstance(value, str):
            value = _listing(value, columns)
        if isinstance(value, Mapping):
            value = [value[key] for key in _in_order(value)]
        if value is None:
            return ()
        if not isinstance(value, list):
            raise DataError(f"the column `{columns}` holds {kind(value)}; a list is expected")
    else:
        value = [find(row, column) for column in columns]
    texts = ["" if item is None else scalar(item, "option").strip() for item in value]
    while texts and not texts[-1]:
        texts.pop()
    if "" in texts:
        raise DataError("an option is empty, and others follow it")
    if len(texts) > MAX_OPTIONS:
        raise DataError(f"there are more than {MAX_OPTIONS} options")
    return tuple(texts)


def options_in(question: str) -> tuple[str, ...]:
    """The options a question lists (`A. 3 B. 4`, `(A) 3`, `A: 3`), in order; empty when it lists none.

    They are the last run of labels A, B, C, … in one style, at least two of them; the last one ends at its line's end.
    """
    for label in _LABELS:
        run: list[re.Match[str]] = []
        best: list[re.Match[str]] = []
        for match in label.finditer(question):
            position = ord(match[1]) - ord("A")
            run = [*run, match] if position == len(run) else [match] * (position == 0)
            best = run if len(run) >= 2 else best
        if best:
            ends = [match.start() for match in best[1:]]
            line_end = question.find("\n", best[-1].end())
            ends.append(len(question) if line_end < 0 else line_end)
            texts = [question[match.end() : end].strip(" \t\r\n;,") for match, end in zip(best, ends, strict=True)]
            return tuple(texts) if all(texts) else ()
    return ()


def _in_order(options: Mapping[Any, Any]) -> list[Any]:
    return sorted(options, key=lambda key: (0, int(key), "") if str(key).isdecimal() else (1, 0, str(key)))


def _listing(text: str, column: str) -> Any:
    """A list or mapping that was written into a text column, as JSON or as Python's literals; nothing is run."""
    if not text.strip():
        return None
    if len(text) > _MAX_LISTING_CHARS:
        raise DataError(
            f"the column `{column}` holds a text of over {_MAX_LISTING_CHARS} characters; a list is expected"
        )
    for parse in (json.loads, ast.literal_eval):
        try:
            value = parse(text)
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            continue
        if isinstance(value, list | Mapping):
            return value
    raise DataError(f"the column `{column}` holds a text; a list is expected")
