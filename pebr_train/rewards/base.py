"""What a reward is: a small named unit that scores every completion of a batch.

TRL calls it once a batch with parallel lists, one entry per completion. None means that the reward does not apply to
a sample; a failure is raised, never turned into a number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from pebr_data.strict_yaml import StrictModel

if TYPE_CHECKING:
    from pebr_data.engines.dual_encoder import DualEncoder

Message = Mapping[str, Any]
Scores = list[float | None]


class NoParams(StrictModel):
    """For a reward without settings."""


@dataclass(frozen=True, slots=True)
class RewardContext:
    """What rewards may need besides their own settings.

    Attributes:
        extractors: Where the answer may stand, as the prompt template says.
        eos_token_ids: Tokens that end a completion.
        encoder: Opens the dual encoder; called only when a reward needs it.
    """

    extractors: tuple[str, ...]
    eos_token_ids: frozenset[int]
    encoder: Callable[[], DualEncoder]


class Reward(Protocol):
    """One reward of a stage.

    Attributes:
        name: Its name in recipes, logs and reports.
        Params: Its settings in a recipe.
    """

    name: ClassVar[str]
    Params: ClassVar[type[StrictModel]]

    def __init__(self, params: Any, context: RewardContext) -> None:
        """Take the settings, an instance of `Params`, and the context."""

    def __call__(
        self,
        prompts: Sequence[Sequence[Message]],
        completions: Sequence[Sequence[Message]],
        completion_ids: Sequence[Sequence[int]],
        **columns: Any,
    ) -> Scores:
        """Score a batch of B completions.

        Args:
            prompts: B conversations, each one user message.
            completions: B conversations, each one assistant message.
            completion_ids: B lists of token ids, end-of-sequence included when it was generated.
            **columns: The dataset's other columns, each a list of B; and whatever else TRL passes.

        Returns:
            B scores, None where the reward does not apply.
        """
        ...


def texts(completions: Sequence[Sequence[Message]]) -> list[str]:
    """The completions' texts."""
    return [str(completion[0]["content"]) for completion in completions]
