from __future__ import annotations

from typing import Any

import pytest
from PIL import Image

from pebr_data.errors import DataError
from pebr_train.recipe import RewardConfig
from pebr_train.rewards import Reward, RewardContext, open_rewards

torch = pytest.importorskip("torch")


class Encoder:
    """Stands in for CLIP where only the arithmetic on its vectors is looked at: cosines are 0.3 by construction."""

    def __init__(self) -> None:
        self.num_images = 0

    def embed_images(self, images: list[Image.Image]) -> Any:
        self.num_images += len(images)
        return torch.tensor([[1.0, 0.0]] * len(images))

    def embed_texts(self, texts: list[str]) -> Any:
        return torch.tensor([[0.3, (1 - 0.09) ** 0.5]] * len(texts))


def similarity(encoder: Encoder, **params: float) -> Reward:
    context = RewardContext(("section",), frozenset({3}), lambda: encoder)  # type: ignore[arg-type, return-value]
    return open_rewards([RewardConfig(name="similarity", weight=1.0, params=params)], context)[0]


def scores(reward: Reward, texts: list[str], images: list[Any] | None = None) -> list[float | None]:
    picture = Image.new("RGB", (8, 8))
    return reward(
        [[]] * len(texts),
        [[{"content": text}] for text in texts],
        [[3]] * len(texts),
        sample_id=["one"] * len(texts),
        images=images or [[picture]] * len(texts),
    )


def test_the_cosine_is_scaled_to_the_papers_ceiling_or_between_floor_and_ceiling() -> None:
    described = ["### Image Description: a circle\n### Rationales: none"]

    assert scores(similarity(Encoder()), described) == [pytest.approx(0.3 / 0.4)]
    assert scores(similarity(Encoder(), ceiling=0.2), described) == [1.0]
    assert scores(similarity(Encoder(), floor=0.2), described) == [pytest.approx(0.5)]


def test_a_response_without_a_description_gets_0_and_the_others_their_own() -> None:
    texts = ["no heading", "### Image Description: a circle", "### Image Description:"]

    assert scores(similarity(Encoder()), texts) == [0.0, pytest.approx(0.75), 0.0]


def test_an_image_is_encoded_once_for_all_completions_of_its_prompt() -> None:
    encoder = Encoder()

    scores(similarity(encoder), ["### Image Description: a circle", "### Image Description: a square"] * 4)

    assert encoder.num_images == 1


def test_a_failing_encoder_is_an_error_and_so_is_a_sample_without_an_image() -> None:
    class Broken(Encoder):
        def embed_texts(self, texts: list[str]) -> Any:
            raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        scores(similarity(Broken()), ["### Image Description: a circle"])
    with pytest.raises(DataError, match="needs an image"):
        scores(similarity(Encoder()), ["### Image Description: a circle"], images=[[]])
