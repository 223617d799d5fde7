"""The `paper` profile: the released scripts' rule with its mistakes, which are pinned here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pebr_data.grading.workers.paper import paper_answer, paper_equal, paper_equal_many
from tests.fixtures.hostile_answers import ANSWERS, GOLD, SENTINEL
from tests.patient_pool import PatientPool

RIGHT = [
    *(("B", "B"), ("(B)", "B"), ("5", "5.0"), ("1.5", "3/2"), ("1,000", "1000"), (r"\frac{1}{2}", "0.5")),
    *(("2x+1", "1+2x"), (r"\sqrt{12}", r"2\sqrt{3}"), ("(1, 2)", "(1,2)"), (r"50^\circ", "50"), ("5 cm", "5")),
]
WRONG = [("B", "C"), ("3", "4"), ("", "B"), ("x", "y")]
MISTAKEN_FOR_WRONG = [
    *(("B. 30°", "B"), ("b)", "B"), ("30°", "B"), ("two", "2"), ("50%", "0.5"), ("50°", "50"), ("1:2", "1/2")),
    *(("2/4", "1/2"), ("x=5.", "5"), ("10^2", "100"), ("0.333", "1/3"), ("The answer is 5", "5"), ("A'B'", "B'A'")),
]
MISTAKEN_FOR_RIGHT = [
    *(("50%", "50"), ("5 cm", "5 meter"), ("x=7", "7"), ("b", "B"), ("Mon", "Monday"), ("to", "today")),
    ("3 and 4", "3, 4"),
]


@pytest.fixture(scope="module")
def pool() -> Iterator[PatientPool]:
    with PatientPool("pebr_data.grading.workers.paper_child:compare", num_workers=2) as pool:
        yield pool


@pytest.mark.parametrize(
    ("completion", "answer"),
    [
        ("### Step 1: x\n### The final answer is: B", "B"),
        ("### The final answer is:  12 \nas shown", "12"),
        ("### The final answer is:\n12", ""),
        ("The final answer is: 12", "The final answer is: 12"),
        ("  so it is 12.\n", "so it is 12."),
        ("### the final answer is: 12", "### the final answer is: 12"),
        ("### The final answer is: 1\n### The final answer is: 2", "1"),
        ("", ""),
    ],
)
def test_the_answer_is_the_rest_of_the_markers_line_or_everything(completion: str, answer: str) -> None:
    assert paper_answer(completion) == answer


@pytest.mark.parametrize(
    ("pairs", "equal"),
    [(RIGHT, True), (WRONG, False), (MISTAKEN_FOR_WRONG, False), (MISTAKEN_FOR_RIGHT, True)],
    ids=["right", "wrong", "mistaken for wrong", "mistaken for right"],
)
def test_the_verdict_is_mathrulers(pool: PatientPool, pairs: list[tuple[str, str]], equal: bool) -> None:
    verdicts = paper_equal_many(pairs, pool=pool)
    assert [pair for pair, verdict in zip(pairs, verdicts, strict=True) if verdict.equal is not equal] == []


def test_a_response_without_the_marker_is_wrong_however_it_ends(pool: PatientPool) -> None:
    assert paper_equal(paper_answer("Counting them gives 5. The answer is 5"), "5", pool=pool).equal is False


def test_what_mathruler_hangs_on_has_no_verdict_and_the_next_one_is_right(pool: PatientPool) -> None:
    with pool.hurried(1.0, 1.0):
        hanging = paper_equal("100000000!", GOLD, pool=pool)
    long, right = paper_equal_many([("x" * 70_000, "3"), ("3.0", "3")], pool=pool)
    assert (hanging.equal, hanging.failure) == (None, "timeout")
    assert (long.equal, long.failure) == (None, "refused")
    assert right.equal is True


def test_no_answer_is_run_as_code(pool: PatientPool, tmp_path: Path) -> None:
    sentinel = tmp_path / "s"
    octal = "".join(rf"\textbackslash {ord(char):o}" for char in f"open('{sentinel}','w')")
    answers = [text.replace(SENTINEL, str(sentinel)) for text in ANSWERS.values() if SENTINEL in text]
    verdicts = paper_equal_many([(answer, GOLD) for answer in [*answers, f"re('{octal}')"]], pool=pool)
    assert not any(verdict.equal for verdict in verdicts)
    assert "not evaluated" in verdicts[-1].reason
    assert not sentinel.exists()
