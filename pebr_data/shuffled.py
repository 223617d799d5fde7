"""Shuffled options: a multiple-choice question with its options in another order, and its gold to match.

A policy may prefer a letter whatever stands behind it. Shown in a new order for every rollout, a question is only
answered right eight times of eight by one that knows the option. Only a question that ends in its options, a line each,
can be shown so, as `show_options` of a source writes it.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from pebr_data.grading.choices import names_several, resolve_choice, split_letter
from pebr_data.grading.normalize import clean
from pebr_data.hashing import seed_from
from pebr_data.types import Fingerprint, RolloutKey, Sample

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

Order = tuple[int, ...]
"""Which of the sample's options stands under A, B, …, counted from 0; empty: they stand as they are."""

_REFERS = re.compile(
    r"\b(?:above|below|both|neither|either|previous|following|options?|choices?|[A-Z] (?:and|or) [A-Z])\b",
    re.IGNORECASE,
)


def with_options(question: str, options: Sequence[str]) -> str:
    """The question with its options under it, one a line with its letter; an option's own label is not repeated."""
    return "\n".join([question, *_lines(options)])


def as_shown(sample: Sample, policy: Fingerprint, key: RolloutKey) -> tuple[Sample, Order]:
    """The sample as one rollout of a policy is asked it, and the order of its options."""
    if not policy.shuffle_options or why_not(sample) is not None:
        return sample, ()
    order = tuple(sorted(range(len(sample.options)), key=lambda place: seed_from(str(key.seed), "option", place)))
    return reordered(sample, order), order


def reordered(sample: Sample, order: Sequence[int]) -> Sample:
    """The sample with its options in that order: question, options, and a gold that is a letter; as it is without one.

    Args:
        sample: One that `why_not` has nothing against, with whatever gold.
        order: As `Order` says.
    """
    if not order:
        return sample
    bodies = _bodies(sample.options)
    options = tuple(bodies[place] for place in order)
    question = sample.question[: -len("\n".join(["", *_lines(sample.options)]))]
    return replace(sample, question=with_options(question, options), options=options, answer=_moved(sample, order))


def why_not(sample: Sample) -> str | None:
    """Why the options cannot be shown in another order; None where they can."""
    if not is_choice(sample):
        return "it is no multiple-choice question"
    if not sample.question.endswith("\n".join(["", *_lines(sample.options)])):
        return "its question does not end in its options, a line each"
    bodies = _bodies(sample.options)
    if any(len(body.strip(" ().")) == 1 and body.strip(" ().").isalpha() for body in bodies):
        return "its options are letters, which the image may show"
    if any(_REFERS.search(body) for body in bodies):
        return "an option speaks of others or of its place"
    gold = clean(sample.answer)
    if not names_several(gold) and resolve_choice(gold, sample.options) is None:
        return "its gold names no option"
    return None


def unshuffled(samples: Sequence[Sample]) -> dict[str, int]:
    """How many of the multiple-choice questions are shown in their own order all the same, by the reason."""
    reasons = Counter(reason for one in samples if is_choice(one) and (reason := why_not(one)) is not None)
    return dict(reasons.most_common())


def say_unshuffled(samples: Sequence[Sample]) -> None:
    """Says on stderr how many multiple-choice questions are shown in their own order all the same, and why."""
    num_choices = sum(map(is_choice, samples))
    for reason, count in unshuffled(samples).items():
        print(
            f"note: {count:,} of {num_choices:,} multiple-choice questions keep the order of their options: {reason}",
            file=sys.stderr,
            flush=True,
        )


def is_choice(sample: Sample) -> bool:
    """Whether it is a multiple-choice question."""
    return sample.answer_type == "choice" and 2 <= len(sample.options) <= len(LETTERS)


def _moved(sample: Sample, order: Sequence[int]) -> str:
    """The gold, where it is letters those that its options have now."""
    gold = clean(sample.answer)
    letter_of = {LETTERS[place]: LETTERS[position] for position, place in enumerate(order)}
    if names_several(gold):
        return "".join(sorted(letter_of.get(letter, letter) for letter in gold))
    led, place = split_letter(gold), resolve_choice(gold, sample.options)
    meant = led is not None and place is not None and led[0] == LETTERS[place]
    return letter_of[led[0]] if led is not None and meant else sample.answer


def _lines(options: Sequence[str]) -> list[str]:
    return [
        option if _label(letter).match(option) else f"{letter}. {option}"
        for letter, option in zip(LETTERS, options, strict=False)
    ]


def _bodies(options: Sequence[str]) -> list[str]:
    return [_label(letter).sub("", option, count=1) for letter, option in zip(LETTERS, options, strict=False)]


def _label(letter: str) -> re.Pattern[str]:
    return re.compile(rf"\A\(?{letter}[.):]+\s*")
