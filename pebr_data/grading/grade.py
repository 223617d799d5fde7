"""The one verdict: the probe, the accuracy reward and the evaluation all call this."""

from __future__ import annotations

from collections.abc import Sequence

from pebr_data.grading.answers import find_answer
from pebr_data.grading.equivalence import compare, gold_problem
from pebr_data.types import FinishReason, Grade, Outcome, Sample

GRADER_VERSION = "pebr-1"
"""Names the rules; any change that can change a verdict changes it, so that grades are never mixed."""


def grade(
    completion: str,
    sample: Sample,
    *,
    finish_reason: FinishReason = "stop",
    extractors: tuple[str, ...] = ("section",),
) -> Grade:
    """The verdict on one completion of one sample.

    Args:
        completion: The decoded text.
        sample: The sample; its `answer`, `answer_type` and `options` are read.
        finish_reason: How the generation ended.
        extractors: Where the answer may stand; the prompt template says so.

    Raises:
        ConfigError: An extractor's name is unknown.
    """
    return grade_answer(
        completion,
        answer=sample.answer,
        answer_type=sample.answer_type,
        options=sample.options,
        finish_reason=finish_reason,
        extractors=extractors,
    )


def grade_answer(
    completion: str,
    *,
    answer: str,
    answer_type: str | None = None,
    options: Sequence[str] = (),
    finish_reason: FinishReason = "stop",
    extractors: tuple[str, ...] = ("section",),
) -> Grade:
    """The verdict on one completion, from plain values as an exported row holds them.

    The outcome is, in this order: `error` when the generation failed; `ungradable` when the gold cannot be used;
    `truncated` when the length ran out before an answer was given, or while it was; `unparsed` when there is no
    answer; else `correct` or `wrong`.

    Args:
        completion: The decoded text; its last 64 KB are read.
        answer: The gold answer.
        answer_type: The gold's type, or None to infer it.
        options: The options of a multiple-choice question, in order.
        finish_reason: How the generation ended.
        extractors: Where the answer may stand; the prompt template says so.

    Raises:
        ConfigError: An extractor's name is unknown.
    """
    if finish_reason == "error":
        return Grade(Outcome.ERROR, None, "the generation failed", GRADER_VERSION)
    problem = gold_problem(answer, answer_type, options)
    found = find_answer(completion, extractors)
    text = None if found is None else found.text
    if problem is not None:
        return Grade(Outcome.UNGRADABLE, text, problem, GRADER_VERSION)
    if finish_reason == "length" and (found is None or not found.closed):
        where = "before an answer" if found is None else "within the answer"
        return Grade(Outcome.TRUNCATED, text, f"the length ran out {where}", GRADER_VERSION)
    if found is None:
        return Grade(Outcome.UNPARSED, None, "no answer found", GRADER_VERSION)
    verdict = compare(found.text, answer, answer_type, options)
    outcome = Outcome.CORRECT if verdict.equal else Outcome.WRONG
    return Grade(outcome, found.text, verdict.reason, GRADER_VERSION)
