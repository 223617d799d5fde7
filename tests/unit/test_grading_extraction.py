"""Where the answer of a whole completion is found: `tests/fixtures/extraction_cases.jsonl`, a completion a line."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pebr_data.errors import ConfigError
from pebr_data.grading import EXTRACTORS, Attempt, Gold, Grader, find_answer, grade_batch
from pebr_data.grading.sections import MAX_CHARS

CASES: list[dict[str, Any]] = [
    json.loads(line)
    for line in (Path(__file__).parents[1] / "fixtures" / "extraction_cases.jsonl").read_text("utf-8").splitlines()
]
JUDGED = [case for case in CASES if "outcome" in case]
PIECES = [
    "### The final answer is:",
    "\\boxed{",
    "\\boxed",
    "}",
    "{",
    "\\",
    "<answer>",
    "</answer>",
    "<think>",
    "</think>",
    "The answer is",
    "Answer:",
    "**",
    "\n",
    " ",
    "3",
    "B.",
    "```",
]
PLACES = {
    "section": ("\n### The final answer is: ", "\n"),
    "boxed": ("\n\\boxed{", "}\n"),
    "tag": ("<answer>", "</answer>"),
    "phrase": ("\nThe answer is ", "\n"),
    "last_line": ("\n", ""),
}
"""What stands before and after an answer in its place."""
PILES = ["#", "{", "}", "*", " ", "\n", "\t", "\\", ".", "answer", "the ", ". A", "###", *PIECES]


def _name(case: dict[str, Any]) -> str:
    return f"{'+'.join(case['extractors'])} in {case['completion'][-60:]!r} after {case.get('finish_reason', 'stop')}"


@pytest.mark.parametrize("case", CASES, ids=_name)
def test_the_answer_is_read_where_the_policy_was_told_to_put_it(case: dict[str, Any]) -> None:
    found = find_answer(case["completion"], case["extractors"])
    assert (None if found is None else found.text) == case["answer"]


@pytest.mark.parametrize("case", JUDGED, ids=_name)
def test_what_was_found_and_how_it_ended_make_the_outcome(case: dict[str, Any]) -> None:
    gold = Gold(case.get("gold") or case["answer"] or "3")
    attempt = Attempt(case["completion"], gold, case.get("finish_reason", "stop"))
    [grade] = grade_batch([attempt], Grader(extractors=tuple(case["extractors"])))
    assert grade.outcome == case["outcome"]


@pytest.mark.parametrize("extractor", EXTRACTORS)
def test_every_extractor_has_its_cases(extractor: str) -> None:
    alone = [case for case in CASES if case["extractors"] == [extractor]]
    assert len(alone) >= 10
    assert any(case["answer"] is None for case in alone)
    assert {case.get("outcome") for case in alone} >= {"correct", "truncated", "unparsed"}


def test_the_first_extractor_that_finds_anything_decides() -> None:
    text = "<answer>1</answer> \\boxed{2}\nThe answer is 3\n4"
    found = [find_answer(text, order) for order in (["tag"], ["boxed", "tag"], ["section", "phrase"], ["last_line"])]
    assert [item.text for item in found if item] == ["1", "2", "3", "4"]
    assert find_answer(text, ["section"]) is None
    assert find_answer(text, []) is None


def test_an_unknown_extractor_is_a_configuration_error_even_when_another_would_have_found_something() -> None:
    with pytest.raises(ConfigError, match="unknown answer extractor 'oracle'"):
        find_answer("3", ["last_line", "oracle"])


@pytest.mark.parametrize("extractor", EXTRACTORS)
@settings(max_examples=100, deadline=None)
@given(text=st.one_of(st.text(max_size=80), st.lists(st.sampled_from(PIECES), max_size=12).map("".join)))
def test_an_extractor_never_raises_and_finds_text_that_stands_in_the_completion(extractor: str, text: str) -> None:
    found = EXTRACTORS[extractor](text)
    if found is not None:
        assert found.text
        assert found.text == found.text.strip()
        # Several boxes are joined by commas; everything else is a stretch of the completion.
        assert found.text in text or (extractor == "boxed" and all(part in text for part in found.text.split(", ")))


@pytest.mark.parametrize("extractor", EXTRACTORS)
@settings(max_examples=50, deadline=None)
@given(head=st.text(max_size=40), answer=st.sampled_from(["3", "(B)", "\\frac{1}{2}", "x = {1}"]))
def test_an_answer_in_its_place_is_found_whatever_came_before(extractor: str, head: str, answer: str) -> None:
    before, after = PLACES[extractor]
    found = EXTRACTORS[extractor](head + before + answer + after)
    assert found is not None
    assert found.text == answer


@pytest.mark.parametrize("extractor", EXTRACTORS)
@pytest.mark.parametrize("piece", PILES, ids=repr)
def test_64_kilobytes_of_anything_take_less_than_a_second(extractor: str, piece: str) -> None:
    pile = piece * (MAX_CHARS // len(piece))
    for text in (f"{pile}\n3", PLACES[extractor][0] + pile[: MAX_CHARS // 2]):
        start = time.process_time()
        EXTRACTORS[extractor](text)
        assert time.process_time() - start < 1.0


@pytest.mark.parametrize("extractor", EXTRACTORS)
def test_only_the_last_64_kilobytes_are_read(extractor: str) -> None:
    place = "<answer>3</answer>\n### The final answer is: 3\nThe answer is \\boxed{3}\n"
    found = EXTRACTORS[extractor](place + "\n" * MAX_CHARS)
    assert found is None
