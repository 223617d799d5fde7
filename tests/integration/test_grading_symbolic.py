"""Symbolic equality: what is equal, what is not, and what nobody can say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pebr_data.grading.workers.guard import refusal
from pebr_data.grading.workers.latex import as_latex
from pebr_data.grading.workers.symbolic import WARM_UP, symbolic_equal, symbolic_equal_many
from tests.fixtures.hostile_answers import ANSWERS, GOLD, SENTINEL
from tests.patient_pool import PatientPool

EQUAL = [
    (r"\sqrt{12}", r"2\sqrt{3}"),
    ("sqrt(12)", "2√3"),
    ("√(9+3)", r"2\sqrt3"),
    (r"\frac{\sqrt{3}}{3}", r"\frac{1}{\sqrt{3}}"),
    ("(x+1)^2", "x^2+2x+1"),
    ("x**2-1", "(x-1)(x+1)"),
    ("x²", "x^2"),
    ("x^12", "x^{12}"),
    ("2^10", "1024"),
    (r"$\pi r^2$", "πr²"),
    ("πR²", r"\pi r^2"),
    ("1 1/2", r"\frac{3}{2}"),
    ("½", "0.5"),
    ("50%", "0.5"),
    (r"\frac{1}{3}", "0.333333"),
    ("2\\pi", "6.283185"),
    ("sin(30°)", r"\frac{1}{2}"),
    (r"\cos 60^\circ", "0.5"),
    (r"\log_2 8", "3"),
    (r"\tan\theta", r"\frac{\sin\theta}{\cos\theta}"),
    (r"\frac{abc}{4R}", "abc/(4R)"),
    (r"\frac{2x}{2}", "x"),
    (r"\pm 2", r"\{2,-2\}"),
    ("{1,2}", "{2,1}"),
    ("x=1 or x=2", "{1,2}"),
    ("1<x<2", "(1,2)"),
    ("x>=2", r"[2,\infty)"),
    ("x=5", "5"),
    ("2+3=5", "5"),
    ("y=2x+1", "2x-y+1=0"),
    (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", r"\begin{bmatrix}1&2\\3&4\end{bmatrix}"),
    (r"2\sqrt{3}\text{ cm}", r"2\sqrt3"),
    (r"\boxed{2\sqrt{3}}", "2√3 cm"),
    (r"\sum_{n=1}^{10} n", "55"),
    ("5!", "120"),
]
DIFFERENT = [
    (r"\sqrt{12}", r"3\sqrt{2}"),
    ("x+2=5", "5"),
    ("2+4=5", "5"),
    ("x=5", "y=5"),
    ("3 or 4", "4"),
    ("(2,1)", "(1,2)"),
    ("[1,2]", "(1,2)"),
    ("3d", "3t"),
    ("2bc", "2"),
    (r"\pi(R^2-r^2)", "0"),
    ("2√3 cm", "2√3 mm"),
    (r"2\sqrt{3}\text{ m}", "2√3 cm"),
    ("0.33", r"\frac{1}{3}"),
    ("(x+1)^2", "x^2+1"),
]
UNPARSED = ["the red one", "cat", "x+", r"\frac{1}{", "not 7 but 8", "1 2 3", "٣", r"\operatorname{open}(x)"]


@pytest.fixture(scope="module")
def pool() -> Iterator[PatientPool]:
    with PatientPool("pebr_data.grading.workers.symbolic_child:compare", warm_up=WARM_UP, num_workers=2) as pool:
        yield pool


@pytest.mark.parametrize("swapped", [False, True])
def test_equal_expressions_are_equal_whichever_is_the_gold(pool: PatientPool, swapped: bool) -> None:
    pairs = [(gold, answer) if swapped else (answer, gold) for answer, gold in EQUAL]
    verdicts = symbolic_equal_many(pairs, pool=pool)
    assert [pair for pair, verdict in zip(pairs, verdicts, strict=True) if verdict.equal is not True] == []


@pytest.mark.parametrize("swapped", [False, True])
def test_different_expressions_are_not_whichever_is_the_gold(pool: PatientPool, swapped: bool) -> None:
    pairs = [(gold, answer) if swapped else (answer, gold) for answer, gold in DIFFERENT]
    verdicts = symbolic_equal_many(pairs, pool=pool)
    assert [pair for pair, verdict in zip(pairs, verdicts, strict=True) if verdict.equal is not False] == []


def test_what_is_no_expression_has_no_verdict(pool: PatientPool) -> None:
    verdicts = symbolic_equal_many([(text, "8") for text in UNPARSED], pool=pool)
    assert [(v.equal, v.failure) for v in verdicts] == [(None, "unparsed")] * len(UNPARSED)
    assert all("answer" in verdict.reason for verdict in verdicts)
    assert "gold" in symbolic_equal("8", "the red one", pool=pool).reason


def test_every_kind_of_no_verdict_is_told_apart_and_the_next_verdict_is_right(pool: PatientPool) -> None:
    hostile = {
        "tower of five": "refused",
        "null byte": "refused",
        "megabyte of digits": "refused",
        "import": "unparsed",
    }
    pairs = [pair for name in hostile for pair in ((ANSWERS[name], GOLD), (r"\sqrt{12}", GOLD))]
    verdicts = symbolic_equal_many(pairs, pool=pool)
    assert [verdict.failure for verdict in verdicts[::2]] == list(hostile.values())
    assert {verdict.equal for verdict in verdicts[1::2]} == {True}
    assert symbolic_equal("1/0", "1/0", pool=pool).failure == "error"
    with pool.hurried(1.0, 1.0):
        assert symbolic_equal(ANSWERS["binomial"], GOLD, pool=pool).failure == "timeout"
    assert symbolic_equal(r"\sqrt{12}", GOLD, pool=pool).equal is True


def test_no_answer_is_run_as_code(pool: PatientPool, tmp_path: Path) -> None:
    sentinel = tmp_path / "sentinel"
    answers = [text.replace(SENTINEL, str(sentinel)) for text in ANSWERS.values() if SENTINEL in text]
    assert len(answers) > 10
    golds = [*answers, GOLD]
    verdicts = symbolic_equal_many(
        [(answer, gold) for answer in answers for gold in golds if answer != gold], pool=pool
    )
    assert not any(verdict.equal for verdict in verdicts)
    assert not sentinel.exists()


@pytest.mark.parametrize(
    "text",
    [
        *("5^(5^(5^5))", "9^{9^9}", "9^9^9", "9**9**9", "10^100000", "((3!)!)!", "3!!", "1001!", "(10^9)!"),
        *("7" * 51, "(" * 51, "x" * 1_001, "2\x00", "\u202e2", "\ud800", "", "  "),
    ],
)
def test_what_must_not_be_evaluated_is_refused_with_a_reason(text: str) -> None:
    assert refusal(text)


@pytest.mark.parametrize(
    "text",
    [
        *("e^{-x^2}", "(x^2)^3", "10^{-5}", "2^{10}", "x != 3", "(n+1)!", r"\frac{n!}{k!(n-k)!}", r"e^{i\pi}"),
        *("3.14159265358979", "2^{0.00012345}", r"\sqrt[3]{2^{5}}", r"\sin^2 x", r"30^{\circ}", "(" * 30 + ")" * 30),
    ],
)
def test_what_people_write_is_not_refused(text: str) -> None:
    assert refusal(text) is None


@given(st.text() | st.text(alphabet="0123456789^!*(){}[]\\x.- ", max_size=200))
def test_no_text_makes_the_guard_or_the_rewriting_fail(text: str) -> None:
    refusal(text)
    as_latex(text)


@given(st.sampled_from([text for pair in EQUAL for text in pair]))
def test_what_is_latex_already_is_left_as_it_is(text: str) -> None:
    assert as_latex(as_latex(text)) == as_latex(text)
