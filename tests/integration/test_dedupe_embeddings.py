"""Embeddings as a second opinion on which images look the same, with the real small CLIP."""

from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path

import pytest
from PIL import Image

from pebr_data.catalog.store import Catalog
from pebr_data.cli import main as pebr_data
from pebr_data.engines.embed import embed_images
from pebr_data.models import resolve_model
from pebr_data.select.alike import MIN_COSINE, embedded_pairs
from pebr_data.sources.shapes import ShapesSource
from pebr_data.types import Candidate
from tests.probed_store import ingest, make_config

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


def trimmed(scene: bytes) -> bytes:
    """The scene without a border of two pixels in 72, as large as before."""
    image = Image.open(io.BytesIO(scene)).convert("RGB")
    buffer = io.BytesIO()
    image.crop((2, 2, image.width - 2, image.height - 2)).resize(image.size).save(buffer, "PNG")
    return buffer.getvalue()


def test_embeddings_mark_copies_that_the_hashes_miss_and_are_recorded_with_the_search(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = ShapesSource(name="made", seed=0, splits={"train": 14})
    drawn = [one for one in source.candidates() if isinstance(one, Candidate)]
    scenes = [dataclasses.replace(drawn[number], question="What?", answer="red") for number in (7, 9, 11, 13)]
    copies = [dataclasses.replace(scene, images=(trimmed(scene.images[0]),)) for scene in scenes]
    store = tmp_path / "store"
    sample_ids = ingest(store, [*scenes, *copies])
    make_config(tmp_path)
    command = ["dedupe", str(tmp_path / "small.yaml"), "--store", str(store), "--json"]

    assert pebr_data(command) == 0
    assert json.loads(capsys.readouterr().out)["samples"] == []
    assert pebr_data([*command, "--embed", "pebr-tiny-clip", "--min-cosine", "0.95"]) == 0
    told = json.loads(capsys.readouterr().out)

    twins = list(zip(sample_ids[:4], sample_ids[4:], strict=True))
    assert {(one["kept_id"], one["sample_id"], one["reason"]) for one in told["samples"]} == {
        (scene, copy, "image") for scene, copy in twins
    }
    with Catalog.open(store, read_only=True) as catalog:
        assert set(catalog.marks("small").rows()) == {(copy, "duplicate") for _, copy in twins}
        (cluster,) = catalog.clusters_of(twins[0][1])
    assert (cluster.kept_id, dict(cluster.reasons)) == (twins[0][0], {twins[0][1]: "image"})
    revision = resolve_model("pebr-tiny-clip").revision
    assert cluster.settings == {"radius": 6, "model": "pebr-tiny-clip", "revision": revision, "min_cosine": 0.95}
