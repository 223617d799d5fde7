from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pebr_data.grading import Sections, find_answer, split_sections
from pebr_data.grading.sections import MAX_CHARS

FULL = """\
### Image Description: a large red circle at top-left, a small blue cross at center
### Rationales: count the red objects
### Let's think step by step.
### Step 1: red objects at top-left: 1
### Step 2: 1 + 0: 1
### The final answer is: 1
"""


def _answer(text: str) -> str | None:
    found = find_answer(text, ["section"])
    return None if found is None else found.text


def test_a_full_response_gives_every_section() -> None:
    assert split_sections(FULL) == Sections(
        description="a large red circle at top-left, a small blue cross at center",
        rationales="count the red objects",
        thinking="",
        steps="red objects at top-left: 1\n### Step 2: 1 + 0: 1",
        final_answer="1",
    )


def test_line_breaks_are_not_needed_between_sections() -> None:
    assert split_sections(" ".join(FULL.split())) == split_sections(FULL)


@pytest.mark.parametrize(
    ("heading", "field"),
    [
        ("### Image Description:", "description"),
        ("### Rationales:", "rationales"),
        ("### Let's think step by step.", "thinking"),
        ("### Step 1:", "steps"),
        ("### The final answer is:", "final_answer"),
    ],
)
def test_a_missing_heading_is_none_and_a_heading_without_text_is_empty(heading: str, field: str) -> None:
    assert getattr(split_sections("nothing of the kind"), field) is None
    assert getattr(split_sections(heading), field) == ""


@pytest.mark.parametrize(
    "heading",
    ["### The final answer is:", "### the final answer is :", "###The final answer is:", "## **The final answer is:**"],
)
def test_the_answer_heading_may_be_spelled_loosely(heading: str) -> None:
    assert _answer(f"{heading} 3") == "3"


def test_without_the_hashes_it_is_no_heading() -> None:
    assert _answer("The final answer is: 3") is None


def test_steps_that_do_not_begin_with_the_first_are_no_steps() -> None:
    assert split_sections("### Step 2: 1 + 1: 2").steps is None


def test_the_answer_ends_with_its_line() -> None:
    assert _answer("### The final answer is: 3\nBecause I say so.") == "3"


def test_an_answer_on_the_next_line_is_found_unless_a_heading_comes_first() -> None:
    assert _answer("### The final answer is:\n\n3\nso there") == "3"
    assert _answer("### The final answer is:\n### Step 1: 3") is None


def test_the_last_answer_and_the_first_description_count() -> None:
    text = (
        "### Image Description: one\n### The final answer is: 3\n### Image Description: two\n### The final answer is: 4"
    )
    assert _answer(text) == "4"
    assert split_sections(text).description == "one"


def test_a_later_empty_answer_line_withdraws_the_answer() -> None:
    assert _answer("### The final answer is: 3\n### The final answer is:") is None


def test_only_the_end_of_a_long_completion_is_read() -> None:
    assert _answer("### The final answer is: 3\n" + "x" * MAX_CHARS) is None
    assert _answer("x" * MAX_CHARS + "\n### The final answer is: 3") == "3"


@given(st.text())
def test_splitting_never_raises(text: str) -> None:
    for candidate in (text, f"### {text}", f"{FULL}{text}", f"### The final answer is: {text}"):
        sections = split_sections(candidate)
        assert _answer(candidate) == (sections.final_answer or None)
