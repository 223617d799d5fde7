"""The source `hub`: what `datasets` saved, copies of repositories, and the local cache of a pinned commit, offline."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from pebr_data.config import HubSourceConfig
from pebr_data.errors import ConfigError, DataError, UnavailableError
from pebr_data.sources.base import Reject, open_source, source_stamp
from pebr_data.sources.preview import preview
from pebr_data.types import Candidate
from tests.fixtures.make_datasets import HERE, picture

REVISION = "0123456789abcdef0123456789abcdef01234567"
GEOMETRY = {"question": "problem"}


def config(dataset: str = "./data", **values: Any) -> HubSourceConfig:
    return HubSourceConfig.model_validate({"type": "hub", "name": "mine", "dataset": dataset, **values})


def read(place: Path, **values: Any) -> list[Candidate]:
    items = list(open_source(config(**values), place).candidates())
    assert all(isinstance(item, Candidate) for item in items)
    return [item for item in items if isinstance(item, Candidate)]


def saved(place: Path, *, splits: bool) -> None:
    """Saves three rows with images with `datasets`, as one split or as a dictionary of two."""
    import datasets

    made = datasets.Dataset.from_dict(
        {"question": ["a", "b", "c"], "answer": ["1", "2", "3"], "image": [picture(n) for n in (1, 2, 3)]},
        split="train",
    ).cast_column("image", datasets.Image())
    if splits:
        made = datasets.DatasetDict({"train": made, "test": made.select([2])})
    made.save_to_disk(str(place / "data"))


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise OSError("a test touched the network")

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("socket.getaddrinfo", refuse)


@pytest.mark.usefixtures("no_network")
def test_what_save_to_disk_wrote_is_read_with_its_images_as_they_are(tmp_path: Path) -> None:
    saved(tmp_path, splits=False)
    candidates = read(tmp_path, fields={"images": "image"})
    assert [(one.question, one.answer, one.split) for one in candidates] == [
        ("a", "1", "train"), ("b", "2", "train"), ("c", "3", "train")
    ]  # fmt: skip
    assert [one.images for one in candidates] == [(picture(n),) for n in (1, 2, 3)]


@pytest.mark.usefixtures("no_network")
def test_splits_are_chosen_and_named(tmp_path: Path) -> None:
    saved(tmp_path, splits=True)
    assert [one.split for one in read(tmp_path, fields={"images": "image"})] == ["train"] * 3 + ["test"]
    chosen = read(tmp_path, fields={"images": "image"}, splits={"test": "held-out"})
    assert [(one.question, one.split) for one in chosen] == [("c", "held-out")]
    with pytest.raises(DataError, match="no split `dev`; it has `train`, `test`"):
        read(tmp_path, splits={"dev": "dev"})


def test_a_saved_dataset_that_names_files_elsewhere_is_refused(tmp_path: Path) -> None:
    saved(tmp_path, splits=False)
    for name in ("../secret.arrow", "/etc/passwd", ".."):
        (tmp_path / "data/state.json").write_text(json.dumps({"_data_files": [{"filename": name}]}))
        with pytest.raises(DataError, match="a file outside its directory"):
            read(tmp_path)
    (tmp_path / "data/state.json").write_text(json.dumps({"_data_files": [{"filename": "gone.arrow"}]}))
    with pytest.raises(DataError, match="lacks one of its files"):
        read(tmp_path)


@pytest.mark.usefixtures("no_network")
def test_a_copy_of_a_repository_has_the_splits_of_its_file_names(tmp_path: Path) -> None:
    shutil.copytree(HERE / "geometry3k", tmp_path / "data")
    (tmp_path / "data/train.py").write_text("raise SystemExit('a script was run')")
    candidates = read(tmp_path, fields=GEOMETRY)
    assert [one.split for one in candidates] == ["train"] * 3 + ["validation"] + ["test"] * 2


@pytest.mark.usefixtures("no_network")
def test_a_copy_of_a_repository_has_the_configurations_of_its_card(tmp_path: Path) -> None:
    shutil.copytree(HERE / "geometry3k/data", tmp_path / "data/x")
    card = "---\nconfigs:\n- config_name: {}\n  data_files:\n  - split: all\n    path: x/train-*\n"
    second = "- config_name: held\n  data_files:\n  - split: test\n    path: x/test-*\n---\n# A dataset\n"
    (tmp_path / "data/README.md").write_text(card.format("seen") + second)
    assert [one.split for one in read(tmp_path, fields=GEOMETRY, config="held")] == ["test"] * 2
    assert [one.split for one in read(tmp_path, fields=GEOMETRY, config="seen", splits={"all": "train"})] == [
        "train"
    ] * 3
    with pytest.raises(DataError, match="cannot be told apart") as caught:
        read(tmp_path, fields=GEOMETRY)
    assert "set `config`" in str(caught.value.help)


def test_a_copy_that_lacks_a_part_is_refused(tmp_path: Path) -> None:
    shutil.copytree(HERE / "mmr1_rl", tmp_path / "data")
    (tmp_path / "data/data/train-00001-of-00002.parquet").unlink()
    with pytest.raises(DataError, match="1 of the 2 parts of a split"):
        read(tmp_path, fields=GEOMETRY)


def test_a_copy_without_tables_is_refused_with_the_other_types(tmp_path: Path) -> None:
    shutil.copytree(HERE / "mulberry_sft", tmp_path / "data")
    with pytest.raises(DataError, match="no Parquet or Arrow files") as caught:
        read(tmp_path)
    assert "webdataset" in str(caught.value.help)


def test_a_hub_id_needs_a_commit() -> None:
    with pytest.raises(ConfigError, match="without the revision to read"):
        open_source(config("owner/name"), Path())
    for revision in ("main", "v1.0", REVISION[:7], REVISION.upper()):
        with pytest.raises(ValueError, match="40 hex digits"):
            config("owner/name", revision=revision)
    for dataset in ("owner", "owner/name/more", "https://x/y", "hf://datasets/a/b"):
        with pytest.raises(ValueError, match="pattern"):
            config(dataset, revision=REVISION)


@pytest.fixture
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hub cache that holds Geometry3K's fixture at `REVISION`, as a download leaves it: links to blobs."""
    folder = tmp_path / "cache/datasets--owner--name"
    for number, path in enumerate(sorted((HERE / "geometry3k/data").iterdir())):
        link = folder / "snapshots" / REVISION / "data" / path.name
        for place in (link.parent, folder / "blobs"):
            place.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder / "blobs" / str(number))
        link.symlink_to(Path("../../../blobs") / str(number))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    return folder


