"""Other ways to write a gold that mean the same to every reader."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pebr_data.audit.differ import plain_letter, plain_number

_DIGITS = re.compile(r"[0-9]{1,9}")
_FRACTION = re.compile(r"([0-9]{1,9})/([0-9]{1,9})")
_WORDS = re.compile(r"[A-Za-z]+(?: [a-z]+)*")
_NUMBER_WORDS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
)  # fmt: skip
_MATHEMATICAL = frozenset(
    ["count", "integer", "decimal", "number", "expression", "equation", "set", "interval", "tuple", "list", "ratio"]
)


def reformattings(gold: str, answer_type: str) -> Iterator[str]:
    """The gold as careful people also write it.

    Args:
        gold: The gold.
        answer_type: The rule it is compared by, a value of `pebr_data.grading.ANSWER_TYPES`.
    """
    gold = gold.strip()
    yield f"**{gold}**"
    yield f"The answer is {gold}"
    if gold[-1:].isalnum():
        yield f"{gold}."
    if gold.count("{") == gold.count("}") and "boxed" not in gold:
        yield rf"\boxed{{{gold}}}"
    if answer_type in _MATHEMATICAL:
        yield from _mathematical(gold, answer_type)
    elif answer_type == "choice" and (letter := plain_letter(gold)) is not None:
        yield from (f"({letter})", f"{letter})", f"Option {letter}", letter.lower())
    elif answer_type in ("text", "yes_no") and _WORDS.fullmatch(gold):
        yield from (gold.lower(), gold.upper(), f'"{gold}"')


def _mathematical(gold: str, answer_type: str) -> Iterator[str]:
    if "$" not in gold:
        yield f"${gold}$"
    if ", " in gold:
        yield gold.replace(", ", ",")
    if "%" in gold:
        yield gold.replace("%", " %").replace("  ", " ").replace("\\ %", "%")
    if "°" in gold:
        yield gold.replace("°", r"^\circ")
    if fraction := _FRACTION.fullmatch(gold):
        yield rf"\frac{{{fraction[1]}}}{{{fraction[2]}}}"
    if _DIGITS.fullmatch(gold):
        value = int(gold)
        yield f"{value}.0"
        if value >= 1000:
            yield f"{value:,}"
        if value < len(_NUMBER_WORDS):
            yield _NUMBER_WORDS[value]
    elif plain_number(gold) is not None and "." in gold and answer_type != "list":
        yield f"{gold}0"
