"""Alike images and questions, on rendered scenes: what counts as the same, and what must not."""

from __future__ import annotations

import inspect
import io
from collections.abc import Callable
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from pebr_data.catalog.duplicates import near_hashes
from pebr_data.cli.dedupe import dedupe as dedupe_command
from pebr_data.images.facts import examine
from pebr_data.select.alike import (
    MIN_COSINE,
    RADIUS,
    alike_images,
    alike_questions,
    alike_texts,
    normalized,
)
from pebr_data.sources.shapes import ShapesSource
from pebr_data.types import Candidate

NUM_SCENES = 120


def encoded(image: Image.Image, image_format: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def scenes() -> list[Image.Image]:
    source = ShapesSource(name="shapes", seed=0, splits={"train": NUM_SCENES})
    made = [one.images[0] for one in source.candidates() if isinstance(one, Candidate)]
    return [Image.open(io.BytesIO(data)).convert("RGB") for data in made]


def table(images: list[bytes]) -> pl.DataFrame:
    facts = [examine(data) for data in images]
    return pl.DataFrame(
        {
            "image_hash": [str(number) for number in range(len(facts))],
            "phash": pl.Series([one.phash for one in facts], dtype=pl.UInt64),
            "thumbnail": [one.thumbnail for one in facts],
        }
    )


def resized(image: Image.Image) -> bytes:
    return encoded(image.resize((image.width * 3 // 2, image.height * 3 // 2), Image.Resampling.BICUBIC))


def recompressed(image: Image.Image) -> bytes:
    return encoded(image, "JPEG", quality=40)


def cropped(image: Image.Image) -> bytes:
    return encoded(image.crop((1, 1, image.width - 1, image.height - 1)))


def brighter(image: Image.Image) -> bytes:
    return encoded(ImageEnhance.Brightness(image).enhance(1.1))


def grey(image: Image.Image) -> bytes:
    return encoded(image.convert("L"))


@pytest.mark.parametrize(
    ("change", "least_recall", "most_recall"),
    [(resized, 0.99, 1.0), (recompressed, 0.99, 1.0), (brighter, 0.99, 1.0), (cropped, 0.85, 1.0), (grey, 0.0, 0.05)],
)
def test_copies_are_found_other_scenes_are_not_and_other_colours_are_another_picture(
    scenes: list[Image.Image], change: Callable[[Image.Image], bytes], least_recall: float, most_recall: float
) -> None:
    originals, copies = table([encoded(scene) for scene in scenes]), table([change(scene) for scene in scenes])
    renamed = copies.with_columns(image_hash=pl.lit("copy-") + pl.col("image_hash"))
    pairs = alike_images(originals, renamed, RADIUS)
    right = pairs.filter(pl.lit("copy-") + pl.col("left") == pl.col("right"))
    assert least_recall <= len(right) / NUM_SCENES <= most_recall
    assert len(pairs) == len(right)


def test_no_two_different_scenes_are_alike(scenes: list[Image.Image]) -> None:
    originals = table([encoded(scene) for scene in scenes])
    assert alike_images(originals, originals, RADIUS).is_empty()


def test_pairs_within_one_catalog_come_both_ways_round_and_never_with_themselves(scenes: list[Image.Image]) -> None:
    images = table([encoded(scenes[0]), recompressed(scenes[0]), encoded(scenes[1])])
    assert sorted(alike_images(images, images, RADIUS).rows()) == [("0", "1"), ("1", "0")]


def test_nothing_is_alike_in_nothing() -> None:
    assert alike_images(table([]), table([]), RADIUS).is_empty()


@settings(max_examples=25, deadline=None)
@given(
    hashes=st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=20),
    flips=st.lists(st.sets(st.integers(0, 63), max_size=13), min_size=1, max_size=20),
    radius=st.integers(0, 8),
)
def test_banding_finds_every_near_pair_and_no_other(hashes: list[int], flips: list[set[int]], radius: int) -> None:
    others = [one ^ sum(1 << bit for bit in bits) for one, bits in zip(hashes, flips, strict=False)] or [0]
    found = near_hashes(pl.Series(hashes, dtype=pl.UInt64), pl.Series(others, dtype=pl.UInt64), radius)
    expected = {(one, other) for one in hashes for other in others if (one ^ other).bit_count() <= radius}
    assert set(found.rows()) == expected


def test_the_command_and_the_function_have_one_default() -> None:
    defaults = inspect.signature(dedupe_command).parameters
    assert (defaults["radius"].default, defaults["min_cosine"].default) == (RADIUS, MIN_COSINE)


SIDE = "In the figure, what is the length of {} of the triangle?"
AREA = "A circle has a radius of {} cm. What is its area in square centimetres?"
SAME = [
    ("How many red circles are there?", "how many  RED circles are there"),
    (SIDE.format("side AB"), SIDE.format("the side AB")),
    ("What is shown in the picture above, a dog or a cat?", "What is shown in the picture above: a dog or a cat?"),
]
OTHER = [
    ("How many red circles are there?", "How many red squares are there?"),
    ("How many red circles are there?", "Is there a red circle?"),
    (AREA.format(3), AREA.format(5)),
    ("What is 2 + 2?", "What is 2 - 2?"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_a_question_is_found_again_though_punctuation_or_a_word_differs(one: str, other: str) -> None:
    assert alike_questions(normalized(one), normalized(other))
    assert alike_texts([normalized(one)], ["something else entirely", normalized(other)]) == [(0, 1)]


@pytest.mark.parametrize(("one", "other"), OTHER)
def test_another_noun_number_or_sign_is_another_question(one: str, other: str) -> None:
    assert not alike_questions(normalized(one), normalized(other))


def test_normalizing_keeps_what_a_formula_says() -> None:
    assert normalized("What  is  2.5 + x?") == "what is 2.5 + x"
    texts = ("25", "2.5", "-1", "1", "1:2", "1.2", "x'")
    assert len({normalized(text) for text in texts}) == len(texts)
