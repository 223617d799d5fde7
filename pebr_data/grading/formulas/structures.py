r"""Whether two answers with structure are equal: tuples, sets, lists, intervals, equations, ratios.

A tuple is ordered, a set is not, and neither is the other. How two elements compare is the caller's business.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import pairwise

from pebr_data.grading.formulas.expressions import compare_expressions, constant_value
from pebr_data.grading.formulas.forms import (
    Assignments,
    Chain,
    Form,
    Interval,
    Intervals,
    Relation,
    Values,
    as_relation,
    form_of,
)
from pebr_data.grading.formulas.formula import Formula, parse_formula
from pebr_data.grading.formulas.tree import Rational, Tree, add, is_polynomial, negate
from pebr_data.grading.formulas.value import DOUBLES, Evaluation, NoValue, at_points
from pebr_data.grading.verdict import Verdict, verdict

Equal = Callable[[str, str], bool | None]
"""Whether an element of the answer equals one of the gold; None when it is not known."""

_MAX_DEPTH = 3
_NUM_POINTS = 4
_COORDINATES = frozenset("xyz")
_ORDERED_TYPES = frozenset({"list", "tuple", "point", "vector", "coordinates"})


def compare_structures(answer: str, gold: str, equal: Equal, answer_type: str | None = None) -> Verdict | None:
    r"""Whether an answer with structure equals the gold, or None when neither has any or it cannot be told here.

    Where it is a matter of judgement:

    * `(1, 2)` is a point or an open interval. Both say the same elements in the same brackets, so the type does not
      matter; `[1, 2]` for `(1, 2)` is right for a declared point, wrong for a declared interval, and wrong without a
      type when it could be an interval (1 < 2).
    * `1, 2` without brackets, permuted, is not decided unless the type is declared (`list`, `set`); `x = 1, 2` and
      `1 or 2` are sets.
    * A ratio gold `3:4` accepts a proportional ratio and the quotient (`3/4`, `0.75`), which is how a ratio is stated
      as a number. A fraction gold `3/4` accepts `3:4`. A gold that is a decimal or a whole number does not: there a
      ratio is an unfinished division. `2:20` may be a time of day, so that other ratios are not decided.
    * Equations are equal up to moving terms and a constant factor other than zero.

    Args:
        answer: The extracted answer as it was written, not cleaned.
        gold: The gold answer, likewise.
        equal: How two elements compare.
        answer_type: The gold's declared type: `tuple`, `point`, `vector`, `coordinates`, `set`, `list`, `interval`,
            `ratio`; any other says nothing.
    """
    decided = _compare(answer, gold, equal, answer_type, 0)
    if decided is None:
        return None
    same, how = decided
    return verdict(same, answer, gold, how)


Decided = tuple[bool, str] | None


def _compare(answer: str, gold: str, equal: Equal, answer_type: str | None, depth: int) -> Decided:
    if depth > _MAX_DEPTH:
        return None
    said, meant = form_of(answer), form_of(gold)

    def element(a: str, b: str) -> bool | None:
        if form_of(a) is None and form_of(b) is None:
            return equal(a, b)
        inner = _compare(a, b, equal, None, depth + 1)
        return None if inner is None else inner[0]

    if isinstance(said, Chain) or isinstance(meant, Chain):
        return _chains(said, meant, answer, gold, element)
    if isinstance(said, Relation) or isinstance(meant, Relation):
        return _relations(said, meant, answer, gold)
    if said is None and meant is None:
        return _solved_otherwise(answer, gold)
    if said is None or meant is None:
        return _structure_and_formula(said, meant, answer, gold, element)
    if isinstance(said, Assignments) or isinstance(meant, Assignments):
        return _assignments(said, meant, element)
    if isinstance(said, Intervals) or isinstance(meant, Intervals):
        return _intervals(said, meant, element)
    return _values(said, meant, element, answer_type)


def _values(said: Form, meant: Form, equal: Equal, answer_type: str | None) -> Decided:
    if not isinstance(said, Values) or not isinstance(meant, Values):
        return None
    if "ratio" in (said.kind, meant.kind):
        return _ratios(said, meant) if said.kind == meant.kind else (False, "only one is a ratio")
    if said.brackets == "()" and answer_type == "set":
        return False, "a tuple is not a set"
    if answer_type == "set" or (said.kind != "tuple" and meant.kind == "set"):
        return _told(_same_set(said.items, meant.items, equal), "as sets")
    if said.kind == "set":
        if meant.kind == "list" and answer_type not in _ORDERED_TYPES:
            return _told(_same_set(said.items, meant.items, equal), "as sets")
        return False, "a set is not a tuple"
    if meant.kind == "set":
        return None if said.brackets == "[]" else (False, "a tuple is not a set")
    in_order = _in_order(said.items, meant.items, equal)
    if in_order and {said.brackets, meant.brackets} == {"()", "[]"} and _brackets_matter(meant, answer_type):
        return False, "other brackets"
    if in_order is False and said.kind == meant.kind == "list" and answer_type not in _ORDERED_TYPES:
        return None if _same_set(said.items, meant.items, equal) is not False else (False, "other elements")
    return _told(in_order, "element by element")


def _ratios(said: Values, meant: Values) -> Decided:
    """Whether all cross products agree: `6:8` is `3:4`, and `1:√3` is `√3:3`."""
    if len(said.items) != len(meant.items):
        return False, "another number of terms"
    same = _in_order(said.items, meant.items, _expressions_equal)
    if same:
        return True, "the same ratio"
    first, base = said.items[0], meant.items[0]
    across = [f"({item})({base})" for item in said.items[1:]], [f"({item})({first})" for item in meant.items[1:]]
    proportional = _in_order(*across, _expressions_equal)
    return None if proportional and (said.is_clock or meant.is_clock) else _told(proportional, "as ratios")


def _structure_and_formula(said: Form | None, meant: Form | None, answer: str, gold: str, equal: Equal) -> Decided:
    """A structure on one side and a single formula, or words, on the other."""
    structure, text = (said, gold) if meant is None else (meant, answer)
    formula = parse_formula(text)
    if formula is None:
        return None
    if isinstance(structure, Values):
        if structure.kind == "ratio":
            return _ratio_and_number(structure, text, formula, gold_is_ratio=meant is not None)
        if structure.kind == "set" and len(structure.items) == 1:
            item = structure.items[0]
            return _told(equal(item, gold) if meant is None else equal(answer, item), "the only element")
        if all(parse_formula(item) is not None for item in structure.items):
            return False, "one value is not several"
        return None
    if isinstance(structure, Intervals) and not formula.names:
        return False, "a value is not an interval"
    if isinstance(structure, Assignments) and meant is not None:
        return False, "one value is not several"
    return None


def _ratio_and_number(ratio: Values, text: str, formula: Formula, *, gold_is_ratio: bool) -> Decided:
    if len(ratio.items) != 2 or formula.names:
        return None
    is_plain = isinstance(formula.tree, Rational) and (
        formula.tree.decimals is not None or formula.tree.value.denominator == 1
    )
    if not gold_is_ratio and is_plain:
        return False, "a ratio is not a number"
    same = _expressions_equal(text, f"({ratio.items[0]})/({ratio.items[1]})")
    return None if same and ratio.is_clock else _told(same, "as a quotient")


def _assignments(said: Form, meant: Form, equal: Equal) -> Decided:
    """Values by name; a tuple gives them in the names' order: `x = 1, y = 2` is `(1, 2)`."""
    if isinstance(said, Assignments) and isinstance(meant, Assignments):
        if sorted(said.names) != sorted(meant.names):
            return False, "other variables"
        return _told(_in_order(_by_name(said), _by_name(meant), equal), "by name")
    named, other = (said, meant) if isinstance(said, Assignments) else (meant, said)
    if not isinstance(named, Assignments) or not isinstance(other, Values) or other.kind not in ("tuple", "list"):
        return None
    a, b = (_by_name(named), other.items) if named is said else (other.items, _by_name(named))
    return _told(_in_order(a, b, equal), "in the order of the names")


