"""The value of a formula at a point, in doubles or in a hundred digits and more, always bounded.

Doubles come first and refuse anything beyond 1e150, so that the many digits are never asked for a tower of powers.
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from typing import Any, Protocol

from pebr_data.grading.formulas.tree import Call, Name, Power, Product, Rational, Sum, Tree

_CEILING = 1e150
_CEILING_IN_DIGITS = 1e60
DIGITS = (100, 150)
"""The two precisions a difference is looked at in: what shrinks from one to the other is zero."""


class NoValue(Exception):
    """The formula has no value at the point, or one out of bounds; never leaves the package."""


class Arithmetic(Protocol):
    """What an evaluation needs to know of its numbers; they are `Any`, as mpmath has no types."""

    functions: Mapping[str, Callable[[Any], Any]]
    constants: Mapping[str, Any]
    ceiling: float

    def number(self, value: Fraction) -> Any:
        """The number in this arithmetic."""


class _Doubles:
    ceiling = _CEILING
    constants: Mapping[str, Any] = {"pi": math.pi, "e": math.e, "i": 1j}
    functions: Mapping[str, Callable[[Any], Any]] = {
        "sin": cmath.sin,
        "cos": cmath.cos,
        "tan": cmath.tan,
        "cot": lambda x: 1 / cmath.tan(x),
        "sec": lambda x: 1 / cmath.cos(x),
        "csc": lambda x: 1 / cmath.sin(x),
        "arcsin": cmath.asin,
        "arccos": cmath.acos,
        "arctan": cmath.atan,
        "sinh": cmath.sinh,
        "cosh": cmath.cosh,
        "tanh": cmath.tanh,
        "ln": cmath.log,
        "abs": abs,
    }

    def number(self, value: Fraction) -> Any:
        return float(value)


class _Digits:
    ceiling = _CEILING_IN_DIGITS

    def __init__(self, num_digits: int) -> None:
        from mpmath import MPContext

        context = MPContext()
        context.dps = num_digits
        self._context = context
        self.constants: Mapping[str, Any] = {"pi": +context.pi, "e": +context.e, "i": context.mpc(0, 1)}
        names = {"arcsin": "asin", "arccos": "acos", "arctan": "atan", "abs": "fabs"}
        self.functions: Mapping[str, Callable[[Any], Any]] = {
            name: getattr(context, names.get(name, name)) for name in _Doubles.functions
        }

    def number(self, value: Fraction) -> Any:
        return self._context.mpf(value.numerator) / value.denominator


DOUBLES: Arithmetic = _Doubles()


@lru_cache(maxsize=len(DIGITS))
def many_digits(num_digits: int) -> Arithmetic:
    """The arithmetic of so many digits; its precision is never changed, so threads may share it."""
    return _Digits(num_digits)


@dataclass(slots=True)
class Evaluation:
    """One evaluation.

    Attributes:
        arithmetic: The numbers to compute in.
        values: The variables' values, as doubles.
        largest: The largest magnitude of any intermediate value so far, at least 1: what rounding errors scale with.
    """

    arithmetic: Arithmetic
    values: Mapping[str, float]
    largest: float = field(default=1.0)

    def of(self, tree: Tree) -> Any:
        """The value of a tree.

        Raises:
            NoValue: It has none here, or it is out of bounds.
        """
        try:
            return self._value(tree)
        except (ArithmeticError, ValueError) as error:
            raise NoValue from error

    def _value(self, tree: Tree) -> Any:
        match tree:
            case Rational(value):
                result = self.arithmetic.number(value)
            case Name(text):
                result = self._named(tree, text)
            case Sum(terms):
                result = self._value(terms[0])
                for term in terms[1:]:
                    result = result + self._value(term)
            case Product(factors):
                result = self._value(factors[0])
                for factor in factors[1:]:
                    result = result * self._value(factor)
            case Power(base, exponent):
                result = self._power(self._value(base), exponent)
            case Call(function, argument):
                result = self.arithmetic.functions[function](self._value(argument))
        size = float(abs(result))
        if not size <= self.arithmetic.ceiling:
            raise NoValue
        self.largest = max(self.largest, size)
        return result

    def _named(self, name: Name, text: str) -> Any:
        if not name.is_constant:
            return self.arithmetic.number(Fraction(self.values[text]))
        if text not in self.arithmetic.constants:
            raise NoValue
        return self.arithmetic.constants[text]

    def _power(self, base: Any, exponent: Tree) -> Any:
        """A power; an odd root of a negative number is the negative root, as at school."""
        if not isinstance(exponent, Rational):
            raised = self._value(exponent)
            if base == 0 and raised.real <= 0:
                raise NoValue
            return base**raised
        numerator, denominator = exponent.value.numerator, exponent.value.denominator
        if denominator == 1:
            if abs(numerator) > 1_000:
                raise NoValue
            return base**numerator
        if denominator % 2 and base.imag == 0 and base.real < 0:
            root = (-base.real) ** self.arithmetic.number(exponent.value)
            return -root if numerator % 2 else root
        return base ** self.arithmetic.number(exponent.value)


def real_value(tree: Tree) -> Fraction | None:
    """The value of a formula without variables to a hundred digits; None when it has none or is not real."""
    try:
        Evaluation(DOUBLES, {}).of(tree)
        value = Evaluation(many_digits(DIGITS[0]), {}).of(tree)
    except (NoValue, KeyError):
        return None
    if abs(value.imag) > 1e-30 * max(1.0, float(abs(value))):
        return None
    return _exactly(value.real)


def difference(a: Tree, b: Tree, values: Mapping[str, float]) -> bool | None:
    """Whether two formulas differ at a point: False means equal there, None that it cannot be told.

    Doubles decide what is plainly different. What is close is looked at with 100 and with 150 digits: a true
    difference stays as it is, a difference that is only rounding shrinks.

    Raises:
        NoValue: One of them has no value at the point.
    """
    if plainly_differ(a, b, values):
        return True
    seen = []
    for num_digits in DIGITS:
        evaluation = Evaluation(many_digits(num_digits), values)
        seen.append(abs(evaluation.of(a) - evaluation.of(b)))
    rough, fine = seen
    if fine != 0 and abs(rough - fine) <= fine / 1000:
        return True
    return False if fine <= evaluation.largest * 1e-40 else None


def plainly_differ(a: Tree, b: Tree, values: Mapping[str, float]) -> bool:
    """Whether doubles show that two formulas differ at a point; False means that they may be equal.

    Raises:
        NoValue: One of them has no value at the point, or one out of bounds.
    """
    evaluation = Evaluation(DOUBLES, values)
    gap = abs(evaluation.of(a) - evaluation.of(b))
    return bool(gap > 1e-6 * evaluation.largest**2)


def at_points(names: Iterable[str], num_points: int, *, signed: bool) -> list[dict[str, float]]:
    """Fixed, pseudo-random values for variables: between 0.3 and 2.9, or of both signs.

    Args:
        names: The variables; their order does not matter.
        num_points: Number of points.
        signed: Whether about half of the values are negative.
    """
    points = []
    for point in range(num_points):
        values = {}
        for position, name in enumerate(sorted(names)):
            # The golden ratio's multiples spread evenly and satisfy no short equation.
            spread = (0.6180339887498949 * (7 * point + 3 * position + 1) + 0.137 * position * point) % 1.0
            value = 0.3 + 2.6 * spread
            values[name] = -value if signed and (point + position) % 2 == 0 else value
        points.append(values)
    return points


def _exactly(value: Any) -> Fraction:
    sign, mantissa, exponent, _ = value._mpf_
    magnitude: Fraction = int(mantissa) * Fraction(2) ** int(exponent)
    return -magnitude if sign else magnitude
