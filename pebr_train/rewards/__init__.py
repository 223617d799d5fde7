"""The rewards, one unit a file, and how a stage's rewards are opened. Adding one is a file and a line in `REWARDS`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pebr_train.rewards.accuracy import Accuracy
from pebr_train.rewards.base import Reward, RewardContext
from pebr_train.rewards.format import Format
from pebr_train.rewards.keyword import Keyword
from pebr_train.rewards.length import Length
from pebr_train.rewards.similarity import Similarity

if TYPE_CHECKING:
    from pebr_train.recipe import RewardConfig

__all__ = ["REWARDS", "Reward", "RewardContext", "open_rewards"]

REWARDS: dict[str, type[Reward]] = {
    "accuracy": Accuracy,
    "format": Format,
    "keyword": Keyword,
    "length": Length,
    "similarity": Similarity,
}


def open_rewards(configs: Sequence[RewardConfig], context: RewardContext) -> list[Reward]:
    """The rewards a stage lists, in its order."""
    return [_open(config, context) for config in configs]


def _open(config: RewardConfig, context: RewardContext) -> Reward:
    kind = REWARDS[config.name]
    return kind(kind.Params.model_validate(config.params, strict=True), context)
