r"""Finding the answer in a completion: one function per place an answer can stand.

Which of them apply is part of the prompt template: a policy is told where to put its answer, and looked at there.
Each reads the last `MAX_CHARS` characters in linear time, and takes the last place of its kind: a response that
answers again has changed its mind.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from pebr_data.errors import ConfigError
from pebr_data.grading.sections import MAX_CHARS, Extraction, find_final_answer

_BOXED = re.compile(r"\\(?:f?boxed|fbox)(?![a-zA-Z])[ ]?")
_TAG = re.compile(r"<(?P<end>/?)answer>", re.IGNORECASE)
_FENCE = re.compile(r"\s*```\w*\s*")
_THINKING = re.compile(r"</?think(?:ing)?>", re.IGNORECASE)
_PHRASE = re.compile(
    r"""\b(?: (?:the|my|our)\ (?:(?:final|correct|right|best)\ ){0,2}(?:answer|option|choice)\ (?:is|are|would\ be)\b
            | (?:(?:final|correct)\ )?answer\ ?(?=\**\ ?[:=]) )
    \*{0,2} (?:\ ?[:=])? \*{0,2}""",
    re.IGNORECASE | re.VERBOSE,
)
_SENTENCE_END = re.compile(
    r"(?<!\bSt)(?<!\bMt)(?<!\bDr)(?<!\bMr)(?<!\bMrs)(?<!\bNo)(?<!\bvs)[.!?](?:[\"')\]]{0,2})[ \t]+(?=[A-Z][a-z'])"
)


def find_boxed(text: str) -> Extraction | None:
    r"""What the last line with a `\boxed{}` puts into boxes, several joined by commas, or None.

    Braces are matched; a box that is never closed is an open answer. What is boxed while thinking does not count.
    """
    text = _after_thinking(text[-MAX_CHARS:])
    starts = list(_BOXED.finditer(text))
    if not starts:
        return None
    line_start = text.rfind("\n", 0, starts[-1].start()) + 1
    found: list[str] = []
    end = 0
    closed = True
    for start in starts:
        if start.start() < max(line_start, end):
            continue
        content, end, closed = _box(text, start.end())
        found.append(content.strip())
    answer = ", ".join(part for part in found if part)
    return Extraction(answer, closed) if answer else None


def find_tagged(text: str) -> Extraction | None:
    """The text in the last `<answer>` tag after any thinking, or None; one that is never closed is an open answer."""
    text = _after_thinking(text[-MAX_CHARS:])
    start, found = None, None
    for tag in _TAG.finditer(text):
        if not tag["end"]:
            start, found = tag.end(), None
        elif start is not None and found is None:
            found = Extraction(text[start : tag.start()].strip(), closed=True)
    if found is None and start is not None:
        found = Extraction(text[start:].strip(), closed=False)
    return found if found is not None and found.text else None


def find_phrase(text: str) -> Extraction | None:
    """What follows the last `the answer is` or `Answer:` up to its sentence's or line's end, or None."""
    text = _after_thinking(text[-MAX_CHARS:])
    for phrase in reversed(list(_PHRASE.finditer(text))):
        rest = text[phrase.end() :].lstrip(" \t")
        if phrase[0].rstrip("* ").endswith((":", "=")):
            rest = rest.lstrip("\n")
        line, newline, _ = rest.partition("\n")
        sentence = _SENTENCE_END.search(line)
        answer = (line if sentence is None else line[: sentence.start() + 1]).strip()
        if answer:
            return Extraction(answer, closed=bool(newline) or sentence is not None)
    return None


def find_last_line(text: str) -> Extraction | None:
    """The last line that holds anything, or None. Nothing tells whether more would have come, so it is open."""
    lines = _after_thinking(text[-MAX_CHARS:]).splitlines()
    answer = next((line.strip() for line in reversed(lines) if line.strip() and not _FENCE.fullmatch(line)), "")
    return Extraction(answer, closed=False) if answer else None


EXTRACTORS: dict[str, Callable[[str], Extraction | None]] = {
    "section": find_final_answer,
    "boxed": find_boxed,
    "tag": find_tagged,
    "phrase": find_phrase,
    "last_line": find_last_line,
}
r"""Where an answer may stand: `section` is the line after `### The final answer is:`, `boxed` is `\boxed{}`, `tag` is
`<answer>`, `phrase` is what follows `the answer is`, `last_line` is the last line with text."""


def find_answer(text: str, extractors: Sequence[str]) -> Extraction | None:
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


def _box(text: str, start: int) -> tuple[str, int, bool]:
    """The content of a box whose command ends at `start`, where it ends, and whether it was closed."""
    if not text.startswith("{", start):
        bare = re.compile(r"[^\s$\\{}]{1,64}").match(text, start)
        return (bare[0], bare.end(), True) if bare else ("", start, True)
    depth = 0
    for brace in re.compile(r"\\.|[{}]", re.DOTALL).finditer(text, start):
        depth += {"{": 1, "}": -1}.get(brace[0], 0)
        if depth == 0:
            return text[start + 1 : brace.start()], brace.end(), True
    return text[start + 1 :], len(text), False


def _after_thinking(text: str) -> str:
    """The text behind the last `</think>`; nothing when thinking never ended."""
    tags = list(_THINKING.finditer(text))
    if not tags:
        return text
    return text[tags[-1].end() :] if tags[-1][0].startswith("</") else ""
