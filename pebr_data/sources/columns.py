"""Looking values up in a raw row: by column, by a path into nested values, or by who speaks in a conversation."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from pebr_data.errors import DataError
from pebr_data.strict_yaml import nearest

MAX_CHARS = 1_000_000
"""Characters a text may have."""

_SPEAKERS = {"system": ("system",), "user": ("user", "human"), "assistant": ("assistant", "gpt", "model")}


def find(row: Any, column: str) -> Any:
    """The value at a column or a dotted path; None when it is null or not there.

    A path goes into mappings by key and into lists by position. In a conversation `messages.user` and
    `messages.assistant` are the text of the one turn of that speaker, in either of the two common layouts
    (`role` and `content`, `from` and `value`).

    Raises:
        DataError: The speaker has several turns.
    """
    if isinstance(row, Mapping) and column in row:
        return row[column]
    value = row
    for part in column.split("."):
        if isinstance(value, Mapping):
            value = value.get(part)
        elif isinstance(value, list) and part.isdecimal():
            value = value[int(part)] if int(part) < len(value) else None
        elif isinstance(value, list) and part in _SPEAKERS:
            value = _turn(value, part)
        else:
            return None
    return value


def root_of(column: str) -> str:
    """The column that a path starts at."""
    return column.split(".", 1)[0]


def text_at(row: Mapping[str, Any], column: str, what: str) -> str:
    """The text or number at a column, stripped.

    Raises:
        DataError: It is missing, null or something else.
    """
    value = find(row, column)
    if value is None:
        raise missing(row, column, what)
    return scalar(value, what).strip()


def optional_text(row: Mapping[str, Any], column: str | None) -> str | None:
    """The text or number at a column, stripped; None when the column is not asked for, missing, null or empty.

    Raises:
        DataError: It is something else.
    """
    value = None if column is None else find(row, column)
    return None if value is None else scalar(value, str(column)).strip() or None


def scalar(value: Any, what: str) -> str:
    """A text or a finite number as text.

    Raises:
        DataError: It is neither, or a text that cannot be stored.
    """
    if isinstance(value, str):
        text = value
    elif isinstance(value, int) and not isinstance(value, bool):
        text = str(value)
    elif isinstance(value, float) and math.isfinite(value):
        text = repr(value)
    else:
        raise DataError(f"the {what} is {kind(value)}; text or a number is expected")
    if len(text) > MAX_CHARS:
        raise DataError(f"the {what} is longer than {MAX_CHARS} characters")
    if "\0" in text or not (text.isascii() or _is_encodable(text)):
        raise DataError(f"the {what} holds characters that are no text")
    return text


def kept_columns(row: Mapping[str, Any], columns: tuple[str, ...]) -> dict[str, Any]:
    """The values at columns, as metadata; nulls are left out.

    Raises:
        DataError: They cannot be stored as JSON.
    """
    kept = {column: value for column in columns if (value := find(row, column)) is not None}
    if not kept:
        return kept
    try:
        text = json.dumps(kept, allow_nan=False, ensure_ascii=False)
        text.encode("utf-8")
    except (TypeError, ValueError, RecursionError) as error:
        raise DataError(f"the metadata cannot be stored as JSON: {error}") from error
    if len(text) > MAX_CHARS:
        raise DataError(f"the metadata is longer than {MAX_CHARS} characters")
    return kept


def missing(row: Mapping[str, Any], column: str, what: str) -> DataError:
    """The error for a column that is needed and not there, or null."""
    if find(row, column) is None and column in row:
        return DataError(f"the {what} is null")
    near = nearest(column, (str(name) for name in row))
    there = f"did you mean `{near}`?" if near else "the row has " + ", ".join(f"`{name}`" for name in list(row)[:12])
    return DataError(f"there is no column `{column}` for the {what}; {there}")


def kind(value: Any) -> str:
    """What a value is, in words for a message."""
    names = {
        "NoneType": "null", "bool": "true or false", "list": "a list", "dict": "a mapping", "float": "not finite",
        "bytes": "bytes",
    }  # fmt: skip
    return names.get(type(value).__name__, f"of type {type(value).__name__}")


def _is_encodable(text: str) -> bool:
    """Whether a text is free of lone surrogates, which are half a character."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _turn(turns: list[Any], speaker: str) -> str | None:
    said = [
        turn.get("content", turn.get("value"))
        for turn in turns
        if isinstance(turn, Mapping) and turn.get("role", turn.get("from")) in _SPEAKERS[speaker]
    ]
    if len(said) > 1:
        raise DataError(f"the conversation has more than one turn of the {speaker}")
    if not said:
        return None
    content = said[0]
    if isinstance(content, list):  # text and image parts, each a mapping
        parts = [part if isinstance(part, Mapping) else {} for part in content]
        return "".join("<image>" if part.get("type") == "image" else str(part.get("text") or "") for part in parts)
    return content if isinstance(content, str) else None
