"""Keyword: the share of a sample's keywords that a response mentions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from pebr_data.grading import keyword_reward
from pebr_data.strict_yaml import StrictModel
from pebr_train.rewards.base import Message, NoParams, RewardContext, Scores, texts


class Keyword:
    """As `pebr_data.grading.keyword_reward`."""

    name: ClassVar[str] = "keyword"
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
        """Look for the column `keywords` in each completion."""
        return [
            keyword_reward(text, keywords or ())
            for text, keywords in zip(texts(completions), columns["keywords"], strict=True)
        ]
