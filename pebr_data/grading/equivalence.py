r"""Whether an extracted answer says what the gold says.

Cheap, exact rules only: nothing is evaluated, every step is linear in the input, and a doubtful answer (`A or B`,
`1 2 3`, `not red`) is not equal to anything but itself. Symbolic equality is not decided here: `2\sqrt{3}` equals
`2√3` but not `\sqrt{12}`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pebr_data.grading.choices import is_formula, resolve_choice, same_text, split_letter
from pebr_data.grading.normalize import clean, strip_lead, words_key
from pebr_data.grading.numbers import numbers_equal, parse_number

ANSWER_TYPES = {
    "count": "count",
    "integer": "integer",
    "decimal": "decimal",
    "float": "decimal",
    "number": "number",
    "yes_no": "yes_no",
    "boolean": "yes_no",
    "choice": "choice",
    "multiple_choice": "choice",
    "word": "text",
    "text": "text",
}
"""The answer types a sample may declare, and the rule each is compared by; any other type is inferred."""

_YES = frozenset({"yes", "true", "y"})
_NO = frozenset({"no", "false", "n"})
_POLAR = re.compile(r"(yes|no|true|false|y|n)\b[\s,.;:!-]*(.*)", re.IGNORECASE | re.DOTALL)
_PLAIN_POLAR = re.compile(r"(?:yes|no|true|false)[.!]?", re.IGNORECASE)
_SINGLE_LETTER = re.compile(r"\(?[A-H]\)?[.:]?")
_MAX_EXCESS = 1_000
"""Characters an answer may have more than the gold before it is an essay and not an answer."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether an answer equals the gold, and why."""

    equal: bool
    reason: str


def gold_problem(gold: str, answer_type: str | None = None, options: Sequence[str] = ()) -> str | None:
    """Why no completion can be graded against this gold, or None when it is usable."""
    text = clean(gold)
    if not text:
        return "the gold answer is empty"
    if text.casefold() == "nan":
        return "the gold answer is NaN"
    rule = ANSWER_TYPES.get(answer_type or "")
    if options and resolve_choice(text, options) is not None:
        return None
    if rule == "yes_no" and _polarity(text) is None:
        return f"the gold answer {_short(text)} is neither yes nor no"
    if rule in ("count", "integer", "decimal"):
        number = parse_number(text)
        if number is None:
            return f"the gold answer {_short(text)} is not a number"
        if rule != "decimal" and number.value.denominator != 1:
            return f"the gold answer {_short(text)} is not a whole number"
    if rule == "choice" and options:
        return f"the gold answer {_short(text)} names none of the {len(options)} options"
    return None


def compare(answer: str, gold: str, answer_type: str | None = None, options: Sequence[str] = ()) -> Verdict:
    """Whether an answer says what the gold says.

    Args:
        answer: The extracted answer.
        gold: The gold answer; `gold_problem` must have found nothing wrong with it.
        answer_type: A key of `ANSWER_TYPES`; any other, or None, is inferred from the gold and the options.
        options: The options of a multiple-choice question, in order.
    """
    if len(answer) > len(gold) + _MAX_EXCESS:
        return Verdict(False, f"not an answer but a text of {len(answer)} characters")
    said, meant = clean(answer), clean(gold)
    if not said:
        return Verdict(False, "the answer has no content")
    rule = _rule(meant, answer_type, options)
    if rule == "option":
        return _compare_options(said, meant, options)
    if rule == "letter":
        return _compare_letters(said, meant)
    if rule == "yes_no":
        polarity = _polarity(said)
        if polarity is None:
            return Verdict(False, "neither a plain yes nor a plain no")
        return _verdict(polarity == _polarity(meant), "yes" if polarity else "no", meant)
    if rule == "number":
        number, target = parse_number(said, in_sentence=True), parse_number(meant)
        if number is None or target is None:
            return Verdict(False, f"{_short(said)} does not state one number")
        if answer_type == "count" and number.unit == "%":
            return Verdict(False, "a percentage is not a count")
        return _verdict(numbers_equal(number, target), said, meant)
    return _verdict(same_text(said, meant), said, meant)


def _rule(gold: str, answer_type: str | None, options: Sequence[str]) -> str:
    """`option`, `letter`, `yes_no`, `number` or `text`: the comparison that fits a cleaned, usable gold."""
    declared = ANSWER_TYPES.get(answer_type or "")
    if options and resolve_choice(gold, options) is not None:
        return "option"
    if declared == "yes_no" or (declared is None and _PLAIN_POLAR.fullmatch(strip_lead(gold))):
        return "yes_no"
    if _SINGLE_LETTER.fullmatch(gold) and declared in (None, "choice"):
        return "letter"
    if declared == "choice":
        led = split_letter(gold)
        return "letter" if led is not None and not all(len(word) == 1 for word in led[1].split()) else "text"
    if parse_number(gold) is not None and (is_formula(gold) or declared != "text"):
        return "number"
    return "text"


def _compare_options(answer: str, gold: str, options: Sequence[str]) -> Verdict:
    said, meant = resolve_choice(answer, options), resolve_choice(gold, options)
    if said is None:
        return Verdict(False, f"{_short(answer)} does not name one of the {len(options)} options")
    return _verdict(said == meant, f"option {said + 1}", f"option {(meant or 0) + 1}")


def _compare_letters(answer: str, gold: str) -> Verdict:
    """Letters of options that are not known: the letter decides, with its text if both give one."""
    said, meant = split_letter(answer), split_letter(gold)
    if said is None or meant is None:
        behind = meant[1] if meant else ""
        return _verdict(bool(behind) and same_text(answer, behind), answer, gold)
    hedged = any(len(word) == 1 or word in ("or", "and", "not") for word in words_key(said[1]).split())
    texts_fit = not said[1] or (same_text(said[1], meant[1]) if meant[1] else not hedged)
    return _verdict(said[0] == meant[0] and texts_fit, answer, gold)


def _polarity(text: str) -> bool | None:
    """True for a plain yes, False for a plain no, None for anything else or both."""
    match = _POLAR.fullmatch(strip_lead(text))
    if match is None:
        return None
    yes = match[1].casefold() in _YES
    words = re.findall("[a-z]+", match[2].casefold())
    opposite = _NO if yes else _YES
    if words and words[0] in opposite | {"or", "and", "but", "maybe", "perhaps", "idea", "clue", "answer", "way"}:
        return None
    if not yes and any(word in opposite for word in words):
        return None
    if yes and words and words[-1] in opposite:
        return None
    return yes


def _verdict(equal: bool, said: str, meant: str) -> Verdict:
    return Verdict(equal, f"{_short(said)} {'equals' if equal else 'is not'} {_short(meant)}")


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")
