from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pebr_data.grading.formulas.expressions import compare_expressions
from pebr_data.grading.formulas.structures import compare_structures


def element(answer: str, gold: str) -> bool | None:
    """Elements are formulas; words are compared as they are."""
    verdict = compare_expressions(answer, gold)
    return answer.strip() == gold.strip() if verdict is None else verdict.equal


def equal(answer: str, gold: str, answer_type: str | None = None) -> bool | None:
    verdict = compare_structures(answer, gold, element, answer_type)
    return None if verdict is None else verdict.equal


@pytest.mark.parametrize(
    ("answer", "gold"),
    [
        ("(1, 2)", "(1,2)"),
        ("A(1,2)", "(1,2)"),
        ("1, 2", "(1,2)"),
        (r"\left(-\frac{1}{2}, \sqrt{2}\right)", "(-0.5, √2)"),
        (r"\langle 1,2,3\rangle", "(1,2,3)"),
        (r"\begin{pmatrix}1\\2\end{pmatrix}", "(1,2)"),
        ("{2, 1}", r"\{1,2\}"),
        ("x = 2 or x = 1", r"\{1,2\}"),
        ("x=1, 2", "x=2, x=1"),
        ("x_1 = 1, x_2 = 2", "x=2 or x=1"),
        (r"x=\pm 2", r"\{-2,2\}"),
        (r"0, \pm 2", r"\{-2,0,2\}"),
        (r"\varnothing", r"\{\}"),
        (r"\{3\}", "3"),
        ("3", r"\{3\}"),
        ("(1,2),(3,4)", "(3,4) and (1,2)"),
        ("y=2, x=1", "x=1, y=2"),
        ("x=1, y=2", "(1,2)"),
        ("[0,1)", r"0 \le x < 1"),
        ("1 > x >= 0", "[0,1)"),
        ("x > 1 and x < 3", "1<x<3"),
        (r"(-\infty, 3]", r"x\leq 3"),
        (r"[1,\infty]", r"[1,+\infty)"),
        (r"x<1 \text{ or } x>3", r"(3,\infty)\cup(-\infty,1)"),
        (r"x\neq 2", r"(-\infty,2)\cup(2,\infty)"),
        ("y - 2x = 1", "y = 2x + 1"),
        ("2y = 4x + 2", "y = 2x + 1"),
        ("x = (y-1)/2", "y = 2x + 1"),
        ("3x^2 + 4y^2 = 12", r"\frac{x^2}{4}+\frac{y^2}{3}=1"),
        ("4x + 2 > 0", "2x + 1 > 0"),
        (r"AB = 2\sqrt{3} \approx 3.46", r"2\sqrt{3}"),
        (r"AB = 2\sqrt{3} \approx 3.5", r"2\sqrt{3}"),
        ("x = 6/2 = 3", "3"),
        ("6:8", "3:4"),
        (r"\sqrt{3}:3", r"1:\sqrt{3}"),
        ("3/4", "3:4"),
        ("0.75", "3:4"),
        ("3:4", r"\frac{3}{4}"),
        ("red, blue", "red, blue"),
        ("blue and red", "red and blue"),
    ],
)
def test_equal_structures(answer: str, gold: str) -> None:
    assert equal(answer, gold) is True


@pytest.mark.parametrize(
    ("answer", "gold"),
    [
        ("(2,1)", "(1,2)"),
        ("(1,2,3)", "(1,2)"),
        ("(1,2)", r"\{1,2\}"),
        (r"\{1,2\}", "(1,2)"),
        (r"\{1,2,3\}", r"\{1,2\}"),
        (r"\{1,2\}", r"\{1,2,3\}"),
        ("1 or 2", "1"),
        ("1, 2", "1"),
        ("1", "1, 2"),
        (r"\pm 2", "2"),
        ("[0,1]", "[0,1)"),
        ("x > 3", r"x \ge 3"),
        ("x < 3", "x > 3"),
        ("a > 3", "x > 3"),
        ("3", "x > 3"),
        ("1 < x < 3", r"x<1 \text{ or } x>3"),
        ("y - 2x = 1", "y = 2x + 2"),
        ("y - 2x = 1", "y + 2x = 1"),
        ("-4x - 2 > 0", "2x + 1 > 0"),
        ("y - 2x > 1", "y - 2x = 1"),
        ("x = 2 = 3", "3"),
        (r"x = 2 \approx 3", "2"),
        ("4:3", "3:4"),
        ("3:4:5", "3:4"),
        ("3:4", "0.75"),
        ("8:4", "2"),
        ("x=2, y=1", "x=1, y=2"),
        ("red, green", "red, blue"),
    ],
)
def test_other_structures(answer: str, gold: str) -> None:
    assert equal(answer, gold) is False


