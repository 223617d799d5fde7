"""Accuracy: 1 when the answer is right, by the same grader that the probe and the evaluation use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from pebr_data.grading import grade_answer
from pebr_data.strict_yaml import StrictModel
from pebr_data.types import Outcome
from pebr_train.rewards.base import Message, NoParams, RewardContext, Scores, texts


class Accuracy:
    """1 for `correct`; 0 for `wrong`, `unparsed` and `truncated`; None for `ungradable`, whose gold cannot be used.

    A completion that no end-of-sequence token ends ran out of length.
    """

    name: ClassVar[str] = "accuracy"
    Params: ClassVar[type[StrictModel]] = NoParams

    def __init__(self, params: NoParams, context: RewardContext) -> None:
        self.extractors = context.extractors
        self.eos_token_ids = context.eos_token_ids

    def __call__(
        self,
        prompts: Sequence[Sequence[Message]],
        completions: Sequence[Sequence[Message]],
        completion_ids: Sequence[Sequence[int]],
        **columns: Any,
    ) -> Scores:
        """Grade each completion against the columns `answer`, `answer_type` and `options`."""
        return [
            self._score(text, ids, answer, answer_type, options)
            for text, ids, answer, answer_type, options in zip(
                texts(completions),
                completion_ids,
                columns["answer"],
                columns["answer_type"],
                columns["options"],
                strict=True,
            )
        ]

    def _score(
        self, text: str, ids: Sequence[int], answer: str, answer_type: str | None, options: Sequence[str] | None
    ) -> float | None:
        grade = grade_answer(
            text,
            answer=answer,
            answer_type=answer_type,
            options=tuple(options or ()),
            finish_reason="stop" if ids and ids[-1] in self.eos_token_ids else "length",
            extractors=self.extractors,
        )
        if grade.outcome is Outcome.UNGRADABLE:
            return None
        return 1.0 if grade.outcome is Outcome.CORRECT else 0.0
