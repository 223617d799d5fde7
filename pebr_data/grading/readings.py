"""What an answer may be read as once what stands around it is taken off.

    readings("C, because AB = 8")   -> ("C, because AB = 8", "C")

A careful reader skips a label before an answer and an explanation behind it, and the working before the last `=`.
Nothing is taken off that could take the answer back: words of doubt stay, and make it wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from pebr_data.grading.doubt import DENIAL, DOUBT
from pebr_data.grading.normalize import words_key

_BECAUSE = re.compile(
    r"""(?: [,;.:]?\ ?\b(?:because|since|as\ we|as\ the|according\ to|based\ on|which\ is\ why)\b
          | \.\ (?:this|that|here|so|it)\b ).*""",
    re.IGNORECASE | re.VERBOSE,
)
_ASIDE = re.compile(r"(?P<before>.+?) ?\((?P<aside>[^()]*[A-Za-z][^()]*)\)\.?")
_DOUBLED = re.compile(r"(?P<before>[A-Za-z-]+) ?\((?P<aside>[0-9.,]+)\)")
_LABEL = re.compile(r"(?:the )?[A-Z][A-Za-z]{1,15}(?: [a-z]{1,12}){0,2} ?: ?(?=\S)")
_PHRASE = re.compile(
    r"""(?: (?:i|we)\ (?:would\ )?(?:choose|pick|select|think|say|believe|get|have|find)(?:\ that)?(?:\ it\ is|\ it's)?
          | (?:the\ )?(?:final\ |correct\ |right\ |best\ )?(?:answer|option|choice|ratio)(?:\ would\ be|\ is|,)?
            (?:\ option|\ choice)?
          | it\ (?:looks|seems|appears)(?:\ like|\ to\ be)? | it\ is\ made\ of | made\ of
          | 故?选:? | (?:所以|故)?答案[是为]?:? | 答えは | 答:? | 约 | ans\.?:? )\ ?(?=\S)""",
    re.IGNORECASE | re.VERBOSE,
)
_AFFIRMED = re.compile(
    r"(?P<before>.+?) is (?:the )?(?:correct|right|best)(?: answer| option| choice| one)?[.!]?", re.IGNORECASE
)
_ASSIGNED = re.compile(r"(?:m ?)?[∠△]? ?[A-Za-z]{1,4}(?:\([a-z0-9]{1,3}\))? ?= ?(?=\S)")
_WORKING = re.compile(r"[^=≠<>≤≥~]*=(?P<result>[^=≠<>≤≥~]+)")
_STATED = re.compile(
    r"(?P<before>.{1,160}\b(?:is|are|was|were|says|reads|shows|equals|called|named)\b):? (?P<result>.+)"
)
_TAIL = re.compile(r"(?:です|。)$")
_MAX_CHARS = 300
_MAX_READINGS = 8


@lru_cache(maxsize=8192)
def readings(text: str) -> tuple[str, ...]:
    """The text itself, then what is left when labels, explanations, asides and working are taken off, longest first.

    Args:
        text: A text that `pebr_data.grading.normalize.clean` has been over.
    """
    found = [text]
    if len(text) <= _MAX_CHARS:
        for reading in found:
            found += [shorter for shorter in _shorter(reading) if shorter and shorter not in found]
            if len(found) >= _MAX_READINGS:
                break
    return tuple(found[:_MAX_READINGS])


def _shorter(text: str) -> Iterator[str]:
    """What one step of taking off leaves."""
    explained = _BECAUSE.search(text)
    if explained is not None and explained.start():
        yield _trim(text[: explained.start()])
    aside = _DOUBLED.fullmatch(text) or _ASIDE.fullmatch(text)
    if aside is not None and not DOUBT & set(aside["aside"].casefold().split()):
        yield _trim(aside["before"])
    affirmed = _AFFIRMED.fullmatch(text)
    if affirmed is not None:
        yield _trim(affirmed["before"])
    for pattern in (_PHRASE, _LABEL, _ASSIGNED):
        lead = pattern.match(text)
        if lead is not None:
            yield _trim(text[lead.end() :])
    working = _WORKING.fullmatch(text)
    if working is not None and not DENIAL & set(text.casefold().split()) and "," not in text:
        yield _trim(working["result"])
    stated = _STATED.fullmatch(text)
    if stated is not None and not DENIAL & set(words_key(stated["before"]).split()):
        yield _trim(stated["result"])
    tail = _TAIL.search(text)
    if tail is not None:
        yield _trim(text[: tail.start()])


def _trim(text: str) -> str:
    return text.strip(" .,;:*\"'").rstrip(" (,")
