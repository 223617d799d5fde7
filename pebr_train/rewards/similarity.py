"""Similarity: how well the image description fits the image, by a dual encoder such as CLIP.

The paper uses FG-CLIP with a text context of 248 tokens and min(1, cosine / 0.4). Other encoders have another scale:
`floor` and `ceiling` say which cosines count as 0 and as 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, model_validator

from pebr_data.errors import DataError
from pebr_data.grading import similarity_reward, split_sections
from pebr_data.strict_yaml import StrictModel
from pebr_train.rewards.base import Message, RewardContext, Scores, texts

if TYPE_CHECKING:
    import torch


class SimilarityParams(StrictModel):
    """Settings of `similarity`.

    Attributes:
        ceiling: Cosine from which the reward is 1; the paper's 0.4.
        floor: Cosine up to which the reward is 0; linear in between.
    """

    ceiling: float = Field(default=0.4, gt=-1, le=1)
    floor: float = Field(default=0.0, ge=-1, lt=1)

    @model_validator(mode="after")
    def _in_order(self) -> SimilarityParams:
        if self.floor >= self.ceiling:
            raise ValueError("`floor` must lie below `ceiling`")
        return self


class Similarity:
    """Cosine of the first image and the image description section, scaled to 0 .. 1.

    A response without that section gets 0: it describes nothing, which is a measurement. A failing
    encoder is an error. The encoder's text context is where a description is cut off.
    """

    name: ClassVar[str] = "similarity"
    Params: ClassVar[type[StrictModel]] = SimilarityParams

    def __init__(self, params: SimilarityParams, context: RewardContext) -> None:
        self.floor = params.floor
        self.ceiling = params.ceiling
        self.encoder = context.encoder()

    def __call__(
        self,
        prompts: Sequence[Sequence[Message]],
        completions: Sequence[Sequence[Message]],
        completion_ids: Sequence[Sequence[int]],
        **columns: Any,
    ) -> Scores:
        """Compare each description with the column `images`; a sample's image is encoded once a batch."""
        descriptions = [split_sections(text).description for text in texts(completions)]
        described = [row for row, text in enumerate(descriptions) if text]
        scores: Scores = [0.0] * len(descriptions)
        if not described:
            return scores
        image_rows = self._images(described, columns)
        unique = list(dict.fromkeys(str(descriptions[row]) for row in described))
        embedded = self.encoder.embed_texts(unique)
        for row in described:
            cosine = float(image_rows[row] @ embedded[unique.index(str(descriptions[row]))])
            scores[row] = similarity_reward(cosine, self.floor, self.ceiling)
        return scores

    def _images(self, rows: Sequence[int], columns: dict[str, Any]) -> dict[int, torch.Tensor]:
        sample_ids, images = columns["sample_id"], columns["images"]
        first: dict[str, int] = {}
        for row in rows:
            first.setdefault(sample_ids[row], row)
        for sample_id, row in first.items():
            if not images[row]:
                where = f"sample {sample_id}"
                raise DataError(
                    "`similarity` needs an image and the sample has none", where=where, help="drop the sample"
                )
        embedded = self.encoder.embed_images([images[row][0] for row in first.values()])
        position = {sample_id: place for place, sample_id in enumerate(first)}
        return {row: embedded[position[sample_ids[row]]] for row in rows}