def _intervals(said: Form, meant: Form, equal: Equal) -> Decided:
    a, b = _as_intervals(said), _as_intervals(meant)
    if a is None or b is None:
        return None
    if a.variable and b.variable and a.variable != b.variable:
        return False, "another variable"
    if len(a.parts) != len(b.parts):
        return None if _may_touch(a) or _may_touch(b) else (False, "another number of intervals")

    def same(x: Interval, y: Interval) -> bool | None:
        ends = _in_order((x.low, x.high), (y.low, y.high), equal)
        return False if _kind_of_ends(x) != _kind_of_ends(y) else ends

    if len(a.parts) == 1:
        return _told(same(a.parts[0], b.parts[0]), "as intervals")
    return _told(_matched([[same(x, y) for y in b.parts] for x in a.parts]), "as unions of intervals")


def _relations(said: Form | None, meant: Form | None, answer: str, gold: str) -> Decided:
    a = said if isinstance(said, Relation) else as_relation(answer) if said is None else None
    b = meant if isinstance(meant, Relation) else as_relation(gold) if meant is None else None
    if a is None or b is None:
        return None
    if (a.sign == "=") != (b.sign == "="):
        return False, "an equation is not an inequality"
    if a.sign != b.sign:
        return False, "only one includes its border"
    sides = [parse_formula(side) for side in (a.left, a.right, b.left, b.right)]
    formulas = [formula for formula in sides if formula is not None]
    if len(formulas) < 4 or any(formula.ambiguous for formula in formulas):
        return None
    first = add((formulas[0].tree, negate(formulas[1].tree)))
    second = add((formulas[2].tree, negate(formulas[3].tree)))
    names = frozenset().union(*(formula.names for formula in formulas))
    try:
        same = _proportional(first, second, names, positive=a.sign != "=")
    except NoValue:
        return None
    if same or all(is_polynomial(formula.tree) and not formula.decimal for formula in formulas):
        return same, "up to a factor and moving terms"
    return None


