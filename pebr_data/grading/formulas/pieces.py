"""The text of an answer with structure: one sign for every bracket and relation, and where it falls apart."""

from __future__ import annotations

import re

from pebr_data.grading.formulas.characters import plain_characters
from pebr_data.grading.normalize import strip_lead

OPEN, CLOSE, UNION = "\x01", "\x02", "\x03"
_SIMPLIFY = (
    (re.compile(r"\\(?:left|right|bigl?|bigr?|Bigl?|Bigr?|displaystyle|boxed|fbox)(?![a-zA-Z])\s*\.?"), ""),
    (re.compile(r"\\(?:lbrace(?![a-zA-Z])|\{)"), OPEN),
    (re.compile(r"\\(?:rbrace(?![a-zA-Z])|\})"), CLOSE),
    (re.compile(r"\\langle(?![a-zA-Z])"), "("),
    (re.compile(r"\\rangle(?![a-zA-Z])"), ")"),
    (re.compile(r"\\(?:text|textrm|mathrm|mbox|textbf)\s*\{\s*(or|and|,|;|:|[或和、])\s*\}"), r" \1 "),
    (re.compile("或"), " or "),
    (re.compile("和"), " and "),
    (re.compile("、"), ","),
    (re.compile(r"\\(?:quad|qquad)(?![a-zA-Z])|~"), " "),
    (re.compile(r"(?<!\\)\\[ !>]"), " "),
    (re.compile(r"\\(?:lor|vee)(?![a-zA-Z])"), " or "),
    (re.compile(r"\\(?:land|wedge)(?![a-zA-Z])"), " and "),
    (re.compile(r"\\(?:leq?(?:slant|q)?|leqq)(?![a-zA-Z])|<="), "≤"),
    (re.compile(r"\\(?:geq?(?:slant|q)?|geqq)(?![a-zA-Z])|>="), "≥"),
    (re.compile(r"\\(?:neq?|not\s?=)(?![a-zA-Z])|!="), "≠"),
    (re.compile(r"\\lt(?![a-zA-Z])"), "<"),
    (re.compile(r"\\gt(?![a-zA-Z])"), ">"),
    (re.compile(r"\\approx(?![a-zA-Z])"), "≈"),
    (re.compile(r"\\cup(?![a-zA-Z])"), UNION),
    (re.compile(r"\\in(?![a-zA-Z])"), "∈"),
    (re.compile(r"\\(?:mathbb|mathbf)\s?(?:R|\{\s?R\s?\})"), r"(-\\infty,\\infty)"),
    (re.compile(r"\\pm(?![a-zA-Z])|\+/-"), "±"),
    (re.compile(r"\\mp(?![a-zA-Z])"), "∓"),
    (re.compile(r"\\(?:colon|ratio)(?![a-zA-Z])"), ":"),
    (re.compile(r"\\mid(?![a-zA-Z])"), "|"),
    (re.compile(r"\\(?:emptyset|varnothing)(?![a-zA-Z])"), f"{OPEN}{CLOSE}"),
)
_PHRASE = re.compile(
    r"(?:the )?(?:solutions?|roots?|values?|answers?|coordinates?|points?)(?: of [a-zA-Z]{1,12})? (?:is|are) ?:?", re.I
)
_THOUSANDS = re.compile(r"(?<=[0-9]),(?=[0-9]{3}(?![0-9]))")
_WORD = re.compile(r"(?:or|and)(?![a-zA-Z])", re.IGNORECASE)


def simplify(text: str) -> str:
    """The text with one sign for every relation and bracket, and without words in front."""
    text = plain_characters(text)
    for pattern, replacement in _SIMPLIFY:
        text = pattern.sub(replacement, text)
    text = " ".join(text.split())
    text = text[phrase.end() :].strip() if (phrase := _PHRASE.match(text)) else text
    bare = strip_lead(text)
    text = text if "=" in text[: len(text) - len(bare)] else bare
    while text.startswith("{") and closing(text, 0) == len(text) - 1:
        text = text[1:-1].strip()
    return text


def expanded(text: str) -> list[str]:
    """The two readings of a text with `±`, or the text."""
    if "±" not in text:
        return [text]
    return [text.replace("±", "+").replace("∓", "-"), text.replace("±", "-").replace("∓", "+")]


def split_top(text: str, separator: str) -> list[str]:
    """The parts of a text between separators that stand outside all brackets.

    Where some commas have a space behind them, `1,234` is one number: `1,234, 5` are two.
    """
    parts, start, depth, position = [], 0, 0, 0
    is_word = separator.isalpha()
    if separator == "," and ", " in text:
        text = _THOUSANDS.sub("", text)
    while position < len(text):
        character = text[position]
        if character in f"([{{{OPEN}":
            depth += 1
        elif character in f")]}}{CLOSE}":
            depth -= 1
        elif depth == 0 and text.startswith(separator, position) and (not is_word or _stands_alone(text, position)):
            parts.append(text[start:position].strip())
            position += len(separator)
            start = position
            continue
        position += 1
    return [*parts, text[start:].strip()]


def _stands_alone(text: str, position: int) -> bool:
    return (position == 0 or not text[position - 1].isalpha()) and _WORD.match(text, position) is not None


def closing(text: str, start: int) -> int:
    """Where the bracket that opens at `start` closes, whatever its shape; -1 when it does not."""
    depth = 0
    for position in range(start, len(text)):
        if text[position] in f"([{{{OPEN}":
            depth += 1
        elif text[position] in f")]}}{CLOSE}":
            depth -= 1
            if depth == 0:
                return position
    return -1
