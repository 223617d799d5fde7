"""Format: 1 when a response has the paper's sections."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from pebr_data.grading import format_reward
from pebr_data.strict_yaml import StrictModel
from pebr_train.rewards.base import Message, NoParams, RewardContext, Scores, texts


class Format:
    """As `pebr_data.grading.format_reward`."""

    name: ClassVar[str] = "format"
    Params: ClassVar[type[StrictModel]] = NoParams

    def __init__(self, params: NoParams, context: RewardContext) -> None:
        pass

    def __call__(
        self,
        prompts: Sequence[Sequence[Message]],
        completions: Sequence[Sequence[Message]],
        completion_ids: Sequence[Sequence[int]],
        **columns: Any,
    ) -> Scores:
        """Look for the four headings in each completion."""
        return [format_reward(text) for text in texts(completions)]
