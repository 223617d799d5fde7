"""What a comparison of an answer with the gold gives."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether an answer equals the gold, and why; `equal` is None when reading cannot tell."""

    equal: bool | None
    reason: str


def verdict(equal: bool, answer: str, gold: str, how: str = "") -> Verdict:
    """The verdict with the reason that names both texts, and `how` it was found."""
    reason = f"{shorten(answer)} {'equals' if equal else 'is not'} {shorten(gold)}"
    return Verdict(equal, f"{reason}: {how}" if how else reason)


def shorten(text: str) -> str:
    """The text in quotes, at most 60 characters of it."""
    return repr(text if len(text) <= 60 else text[:57] + "...")
