"""Short texts and texts read off an image."""

from __future__ import annotations

import re
import unicodedata

from pebr_data.grading.dates import read_date, read_time
from pebr_data.grading.normalize import math_key, words_key
from pebr_data.grading.numbers import numbers_equal, parse_number

_BE = re.compile(r"\b(?:is|are|was|were|says|reads|shows|called|named)\b", re.IGNORECASE)
_FILLERS = frozenset(
    [
        "a",
        "an",
        "the",
        "it",
        "its",
        "is",
        "are",
        "to",
        "at",
        "on",
        "in",
        "of",
        "towards",
        "toward",
        "looks",
        "appears",
        "be",
        "color",
        "colour",
        "side",
        "material",
        "made",
    ]
)
_SINGULAR_S = frozenset("su")


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
    return text.startswith("-") or any(
        character.isdigit() or character in "=^√π\\+<>/*|()[]{}#&%@°∠△∥⊥≠≤≥≈≅∽∞∅×·" for character in text
    )


def same_words(text: str, other: str) -> bool:
    """Whether two cleaned texts say the same but for a plural, a hyphen, filler words, or how a date is written."""
    if same_text(text, other):
        return True
    for read in (read_date, read_time):
        said, meant = read(text), read(other)
        if said is not None and meant is not None:
            return said == meant
    if is_formula(text) or is_formula(other):
        return False
    a, b = _core(text), _core(other)
    return bool(a) and (a == b or a.replace(" ", "") == b.replace(" ", ""))


def ocr_similarity(answer: str, gold: str) -> float:
    """How alike two texts read off an image are, in 0 .. 1; case, spacing and punctuation are ignored.

    The normalised Levenshtein similarity (1 - edit distance / length of the longer one: Biten et al., Scene Text
    Visual Question Answering, ICCV 2019) of the least similar word: a slip of the eye changes a letter, another word is
    another text. A word with digits is right or wrong. What an answer says the text `reads` is compared as well.
    """
    quoted = [text[verb.end() :] for text in [answer] for verb in _BE.finditer(text)]
    return max(_similarity(text, gold) for text in (answer, *quoted))


def _similarity(answer: str, gold: str) -> float:
    from rapidfuzz.distance import Levenshtein

    said, meant = _ocr_words(answer), _ocr_words(gold)
    if not said or not meant:
        return float(answer.strip() == gold.strip())
    if "".join(said) == "".join(meant):
        return 1.0
    if len(said) != len(meant):
        return 0.0
    return min(
        float(Levenshtein.normalized_similarity(a, b)) if not any(map(str.isdigit, a + b)) else float(a == b)
        for a, b in zip(said, meant, strict=True)
    )


def _ocr_words(text: str) -> list[str]:
    plain = unicodedata.normalize("NFKC", text).casefold()
    return "".join(character if character.isalnum() else " " for character in plain).split()


def _core(text: str) -> str:
    """The words that carry the meaning, in the singular."""
    return " ".join(_singular(word) for word in words_key(text).split() if word not in _FILLERS)


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word[-1] == "s" and word[-2] not in _SINGULAR_S else word
