"""Format: 1 when a response has the paper's sections."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from pebr_data.grading import split_sections
from pebr_data.strict_yaml import StrictModel
from pebr_train.rewards.base import Message, NoParams, RewardContext, Scores, texts


class Format:
    """1 when the headings Image Description, Rationales, Step 1 and The final answer are all there, else 0.

    Paper: arXiv 2509.13031, released configuration. The order of the headings is not looked at.
    """

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
        return [float(_has_sections(text)) for text in texts(completions)]


def _has_sections(text: str) -> bool:
    found = split_sections(text)
    return None not in (found.description, found.rationales, found.steps, found.final_answer)
