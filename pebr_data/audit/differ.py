"""What can be said of two golds without a grader: that they are the same text, or that they surely differ."""

from __future__ import annotations

import re
from fractions import Fraction

from pebr_data.types import Sample

SURE_SHARE = Fraction(1, 20)
"""Two decimals differ for certain from this share of the larger on; nearer ones may be roundings of each other."""

_NUMBER = re.compile(r"[+-]?(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]{1,30})(?:\.[0-9]{1,30})?")
_LETTER = re.compile(r"\(?([A-Z])\)?\.?")
_WORDS = re.compile(r"[A-Za-z]+(?: [A-Za-z]+)*")
_POLAR = {"yes": True, "true": True, "no": False, "false": False}
_TOLERANCES = ("tolerance", "relative_tolerance", "decimals", "synonyms")


def strict_key(text: str) -> str:
    """What two spellings share that no reader would tell apart: case and spaces are gone, nothing else."""
    return "".join(text.casefold().split())


def surely_differ(sample: Sample, other: str) -> bool:
    """Whether another answer is wrong for certain; False says that nobody here knows.

    `1/2` and `0.5` may be equal, and so may two words or two formulas. Plain numbers, option letters, and yes and no
    are told apart.
    """
    gold, answer = sample.answer.strip(), other.strip()
    if any(sample.grading.get(rule) for rule in _TOLERANCES):
        return False
    if gold.casefold() in _POLAR and answer.casefold() in _POLAR:
        return _POLAR[gold.casefold()] != _POLAR[answer.casefold()]
    letter, said = plain_letter(gold), plain_letter(answer)
    if letter is not None and said is not None:
        # An option that is a letter itself (a point of a figure) makes two letters mean the same.
        return letter != said and not any(plain_letter(option) for option in sample.options)
    return _numbers_differ(gold, answer)


def share_no_word(gold: str, answer: str) -> bool:
    """Whether both are plain words and have none in common."""
    if not (_WORDS.fullmatch(gold.strip()) and _WORDS.fullmatch(answer.strip())):
        return False
    return not set(gold.casefold().split()) & set(answer.casefold().split())


def plain_letter(text: str) -> str | None:
    """The letter of an answer that is an option's letter and nothing else: `B`, `(B)`, `B.`."""
    match = _LETTER.fullmatch(text.strip())
    return match[1] if match else None


def plain_number(text: str) -> Fraction | None:
    """The value of a number written with digits alone, thousands separators allowed."""
    return Fraction(text.strip().replace(",", "")) if _NUMBER.fullmatch(text.strip()) else None


def _numbers_differ(gold: str, answer: str) -> bool:
    a, b = plain_number(gold), plain_number(answer)
    if a is None or b is None or a == b:
        return False
    if "." not in gold and "." not in answer:
        return True
    return abs(a - b) > SURE_SHARE * max(abs(a), abs(b))
