r"""Whether two formulas are equal, decided without a computer algebra system wherever that is safe.

Formulas of the same shape are equal; formulas without variables are evaluated (doubles tell them apart, a hundred
digits and more confirm that they agree); formulas in variables are compared at fixed points. Whatever that leaves open
is None, for the symbolic worker.
"""

from __future__ import annotations

from fractions import Fraction

from pebr_data.grading.formulas.formula import Formula, parse_formula
from pebr_data.grading.formulas.tokens import UNIT_LETTERS
from pebr_data.grading.formulas.tree import Name, Rational, Tree, multiply
from pebr_data.grading.formulas.value import (
    DOUBLES,
    Evaluation,
    NoValue,
    at_points,
    difference,
    plainly_differ,
    real_value,
)
from pebr_data.grading.numbers import Number, numbers_equal
from pebr_data.grading.units import units_fit
from pebr_data.grading.verdict import Verdict, verdict

_MAX_NAMES = 8
_NUM_POINTS = 3
_LOG_BASE = "base of log"
_COORDINATES = frozenset("xyz")
_INFINITE = frozenset({"infinity", "(-1*infinity)"})
_ROUNDED = 0.0015
_HALF_TURN = Rational(Fraction(1, 180))
_PI = Name("pi", is_constant=True)


def compare_expressions(answer: str, gold: str) -> Verdict | None:
    r"""Whether two formulas are equal, or None when one is no formula or it cannot be told here.

    A decimal and an exact formula follow the rule for numbers: `3.46` is `2\sqrt{3}`, `3.4` is not. A missing unit is
    forgiven, another unit is not. Linear in the texts, which must have at most 2,000 characters; never raises.

    Args:
        answer: The extracted answer as it was written, not cleaned.
        gold: The gold answer, likewise.
    """
    said, meant = parse_formula(answer), parse_formula(gold)
    if said is None or meant is None:
        return None
    if said.lead != meant.lead and said.lead in _COORDINATES and meant.lead in _COORDINATES:
        return None if said.names | meant.names else verdict(False, answer, gold, "another variable")
    if not units_fit(said.unit, meant.unit):
        return verdict(False, answer, gold, "another unit")
    if said.key in _INFINITE or meant.key in _INFINITE:
        finite = not any(
            "infinity" in formula.key or formula.names for formula in (said, meant) if formula.key not in _INFINITE
        )
        return verdict(said.key == meant.key, answer, gold, "an infinity") if finite else None
    if isinstance(said.tree, Rational) and isinstance(meant.tree, Rational):
        equal = numbers_equal(_number(said.tree, said.unit), _number(meant.tree, meant.unit))
        return verdict(equal, answer, gold, "as numbers")
    if said.key == meant.key:
        return verdict(True, answer, gold, "the same formula")
    try:
        equal_or_open = _closed(said, meant) if not said.names | meant.names else _open(said, meant)
    except NoValue:
        return None
    if equal_or_open is False and (said.ambiguous or meant.ambiguous):
        return None
    how = "at every point tried" if said.names | meant.names else "by value"
    return None if equal_or_open is None else verdict(equal_or_open, answer, gold, how)


def constant_value(text: str) -> Fraction | None:
    """The real value of a formula without variables, to a hundred digits; None for anything else."""
    formula = parse_formula(text)
    if formula is None or formula.names:
        return None
    return formula.tree.value if isinstance(formula.tree, Rational) else real_value(formula.tree)


def _number(tree: Rational, unit: str) -> Number:
    """The number as the number rule takes it; units are known to fit, so that only percent still matters."""
    return Number(tree.value, tree.decimals, unit if unit == "%" else "")


def _closed(said: Formula, meant: Formula) -> bool | None:
    """Whether two formulas without variables have the same value."""
    differ = difference(said.tree, meant.tree, {})
    if differ and (said.unit == "°") != (meant.unit == "°") and _in_radians(said, meant):
        return True
    if differ and isinstance(said.tree, Rational) != isinstance(meant.tree, Rational):
        a, b = _rounded(said), _rounded(meant)
        if a is not None and b is not None:
            return numbers_equal(a, b)
    if differ and (said.decimal or meant.decimal) and _nearly(said.tree, meant.tree, {}):
        return None
    return None if differ is None else not differ


def _rounded(formula: Formula) -> Number | None:
    """A formula's value as the number rule takes it: exact formulas have no decimals."""
    if isinstance(formula.tree, Rational):
        return _number(formula.tree, formula.unit)
    value = None if formula.decimal else real_value(formula.tree)
    return None if value is None else _number(Rational(value), formula.unit)


def _in_radians(said: Formula, meant: Formula) -> bool:
    r"""Whether degrees on one side are the multiple of π on the other: `60^\circ` is `\frac{\pi}{3}`."""
    turned, other = (said, meant) if said.unit == "°" else (meant, said)
    return "pi" in other.key and difference(multiply((turned.tree, _HALF_TURN, _PI)), other.tree, {}) is False


def _open(said: Formula, meant: Formula) -> bool | None:
    """Whether two formulas are equal at points of positive values, and then at points of both signs."""
    names = said.names | meant.names
    if len(names) > _MAX_NAMES:
        return None
    points = at_points(names, _NUM_POINTS, signed=False)
    if any(plainly_differ(said.tree, meant.tree, point) for point in points):
        return _told_apart(said, meant, points)
    differ = difference(said.tree, meant.tree, points[0])
    if differ or differ is None:
        return None if differ is None else False
    signed = at_points(names, _NUM_POINTS, signed=True)
    try:
        return None if any(plainly_differ(said.tree, meant.tree, point) for point in signed) else True
    except NoValue:
        return None


def _told_apart(said: Formula, meant: Formula, points: list[dict[str, float]]) -> bool | None:
    """False for formulas that differ somewhere; None when another reading of them may still be equal."""
    only_one = said.names ^ meant.names
    if only_one and only_one <= UNIT_LETTERS and not (said.names and meant.names):
        return None
    if only_one and {name.lower() for name in said.names} == {name.lower() for name in meant.names}:
        return None
    if _LOG_BASE in said.names | meant.names:
        for base in (10.0, Evaluation(DOUBLES, {}).of(Name("e", is_constant=True))):
            at_base = [{**point, _LOG_BASE: base} for point in points]
            if not any(plainly_differ(said.tree, meant.tree, point) for point in at_base):
                return None
    rounded = said.decimal or meant.decimal
    return None if rounded and all(_nearly(said.tree, meant.tree, point) for point in points) else False


def _nearly(a: Tree, b: Tree, values: dict[str, float]) -> bool:
    """Whether two formulas agree to 0.15 % at a point, as a formula with rounded numbers does."""
    evaluation = Evaluation(DOUBLES, values)
    first, second = evaluation.of(a), evaluation.of(b)
    return bool(abs(first - second) <= _ROUNDED * abs(second))
