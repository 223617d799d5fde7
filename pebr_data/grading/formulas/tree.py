"""The tree of a formula: rational numbers, names, sums, products, powers and function calls.

The functions here build trees in a canonical form: exact arithmetic on rational numbers is done at once (never beyond
`MAX_BITS`), sums and products are flat, and a subtraction or division is a factor -1 or a power -1.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import isqrt

from pebr_data.grading.formulas.tokens import NotAFormula

MAX_BITS = 1024
"""Bits of a numerator or denominator: 2^1000 is read exactly, anything larger is not a formula here."""


@dataclass(frozen=True, slots=True)
class Rational:
    """An exact number; `decimals` are the digits after the point when it was written as a decimal."""

    value: Fraction
    decimals: int | None = None


@dataclass(frozen=True, slots=True)
class Name:
    """A variable, or one of the constants `pi`, `e`, `i` and `infinity`."""

    text: str
    is_constant: bool = False


@dataclass(frozen=True, slots=True)
class Sum:
    """The sum of two terms or more."""

    terms: tuple[Tree, ...]


@dataclass(frozen=True, slots=True)
class Product:
    """The product of two factors or more; a rational factor stands first."""

    factors: tuple[Tree, ...]


@dataclass(frozen=True, slots=True)
class Power:
    """A power; a root is a power with a rational exponent."""

    base: Tree
    exponent: Tree


@dataclass(frozen=True, slots=True)
class Call:
    """A function of one argument: `ln`, `sin`, `abs`, …."""

    function: str
    argument: Tree


Tree = Rational | Name | Sum | Product | Power | Call

ZERO, ONE, MINUS_ONE = Rational(Fraction(0)), Rational(Fraction(1)), Rational(Fraction(-1))


def rational(value: Fraction, decimals: int | None = None) -> Rational:
    """The number as a leaf.

    Raises:
        NotAFormula: It has more than `MAX_BITS` bits.
    """
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > MAX_BITS:
        raise NotAFormula
    return Rational(value, decimals)


def add(terms: Iterable[Tree]) -> Tree:
    """The sum of some trees."""
    total = ZERO
    rest: list[Tree] = []
    for term in terms:
        for part in term.terms if isinstance(term, Sum) else (term,):
            if isinstance(part, Rational):
                total = part if not total.value else rational(total.value + part.value)
            else:
                rest.append(part)
    if not rest:
        return total
    if total.value:
        rest.append(total)
    return rest[0] if len(rest) == 1 else Sum(tuple(rest))


def multiply(factors: Iterable[Tree]) -> Tree:
    """The product of some trees."""
    scale = ONE
    rest: list[Tree] = []
    for factor in factors:
        for part in factor.factors if isinstance(factor, Product) else (factor,):
            if not isinstance(part, Rational):
                rest.append(part)
            elif part.value != 1:
                scale = part if scale.value == 1 else rational(scale.value * part.value, _after(scale, part))
    if not rest or not scale.value:
        return scale
    if scale.value != 1:
        rest.insert(0, scale)
    return rest[0] if len(rest) == 1 else Product(tuple(rest))


def negate(tree: Tree) -> Tree:
    """The tree with the other sign; a decimal stays one."""
    if isinstance(tree, Sum):
        return Sum(tuple(negate(term) for term in tree.terms))
    return multiply((MINUS_ONE, tree))


def divide(top: Tree, bottom: Tree) -> Tree:
    """The quotient of two trees.

    Raises:
        NotAFormula: The divisor is zero.
    """
    return multiply((top, power(bottom, MINUS_ONE)))


def power(base: Tree, exponent: Tree) -> Tree:
    """A tree raised to another.

    Raises:
        NotAFormula: Zero has a negative exponent, or the number has more than `MAX_BITS` bits.
    """
    if isinstance(exponent, Rational):
        if exponent.value == 1:
            return base
        if isinstance(base, Product):
            if exponent.value.denominator == 1:
                return multiply(power(factor, exponent) for factor in base.factors)
        elif isinstance(base, Power) and exponent.value.denominator == 1:
            return power(base.base, multiply((base.exponent, exponent)))
        elif isinstance(base, Rational):
            return _rational_power(base.value, exponent.value)
    return Power(base, exponent)


def names_in(tree: Tree) -> Iterator[str]:
    """The variables of a tree, once for every time they stand in it."""
    if isinstance(tree, Name):
        if not tree.is_constant:
            yield tree.text
    elif isinstance(tree, Sum | Product):
        for part in tree.terms if isinstance(tree, Sum) else tree.factors:
            yield from names_in(part)
    elif isinstance(tree, Power):
        yield from names_in(tree.base)
        yield from names_in(tree.exponent)
    elif isinstance(tree, Call):
        yield from names_in(tree.argument)


def is_polynomial(tree: Tree) -> bool:
    """Whether a tree has no function, no root and no variable below a fraction bar or in an exponent."""
    match tree:
        case Rational() | Name():
            return True
        case Sum(parts) | Product(parts):
            return all(map(is_polynomial, parts))
        case Power(base, Rational(exponent)):
            constant = next(names_in(base), None) is None
            return constant or (exponent >= 0 and exponent.denominator == 1 and is_polynomial(base))
        case _:
            return False


def canonical(tree: Tree) -> str:
    """A text that two trees share when they differ in nothing but the order of terms and factors."""
    match tree:
        case Rational(value):
            return str(value)
        case Name(text):
            return text
        case Sum(terms):
            return f"({'+'.join(sorted(map(canonical, terms)))})"
        case Product(factors):
            return f"({'*'.join(sorted(map(canonical, factors)))})"
        case Power(base, exponent):
            return f"({canonical(base)}^{canonical(exponent)})"
        case Call(function, argument):
            return f"{function}[{canonical(argument)}]"


def _after(scale: Rational, part: Rational) -> int | None:
    """The decimals of a product: kept through a sign only."""
    return part.decimals if scale.value == -1 else scale.decimals if part.value == -1 else None


def _rational_power(base: Fraction, exponent: Fraction) -> Tree:
    if not base and exponent <= 0:
        raise NotAFormula
    if exponent.denominator != 1:
        exact = _square_root(base) if exponent.denominator == 2 else None
        if exact is None:
            return Power(Rational(base), Rational(exponent))
        base, exponent = exact, Fraction(exponent.numerator)
    bits = max(base.numerator.bit_length(), base.denominator.bit_length())
    if abs(exponent) > MAX_BITS or bits * abs(exponent) > 2 * MAX_BITS:
        if abs(base) == 1:
            return Rational(base if exponent.numerator % 2 else Fraction(1))
        raise NotAFormula
    return rational(base**exponent.numerator)


def _square_root(value: Fraction) -> Fraction | None:
    if value < 0:
        return None
    top, bottom = isqrt(value.numerator), isqrt(value.denominator)
    return Fraction(top, bottom) if top * top == value.numerator and bottom * bottom == value.denominator else None
