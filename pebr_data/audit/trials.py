"""What a grader is tried with on one sample: answers that must be right, ones that must be wrong, ones to look at."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from pebr_data.audit.differ import plain_letter, share_no_word, strict_key, surely_differ
from pebr_data.audit.reformat import reformattings
from pebr_data.types import Sample

NUM_OTHERS = 8
"""Other samples' golds that each gold is tried with."""

NUM_STUFFED = 20
"""Golds in the line that holds the golds of a whole type."""

CHECKS: Mapping[str, str] = {
    "itself": "the gold, in the template's answer format",
    "reformatted": "the gold in other common spellings",
    "letter or text": "the right option's letter, its text, or both",
    "another gold": "golds of other samples of the same type",
    "another option": "the other options' letters",
    "empty": "an answer line without an answer",
    "all options": "every option at once",
    "question": "the question, echoed",
    "keywords": "the sample's keywords in a line",
    "all golds": "golds of the type in a line, the right one among them",
    "hedge": "the gold or another one",
}

_LABEL = re.compile(r"\(?[A-Z](?:\)[.:]?|[.:])\s+")
_LISTS = ("list", "set", "tuple")


class Expected(StrEnum):
    """What a careful person says of an answer; `unknown` where that takes more than reading the two texts."""

    RIGHT = "right"
    WRONG = "wrong"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Trial:
    """One answer to one sample, which check it belongs to, and what is expected of the grader."""

    check: str
    sample: Sample
    answer: str
    expected: Expected


def itself(sample: Sample) -> Trial:
    """The gold as the answer."""
    return Trial("itself", sample, sample.answer, Expected.RIGHT)


def trials(sample: Sample, answer_type: str, golds: Sequence[str], rng: random.Random) -> Iterator[Trial]:
    """Everything else that is tried on a sample whose gold can be graded.

    Args:
        sample: The sample.
        answer_type: The rule its gold is compared by.
        golds: The different golds of that type in the catalog.
        rng: Chooses among them.
    """
    others = _others(sample, golds, rng)
    right = right_option(sample)
    for answer in dict.fromkeys(reformattings(sample.answer, answer_type)):
        yield Trial("reformatted", sample, answer, Expected.RIGHT)
    for other in others:
        # A letter names one of this sample's own options, whichever sample it comes from.
        letter = plain_letter(other) if right is not None else None
        if right is None or letter != _letter(right):
            yield Trial("another gold", sample, other, _wrong_if(letter is not None or surely_differ(sample, other)))
    yield Trial("empty", sample, "", Expected.WRONG)
    if strict_key(sample.question) != strict_key(sample.answer):
        yield Trial("question", sample, sample.question, Expected.WRONG)
    yield from _stuffed(sample, answer_type, others, golds, rng)
    yield from _hedged(sample, right, others)
    if answer_type == "choice":
        yield from _choices(sample, right)
    elif answer_type == "yes_no":
        yield Trial("all options", sample, "yes, no", Expected.WRONG)


def right_option(sample: Sample) -> int | None:
    """The option that the gold names beyond doubt: by its letter, or by its whole text and no other's."""
    if not 2 <= len(sample.options) <= 26 or any(plain_letter(_body(option)) for option in sample.options):
        return None
    letter = plain_letter(sample.answer)
    if letter is not None:
        position = ord(letter) - ord("A")
        return position if position < len(sample.options) else None
    keys = [strict_key(_body(option)) for option in sample.options]
    gold = strict_key(_body(sample.answer))
    return keys.index(gold) if keys.count(gold) == 1 else None


def _others(sample: Sample, golds: Sequence[str], rng: random.Random) -> list[str]:
    key = strict_key(sample.answer)
    drawn = rng.sample(golds, min(len(golds), NUM_OTHERS + 1))
    return [gold for gold in drawn if strict_key(gold) != key][:NUM_OTHERS]


def _stuffed(
    sample: Sample, answer_type: str, others: Sequence[str], golds: Sequence[str], rng: random.Random
) -> Iterator[Trial]:
    words = ", ".join(sample.keywords)
    if words and strict_key(words) != strict_key(sample.answer):
        # One or two keywords may well be the answer, and so may the members of a list.
        sure = len(sample.keywords) > 2 and answer_type not in _LISTS
        yield Trial("keywords", sample, words, _wrong_if(sure))
    if others:
        drawn = [sample.answer, *rng.sample(golds, min(len(golds), NUM_STUFFED))]
        line = list({strict_key(gold): gold for gold in drawn}.values())
        rng.shuffle(line)
        yield Trial("all golds", sample, ", ".join(line), _wrong_if(len(line) > 2 or surely_differ(sample, others[0])))


def _hedged(sample: Sample, right: int | None, others: Sequence[str]) -> Iterator[Trial]:
    if right is not None:
        other = (right + 1) % len(sample.options)
        pairs = [(_letter(right), _letter(other)), (_body(sample.options[right]), _body(sample.options[other]))]
        for one, two in pairs:
            if strict_key(one) != strict_key(two):
                yield Trial("hedge", sample, f"{one} or {two}", Expected.WRONG)
    elif others:
        sure = surely_differ(sample, others[0]) or share_no_word(sample.answer, others[0])
        yield Trial("hedge", sample, f"{sample.answer} or {others[0]}", _wrong_if(sure))


def _choices(sample: Sample, right: int | None) -> Iterator[Trial]:
    if right is None:
        if not sample.options:
            yield Trial("all options", sample, "A, B, C, D", Expected.WRONG)
        return
    bodies = [_body(option) for option in sample.options]
    letters = [_letter(position) for position in range(len(bodies))]
    keys = [strict_key(body) for body in bodies]
    both = f"{letters[right]}. {bodies[right]}"
    told_apart = keys.count(keys[right]) == 1
    for answer in (
        letters[right],
        both,
        f"({letters[right]}) {bodies[right]}",
        *([bodies[right]] if told_apart else []),
    ):
        yield Trial("letter or text", sample, answer, Expected.RIGHT)
    for position, letter in enumerate(letters):
        if keys[position] != keys[right]:
            yield Trial("another option", sample, letter, Expected.WRONG)
    for line in (", ".join(letters), ", ".join(bodies)):
        yield Trial("all options", sample, line, Expected.WRONG)


def _body(option: str) -> str:
    """An option's text without a label such as `A.` before it."""
    match = _LABEL.match(option)
    return option[match.end() :] if match else option


def _letter(position: int) -> str:
    return chr(ord("A") + position)


def _wrong_if(sure: bool) -> Expected:
    return Expected.WRONG if sure else Expected.UNKNOWN
