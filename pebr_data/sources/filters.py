"""`keep_if`: which rows are kept, in a small declarative form. Nothing in it is evaluated as code."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pebr_data.source_config import RowCondition
from pebr_data.sources.columns import find


def filtered_out(row: Mapping[str, Any], conditions: Iterable[RowCondition]) -> str | None:
    """The reason why a row is left out: the first condition it does not meet; None when it is kept."""
    for condition in conditions:
        unmet = _unmet(find(row, condition.column), condition)
        if unmet is not None:
            return f"filtered: `{condition.column}` {unmet}"
    return None


def _unmet(value: Any, condition: RowCondition) -> str | None:
    if condition.present is not None and _is_there(value) is not condition.present:
        return "is missing" if condition.present else "is there"
    if condition.equals is not None and not _equals(value, condition.equals):
        return f"is not {_shown(condition.equals)}"
    if condition.one_of is not None and not any(_equals(value, one) for one in condition.one_of):
        return f"is not in {_shown(condition.one_of)}"
    if condition.not_in is not None and any(_equals(value, one) for one in condition.not_in):
        return f"is in {_shown(condition.not_in)}"
    number = _number(value)
    if condition.min is not None and (number is None or number < condition.min):
        return f"is not at least {condition.min:g}"
    if condition.max is not None and (number is None or number > condition.max):
        return f"is not at most {condition.max:g}"
    if condition.matches is not None and not _matches(value, condition.matches):
        return f"does not match {condition.matches}"
    return None


def _equals(value: Any, wanted: Any) -> bool:
    """The same value; a number and its text are the same, true and false are only themselves."""
    if isinstance(value, bool) or isinstance(wanted, bool):
        return value is wanted
    number, other = _number(value), _number(wanted)
    if number is not None and other is not None:
        return number == other
    return isinstance(value, str) and value.strip() == str(wanted)


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _matches(value: Any, pattern: str) -> bool:
    if not isinstance(value, str):
        return False
    try:
        text = value.encode()
        # As `pa.array([value])`, which imports pandas where that is installed.
        one = pa.StringArray.from_buffers(1, pa.py_buffer(struct.pack("=2i", 0, len(text))), pa.py_buffer(text))
        return bool(pc.match_substring_regex(one, pattern)[0].as_py())
    except (pa.ArrowException, UnicodeEncodeError):
        return False


def _is_there(value: Any) -> bool:
    return value is not None and value != [] and not (isinstance(value, str) and not value.strip())


def _shown(wanted: Any) -> str:
    if isinstance(wanted, tuple):
        return ", ".join(_shown(one) for one in wanted[:8]) + (", …" if len(wanted) > 8 else "")
    return str(wanted).lower() if isinstance(wanted, bool) else str(wanted)
