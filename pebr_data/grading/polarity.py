"""Whether an answer is a plain yes or a plain no."""

from __future__ import annotations

import re

from pebr_data.grading.normalize import strip_lead

_YES = frozenset({"yes", "true", "y", "yeah", "yep", "yup", "correct", "是", "是的"})
_NO = frozenset({"no", "false", "n", "nope", "incorrect", "否", "不是"})
_POLAR = re.compile(
    r"(?:(?:definitely|certainly|probably|i (?:would|will) say|i think)[, ]{1,2})?"
    r"(yes|yeah|yep|yup|no|nope|true|false|correct|incorrect|y|n|是的|是|不是|否)\b[\s,.;:!-]*(.*)",
    re.IGNORECASE | re.DOTALL,
)


def polarity(text: str) -> bool | None:
    """True for a plain yes, False for a plain no, None for anything else or both."""
    match = _POLAR.fullmatch(strip_lead(text))
    if match is None:
        return None
    yes = match[1].casefold() in _YES
    words = re.findall("[a-z]+", match[2].casefold())
    opposite = _NO if yes else _YES
    if words and words[0] in opposite | {
        "or",
        "and",
        "but",
        "maybe",
        "perhaps",
        "idea",
        "clue",
        "answer",
        "way",
        "information",
    }:
        return None
    if not yes and any(word in opposite for word in words):
        return None
    if yes and words and words[-1] in opposite:
        return None
    return yes
