"""From a raw row to a candidate: columns looked up, text cleaned, `<image>` placeholders matched with the images."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

from pebr_data.config import FieldsConfig
from pebr_data.errors import DataError
from pebr_data.strict_yaml import nearest
from pebr_data.types import Candidate

PLACEHOLDER = "<image>"


def to_candidate(
    row: Mapping[str, Any],
    fields: FieldsConfig,
    *,
    source: str,
    split: str,
    read_image: Callable[[Any], bytes],
) -> Candidate:
    """The candidate in `row`.

    Args:
        row: A raw row.
        fields: Which column holds what.
        source: The source's name.
        split: The split unless `fields.split` names a column for it.
        read_image: Gives the encoded image for one entry of the images column; raises DataError.

    Raises:
        DataError: The row cannot become a candidate; the message is the reason.
    """
    raw_question = _text(row, fields.question, "question")
    entries = _image_entries(row, fields.images)
    question = _clean_question(raw_question, fields.question_after, num_images=len(entries))
    metadata = {column: value for column in fields.metadata if (value := _find(row, column)) is not None}
    _check_json(metadata)
    return Candidate(
        source=source,
        split=split if fields.split is None else _text(row, fields.split, "split"),
        question=question,
        answer=_answer(row, fields),
        images=tuple(read_image(entry) for entry in entries),
        answer_type=_optional_text(row, fields.answer_type),
        options=_texts(row, fields.options),
        keywords=tuple(dict.fromkeys(_texts(row, fields.keywords))),
        description=_optional_text(row, fields.description),
        response=_optional_text(row, fields.response),
        skill=_optional_text(row, fields.skill),
        grading=_grading(row, fields.grading),
        metadata=metadata,
    )


def place_images(question: str, num_images: int) -> str:
    """The question without `<image>` placeholders.

    At the beginning they only say that there are images, and go; likewise at the end, unless others stand amid the
    text. One amid the text says which image is meant there, and becomes `image 1`, `image 2`, ….

    Raises:
        DataError: There are placeholders, but not as many as images.
    """
    count = question.count(PLACEHOLDER)
    if count == 0:
        return question.strip()
    if count != num_images:
        raise DataError(f"the question has {count} {PLACEHOLDER} placeholders, but the row has {num_images} images")
    pieces = [piece.strip(" \t") for piece in question.split(PLACEHOLDER)]
    first = next((i for i, piece in enumerate(pieces) if piece.strip()), 0)
    last = next((i for i in range(count, -1, -1) if pieces[i].strip()), 0)
    last = count if last > first else last
    text = pieces[first]
    for i in range(first + 1, last + 1):
        before = "" if not text or text[-1] in "\n([" else " "
        after = "" if not pieces[i] or pieces[i][0] in "\n.,;:?!)]" else " "
        text += f"{before}image {i}{after}{pieces[i]}"
    return text.strip()


def _clean_question(text: str, after: str | None, *, num_images: int) -> str:
    if after is not None and after in text:
        head, _, tail = text.rpartition(after)
        # Placeholders ahead of the instruction still count.
        text = PLACEHOLDER * head.count(PLACEHOLDER) + tail
    question = place_images(text, num_images)
    if not question:
        raise DataError("the question is empty")
    return question


def _answer(row: Mapping[str, Any], fields: FieldsConfig) -> str:
    value = _find(row, fields.answer)
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if value is None:
        raise _missing(row, fields.answer, "answer")
    text = _scalar(value, "answer")
    if fields.answer_after is not None:
        _, marker, tail = text.rpartition(fields.answer_after)
        if not marker:
            raise DataError(f"the answer's column has no {fields.answer_after!r}")
        text = (tail.strip().splitlines() or [""])[0]
    text = text.strip()
    if not text:
        raise DataError("the answer is empty")
    return text


def _image_entries(row: Mapping[str, Any], column: str | None) -> list[Any]:
    if column is None:
        return []
    value = _find(row, column)
    if value is None:
        raise _missing(row, column, "images")
    return value if isinstance(value, list) else [value]


def _text(row: Mapping[str, Any], column: str, what: str) -> str:
    value = _find(row, column)
    if value is None:
        raise _missing(row, column, what)
    return _scalar(value, what).strip()


def _optional_text(row: Mapping[str, Any], column: str | None) -> str | None:
    value = None if column is None else _find(row, column)
    return None if value is None else _scalar(value, str(column)).strip() or None


def _texts(row: Mapping[str, Any], column: str | None) -> tuple[str, ...]:
    value = None if column is None else _find(row, column)
    if value is None:
        return ()
    if isinstance(value, Mapping):
        value = [value[key] for key in sorted(value)]
    if not isinstance(value, list):
        raise DataError(f"the column `{column}` holds {_kind(value)}; a list is expected")
    texts = (_scalar(item, str(column)).strip() for item in value)
    return tuple(text for text in texts if text)


def _grading(row: Mapping[str, Any], column: str | None) -> Mapping[str, Any]:
    value = None if column is None else _find(row, column)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise DataError(f"the column `{column}` holds {_kind(value)}; a mapping of grading rules is expected")
    # Data frames give every row every key.
    return {str(name): rule for name, rule in value.items() if rule is not None}


def _scalar(value: Any, what: str) -> str:
    if isinstance(value, str):
        text = value
    elif isinstance(value, int) and not isinstance(value, bool):
        text = str(value)
    elif isinstance(value, float) and math.isfinite(value):
        text = repr(value)
    else:
        raise DataError(f"the {what} is {_kind(value)}; text or a number is expected")
    if "\0" in text or any("\ud800" <= char <= "\udfff" for char in text):
        raise DataError(f"the {what} holds characters that are no text")
    return text


def _check_json(metadata: Mapping[str, Any]) -> None:
    try:
        json.dumps(metadata, allow_nan=False, ensure_ascii=False).encode("utf-8")
    except (TypeError, ValueError) as error:
        raise DataError(f"the metadata cannot be stored as JSON: {error}") from error


def _find(row: Any, column: str) -> Any:
    """The value at a column or a dotted path; None when it is null or not there."""
    if isinstance(row, Mapping) and column in row:
        return row[column]
    value = row
    for part in column.split("."):
        if isinstance(value, Mapping):
            value = value.get(part)
        elif isinstance(value, list) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value


def _missing(row: Mapping[str, Any], column: str, what: str) -> DataError:
    if _find(row, column) is None and column in row:
        return DataError(f"the {what} is null")
    near = nearest(column, (str(name) for name in row))
    there = f"did you mean `{near}`?" if near else "the row has " + ", ".join(f"`{name}`" for name in list(row)[:12])
    return DataError(f"there is no column `{column}` for the {what}; {there}")


def _kind(value: Any) -> str:
    names = {"NoneType": "null", "bool": "true or false", "list": "a list", "dict": "a mapping", "float": "not finite"}
    return names.get(type(value).__name__, f"of type {type(value).__name__}")
