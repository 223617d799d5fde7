"""Which option of a multiple-choice question an answer names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from pebr_data.grading.doubt import DENIAL
from pebr_data.grading.formulas.expressions import compare_expressions
from pebr_data.grading.formulas.structures import compare_structures
from pebr_data.grading.normalize import clean, math_key, strip_lead, words_key
from pebr_data.grading.text import is_formula, same_text, same_words

_LETTER = re.compile(
    r"(?i:option |choice |letter ){0,2}\(?(?P<letter>[A-Za-z])(?:\)[.:]?|[.:)]|\Z|(?=[,;] ))\.?(?P<rest>.*)", re.DOTALL
)
_SPACED = re.compile(r"(?i:option |choice )?\(?(?P<letter>[A-Z])\)? (?:[-\u2014=] )?(?P<rest>.+)", re.DOTALL)
_LABEL = re.compile(r"\(?(?:(?P<letter>[A-Z])|(?P<number>[1-9]))(?:\)[.:]?|[.:](?![0-9]))\s*(?=\S)")
_NUMBERED = re.compile(
    r"(?:the )?(?:option|choice) (?P<number>[1-9])|(?:the )?(?P<ordinal>[a-z]+) (?:option|choice|one)", re.IGNORECASE
)
_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth")
_LEADING_NUMBER = re.compile(r"\(?(?P<number>[1-9])(?:[).:]+ ?|(?= )|\Z)")
_SEVERAL = re.compile(r"[A-H]{2,8}")
_DOUBT = DENIAL | {"and", "both", "all"}
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
    return _resolve(text, tuple(options))


@lru_cache(maxsize=8192)
def _resolve(text: str, options: tuple[str, ...]) -> int | None:
    bodies = [_body(option, position) for position, option in enumerate(options)]
    numbered = [_LABEL.match(clean(option)) for option in options]
    if all(label is not None and label["number"] == str(position) for position, label in enumerate(numbered, start=1)):
        text = _LEADING_NUMBER.sub(lambda match: f"{chr(ord('A') + int(match['number']) - 1)}. ", text)
    led = split_letter(text)
    same = [position for position, body in enumerate(bodies) if body and same_text(text, body)]
    if len(same) > 1 or (led is not None and led[1]):  # the A of `A. blue` is a letter, not an article
        same = [position for position in same if math_key(text) == math_key(bodies[position])]
        if len(same) > 1:
            return None
    if same:
        return same[0]
    position = _numbered(text, len(options))
    if position is not None:
        return position
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
    alike = [position for position, body in enumerate(bodies) if body and _same_meaning(text, body)]
    return alike[0] if len(alike) == 1 else _mentioned(text, bodies)


def names_several(text: str) -> bool:
    """Whether a gold names several letters, all of which are asked for: `ABD`."""
    return _SEVERAL.fullmatch(text) is not None


def letters_equal(answer: str, gold: str) -> bool:
    """Whether two cleaned texts name the same letter of options that are not known.

    The letter decides, with its text if both give one.
    """
    if names_several(gold):
        letters = re.sub(r"[,;、&\s]+|\band\b", "", answer)
        return _SEVERAL.fullmatch(letters) is not None and sorted(letters) == sorted(gold)
    said, meant = split_letter(answer), split_letter(gold)
    if said is None or meant is None:
        behind = meant[1] if meant else ""
        return bool(behind) and same_text(answer, behind)
    words = words_key(said[1]).split()
    hedged = any((len(word) == 1 and word.isalpha()) or word in ("or", "and", "not") for word in words)
    texts_fit = not said[1] or (same_text(said[1], meant[1]) if meant[1] else not hedged)
    return said[0] == meant[0] and texts_fit


def _body(option: str, position: int) -> str:
    text = clean(option)
    match = _LABEL.match(text)
    if match is None:
        return text
    labelled = int(match["number"]) - 1 if match["number"] else ord(match["letter"]) - ord("A")
    return text[match.end() :] if labelled == position else text


def _same_meaning(text: str, body: str) -> bool:
    """Whether an answer is an option's text but for a plural or filler words, or its formula written otherwise."""
    if not is_formula(text) or not is_formula(body):
        return same_words(text, body)
    found = compare_structures(text, body, _formulas_equal) or compare_expressions(text, body)
    return found is not None and found.equal is True


def _formulas_equal(answer: str, gold: str) -> bool | None:
    found = compare_expressions(answer, gold)
    return None if found is None else found.equal


def _numbered(text: str, num_options: int) -> int | None:
    """The position that `option 3` or `the third option` names."""
    match = _NUMBERED.fullmatch(text)
    if match is None:
        return None
    if match["number"]:
        position = int(match["number"]) - 1
    else:
        ordinal = match["ordinal"].casefold()
        position = _ORDINALS.index(ordinal) if ordinal in _ORDINALS else num_options
    return position if position < num_options else None


def _supports(rest: str, position: int, bodies: Sequence[str]) -> bool:
    """Whether the text behind a letter is that letter's option, or an explanation that names no other."""
    if same_text(rest, bodies[position]) or _same_meaning(rest, bodies[position]):
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
