"""Finding the answer in a completion: one function per place an answer can stand."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pebr_data.errors import ConfigError
from pebr_data.grading.sections import Extraction, find_final_answer

EXTRACTORS: dict[str, Callable[[str], Extraction | None]] = {
    "section": find_final_answer,
}
"""Where an answer may stand: `section` is the line after `### The final answer is:`."""


def find_answer(text: str, extractors: Sequence[str] = ("section",)) -> Extraction | None:
    """What the first extractor that finds anything finds, or None.

    Raises:
        ConfigError: An extractor's name is unknown.
    """
    unknown = [name for name in extractors if name not in EXTRACTORS]
    if unknown:
        raise ConfigError(f"unknown answer extractor {unknown[0]!r}", help=f"use one of: {', '.join(EXTRACTORS)}")
    for name in extractors:
        found = EXTRACTORS[name](text)
        if found is not None:
            return found
    return None


def extract_answer(text: str, extractors: Sequence[str] = ("section",)) -> str | None:
    """The answer a completion gives, or None when it gives none.

    Raises:
        ConfigError: An extractor's name is unknown.
    """
    found = find_answer(text, extractors)
    return None if found is None else found.text
