"""What kind of answer a gold is, when its source does not say."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pebr_data.grading.choices import resolve_choice
from pebr_data.grading.formulas.expressions import constant_value
from pebr_data.grading.normalize import clean, strip_lead
from pebr_data.grading.numbers import parse_number

ANSWER_TYPES = {
    "choice": "choice",
    "multiple_choice": "choice",
    "yes_no": "yes_no",
    "boolean": "yes_no",
    "count": "count",
    "integer": "integer",
    "decimal": "decimal",
    "float": "decimal",
    "number": "number",
    "expression": "expression",
    "formula": "expression",
    "equation": "equation",
    "set": "set",
    "interval": "interval",
    "tuple": "tuple",
    "list": "list",
    "ratio": "ratio",
    "text": "text",
    "word": "text",
    "ocr": "ocr",
    "box": "box",
    "point": "point",
}
"""The answer types a source may declare, and the rule that each is compared by."""

_POLAR = re.compile(r"(?:yes|no|true|false)[.!]?", re.IGNORECASE)
_LETTER = re.compile(r"\(?[A-H]\)?[.:]?")
_HOW_MANY = re.compile(r"\bhow many\b|\bnumber of\b|\bcount\b", re.IGNORECASE)
_RELATION = re.compile(r"[<>≤≥]|\\(?:le|ge|leq|geq|lt|gt)(?![a-z])")
_INTERVAL = re.compile(r"[\[(][^\[\](){}]{1,80},[^\[\](){}]{1,80}[\])](?:\s*(?:∪|\\cup|[uU])\s*[\[(].{1,80}[\])])*")
_OPEN_ENDED = re.compile(r"∞|\\infty|\\inf(?![a-z])|infinity|∪|\\cup", re.IGNORECASE)
_SET = re.compile(r"\\?\{.{0,200}\\?\}", re.DOTALL)
_BRACKETED = re.compile(r"[\[(].{1,200},.{1,200}[\])]", re.DOTALL)
_EQUATION = re.compile(r"[^=]*[a-zA-Z][^=]*=[^=]+|[^=]+=[^=]*[a-zA-Z][^=]*")
_RATIO = re.compile(r"[0-9.]{1,20}(?: ?: ?[0-9.]{1,20}){1,5}")
_CLOCK = re.compile(r"(?:[01]?[0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9])?")
_FORMULA = re.compile(
    r"[\\^√π=+*<>≤≥±×·]|[0-9]\s?[a-zA-Z](?![a-zA-Z])|(?<![a-zA-Z])[a-zA-Z]\s?/\s?[a-zA-Z0-9]|[a-zA-Z0-9)]\s?-\s?[a-zA-Z0-9(]"
)
_PROSE = re.compile(
    r"(?<![\\a-zA-Z])(?!sin|cos|tan|cot|sec|csc|log|ln|exp|sqrt|frac|text|square|cubic|unit|degree|arcsin|arccos|arctan)[a-zA-Z]{4,}"
)
_ITEM = re.compile(r"[^,;]+")
_ALTERNATIVES = re.compile(r",? (?:or|and) ")
_FACTORIAL = re.compile(r"[0-9a-z)]!")


@dataclass(frozen=True, slots=True)
class Inferred:
    """An answer type, a key of `ANSWER_TYPES`, and what spoke for it."""

    answer_type: str
    reason: str


def infer_answer_type(answer: str, options: Sequence[str] = (), question: str = "") -> Inferred:
    """What kind of answer a gold is.

    Boxes, points and OCR text are never inferred: four numbers may be anything, and so may a word.

    Args:
        answer: The gold as its source gives it.
        options: The options of a multiple-choice question, in order.
        question: The question; it tells a count from another whole number.
    """
    text = clean(answer)
    position = resolve_choice(text, options) if options else None
    if position is not None:
        return Inferred("choice", f"the gold names option {position + 1} of {len(options)}")
    plain = strip_lead(text)
    if _POLAR.fullmatch(plain):
        return Inferred("yes_no", "the gold is a plain yes or no")
    if _LETTER.fullmatch(text):
        return Inferred("choice", "the gold is a single letter A-H and the options are not given")
    number = parse_number(text)
    if number is not None:
        if number.value.denominator != 1 or number.decimals is None or number.decimals > 0:
            stated = "decimal" if number.decimals else "number"
            return Inferred(stated, "the gold is a number that is not whole, or not stated as one")
        if _HOW_MANY.search(question) and number.value >= 0 and not number.unit:
            return Inferred("count", "the gold is a whole number and the question asks how many")
        return Inferred("integer", "the gold is a whole number")
    return _infer_math(answer.strip(), text)


def _infer_math(raw: str, text: str) -> Inferred:
    if _SET.fullmatch(raw.strip("$ ")) or _SET.fullmatch(text) or text == "∅":
        return Inferred("set", "the gold stands in braces")
    if "\\begin{" in raw:
        return Inferred("expression", "the gold is a matrix")
    alternatives = _ALTERNATIVES.split(text)
    if len(alternatives) > 1 and all(_is_math(part) for part in alternatives):
        return Inferred("set", "the gold is several numbers or formulas, any of them first")
    if _CLOCK.fullmatch(text):
        return Inferred("text", "the gold is a time of day")
    if _RATIO.fullmatch(text):
        return Inferred("ratio", "the gold is numbers with colons between them")
    half_open = _INTERVAL.fullmatch(text) and (text[0] == "[") != (text[-1] == "]")
    if half_open or (_INTERVAL.match(text) and _OPEN_ENDED.search(raw)):
        return Inferred("interval", "the gold is an interval by its brackets or its infinite end")
    if _PROSE.search(text):
        return Inferred("text", "the gold is words")
    if _RELATION.search(raw):
        return Inferred("interval", "the gold is an inequality")
    if _BRACKETED.fullmatch(text):
        if _may_be_interval(text):
            return Inferred("expression", "the gold is a pair in brackets, a point or an interval")
        return Inferred("tuple", "the gold is a list in brackets")
    items = [item.strip() for item in _ITEM.findall(text)]
    if len(items) > 1 and all(_is_math(item) for item in items):
        return Inferred("list", "the gold is several numbers or formulas with commas between them")
    if _EQUATION.fullmatch(text):
        return Inferred("equation", "the gold has an equals sign and a variable")
    if _FORMULA.search(text) or _FACTORIAL.search(text):
        return Inferred("expression", "the gold has the signs of a formula")
    return Inferred("text", "the gold is words")


def _is_math(text: str) -> bool:
    return parse_number(text) is not None or (bool(_FORMULA.search(text)) and not _PROSE.search(text))


def _may_be_interval(text: str) -> bool:
    """Whether a pair in brackets has its smaller number first, so that `(0, 1)` may be a point or an interval."""
    ends = [constant_value(part) for part in text[1:-1].split(",")]
    if len(ends) != 2:
        return False
    first, second = ends
    return first is None or second is None or first < second
