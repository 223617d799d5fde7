"""One mixture in every format, read back the way its framework reads it.

TRL, EasyR1, verl and ms-swift read by `datasets`, and so do these tests. The frameworks themselves are not installed:
what they do with a row then is written down in each format's module, and checked here step by step.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL.Image import Image as PILImage

from pebr_data.export.formats import FORMATS
from pebr_data.export.formats.trl import FEATURES, TrlFormat
from pebr_data.export.shards import export
from pebr_data.images import decode
from pebr_data.select.mixture import select
from pebr_data.types import ImagePlacement, Mixture
from tests.probed_store import candidate, fill, group, ingest, make_config, png, probe

datasets = pytest.importorskip("datasets")


def test_the_schema_is_what_datasets_itself_would_write() -> None:
    features = datasets.Features.from_dict(FEATURES)

    theirs, ours = features.arrow_schema, TrlFormat().schema("embed")

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


@pytest.fixture(scope="module")
def mixture(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Mixture]:
    """A store and a mixture in it: six samples of 0, 1 and 2 images, with reference responses."""
    place = tmp_path_factory.mktemp("loads")
    made = [replace(candidate(n), images=tuple(png(7 * m) for m in range(n % 3))) for n in range(6)]
    probe(place / "store", {sample_id: group(2) for sample_id in ingest(place / "store", made)})
    (mixture,) = select(make_config(place), place / "store", names=["reasoning"])
    return place / "store", mixture


def opened(image: Any, root: Path) -> PILImage:
    """An image as frameworks take it: decoded, or a path from `root`."""
    return image if isinstance(image, PILImage) else decode((root / image).read_bytes())


@pytest.mark.parametrize("images", ["embed", "beside"])
def test_easyr1_loads_the_directory_by_the_type_of_its_first_file(
    mixture: tuple[Path, Mixture], tmp_path: Path, images: ImagePlacement
) -> None:
    manifest = export(*mixture, tmp_path / "out", format="easyr1", images=images)
    train_files = manifest.directory / "data"
    file_type = next(train_files.iterdir()).suffix[1:]

    loaded = datasets.load_dataset(file_type, data_dir=str(train_files), split="train", cache_dir=str(tmp_path / "c"))

    assert loaded["sample_id"][:] == list(mixture[1].sample_ids)
    for row in loaded:
        shown = [opened(image, manifest.directory) for image in row["images"]]
        assert row["problem"].count("<image>") == len(shown)
        assert {image.size for image in shown} <= {(32, 32)}
        assert isinstance(row["gold"], str)


@pytest.mark.parametrize("images", ["embed", "beside"])
def test_verl_loads_each_file_and_replaces_every_placeholder(
    mixture: tuple[Path, Mixture], tmp_path: Path, images: ImagePlacement
) -> None:
    manifest = export(*mixture, tmp_path / "out", format="verl", images=images)
    loaded = [
        row
        for path in manifest.paths
        for row in datasets.load_dataset("parquet", data_files=str(path), cache_dir=str(tmp_path / "c"))["train"]
    ]

    assert [row["extra_info"]["index"] for row in loaded] == list(range(6))
    for row in loaded:
        (message,) = row["prompt"]
        parts = [part for part in re.split("(<image>|<video>|<audio>)", message["content"]) if part]
        given = [image["image"] if isinstance(image, dict) else image for image in row["images"]]
        assert parts.count("<image>") == len(given)
        assert not {"<video>", "<audio>"} & set(parts)
        assert {opened(image, manifest.directory).mode for image in given} <= {"RGB"}
        assert row["reward_model"]["style"] == "rule"
        assert json.loads(row["extra_info"]["gold"])["answer"] == row["reward_model"]["ground_truth"]


def test_ms_swift_loads_the_lines_and_leaves_columns_to_the_reward(
    mixture: tuple[Path, Mixture], tmp_path: Path
) -> None:
    manifest = export(*mixture, tmp_path / "out", format="swift")
    files = [str(path) for path in manifest.paths]

    loaded = datasets.load_dataset("json", data_files=files, split="train", cache_dir=str(tmp_path / "c"))

    assert loaded["sample_id"][:] == list(mixture[1].sample_ids)
    for row in loaded:
        assert [message["role"] for message in row["messages"]] == ["user"]
        assert row["messages"][0]["content"].count("<image>") == len(row["images"])
        assert {opened(image, manifest.directory).size for image in row["images"]} <= {(32, 32)}
        assert json.loads(row["gold"])["answer"] == row["solution"]


def test_llama_factory_loads_the_directory_that_its_description_names(
    mixture: tuple[Path, Mixture], tmp_path: Path
) -> None:
    manifest = export(*mixture, tmp_path / "out", format="llamafactory")
    dataset_dir = manifest.directory
    info = json.loads((dataset_dir / "dataset_info.json").read_text("utf-8"))["reasoning"]
    files = [str(path) for path in (dataset_dir / info["file_name"]).iterdir()]

    loaded = datasets.load_dataset("json", data_files=files, split="train", cache_dir=str(tmp_path / "c"))

    for row in loaded:
        messages, images = (row[info["columns"][name]] for name in ("messages", "images"))
        assert [message[info["tags"]["role_tag"]] for message in messages] == ["user", "assistant"]
        assert sum(message["content"].count("<image>") for message in messages) == len(images)
        assert all((dataset_dir / image).is_file() for image in images)
        assert messages[1]["content"].startswith("### The final answer is:")


@pytest.mark.parametrize("images", ["embed", "beside"])
def test_openrlhf_loads_the_directory_and_opens_images_from_where_it_runs(
    mixture: tuple[Path, Mixture], tmp_path: Path, images: ImagePlacement, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = export(*mixture, tmp_path / "out", format="openrlhf", images=images)
    monkeypatch.chdir(manifest.directory)

    loaded = datasets.load_dataset(str(manifest.directory / "data"), cache_dir=str(tmp_path / "c"))["train"]

    assert loaded["sample_id"][:] == list(mixture[1].sample_ids)
    for row in loaded:
        # Other than PIL images and paths, dicts among them, are left out with a warning.
        assert {type(image) is dict for image in row["images"]} <= {False}
        assert row["prompt"].count("<image>") == len(row["images"])
        assert {opened(image, Path()).size for image in row["images"]} <= {(32, 32)}
        assert json.loads(row["label"])["answer"] == row["answer"]


@pytest.mark.parametrize(
    ("format", "images"), [(name, images) for name, one in FORMATS.items() for images in one.images]
)
def test_every_export_loads_by_its_directory_as_its_card_says(
    mixture: tuple[Path, Mixture], tmp_path: Path, format: str, images: ImagePlacement
) -> None:
    manifest = export(*mixture, tmp_path / "out", format=format, images=images)

    loaded = datasets.load_dataset(str(manifest.directory), split="train", cache_dir=str(tmp_path / "c"))

    assert tuple(loaded.column_names) == manifest.columns
    assert loaded["sample_id"][:] == list(mixture[1].sample_ids)