@pytest.mark.parametrize(
    ("answer", "gold"),
    [
        ("3", "3"),
        ("red", "blue"),
        ("2, 1", "1, 2"),  # a list in order, or solutions
        ("1:10", "2:20"),  # ratios, or times of day
        ("xy = 1", r"y = \frac{1}{x}"),  # not by a factor
        (r"(-\infty,0)\cup[0,1)", r"(-\infty,1)"),
    ],
)
def test_what_is_no_structure_or_depends_on_the_question_is_left_open(answer: str, gold: str) -> None:
    assert equal(answer, gold) is None


def test_the_golds_declared_type_says_what_brackets_and_order_mean() -> None:
    assert equal("[1,2]", "(1,2)", "point") is True
    assert equal("[1,2]", "(1,2)", "interval") is False
    assert equal("[1,2]", "(1,2)") is False
    assert equal("[2,1]", "(2,1)") is True  # no interval
    assert equal("2, 1", "1, 2", "set") is True
    assert equal("2, 1", "1, 2", "list") is False


def test_an_element_that_cannot_be_told_leaves_the_structure_open_unless_another_differs() -> None:
    def unsure(answer: str, gold: str) -> bool | None:
        return None if "?" in answer else answer == gold

    assert compare_structures("(?, 2)", "(1,2)", unsure) is None
    decided = compare_structures("(?, 3)", "(1,2)", unsure)
    assert decided is not None
    assert not decided.equal


def test_the_reason_names_both_and_how() -> None:
    decided = compare_structures("(1,3)", "(1,2)", element)
    assert decided is not None
    assert decided.reason == "'(1,3)' is not '(1,2)': element by element"


ITEMS = st.lists(st.integers(-99, 99), min_size=2, max_size=6)


@given(ITEMS.flatmap(lambda items: st.tuples(st.just(items), st.permutations(items))))
def test_a_set_has_no_order_and_a_tuple_has_one(orders: tuple[list[int], list[int]]) -> None:
    tight, spaced = (separator.join(map(str, items)) for separator, items in zip((",", " , "), orders, strict=True))
    assert equal(rf"\{{{spaced}\}}", rf"\{{{tight}\}}") is True
    assert equal(f"({spaced})", f"({tight})") is (orders[0] == orders[1])


@given(st.integers(-50, 50), st.integers(1, 50), st.sampled_from(["[]", "()", "[)", "(]"]))
def test_an_interval_is_its_inequality_and_no_other(low: int, width: int, brackets: str) -> None:
    high = low + width
    signs = [r"\le" if bracket in "[]" else "<" for bracket in brackets]
    inequality = f"{low} {signs[0]} x {signs[1]} {high}"
    assert equal(inequality, f"{brackets[0]}{low}, {high}{brackets[1]}") is True
    assert equal(inequality, f"{brackets[0]}{low}, {high + 1}{brackets[1]}") is False


@given(st.integers(-20, 20), st.integers(-20, 20), st.integers(-9, 9).filter(bool))
def test_an_equation_is_itself_times_a_constant(slope: int, shift: int, factor: int) -> None:
    line = f"y = {slope}x + ({shift})"
    assert equal(f"({factor})y - ({factor})({slope}x) = ({factor})({shift})", line) is True
    assert equal(f"({factor})y - ({factor})({slope}x) = ({factor})({shift + 1})", line) is False
