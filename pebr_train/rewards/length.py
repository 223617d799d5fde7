"""Length: full marks up to a number of tokens, then less the longer a response is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from pydantic import Field

from pebr_data.grading import length_reward
from pebr_data.strict_yaml import StrictModel
from pebr_train.rewards.base import Message, RewardContext, Scores


class LengthParams(StrictModel):
    """Settings of `length`.

    Attributes:
        max_tokens: Tokens up to which a response gets 1; the paper's 512.
    """

    max_tokens: int = Field(default=512, ge=1)


class Length:
    """As `pebr_data.grading.length_reward`."""

    name: ClassVar[str] = "length"
    Params: ClassVar[type[StrictModel]] = LengthParams

    def __init__(self, params: LengthParams, context: RewardContext) -> None:
        self.max_tokens = params.max_tokens

    def __call__(
        self,
        prompts: Sequence[Sequence[Message]],
        completions: Sequence[Sequence[Message]],
        completion_ids: Sequence[Sequence[int]],
        **columns: Any,
    ) -> Scores:
        """Count each completion's tokens."""
        return [length_reward(len(ids), self.max_tokens) for ids in completion_ids]
