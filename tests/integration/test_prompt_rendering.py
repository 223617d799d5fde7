"""The engine's prompt and TRL's prompt for one question are the same text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import pebr_data
from pebr_data.prompts import TEMPLATES, messages, text_prompt

TINY = Path(pebr_data.__file__).parent / "assets" / "pebr-tiny"
QUESTION = "how many objects are there?"


def _as_trl_prepares(template: str, num_images: int) -> Any:
    from trl.data_utils import prepare_multimodal_messages

    images = [Image.new("RGB", (72, 72)) for _ in range(num_images)]
    prepared = prepare_multimodal_messages([{"role": "user", "content": text_prompt(template, QUESTION)}], images)
    for message in prepared:
        for part in message["content"]:
            part.pop("image", None)
    return prepared


@pytest.mark.parametrize("template", list(TEMPLATES))
@pytest.mark.parametrize("num_images", [0, 1, 2])
def test_trl_prepares_the_very_messages_the_engine_is_given(template: str, num_images: int) -> None:
    assert _as_trl_prepares(template, num_images) == messages(template, QUESTION, num_images)


@pytest.mark.skipif(not TINY.is_dir(), reason="pebr-tiny is not built")
@pytest.mark.parametrize("template", list(TEMPLATES))
def test_both_render_alike_under_the_chat_template_of_pebr_tiny(template: str) -> None:
    from transformers import AutoProcessor

    processor = AutoProcessor.from_pretrained(TINY)
    ours = processor.apply_chat_template(messages(template, QUESTION, 1), add_generation_prompt=True)
    theirs = processor.apply_chat_template(_as_trl_prepares(template, 1), add_generation_prompt=True)
    assert ours == theirs
    assert ours.count(processor.image_token) == 1
