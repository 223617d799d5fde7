"""How fast `build` takes in Parquet rows with images, beside `datasets` alone decoding the same rows.

    python tests/bench/build_sources.py --rows 100000 --images jpeg:640x480 png:640x480 jpeg:224x224

For each kind of image: the whole build (rows mapped, every image decoded in the gate's processes, hashed, durable in
the store, in the catalog), and what a script does instead: `load_dataset`, then the image of every row decoded to RGB.
`streaming` leaves out `load_dataset`'s copy of the data. The three take turns, `--rounds` times, and the best of each
counts. Ratios are of images a second, build over the others. CPU seconds are of this process and its children.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import shutil
import struct
import tempfile
import time
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

ROWS_A_FILE = 10_000
ROWS_A_GROUP = 100  # what `datasets` writes for images
NUM_PICTURES = 64
IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
SCHEMA = pa.schema([("question", pa.string()), ("answer", pa.string()), ("image", IMAGE)])


def pictures(kind: str, width: int, height: int) -> list[bytes]:
    """Encoded pictures: as JPEG blurred shapes with some grain, like photographs; as PNG flat ones, like drawings."""
    rng = np.random.default_rng(0)
    made = []
    for _ in range(NUM_PICTURES):
        cells = rng.integers(0, 256, (max(2, height // 40), max(2, width // 40), 3), dtype=np.uint8)
        picture = Image.fromarray(cells).resize((width, height), Image.Resampling.BICUBIC)
        if kind == "jpeg":
            grain = rng.integers(-4, 5, (height, width, 1))
            picture = Image.fromarray(np.clip(np.asarray(picture) + grain, 0, 255).astype(np.uint8))
        else:
            picture = picture.quantize(64).convert("RGB")
        buffer = io.BytesIO()
        picture.save(buffer, kind, **({"quality": 85} if kind == "jpeg" else {}))
        made.append(buffer.getvalue())
    return made


def numbered(data: bytes, number: int) -> bytes:
    """The picture with a comment in its file, so that every row has bytes of its own."""
    text = b"%d" % number
    if data.startswith(b"\xff\xd8"):
        return data[:2] + b"\xff\xfe" + struct.pack(">H", len(text) + 2) + text + data[2:]
    chunk = b"tEXtnumber\0" + text
    end_of_header = 33
    chunk = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return data[:end_of_header] + chunk + data[end_of_header:]


def make_rows(folder: Path, num_rows: int, made: list[bytes]) -> None:
    """Write Parquet files of rows with one image each."""
    folder.mkdir(parents=True)
    for start in range(0, num_rows, ROWS_A_FILE):
        with pq.ParquetWriter(folder / f"train-{start // ROWS_A_FILE:05d}.parquet", SCHEMA) as writer:
            for first in range(start, min(start + ROWS_A_FILE, num_rows), ROWS_A_GROUP):
                rows = [
                    {"question": f"<image>What is shown in figure {n}?", "answer": str(n % 97),
                     "image": {"bytes": numbered(made[n % len(made)], n), "path": str(n)}}
                    for n in range(first, min(first + ROWS_A_GROUP, num_rows))
                ]  # fmt: skip
                writer.write_table(pa.Table.from_pylist(rows, schema=SCHEMA))


def cpu_seconds() -> float:
    """CPU seconds so far of this process and of its children, those that run included."""
    total = sum(os.times()[:4])
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended
            fields = path.read_text(encoding="utf-8").rpartition(")")[2].split()
            if int(fields[1]) == os.getpid():
                total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total


def timed(work: Callable[[], int], num_rows: int) -> tuple[float, float]:
    """Seconds on the clock and CPU seconds of `work`, which gives how many rows it saw."""
    started, cpu_started = time.monotonic(), cpu_seconds()
    seen = work()
    seconds, cpu = time.monotonic() - started, cpu_seconds() - cpu_started
    assert seen == num_rows, seen
    return seconds, cpu


def measure(place: Path, num_rows: int, made: list[bytes], num_rounds: int) -> dict[str, tuple[float, float]]:
    """The best seconds, and their CPU seconds, of every way of taking the rows in."""
    import datasets

    from pebr_data.catalog.ingest import build
    from pebr_data.config import CatalogConfig

    make_rows(place / "data", num_rows, made)
    source = {"type": "parquet", "name": "made", "files": "data", "fields": {"images": "image"}}
    config = CatalogConfig.model_validate({"name": "made", "sources": [source], "path": place / "made.yaml"})
    files = [str(path) for path in sorted((place / "data").iterdir())]

    def built() -> int:
        return build(config, place / "store").num_new

    def decoded(rows: Iterable[dict[str, Image.Image]]) -> int:
        return sum(row["image"].convert("RGB").size > (0, 0) for row in rows)

    def loaded() -> int:
        rows = datasets.load_dataset("parquet", data_files=files, split="train", cache_dir=str(place / "cache"))
        return decoded(rows.cast_column("image", datasets.Image()))

    def streamed() -> int:
        rows = datasets.load_dataset("parquet", data_files=files, split="train", streaming=True)
        return decoded(rows.cast_column("image", datasets.Image()))

    best: dict[str, tuple[float, float]] = {}
    for _ in range(num_rounds):
        for name, work in (("build", built), ("load_dataset", loaded), ("streaming", streamed)):
            best[name] = min(best.get(name, (float("inf"), 0.0)), timed(work, num_rows))
            for left in ("store", "cache"):
                shutil.rmtree(place / left, ignore_errors=True)
    return best


def main() -> None:
    """Print one row a kind of image."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000, help="rows, each with an image")
    parser.add_argument("--images", nargs="+", default=["jpeg:640x480"], metavar="FORMAT:WxH", help="jpeg or png")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--place", type=Path, default=None, help="an existing directory to work in; a temporary one")
    arguments = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="build-sources-", dir=arguments.place))
    os.environ |= {"HF_HOME": str(root / "hf"), "HF_HUB_OFFLINE": "1", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}
    print(f"{arguments.rows:,} rows, {len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f}\n")
    print("| images | build | load_dataset | streaming | build / load_dataset | / streaming |")
    print("| --- | --- | --- | --- | --- | --- |", flush=True)
    try:
        for kind in arguments.images:
            image_format, size = kind.split(":")
            made = pictures(image_format, *map(int, size.split("x")))
            place = root / kind.replace(":", "-")
            found = measure(place, arguments.rows, made, arguments.rounds)
            shutil.rmtree(place)
            cells = [
                f"{arguments.rows / seconds:,.0f} a s, {cpu / arguments.rows * 1e3:.2f} CPU ms"
                for seconds, cpu in found.values()
            ]
            ratios = [f"{found[name][0] / found['build'][0]:.2f}" for name in ("load_dataset", "streaming")]
            size_kib = sum(map(len, made)) / len(made) / 1024
            print(f"| {image_format} {size}, {size_kib:.0f} KiB | {' | '.join([*cells, *ratios])} |", flush=True)
        print(f"\nload at the end {os.getloadavg()[0]:.1f}")
    finally:
        shutil.rmtree(root)


if __name__ == "__main__":
    main()
