r"""Reading an answer that is more than one formula: tuples, sets, lists, solutions, intervals, equations, ratios.

The parts stay texts, as they were written; whoever compares decides what they mean. One pass over the text for every
kind, so linear in it, and what is longer than a formula may be is not read at all.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

from pebr_data.grading.formulas.formula import lead_of, parse_formula
from pebr_data.grading.formulas.pieces import CLOSE, OPEN, UNION, closing, expanded, simplify, split_top
from pebr_data.grading.formulas.tokens import MAX_CHARACTERS

MAX_ITEMS = 16

_MATRIX = re.compile(
    r"\\begin\{(?:[pbv]?matrix|array)\}(?:\{[clr|]{1,8}\})?(.*)\\end\{(?:[pbv]?matrix|array)\}", re.DOTALL
)
_TUPLE_LEAD = re.compile(r"\(?\s?[a-z](?:\s?,\s?[a-z]){1,3}\s?\)?\s?=(?=\s?\()")
_LABEL = re.compile(r"(?:point |vertex )?[A-Z](?:'|_[0-9])?\s?(?=\([^()]*,)")
_MEMBER = re.compile(r"([a-zA-Z])\s?∈(?!\s?(?:\\mathbb|Z|N))")
_BUILDER = re.compile(rf"{OPEN}\s?([a-zA-Z])\s?[|:](.*){CLOSE}", re.DOTALL)
_RELATION = re.compile("([<>≤≥≠])")
_SUBSCRIPT = re.compile(r"_(?:\{[^{}]*\}|[A-Za-z0-9])|'+|[₀-₉]")
_CLOCK = re.compile(r"(?:[01]?[0-9]|2[0-3]):[0-5][0-9]")
_FLIPPED = {"<": ">", ">": "<", "≤": "≥", "≥": "≤"}


@dataclass(frozen=True, slots=True)
class Values:
    """Several values.

    Attributes:
        kind: `tuple` in round or square brackets; `set` in braces or joined by `or` or a sign `±`; `list` with
            commas only; `ratio`.
        items: The values as written.
        brackets: What stands around a tuple, such as `()`; empty otherwise.
        is_clock: Whether a ratio may as well be a time of day, such as `2:20`.
    """

    kind: Literal["tuple", "set", "list", "ratio"]
    items: tuple[str, ...]
    brackets: str = ""
    is_clock: bool = False


@dataclass(frozen=True, slots=True)
class Interval:
    """What lies between two ends; an end that does not exist is the text of an infinity."""

    low: str
    high: str
    brackets: str


@dataclass(frozen=True, slots=True)
class Intervals:
    """A union of intervals, of a variable when one was named."""

    parts: tuple[Interval, ...]
    variable: str = ""


@dataclass(frozen=True, slots=True)
class Relation:
    """`left = right`, or `left > right` and `left >= right`, that is not solved for one variable."""

    left: str
    sign: Literal["=", ">", "≥"]
    right: str


@dataclass(frozen=True, slots=True)
class Assignments:
    """Values of several variables, by name: `x = 1, y = 2`."""

    names: tuple[str, ...]
    items: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Chain:
    """One value in several forms, and what it is about: `AB = 2√3 ≈ 3.46`."""

    name: str
    forms: tuple[str, ...]
    rounded: tuple[str, ...] = ()


Form = Values | Intervals | Relation | Assignments | Chain


@lru_cache(maxsize=2048)
def form_of(text: str) -> Form | None:
    """The structure a text has, or None for a single formula, words, or what is too long.

    Args:
        text: The text as it was written; `pebr_data.grading.normalize.clean` would lose the braces of sets.
    """
    if len(text) > MAX_CHARACTERS or parse_formula(text) is not None:
        return None
    return _form(simplify(text), 0)


def as_relation(text: str) -> Relation | None:
    """The equation a text is, also when it is solved for a variable; None without exactly one `=`."""
    left, sign, right = simplify(text).partition("=")
    return Relation(left.strip(), "=", right.strip()) if sign and "=" not in right else None


def _form(text: str, depth: int) -> Form | None:
    if not text or depth > 3:
        return None
    matrix = _MATRIX.fullmatch(text)
    if matrix is not None:
        return _matrix(matrix[1])
    text = _TUPLE_LEAD.sub("", text, count=1) if _TUPLE_LEAD.match(text) else text
    label = _LABEL.match(text)
    text = text[label.end() :] if label else text
    member, builder = _MEMBER.match(text), _BUILDER.fullmatch(text)
    if member is not None:
        form = _form(text[member.end() :].strip(), depth + 1)
        return replace(form, variable=member[1]) if isinstance(form, Intervals) else form
    if builder is not None:
        return _form(builder[2].strip(), depth + 1)
    united = split_top(text, UNION)
    if len(united) > 1:
        return _union(united) if len(united) <= MAX_ITEMS else None
    for separator in ("or", "and", ";", ","):
        parts = split_top(text, separator)
        if len(parts) > 1:
            return _joined(parts, separator) if len(parts) <= MAX_ITEMS and all(parts) else None
    return _single(text, depth)


def _joined(parts: list[str], separator: str) -> Form | None:
    """What several parts are together: a union, assignments, or values."""
    if any(_RELATION.search(part) for part in parts):
        return _conditions(parts, separator)
    if len(parts) == 2 and separator in ("or", "and") and "," in parts[0]:
        parts = [*split_top(parts[0], ","), parts[1]]
        parts = [part for part in parts if part]
    named = [part.partition("=") for part in parts]
    names = ["".join((lead_of(left) or "").split()) if sign else "" for left, sign, _ in named]
    items = tuple(item for part in parts for item in expanded(_value_of(part)))
    if not all(items) or any("=" in item for item in items):
        return None
    if all(names) and len({_SUBSCRIPT.sub("", name) for name in names}) == len(names):
        return Assignments(tuple(names), items) if len(items) == len(names) else None
    unordered = separator in ("or", "and") or names[0] or len(items) > len(parts)
    points = all(item[0] in "([" and closing(item, 0) == len(item) - 1 for item in items)
    kind: Literal["set", "list"] = "set" if unordered or points else "list"
    return Values(kind, items)


def _single(text: str, depth: int) -> Form | None:
    """What a text without top-level separators is."""
    if _RELATION.search(text):
        return _conditions([text], ",")
    if "=" in text or "≈" in text:
        return _equation(text, depth)
    signs = expanded(text)
    if len(signs) > 1:
        return Values("set", tuple(signs))
    if text[0] in f"([{OPEN}" and closing(text, 0) == len(text) - 1:
        return _bracketed(text)
    ratio = split_top(text, ":")
    if 2 <= len(ratio) <= 5 and all(parse_formula(part) is not None for part in ratio):
        return Values("ratio", tuple(ratio), is_clock=_CLOCK.fullmatch(text.replace(" ", "")) is not None)
    return None


def _equation(text: str, depth: int) -> Form | None:
    sides = [split_top(side, "≈") for side in split_top(text, "=")]
    parts = [part for side in sides for part in side]
    if len(parts) < 2 or len(parts) > MAX_ITEMS or not all(parts):
        return None
    name = lead_of(parts[0])
    if len(parts) == 2 and len(sides) == 2 and name is None:
        return Relation(parts[0], "=", parts[1])
    if len(parts) == 2 and len(sides) == 2:
        return _form(parts[1], depth + 1) or Relation(parts[0], "=", parts[1])
    if name is None:
        return Chain("", tuple(side[0] for side in sides), tuple(part for side in sides for part in side[1:]))
    exact = tuple(side[0] for side in sides[1:])
    rounded = tuple(part for side in sides for part in side[1:])
    return Chain(name, exact or rounded, rounded if exact else ())


def _bracketed(text: str) -> Form | None:
    inside = text[1:-1].strip()
    items = [item for item in split_top(inside, ",")] if inside else []
    if len(items) == 1:
        items = split_top(inside, ";")
    if not all(items) or len(items) > MAX_ITEMS:
        return None
    if text[0] == OPEN:
        return Values("set", tuple(value for item in items for value in expanded(_value_of(item))))
    if len(items) < 2:
        return None
    brackets = text[0] + text[-1]
    if len(items) == 2 and (brackets not in ("()", "[]") or any("\\infty" in item for item in items)):
        return Intervals((Interval(items[0], items[1], brackets),))
    return Values("tuple", tuple(items), brackets)


def _union(parts: list[str]) -> Form | None:
    intervals: list[Interval] = []
    for part in parts:
        form = _form(part, 1)
        if isinstance(form, Values) and form.kind == "tuple" and len(form.items) == 2:
            intervals.append(Interval(*form.items, form.brackets))
        elif isinstance(form, Intervals):
            intervals += form.parts
        else:
            return None
    return Intervals(tuple(intervals))


def _conditions(parts: list[str], separator: str) -> Form | None:
    """Inequalities: alternatives make a union; `and` joins a lower and an upper bound."""
    forms = [_inequality(part) for part in parts]
    if len(forms) == 1:
        return forms[0]
    solved = [form for form in forms if isinstance(form, Intervals)]
    if len(solved) != len(forms) or len({form.variable for form in solved}) != 1:
        return None
    bounds = [part for form in solved for part in form.parts]
    if separator == "or":
        return Intervals(tuple(bounds), solved[0].variable)
    lows = [part for part in bounds if "\\infty" in part.high]
    highs = [part for part in bounds if "\\infty" in part.low]
    if len(bounds) != 2 or len(lows) != 1 or len(highs) != 1:
        return None
    both = Interval(lows[0].low, highs[0].high, lows[0].brackets[0] + highs[0].brackets[1])
    return Intervals((both,), solved[0].variable)


def _inequality(text: str) -> Form | None:
    pieces = [piece.strip() for piece in _RELATION.split(text)]
    if not all(pieces) or len(pieces) not in (3, 5):
        return None
    if len(pieces) == 5:
        low, first, middle, second, high = pieces
        if {first, second} <= {">", "≥"}:
            low, first, second, high = high, _FLIPPED[second], _FLIPPED[first], low
        if not {first, second} <= {"<", "≤"} or not lead_of(middle):
            return None
        return Intervals(
            (Interval(low, high, ("[" if first == "≤" else "(") + ("]" if second == "≤" else ")")),), middle
        )
    left, sign, right = pieces
    if sign == "≠":
        if not lead_of(left):
            return None
        return Intervals((Interval("-\\infty", right, "()"), Interval(right, "\\infty", "()")), left)
    if not lead_of(left) and lead_of(right):
        left, sign, right = right, _FLIPPED[sign], left
    formula = parse_formula(right)
    if lead_of(left) and formula is not None and not formula.names:
        if sign in ">≥":
            return Intervals((Interval(right, "\\infty", "[)" if sign == "≥" else "()"),), left)
        return Intervals((Interval("-\\infty", right, "(]" if sign == "≤" else "()"),), left)
    if sign in "<≤":
        left, sign, right = right, _FLIPPED[sign], left
    return Relation(left, ">" if sign == ">" else "≥", right)


def _matrix(body: str) -> Values | None:
    rows = [[cell.strip() for cell in row.split("&")] for row in re.split(r"\\\\", body) if row.strip()]
    cells = [cell for row in rows for cell in row]
    if not all(cells) or not 2 <= len(cells) <= MAX_ITEMS or len({len(row) for row in rows}) != 1:
        return None
    if len(rows) == 1 or len(rows[0]) == 1:
        return Values("tuple", tuple(cells), "()")
    return Values("tuple", tuple(f"({', '.join(row)})" for row in rows), "()")


def _value_of(part: str) -> str:
    """The right side of `x = 1`, and of `x_1 = 1`; anything else as it is."""
    left, sign, right = part.partition("=")
    return right.strip() if sign and lead_of(left) is not None else part
