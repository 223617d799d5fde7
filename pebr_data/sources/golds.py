r"""The gold answer out of its column: behind a marker, in `\boxed{}` or in a tag, then as one of the options."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pebr_data.errors import DataError
from pebr_data.grading.choices import resolve_choice, split_letter
from pebr_data.grading.normalize import clean
from pebr_data.source_config import FieldsConfig
from pebr_data.sources.columns import find, missing, scalar

_BOXES = re.compile(r"\\f?boxed\s*\{")
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def gold_of(row: Mapping[str, Any], fields: FieldsConfig, options: tuple[str, ...]) -> str:
    """The gold answer of a row.

    Raises:
        DataError: It is missing, not where `fields` says, or names none of the options though `fields` says so.
    """
    value = find(row, fields.answer)
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if value is None:
        raise missing(row, fields.answer, "answer")
    text = scalar(value, "answer")
    if fields.answer_after is not None:
        _, marker, tail = text.rpartition(fields.answer_after)
        if not marker:
            raise DataError(f"the answer's column has no {fields.answer_after!r}")
        text = (tail.strip().splitlines() or [""])[0]
    if fields.answer_in == "boxed":
        text = last_boxed(text)
    elif fields.answer_in == "answer_tag":
        text = last_tag(text)
    text = text.strip()
    if not text:
        raise DataError("the answer is empty")
    return text if fields.answer_is is None else _resolve(text, fields.answer_is, options)


def last_boxed(text: str) -> str:
    r"""What the last `\boxed{…}` holds, braces balanced.

    Raises:
        DataError: There is none, or it is not closed.
    """
    boxes = list(_BOXES.finditer(text))
    if not boxes:
        raise DataError("the answer's column has no \\boxed{}")
    opened = boxes[-1]
    depth = 1
    for end in range(opened.end(), len(text)):
        escaped = text[end - 1] == "\\"
        depth += 0 if escaped else (text[end] == "{") - (text[end] == "}")
        if depth == 0:
            return text[opened.end() : end]
    raise DataError("the \\boxed{} of the answer is not closed")


def last_tag(text: str) -> str:
    """What the last `<answer>…</answer>` holds.

    Raises:
        DataError: There is none.
    """
    head, closing, _ = _split_last(text, "</answer>")
    _, opening, body = _split_last(head, "<answer>")
    if not closing or not opening:
        raise DataError("the answer's column has no <answer> tag")
    return body


def _split_last(text: str, tag: str) -> tuple[str, bool, str]:
    at = text.lower().rfind(tag)
    return (text, False, "") if at < 0 else (text[:at], True, text[at + len(tag) :])


def _resolve(text: str, form: str, options: tuple[str, ...]) -> str:
    """The gold as a letter, or as its option's text where options are letters themselves."""
    if not options:
        if form in ("letter", "index0", "index1"):
            raise DataError(f"the answer is given by its {form.rstrip('01')}, but the row has no options")
        return text  # a row without options among rows with them
    position = _position(text, form, options)
    letter = _LETTERS[position]
    for gold in (text, letter, options[position]) if form == "option" else (letter, options[position]):
        if resolve_choice(clean(gold), options) == position:
            return gold
    raise DataError("the answer's option is the same as another one")


def _position(text: str, form: str, options: tuple[str, ...]) -> int:
    if form in ("index0", "index1"):
        whole = re.fullmatch(r"(-?\d{1,6})(?:\.0)?", text)
        if whole is None:
            raise DataError("the answer is no index")
        position = int(whole[1]) - int(form == "index1")
        if not 0 <= position < len(options):
            raise DataError(f"the answer's index is that of no option, counting from {form[-1]}")
        return position
    if form == "letter":
        led = split_letter(clean(text))
        if led is None:
            raise DataError("the answer is no letter")
        position = ord(led[0]) - ord("A")
        if not position < len(options):
            raise DataError("the answer's letter is that of no option")
        return position
    same = [position for position, option in enumerate(options) if option == text]
    found = same[0] if len(same) == 1 else resolve_choice(clean(text), options)
    if found is None:
        raise DataError("the answer names none of the options, or several")
    return found