def _solved_otherwise(answer: str, gold: str) -> Decided:
    """Two equations that are each solved for a variable, but not the same one: `y = 2x` and `x = y/2`."""
    said, meant = parse_formula(answer), parse_formula(gold)
    if said is None or meant is None or not said.names | meant.names:
        return None
    if said.lead == meant.lead or said.lead not in _COORDINATES or meant.lead not in _COORDINATES:
        return None
    return _relations(None, None, answer, gold)


def _chains(said: Form | None, meant: Form | None, answer: str, gold: str, equal: Equal) -> Decided:
    """One value in several forms: they must agree with one another, and one of them with the other side."""
    a = said.forms if isinstance(said, Chain) else (answer,)
    b = meant.forms if isinstance(meant, Chain) else (gold,)
    if not _in_order(b[1:], b[:-1], equal):
        return None
    agree = _in_order(a[1:], a[:-1], equal)
    if not agree:
        return _told(agree, "its forms contradict one another")
    if isinstance(said, Chain) and not all(_near(about, said.forms[-1]) for about in said.rounded):
        return False, "its forms contradict one another"
    verdicts = [equal(x, y) for x in a for y in b]
    return (True, "one of its forms") if any(verdicts) else _told(None if None in verdicts else False, "no form")


def _near(about: str, exact: str) -> bool:
    """Whether a number may be what somebody rounds a value to: within 5 %, or nothing that can be told."""
    a, b = constant_value(about), constant_value(exact)
    return a is None or b is None or abs(a - b) <= abs(b) / 20


def _in_order(a: Sequence[str], b: Sequence[str], equal: Equal) -> bool | None:
    """Whether elements are equal one by one; False as soon as one pair is known to differ."""
    if len(a) != len(b):
        return False
    verdicts = [equal(x, y) for x, y in zip(a, b, strict=True)]
    return False if False in verdicts else None if None in verdicts else True


def _same_set(a: Sequence[str], b: Sequence[str], equal: Equal) -> bool | None:
    return _matched([[equal(x, y) for y in b] for x in a]) if a and b else len(a) == len(b)


def _matched(table: list[list[bool | None]]) -> bool | None:
    """Whether every row has a column that equals it and every column a row."""
    lines = [*table, *(list(column) for column in zip(*table, strict=True))]
    if any(all(cell is False for cell in line) for line in lines):
        return False
    return True if all(any(line) for line in lines) else None


def _proportional(a: Tree, b: Tree, names: frozenset[str], *, positive: bool) -> bool:
    """Whether one formula is the other times a constant other than zero, at fixed points."""
    pairs = []
    largest = 1.0
    for point in at_points(names, _NUM_POINTS, signed=True):
        evaluation = Evaluation(DOUBLES, point)
        pairs.append((evaluation.of(a), evaluation.of(b)))
        largest = max(largest, evaluation.largest)
    top, bottom = max(pairs, key=lambda pair: float(abs(pair[1])))
    if abs(bottom) < 1e-9 * largest or abs(top) < 1e-9 * largest:
        raise NoValue
    factor = top / bottom
    if positive and not complex(factor).real > 0:
        return False
    return all(abs(x - factor * y) <= 1e-9 * (abs(factor) + 1) * largest for x, y in pairs)


def _may_touch(union: Intervals) -> bool:
    """Whether two of the intervals may have a point in common or meet at one, and so be a single one."""
    ends = []
    for part in union.parts:
        low = Fraction(-(10**9)) if "\\infty" in part.low else constant_value(part.low)
        high = Fraction(10**9) if "\\infty" in part.high else constant_value(part.high)
        if low is None or high is None:
            return len(union.parts) > 1
        ends.append((low, high))
    ends.sort()
    return any(after[0] <= before[1] for before, after in pairwise(ends))


def _as_intervals(form: Form) -> Intervals | None:
    if isinstance(form, Values) and form.kind == "tuple" and len(form.items) == 2:
        return Intervals((Interval(form.items[0], form.items[1], form.brackets),))
    return form if isinstance(form, Intervals) else None


def _kind_of_ends(interval: Interval) -> str:
    """The brackets, open at an infinity whatever was written."""
    left = "(" if "\\infty" in interval.low else interval.brackets[0]
    return left + (")" if "\\infty" in interval.high else interval.brackets[1])


def _brackets_matter(gold: Values, answer_type: str | None) -> bool:
    """Whether a tuple may be an interval, whose brackets say which ends belong to it."""
    if len(gold.items) != 2 or answer_type in _ORDERED_TYPES:
        return False
    ends = _numbers(gold.items)
    return answer_type == "interval" or ends is None or ends[0] < ends[1]


def _expressions_equal(answer: str, gold: str) -> bool | None:
    decided = compare_expressions(answer, gold)
    return None if decided is None else decided.equal


def _numbers(items: Sequence[str]) -> list[Fraction] | None:
    values = [constant_value(item) for item in items]
    known = [value for value in values if value is not None]
    return known if len(known) == len(values) else None


def _by_name(form: Assignments) -> tuple[str, ...]:
    return tuple(item for _, item in sorted(zip(form.names, form.items, strict=True)))


def _told(same: bool | None, how: str) -> Decided:
    return None if same is None else (same, how)
