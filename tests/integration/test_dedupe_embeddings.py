"""Embeddings as a second opinion on which images look the same, with the real small CLIP."""

from __future__ import annotations

import io

from PIL import Image

from pebr_data.engines.embed import embed_images
from pebr_data.models import resolve_model
from pebr_data.select.alike import MIN_COSINE, embedded_pairs
from pebr_data.sources.shapes import ShapesSource
from pebr_data.types import Candidate

NUM_SCENES = 40


def test_embeddings_find_copies_and_tell_scenes_apart() -> None:
    source = ShapesSource(name="shapes", seed=0, splits={"train": NUM_SCENES})
    data = [one.images[0] for one in source.candidates() if isinstance(one, Candidate)]
    scenes = [Image.open(io.BytesIO(one)).convert("RGB") for one in data]
    copies = [scene.resize((108, 108), Image.Resampling.BICUBIC) for scene in scenes]
    vectors = embed_images(resolve_model("pebr-tiny-clip"), iter([*scenes, *copies]))
    pairs = embedded_pairs([str(number) for number in range(2 * NUM_SCENES)], vectors, MIN_COSINE)
    expected = {(str(number), str(number + NUM_SCENES)) for number in range(NUM_SCENES)}
    assert set(pairs.rows()) == expected | {(right, left) for left, right in expected}
