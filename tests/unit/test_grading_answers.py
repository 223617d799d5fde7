from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pebr_data.grading import ANSWER_TYPES, Attempt, Gold, Grader, grade_batch, read_rules
from pebr_data.grading.equivalence import compare, gold_problem
from pebr_data.grading.normalize import clean
from pebr_data.types import Outcome

CASES: list[dict[str, Any]] = [
    json.loads(line)
    for line in (Path(__file__).parents[1] / "fixtures" / "grading_cases.jsonl").read_text("utf-8").splitlines()
]
TYPES = st.sampled_from([None, "caption", *ANSWER_TYPES])
ALPHABET = st.one_of(
    st.text(max_size=60),
    st.text(alphabet="0123456789./,-% ^(){}\\eabcxyz", max_size=40),
    st.lists(
        st.sampled_from(
            ["\\boxed{", "\\frac{1}{2}", "}", "B", "(B)", "or", "3", "three", "hundred", "half", "%", "yes", "no", "\n"]
        ),
        max_size=8,
    ).map(" ".join),
)


def _gold(case: Mapping[str, Any]) -> Gold:
    rules = read_rules(case.get("grading", {}))
    return Gold(case["gold"], case.get("answer_type"), tuple(case.get("options", ())), rules)


def _outcomes(answers: Sequence[str], gold: Gold) -> list[Outcome]:
    attempts = [Attempt(f"### The final answer is: {answer}", gold) for answer in answers]
    return [grade.outcome for grade in grade_batch(attempts, Grader())]


def _by_gold() -> dict[Gold, dict[str, bool]]:
    table: dict[Gold, dict[str, bool]] = {}
    for case in CASES:
        table.setdefault(_gold(case), {})[case["answer"]] = case["correct"]
    return table


TABLE = _by_gold()
# Golds that answers are right to give in other coordinates than the gold's own.
ELSEWHERE = [
    gold
    for gold in TABLE
    if gold.rules.answer_frame
    or gold.rules.box_format != "xyxy"
    or (gold.answer_type, gold.answer[:1]) == ("point", "[")
]


def _name(gold: Gold) -> str:
    return f"{gold.answer} as {gold.answer_type}"


@pytest.mark.parametrize(("gold", "answers"), TABLE.items(), ids=map(_name, TABLE))
def test_the_verdict_is_the_one_a_careful_human_gives(gold: Gold, answers: Mapping[str, bool]) -> None:
    expected = {answer: Outcome.CORRECT if correct else Outcome.WRONG for answer, correct in answers.items()}
    assert dict(zip(answers, _outcomes(list(answers), gold), strict=True)) == expected


@pytest.mark.parametrize("gold", [gold for gold in TABLE if gold not in ELSEWHERE], ids=_name)
def test_every_gold_of_the_table_is_correct_against_itself(gold: Gold) -> None:
    assert _outcomes([gold.answer], gold) == [Outcome.CORRECT]


def test_the_table_covers_every_answer_type_and_says_nothing_twice() -> None:
    assert len(CASES) >= 650
    assert len(CASES) == sum(len(answers) for answers in TABLE.values())
    assert {ANSWER_TYPES[gold.answer_type] for gold in TABLE if gold.answer_type} == set(ANSWER_TYPES.values())


@settings(max_examples=300, deadline=None)
@given(ALPHABET, ALPHABET, TYPES, st.lists(ALPHABET, max_size=4), st.sampled_from(["stop", "length", "error"]))
def test_grading_never_raises_and_always_gives_a_reason(
    completion: str, gold: str, answer_type: str | None, options: list[str], finish_reason: Any
) -> None:
    for text in (completion, f"### The final answer is: {completion}"):
        [grade] = grade_batch([Attempt(text, Gold(gold, answer_type, tuple(options)), finish_reason)], Grader())
        assert grade.reason
        assert grade.outcome is not Outcome.ERROR or finish_reason == "error"


@given(st.text(max_size=80))
def test_cleaning_a_text_cannot_blow_it_up(text: str) -> None:
    assert len(clean(text)) <= 20 * len(text) + 20


@pytest.mark.parametrize(
    "answer",
    [
        "(" * 1_000_000,
        "\\boxed{" * 100_000,
        "\\frac{1}{" * 100_000,
        "9" * 1_000_000,
        "1" + ",000" * 200_000,
        "1e999999999",
        "9" * 50 + "e999",
        "5^(5^(5^(5^5)))",
        "(((10**9)!)!)!",
        "__import__('os').system('touch /tmp/pwned')",
        "three hundred " * 50_000,
        "yes " * 200_000,
        "#" * 1_000_000,
        "### The final answer is: " * 40_000,
        "### Step 1 " * 90_000,
        " " * 1_000_000,
        "\u0000\u202e\u200b\ufdfa" * 10_000,
        "the final answer is the final answer is " * 20_000,
        "A or B or C or D " * 50_000,
        "\\text{" + "{" * 500_000 + "}" * 500_000,
    ],
    ids=lambda text: text[:16].encode("unicode_escape").decode(),
)
def test_a_hostile_answer_is_wrong_or_unparsed_within_a_second(answer: str) -> None:
    start = time.process_time()
    for gold, answer_type, options in (("3", "count", ()), ("yes", "yes_no", ()), ("B", "choice", ("20", "30"))):
        text = f"### The final answer is: {answer}"
        [grade] = grade_batch([Attempt(text, Gold(gold, answer_type, options))], Grader())
        assert grade.outcome in (Outcome.WRONG, Outcome.UNPARSED)
    assert time.process_time() - start < 1.0


def test_an_answer_far_longer_than_the_gold_is_not_read_as_one() -> None:
    verdict = compare("red " * 1000, "red", "word")
    assert not verdict.equal
    assert "characters" in verdict.reason


@pytest.mark.parametrize(
    ("gold", "answer_type", "options", "said"),
    [
        ("", None, (), "empty"),
        (" \u200b ", "word", (), "empty"),
        ("$$", "number", (), "empty"),
        ("nan", None, (), "NaN"),
        ("red", "count", (), "not a number"),
        ("3 or 4", "integer", (), "not a number"),
        ("2.5", "count", (), "not a whole number"),
        ("maybe", "yes_no", (), "neither yes nor no"),
        ("E", "choice", ("20", "30"), "none of the 2 options"),
        ("purple", "choice", ("red", "blue"), "none of the 2 options"),
    ],
)
def test_a_gold_that_cannot_be_used_says_why(
    gold: str, answer_type: str | None, options: tuple[str, ...], said: str
) -> None:
    problem = gold_problem(gold, answer_type, options)
    assert problem is not None
    assert said in problem


@pytest.mark.parametrize(("a", "b"), [("1/2", "0.5"), ("30", "30°"), ("50%", "0.5"), ("two", "2"), ("B", "(B)")])
def test_these_spellings_are_equal_both_ways_round(a: str, b: str) -> None:
    assert compare(a, b).equal
    assert compare(b, a).equal


def test_a_fraction_keeps_what_its_bar_holds_together() -> None:
    assert compare("(x+1)/2", r"\frac{x+1}{2}").equal
    assert compare(r"5\pi/3", r"\frac{5\pi}{3}").equal
    assert not compare("x+1/2", r"\frac{x+1}{2}").equal
    assert not compare("a/b+c", r"\frac{a}{b+c}").equal
