"""Accuracy: 1 when the answer is right, by the same grader that the probe and the evaluation use."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, ClassVar

from pebr_data.grading import Attempt, Gold, Grader, accuracy_reward, grade_batch, read_rules
from pebr_data.strict_yaml import StrictModel
from pebr_train.rewards.base import Message, NoParams, RewardContext, Scores, texts


class Accuracy:
    """As `pebr_data.grading.accuracy_reward`. A completion that no end-of-sequence token ends ran out of length."""

    name: ClassVar[str] = "accuracy"
    Params: ClassVar[type[StrictModel]] = NoParams

    def __init__(self, params: NoParams, context: RewardContext) -> None:
        self.grader = Grader(extractors=context.extractors)
        self.eos_token_ids = context.eos_token_ids

    def __call__(
        self,
        prompts: Sequence[Sequence[Message]],
        completions: Sequence[Sequence[Message]],
        completion_ids: Sequence[Sequence[int]],
        **columns: Any,
    ) -> Scores:
        """Grade each completion against the columns `answer`, `answer_type`, `options` and `grading`."""
        attempts = [
            Attempt(
                text,
                Gold(answer, answer_type, tuple(options or ()), read_rules(json.loads(grading or "{}"))),
                "stop" if ids and ids[-1] in self.eos_token_ids else "length",
            )
            for text, ids, answer, answer_type, options, grading in zip(
                texts(completions),
                completion_ids,
                columns["answer"],
                columns["answer_type"],
                columns["options"],
                columns["grading"],
                strict=True,
            )
        ]
        return [accuracy_reward(grade) for grade in grade_batch(attempts, self.grader)]
