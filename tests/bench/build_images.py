"""Ingest of many small images against nothing but decoding the same bytes with Pillow.

    python tests/bench/build_images.py --images 20000

Makes PNG and JPEG scenes (half each), decodes all of them in this process, then ingests them into an empty store:
through the gate, hashed, durable, in the catalog. A ratio of 1 would be ingest as fast as decoding alone on one core.
"""

from __future__ import annotations

import argparse
import io
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from pebr_data.catalog.store import Catalog
from pebr_data.images import ImageStore, open_gate
from pebr_data.sources.shapes import ShapesSource
from pebr_data.types import Candidate


def encoded_images(count: int, side: int) -> list[bytes]:
    """Distinct rendered scenes, scaled to `side` pixels."""
    made: list[bytes] = []
    for number, candidate in enumerate(ShapesSource(name="shapes", seed=0, splits={"train": count}).candidates()):
        assert isinstance(candidate, Candidate)
        with Image.open(io.BytesIO(candidate.images[0])) as scene:
            picture = scene.convert("RGB").resize((side, side))
        picture.putpixel((0, 0), (number % 256, number // 256 % 256, number // 65536))
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG" if number % 2 else "PNG", **({"quality": 90} if number % 2 else {}))
        made.append(buffer.getvalue())
    return made


def candidates(images: list[bytes]) -> Iterator[Candidate]:
    """One question for each image."""
    for number, data in enumerate(images):
        yield Candidate("bench", "train", f"What is in picture {number}?", "a circle", images=(data,))


def main() -> None:
    """Print one row for each way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--side", type=int, default=224, help="pixels")
    parser.add_argument("--folder", type=Path, help="where the store is made; a temporary directory by default")
    arguments = parser.parse_args()
    images = encoded_images(arguments.images, arguments.side)
    megabytes = sum(map(len, images)) / 1e6
    print(f"{len(images):,} images of {arguments.side} px, {megabytes:.0f} MB, {len(os.sched_getaffinity(0))} cores")

    started = time.perf_counter()
    for data in images:
        with Image.open(io.BytesIO(data)) as image:
            image.convert("RGB")
    plain = time.perf_counter() - started

    open_gate().examine(images[:64])  # the children are up
    started = time.perf_counter()
    open_gate().examine(images)
    gate = time.perf_counter() - started

    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        store = Path(folder) / "store"
        started = time.perf_counter()
        with Catalog.open(store) as catalog:
            counts = catalog.ingest("bench", "digest", candidates(images), ImageStore(store / "images"))
        ingest = time.perf_counter() - started
        assert counts.num_new == len(images)
        started = time.perf_counter()
        with Catalog.open(store) as catalog:
            catalog.ingest("bench", "again", candidates(images), ImageStore(store / "images"))
        again = time.perf_counter() - started

    for name, seconds in (("Pillow alone", plain), ("gate", gate), ("ingest", ingest), ("ingest again", again)):
        print(f"{name:<13} {len(images) / seconds:>8,.0f} images/s  {plain / seconds:>6.2f} of Pillow alone")


if __name__ == "__main__":
    main()
