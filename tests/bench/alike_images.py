"""Which copies of rendered scenes are recognised, and how many different scenes are taken for copies.

    python tests/bench/alike_images.py --scenes 1000 --radius 6

One row a kind of copy: the share of scenes whose copy is found, by the perceptual hash alone and with the thumbnails
(as `dedupe` does it), and how many wrong pairs come with it.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable
from typing import Any

import polars as pl
from PIL import Image, ImageEnhance

from pebr_data.catalog.duplicates import near_hashes
from pebr_data.images import ImageFacts, open_gate
from pebr_data.select.alike import RADIUS, alike_images
from pebr_data.sources.shapes import ShapesSource
from pebr_data.types import Candidate


def encoded(image: Image.Image, image_format: str = "PNG", **options: Any) -> bytes:
    """The image as a file's bytes."""
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def scaled(image: Image.Image, factor: float) -> Image.Image:
    """The image in another size."""
    return image.resize((round(image.width * factor), round(image.height * factor)), Image.Resampling.BICUBIC)


def cropped(image: Image.Image, share: float) -> Image.Image:
    """The image without a border of that share of its sides, of one pixel at least."""
    border = max(1, round(share * image.width))
    return image.crop((border, border, image.width - border, image.height - border))


COPIES: dict[str, Callable[[Image.Image], bytes]] = {
    "scaled by 1.5": lambda image: encoded(scaled(image, 1.5)),
    "scaled by 0.7": lambda image: encoded(scaled(image, 0.7)),
    "JPEG, quality 75": lambda image: encoded(image, "JPEG", quality=75),
    "JPEG, quality 40": lambda image: encoded(image, "JPEG", quality=40),
    "WebP, quality 50": lambda image: encoded(image, "WEBP", quality=50),
    "cropped by 1 px": lambda image: encoded(cropped(image, 0.0)),
    "cropped by 3 %": lambda image: encoded(cropped(image, 0.03)),
    "brighter by 10 %": lambda image: encoded(ImageEnhance.Brightness(image).enhance(1.1)),
    "darker by 20 %": lambda image: encoded(ImageEnhance.Brightness(image).enhance(0.8)),
    "half the colour": lambda image: encoded(ImageEnhance.Color(image).enhance(0.5)),
    "grey": lambda image: encoded(image.convert("L")),
}


def table(prefix: str, images: list[bytes]) -> pl.DataFrame:
    """What `alike_images` compares, each image called by its number."""
    facts = [one for one in open_gate().examine(images) if isinstance(one, ImageFacts)]
    return pl.DataFrame(
        {
            "image_hash": [f"{prefix}{number}" for number in range(len(facts))],
            "phash": pl.Series([one.phash for one in facts], dtype=pl.UInt64),
            "thumbnail": [one.thumbnail for one in facts],
        }
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=1_000)
    parser.add_argument("--radius", type=int, default=RADIUS)
    arguments = parser.parse_args()
    source = ShapesSource(name="shapes", seed=0, splits={"train": arguments.scenes})
    data = [one.images[0] for one in source.candidates() if isinstance(one, Candidate)]
    scenes = [Image.open(io.BytesIO(one)).convert("RGB") for one in data]
    originals = table("", data)
    within = alike_images(originals, originals, arguments.radius)
    print(
        f"{len(scenes):,} scenes, radius {arguments.radius}; different scenes that look the same: {len(within) // 2:,}"
    )
    print(f"{'copy':<18} {'hash alone':>10} {'found':>7} {'wrong pairs':>12}")
    for name, change in COPIES.items():
        copies = table("copy of ", [change(scene) for scene in scenes])
        distances = zip(originals["phash"], copies["phash"], strict=True)
        by_hash = sum((one ^ other).bit_count() <= arguments.radius for one, other in distances)
        pairs = alike_images(originals, copies, arguments.radius)
        right = pairs.filter(pl.lit("copy of ") + pl.col("left") == pl.col("right"))
        shares = f"{by_hash / len(scenes):>10.1%} {len(right) / len(scenes):>7.1%}"
        print(f"{name:<18} {shares} {len(pairs) - len(right):>12,}")
    near = near_hashes(originals["phash"], originals["phash"], arguments.radius)
    near = near.filter(pl.col("left_phash") < pl.col("right_phash"))
    print(f"pairs of different scenes whose hashes alone are near: {len(near):,}")


if __name__ == "__main__":
    main()
