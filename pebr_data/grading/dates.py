"""Dates and times of day, in whatever order and notation they are written."""

from __future__ import annotations

import re

_MONTHS = (
    "january", "february", "march", "april", "may", "june",
    "july", "august", "september", "october", "november", "december",
)  # fmt: skip
_MONTH = re.compile(r"[a-z]{3,9}")
_NUMBERS = re.compile(r"[0-9]{1,4}(?:st|nd|rd|th)?")
_NUMERIC = re.compile(r"([0-9]{1,4})([-/.])([0-9]{1,2})\2([0-9]{1,4})")
_TIME = re.compile(r"(?P<hour>[0-9]{1,2})[:.](?P<minute>[0-9]{2}) ?(?P<half>[ap])?\.?(?:m\.?)?", re.IGNORECASE)
_MAX_CHARS = 40


def read_date(text: str) -> tuple[int, ...] | None:
    """Year, month and day (year, month when there is no day) of a date whose month is named.

    All-numeric dates are given as their numbers in the order written: nobody knows whether 3/4 is in March or April.
    """
    text = text.casefold().strip(" .")
    if len(text) > _MAX_CHARS:
        return None
    numeric = _NUMERIC.fullmatch(text)
    if numeric is not None:
        return int(numeric[1]), int(numeric[3]), int(numeric[4])
    words = text.replace(",", " ").replace(".", " ").replace(" of ", " ").split()
    months = [month for word in words if (month := _month(word))]
    numbers = [int(word.rstrip("stndrh")) for word in words if _NUMBERS.fullmatch(word)]
    rest = [word for word in words if not _month(word) and not _NUMBERS.fullmatch(word) and word != "the"]
    if len(months) != 1 or rest or not 1 <= len(numbers) <= 2:
        return None
    days = [number for number in numbers if number <= 31]
    years = [number for number in numbers if number > 31]
    return (*(years[:1] or [0]), months[0], *days)


def read_time(text: str) -> tuple[int, int] | None:
    """Hour (0..23) and minute of a time of day; a time without am or pm is taken as written."""
    match = _TIME.fullmatch(text.strip(" ."))
    if match is None:
        return None
    hour, minute = int(match["hour"]), int(match["minute"])
    if match["half"]:
        hour = hour % 12 + (12 if match["half"].casefold() == "p" else 0)
    return (hour, minute) if hour < 24 and minute < 60 else None


def _month(word: str) -> int | None:
    if not _MONTH.fullmatch(word):
        return None
    return next((number for number, name in enumerate(_MONTHS, start=1) if name == word or name[:3] == word), None)
