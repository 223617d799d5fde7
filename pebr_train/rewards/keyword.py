"""Keyword: the share of a sample's keywords that a response mentions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from pebr_data.strict_yaml import StrictModel
from pebr_train.rewards.base import Message, NoParams, RewardContext, Scores, texts


class Keyword:
    """The share of the sample's keywords found in the lower-cased response; 0 for a sample without keywords.

    Paper: arXiv 2509.13031. A keyword is found as a piece of text, so "red" is found in "bored": the paper's rule.
    """

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
            _share(text.lower(), keywords or ())
            for text, keywords in zip(texts(completions), columns["keywords"], strict=True)
        ]


def _share(text: str, keywords: Sequence[str]) -> float:
    return sum(keyword.lower() in text for keyword in keywords) / len(keywords) if keywords else 0.0
