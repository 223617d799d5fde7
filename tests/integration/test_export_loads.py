"""Exported shards are read back by the library that training uses."""

from __future__ import annotations

from pathlib import Path

import pytest

from pebr_data.export.formats.trl import FEATURES, TrlFormat
from pebr_data.export.shards import export
from pebr_data.select.mixture import select
from tests.probed_store import fill, group, make_config, probe

datasets = pytest.importorskip("datasets")


def test_the_schema_is_what_datasets_itself_would_write() -> None:
    features = datasets.Features.from_dict(FEATURES)

    theirs, ours = features.arrow_schema, TrlFormat().schema()

    assert ours.metadata == theirs.metadata
    assert datasets.Features.from_arrow_schema(ours) == features
    assert [(field.name, str(field.type).replace("element", "item")) for field in ours] == [
        (field.name, str(field.type)) for field in theirs
    ]


@pytest.mark.parametrize("by", ["files", "directory"])
def test_an_export_loads_with_pil_images(tmp_path: Path, by: str) -> None:
    store = tmp_path / "store"
    sample_ids = fill(store, {"train": 8})
    probe(store, {sample_id: group(2) for sample_id in sample_ids})
    (mixture,) = select(make_config(tmp_path), store, names=["reasoning"])
    manifest = export(store, mixture)

    cache = str(tmp_path / "cache")
    if by == "files":
        files = [str(path) for path in manifest.paths]
        loaded = datasets.load_dataset("parquet", data_files=files, split="train", cache_dir=cache)
    else:
        loaded = datasets.load_dataset(str(manifest.directory), split="train", cache_dir=cache)

    assert loaded.column_names == list(FEATURES)
    assert loaded["sample_id"][:] == list(mixture.sample_ids)
    assert loaded[0]["images"][0].size == (32, 32)
    assert loaded[0]["images"][0].mode == "RGB"
    assert loaded[0]["prompt"][0]["role"] == "user"