@pytest.mark.usefixtures("no_network")
def test_a_pinned_commit_is_read_from_the_local_cache_without_a_network(cached: Path) -> None:
    candidates = read(cached, dataset="owner/name", revision=REVISION, fields=GEOMETRY, splits={"train": "train"})
    assert [one.answer for one in candidates] == ["58", "2 \\sqrt { 221 }", "\\frac { 3 } { 2 }"]
    pinned = config("owner/name", revision=REVISION, fields=GEOMETRY)
    assert preview(pinned, cached, num_shown=1).num_rows == 6
    assert source_stamp(pinned, cached)["files"] == []


@pytest.mark.usefixtures("no_network", "cached")
def test_what_is_not_in_the_cache_is_unavailable_and_the_error_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="the dataset cannot be fetched") as caught:
        read(tmp_path, dataset="owner/other", revision=REVISION)
    assert f"hf download owner/other --repo-type dataset --revision {REVISION}" in str(caught.value.help)


def test_without_the_libraries_of_the_hub_the_error_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(HERE / "geometry3k", tmp_path / "data")
    for name in ("datasets", "huggingface_hub"):
        monkeypatch.setitem(sys.modules, name, None)
    for dataset in ("./data", "owner/name"):
        with pytest.raises(UnavailableError, match="package that is not installed") as caught:
            read(tmp_path, dataset=dataset, revision=REVISION)
        assert "pebr[train]" in str(caught.value.help)


def test_a_saved_dataset_needs_no_library_of_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved(tmp_path, splits=True)
    monkeypatch.setitem(sys.modules, "datasets", None)
    assert len(read(tmp_path, fields={"images": "image"})) == 4


def test_an_image_of_a_dataset_is_never_opened_by_its_path(tmp_path: Path) -> None:
    """`datasets.Image()` would open the path; here it is one under the image root, or none."""
    import datasets

    secret = tmp_path / "secret.png"
    secret.write_bytes(picture(7))
    images = [{"bytes": None, "path": str(secret)}, {"bytes": picture(1), "path": str(secret)}]
    made = datasets.Dataset.from_dict({"question": ["a", "b"], "answer": ["1", "2"], "image": images})
    made.save_to_disk(str(tmp_path / "data"))
    reject, candidate = open_source(config(fields={"images": "image"}), tmp_path).candidates()
    assert isinstance(reject, Reject) and reject.reason.startswith("the path leads out of its directory")
    assert isinstance(candidate, Candidate) and candidate.images == (picture(1),)
