"""Which option of a multiple-choice question an answer names."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pebr_data.grading.normalize import clean, math_key, strip_lead, words_key
from pebr_data.grading.numbers import numbers_equal, parse_number

_LETTER = re.compile(
    r"(?i:option |choice |letter ){0,2}\(?(?P<letter>[A-Za-z])(?:\)[.:]?|[.:)]|\Z|(?=[,;] ))\.?(?P<rest>.*)", re.DOTALL
)
_SPACED = re.compile(r"(?i:option |choice )?\(?(?P<letter>[A-Z])\)? (?:[-\u2014=] )?(?P<rest>.+)", re.DOTALL)
_LABEL = re.compile(r"\(?(?P<letter>[A-Z])(?:\)[.:]?|[.:])\s*(?=\S)")
_DOUBT = frozenset(
    ["or", "not", "nor", "neither", "either", "and", "maybe", "perhaps", "possibly", "both", "all", "none", "but"]
)
_MAX_WORDS = 16


def split_letter(text: str) -> tuple[str, str] | None:
    """The letter an answer leads with and what follows it: `(B) 30°` gives `("B", "30°")`; None without a letter.

    Args:
        text: A text that `pebr_data.grading.normalize.clean` has been over.
    """
    match = _LETTER.fullmatch(strip_lead(text))
    if match is None:
        return None
    return match["letter"].upper(), match["rest"].strip(" .,;:-")


def resolve_choice(text: str, options: Sequence[str]) -> int | None:
    """The position of the one option a text names, or None when it names none, several, or contradicts itself.

    An option's own text wins over a letter, so that options which are letters themselves (points A, B, C of a
    figure) mean what they say; then a letter with or without the option's text behind it; then a sentence that
    mentions exactly one option.

    Args:
        text: A text that `pebr_data.grading.normalize.clean` has been over.
        options: The options in order, with or without labels such as `A.`.
    """
    bodies = [_body(option, position) for position, option in enumerate(options)]
    same = [position for position, body in enumerate(bodies) if body and same_text(text, body)]
    if len(same) > 1:
        same = [position for position in same if math_key(text) == math_key(bodies[position])]
        return same[0] if len(same) == 1 else None
    if same:
        return same[0]
    led = split_letter(text)
    if led is not None:
        letter, rest = led
        position = ord(letter) - ord("A")
        if not 0 <= position < len(options):
            return None
        return position if not rest or _supports(rest, position, bodies) else None
    spaced = _SPACED.fullmatch(strip_lead(text))
    if spaced is not None:
        position = ord(spaced["letter"]) - ord("A")
        if position < len(options) and same_text(spaced["rest"], bodies[position]):
            return position
    return _mentioned(text, bodies)


def same_text(text: str, other: str) -> bool:
    """Whether two cleaned texts say the same number, the same words or the same formula."""
    a, b = parse_number(text), parse_number(other)
    if a is not None and b is not None:
        return numbers_equal(a, b)
    if a is not None or b is not None:
        return math_key(text) == math_key(other)
    if is_formula(text) or is_formula(other):
        return math_key(text) == math_key(other)
    key = words_key(text)
    return key == words_key(other) if key else math_key(text) == math_key(other)


def is_formula(text: str) -> bool:
    """Whether signs and digits carry meaning in a text, so that they must not be dropped."""
    return any(character.isdigit() or character in "=^√π\\+<>/*|()[]{}#&%@°∠×·" for character in text)


def _body(option: str, position: int) -> str:
    text = clean(option)
    match = _LABEL.match(text)
    return text[match.end() :] if match and ord(match["letter"]) - ord("A") == position else text


def _supports(rest: str, position: int, bodies: Sequence[str]) -> bool:
    """Whether the text behind a letter is that letter's option, or an explanation that names no other."""
    if same_text(rest, bodies[position]):
        return True
    words = words_key(rest).split()
    if any(word in _DOUBT for word in words) or any(len(word) == 1 for word in words):
        return False
    if is_formula(rest) and is_formula(bodies[position]) and math_key(bodies[position]) not in math_key(rest):
        return False
    return not any(other != position and body and _says(rest, body) for other, body in enumerate(bodies))


def _mentioned(text: str, bodies: Sequence[str]) -> int | None:
    words = words_key(text).split()
    if len(words) > _MAX_WORDS or any(word in _DOUBT for word in words):
        return None
    named = [position for position, body in enumerate(bodies) if body and _says(text, body)]
    longest = [p for p in named if not any(q != p and _inside(bodies[p], bodies[q]) for q in named)]
    return longest[0] if len(longest) == 1 else None


def _says(text: str, body: str) -> bool:
    key = words_key(body)
    return bool(key) and not is_formula(body) and f" {key} " in f" {words_key(text)} "


def _inside(body: str, other: str) -> bool:
    return f" {words_key(body)} " in f" {words_key(other)} "
