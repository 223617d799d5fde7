from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pebr_data.errors import ConfigError
from pebr_data.grading import GRADER_VERSION, extract_answer, grade, grade_answer
from pebr_data.prompts import TEMPLATES
from pebr_data.types import FinishReason, Outcome, Sample

SAMPLE = Sample("s1", "shapes", "train", "how many objects are there?", "3", answer_type="count")
FULL = """\
### Image Description: a large red circle at top-left
### Rationales: count the objects
### Let's think step by step.
### Step 1: objects at top-left: 3
### The final answer is: 3"""


def test_the_right_answer_is_correct_and_carries_what_was_extracted() -> None:
    verdict = grade(FULL, SAMPLE)
    assert (verdict.outcome, verdict.answer, verdict.grader_version) == (Outcome.CORRECT, "3", GRADER_VERSION)


def test_another_answer_is_wrong_and_the_reason_names_both() -> None:
    verdict = grade(FULL[:-1] + "4", SAMPLE)
    assert verdict.outcome is Outcome.WRONG
    assert "'4'" in verdict.reason
    assert "'3'" in verdict.reason


@pytest.mark.parametrize("completion", ["", "3", "The answer is three", "### Step 1: 3", "### The final answer is:"])
def test_a_completion_without_an_answer_line_is_unparsed_not_wrong(completion: str) -> None:
    assert grade(completion, SAMPLE).outcome is Outcome.UNPARSED


@given(st.text(max_size=200))
def test_a_completion_cut_off_before_an_answer_is_truncated(text: str) -> None:
    if extract_answer(text) is None:
        assert grade(text, SAMPLE, finish_reason="length").outcome is Outcome.TRUNCATED


def test_an_answer_the_length_may_have_cut_is_truncated() -> None:
    assert grade(FULL, SAMPLE, finish_reason="length").outcome is Outcome.TRUNCATED


@pytest.mark.parametrize("tail", ["\n", "\nand so on", " ### Step 2: again"])
def test_an_answer_line_that_ended_counts_although_the_length_ran_out(tail: str) -> None:
    assert grade(FULL + tail, SAMPLE, finish_reason="length").outcome is Outcome.CORRECT


def test_a_failed_generation_is_an_error_whatever_it_says() -> None:
    assert grade(FULL, SAMPLE, finish_reason="error").outcome is Outcome.ERROR


@pytest.mark.parametrize("finish_reason", ["stop", "length"])
def test_an_unusable_gold_is_ungradable_whatever_the_answer(finish_reason: FinishReason) -> None:
    for completion in (FULL, "", "nothing"):
        verdict = grade_answer(completion, answer="", answer_type=None, options=(), finish_reason=finish_reason)
        assert verdict.outcome is Outcome.UNGRADABLE


def test_every_finish_reason_has_an_outcome() -> None:
    for finish_reason in get_args(FinishReason):
        assert grade("", SAMPLE, finish_reason=finish_reason).outcome in Outcome


def test_the_grade_of_a_sample_is_the_grade_of_its_values() -> None:
    plain = grade_answer(
        FULL, answer=SAMPLE.answer, answer_type=SAMPLE.answer_type, options=SAMPLE.options, finish_reason="stop"
    )
    assert grade(FULL, SAMPLE) == plain


def test_an_unknown_extractor_is_a_configuration_error_naming_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="unknown answer extractor 'oracle'") as caught:
        grade(FULL, SAMPLE, extractors=("oracle",))
    assert "section" in str(caught.value.help)


def test_every_template_names_extractors_that_exist() -> None:
    for template in TEMPLATES.values():
        assert grade(FULL, SAMPLE, extractors=template.extractors).outcome is Outcome.CORRECT
