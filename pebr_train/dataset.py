"""From an exported mixture to what TRL's trainers take.

Images are decoded by pebr's own safe decoder when a row is read, never by `datasets`, which would open whatever path
a row holds.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pebr_data.errors import DataError
from pebr_data.images import decode
from pebr_data.manifest import Manifest

Columns = dict[str, list[Any]]


def sft_dataset(manifest: Manifest, cache: Path) -> Any:
    """Rows of `prompt`, `completion` (the reference response) and `images`, as `datasets.Dataset`.

    Raises:
        DataError: A sample has no reference response, or an image cannot be decoded.
    """
    rows = _rows(manifest, cache)
    without = sum(not response for response in rows["response"])
    if without:
        raise DataError(
            f"{without} of {len(rows)} samples have no reference response to train on",
            where=str(manifest.directory),
            help="give the source a `response` field, or leave the SFT stage out",
        )
    return rows.with_transform(_transform(_sft_columns))


def grpo_dataset(manifest: Manifest, cache: Path) -> Any:
    """Rows of `prompt`, `images` and every other column for the rewards, as `datasets.Dataset`.

    Raises:
        DataError: An image cannot be decoded.
    """
    return _rows(manifest, cache).with_transform(_transform(_grpo_columns))


def _rows(manifest: Manifest, cache: Path) -> Any:
    import pyarrow.parquet as pq
    from datasets import Features, Image, List, load_dataset

    files = [str(path) for path in manifest.paths]
    features = Features.from_arrow_schema(pq.read_schema(files[0]))
    features["images"] = List(Image(decode=False))
    return load_dataset("parquet", data_files=files, features=features, split="train", cache_dir=str(cache))


def _transform(columns: Callable[[Mapping[str, list[Any]]], Columns]) -> Callable[[Mapping[str, list[Any]]], Columns]:
    def transform(batch: Mapping[str, list[Any]]) -> Columns:
        decoded = [[decode(image["bytes"]) for image in images] for images in batch["images"]]
        return {**columns(batch), "images": decoded}

    return transform


def _sft_columns(batch: Mapping[str, list[Any]]) -> Columns:
    completions = [[{"role": "assistant", "content": response}] for response in batch["response"]]
    return {"prompt": batch["prompt"], "completion": completions}


def _grpo_columns(batch: Mapping[str, list[Any]]) -> Columns:
    metadata = [json.loads(text) if text else {} for text in batch["metadata"]]
    return {**{name: list(values) for name, values in batch.items()}, "metadata": metadata}
