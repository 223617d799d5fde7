from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pebr_data.errors import ConfigError
from pebr_data.grading import (
    GRADER_VERSION,
    Attempt,
    Gold,
    Grader,
    find_answer,
    gold_of,
    grade,
    grade_batch,
    grade_samples,
)
from pebr_data.prompts import TEMPLATES, PromptTemplate
from pebr_data.types import FinishReason, Outcome, Sample

GRADER = Grader()
SAMPLE = Sample("s1", "shapes", "train", "how many objects are there?", "3", answer_type="count")
FULL = """\
### Image Description: a large red circle at top-left
### Rationales: count the objects
### Let's think step by step.
### Step 1: objects at top-left: 3
### The final answer is: 3"""


def test_the_right_answer_is_correct_and_carries_what_was_extracted() -> None:
    verdict = grade(FULL, SAMPLE, GRADER)
    assert (verdict.outcome, verdict.answer, verdict.grader_version) == (Outcome.CORRECT, "3", GRADER_VERSION)


def test_another_answer_is_wrong_and_the_reason_names_both() -> None:
    verdict = grade(FULL[:-1] + "4", SAMPLE, GRADER)
    assert verdict.outcome is Outcome.WRONG
    assert "'4'" in verdict.reason
    assert "'3'" in verdict.reason


@pytest.mark.parametrize("completion", ["", "3", "The answer is three", "### Step 1: 3", "### The final answer is:"])
def test_a_completion_without_an_answer_line_is_unparsed_not_wrong(completion: str) -> None:
    assert grade(completion, SAMPLE, GRADER).outcome is Outcome.UNPARSED


@given(st.text(max_size=200))
def test_a_completion_cut_off_before_an_answer_is_truncated(text: str) -> None:
    if find_answer(text, GRADER.extractors) is None:
        assert grade(text, SAMPLE, GRADER, finish_reason="length").outcome is Outcome.TRUNCATED


def test_an_answer_the_length_may_have_cut_is_truncated() -> None:
    assert grade(FULL, SAMPLE, GRADER, finish_reason="length").outcome is Outcome.TRUNCATED


@pytest.mark.parametrize("tail", ["\n", "\nand so on", " ### Step 2: again"])
def test_an_answer_line_that_ended_counts_although_the_length_ran_out(tail: str) -> None:
    assert grade(FULL + tail, SAMPLE, GRADER, finish_reason="length").outcome is Outcome.CORRECT


def test_a_failed_generation_is_an_error_whatever_it_says() -> None:
    assert grade(FULL, SAMPLE, GRADER, finish_reason="error").outcome is Outcome.ERROR


@pytest.mark.parametrize("finish_reason", ["stop", "length"])
def test_an_unusable_gold_is_ungradable_whatever_the_answer(finish_reason: FinishReason) -> None:
    for completion in (FULL, "", "nothing"):
        [verdict] = grade_batch([Attempt(completion, Gold(""), finish_reason)], GRADER)
        assert verdict.outcome is Outcome.UNGRADABLE


def test_every_finish_reason_has_an_outcome() -> None:
    for finish_reason in get_args(FinishReason):
        assert grade("", SAMPLE, GRADER, finish_reason=finish_reason).outcome in Outcome


def test_the_grade_of_a_sample_is_the_grade_of_its_values() -> None:
    gold = Gold(SAMPLE.answer, SAMPLE.answer_type, SAMPLE.options)
    assert gold_of(SAMPLE) == gold
    assert [grade(FULL, SAMPLE, GRADER)] == grade_batch([Attempt(FULL, gold, "stop")], GRADER)


def test_a_batch_gives_each_grade_in_its_place_as_if_it_stood_alone() -> None:
    rules_unreadable = replace(SAMPLE, grading={"tolerence": 1})
    cases: list[tuple[str, Sample, FinishReason]] = [
        (FULL, SAMPLE, "stop"),
        (FULL, rules_unreadable, "stop"),
        (FULL[:-1] + "4", SAMPLE, "stop"),
        ("", SAMPLE, "length"),
    ]
    grades = grade_samples(cases, GRADER)
    assert [item.outcome for item in grades] == [
        Outcome.CORRECT,
        Outcome.UNGRADABLE,
        Outcome.WRONG,
        Outcome.TRUNCATED,
    ]
    assert "tolerence" in grades[1].reason
    for (text, sample, finish_reason), item in zip(cases, grades, strict=True):
        assert grade_samples([(text, sample, finish_reason)], GRADER) == [item]


def test_the_rules_of_a_sample_are_followed() -> None:
    near = FULL[:-1] + "3.2"
    loose = replace(SAMPLE, answer_type="decimal", grading={"tolerance": 0.25})
    assert grade(near, loose, GRADER).outcome is Outcome.CORRECT
    assert grade(near, replace(loose, grading={}), GRADER).outcome is Outcome.WRONG


def test_an_unknown_profile_is_a_configuration_error_naming_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="no grader 'oracle'") as caught:
        Grader(profile="oracle")
    assert "paper" in str(caught.value.help)


def test_an_unknown_extractor_is_a_configuration_error_naming_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="unknown answer extractor 'oracle'") as caught:
        grade(FULL, SAMPLE, Grader(extractors=("oracle",)))
    assert "section" in str(caught.value.help)


@pytest.mark.parametrize("template", TEMPLATES.values(), ids=lambda template: template.name)
@pytest.mark.parametrize(
    ("extractor", "completion"),
    [
        ("section", FULL),
        ("boxed", "1 + 2 = 3, so \\boxed{3}."),
        ("tag", "<think>1 + 2</think><answer>3</answer>"),
        ("phrase", "I count them. The answer is 3."),
        ("last_line", "One, two, three.\n3"),
    ],
)
def test_a_template_has_the_answer_read_where_it_asks_for_it(
    template: PromptTemplate, extractor: str, completion: str
) -> None:
    if extractor in template.extractors:
        assert grade(completion, SAMPLE, Grader(extractors=template.extractors)).outcome is Outcome.CORRECT
