"""How fast `build` reads Parquet rows with images, beside `datasets` alone iterating and decoding the same rows.

    python tests/bench/build_sources.py --rows 100000 [--side 160] [--place DIR]

Prints rows (and images) a second, and CPU seconds, which others on the machine change less, of: our reader and mapping
alone; the same with every image decoded; the whole build, with the images stored durably; and `datasets`, streaming and
from its prepared cache (preparing counted apart). The ratios are those of build to `datasets` streaming.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

ROWS_A_FILE = 10_000
ROWS_A_GROUP = 100  # what `datasets` writes for images
IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def make_rows(folder: Path, num_rows: int, side: int) -> None:
    """Write Parquet files of rows with one distinct JPEG each."""
    rng = np.random.default_rng(0)
    schema = pa.schema([("question", pa.string()), ("answer", pa.string()), ("image", IMAGE)])
    folder.mkdir(parents=True)
    for start in range(0, num_rows, ROWS_A_FILE):
        with pq.ParquetWriter(folder / f"train-{start // ROWS_A_FILE:05d}.parquet", schema) as writer:
            for first in range(start, min(start + ROWS_A_FILE, num_rows), ROWS_A_GROUP):
                numbers = range(first, min(first + ROWS_A_GROUP, num_rows))
                rows = [
                    {"question": f"<image>What is shown in figure {n}?", "answer": str(n % 97),
                     "image": {"bytes": jpeg(rng, side), "path": f"{n}.jpg"}}
                    for n in numbers
                ]  # fmt: skip
                writer.write_table(pa.Table.from_pylist(rows, schema=schema))


def jpeg(rng: np.random.Generator, side: int) -> bytes:
    small = Image.fromarray(rng.integers(0, 256, (12, 12, 3), dtype=np.uint8))
    buffer = io.BytesIO()
    small.resize((side, side), Image.Resampling.BICUBIC).save(buffer, format="JPEG")
    return buffer.getvalue()


def timed(name: str, num_rows: int, work: Callable[[], int]) -> tuple[float, float]:
    """Print and give the seconds and CPU seconds of `work`, which gives how many rows it saw."""
    started, cpu_started = time.monotonic(), time.process_time()
    seen = work()
    seconds, cpu_seconds = time.monotonic() - started, time.process_time() - cpu_started
    assert seen == num_rows, (name, seen)
    print(f"{name:<44} {seconds:8.1f} s  {cpu_seconds:8.1f} CPU s {seen / seconds:10.0f} rows/s", flush=True)
    return seconds, cpu_seconds


def main() -> None:
    """Make the rows, run every way of reading them, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000, help="rows, each with an image")
    parser.add_argument("--side", type=int, default=160, help="pixels a side of the images")
    parser.add_argument("--place", type=Path, default=None, help="an existing directory to work in; a temporary one")
    arguments = parser.parse_args()
    place = Path(tempfile.mkdtemp(prefix="build-sources-", dir=arguments.place))
    os.environ |= {"HF_HOME": str(place / "hf"), "HF_HUB_OFFLINE": "1", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}
    try:
        compare(place, arguments.rows, arguments.side)
    finally:
        shutil.rmtree(place)


def compare(place: Path, num_rows: int, side: int) -> None:
    """Read the same rows in every way."""
    import datasets

    from pebr_data.catalog.ingest import build
    from pebr_data.config import CatalogConfig
    from pebr_data.images import decode
    from pebr_data.sources.base import open_source
    from pebr_data.types import Candidate

    make_rows(place / "data", num_rows, side)
    size = sum(path.stat().st_size for path in (place / "data").iterdir())
    print(f"{num_rows:,} rows, one {side}x{side} JPEG each, {size / 2**20:.0f} MiB, {os.cpu_count()} cores")
    source = {"type": "parquet", "name": "made", "files": "data", "fields": {"images": "image"}}
    config = CatalogConfig.model_validate({"name": "made", "sources": [source], "path": place / "made.yaml"})
    files = [str(path) for path in sorted((place / "data").iterdir())]

    def candidates(decoding: bool) -> int:
        count = 0
        for item in open_source(config.sources[0], place).candidates():
            assert isinstance(item, Candidate)
            if decoding:
                decode(item.images[0])
            count += 1
        return count

    def iterate(rows: datasets.Dataset | datasets.IterableDataset) -> int:
        count = 0
        for row in rows.cast_column("image", datasets.Image()):
            row["image"].convert("RGB")
            count += 1
        return count

    def stream() -> int:
        return iterate(datasets.load_dataset("parquet", data_files=files, split="train", streaming=True))

    def prepare() -> int:
        return len(datasets.load_dataset("parquet", data_files=files, split="train"))

    timed("pebr: rows mapped", num_rows, lambda: candidates(False))
    timed("pebr: rows mapped, images decoded", num_rows, lambda: candidates(True))
    built = timed("pebr: build, images checked and stored", num_rows, lambda: build(config, place / "store").num_new)
    streamed = timed("datasets: streamed and decoded", num_rows, stream)
    timed("datasets: prepared", num_rows, prepare)
    prepared = datasets.load_dataset("parquet", data_files=files, split="train")
    timed("datasets: prepared before, decoded", num_rows, lambda: iterate(prepared))
    wall, cpu = (theirs / ours for ours, theirs in zip(built, streamed, strict=True))
    print(f"build / datasets streamed: {wall:.2f} by the clock, {cpu:.2f} by CPU seconds")


if __name__ == "__main__":
    main()
