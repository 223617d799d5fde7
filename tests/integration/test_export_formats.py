"""What each framework is promised: keys, types, placeholders, images, and the files that come with the shards."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pebr_data.catalog.ingest import build
from pebr_data.catalog.store import Catalog
from pebr_data.config import CatalogConfig
from pebr_data.errors import DataError, RefusedError, UsageError
from pebr_data.export.formats import FORMATS
from pebr_data.export.formats.base import ExportedSample
from pebr_data.export.shards import default_directory, export
from pebr_data.grading import EXTRACTORS
from pebr_data.hashing import digest_bytes
from pebr_data.manifest import Manifest, load_manifest, read_manifest
from pebr_data.select.mixture import select
from pebr_data.types import Band, ImagePlacement, Mixture, Sample
from tests.probed_store import candidate, group, ingest, make_config, png, probe

EVERY = [(name, images) for name, layout in FORMATS.items() for images in layout.images]
WITH_PLACEHOLDERS = [(name, images) for name, images in EVERY if name != "trl"]
Exported = dict[tuple[str, str], Manifest]
WITH_REWARD = ["easyr1", "verl", "swift", "openrlhf"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with six medium samples of 0, 1, 2, 0, 1, 2 images, one of them shared; all with a reference response."""
    place = tmp_path_factory.mktemp("formats")
    made = [replace(candidate(n), images=tuple(png(7 * m) for m in range(n % 3))) for n in range(6)]
    sample_ids = ingest(place / "store", made)
    probe(place / "store", {sample_id: group(2) for sample_id in sample_ids})
    return place


@pytest.fixture(scope="module")
def store(place: Path) -> Path:
    return place / "store"


@pytest.fixture(scope="module")
def mixture(place: Path, store: Path) -> Mixture:
    (mixture,) = select(make_config(place), store, names=["reasoning"])
    return mixture


@pytest.fixture(scope="module")
def exported(store: Path, mixture: Mixture) -> Exported:
    """The mixture in every format; tests leave these alone."""
    return {(name, images): export(store, mixture, format=name, images=images) for name, images in EVERY}


def rows_of(manifest: Manifest) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for path in manifest.paths:
        if path.suffix == ".parquet":
            rows += pq.read_table(path).to_pylist()
        else:
            rows += [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return rows


def user_text(row: dict[str, Any]) -> str:
    """What the policy is asked, wherever the format keeps it."""
    asked = row.get("problem") or row.get("messages") or row["prompt"]
    return asked if isinstance(asked, str) else asked[0]["content"]


def files(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


@pytest.mark.parametrize(("format", "images"), EVERY)
def test_the_rows_are_the_mixture_in_its_order_under_the_columns_of_the_manifest(
    exported: Exported, mixture: Mixture, format: str, images: ImagePlacement
) -> None:
    manifest = load_manifest(exported[format, images].directory)

    rows = rows_of(manifest)
    assert [row["sample_id"] for row in rows] == list(mixture.sample_ids)
    assert {tuple(row) for row in rows} == {manifest.columns}
    assert (manifest.format, manifest.images) == (format, images)


@pytest.mark.parametrize(("format", "images"), WITH_PLACEHOLDERS)
def test_there_is_one_placeholder_per_image_and_it_stands_in_front(
    exported: Exported, format: str, images: ImagePlacement
) -> None:
    rows = rows_of(exported[format, images])

    assert sorted(len(row["images"]) for row in rows) == [0, 0, 1, 1, 2, 2]
    for row in rows:
        number = len(row["images"])
        text = user_text(row)
        assert text.startswith("<image>" * number + "How many circles")
        assert text.count("<image>") == number


@pytest.mark.parametrize(("format", "images"), [one for one in EVERY if one[1] == "beside"])
def test_images_beside_the_shards_are_named_by_their_content_and_shared(
    exported: Exported, format: str, images: ImagePlacement
) -> None:
    manifest = exported[format, images]

    named = {
        image if isinstance(image, str) else image["image"] for row in rows_of(manifest) for image in row["images"]
    }
    assert named == {f"images/{digest[:2]}/{digest}.png" for digest in (digest_bytes(png(0)), digest_bytes(png(7)))}
    for name in named:
        with Image.open(manifest.directory / name) as image:
            assert image.size == (32, 32)


@pytest.mark.parametrize("format", [name for name, images in EVERY if images == "embed"])
def test_embedded_images_are_bytes_that_any_reader_decodes(exported: Exported, format: str) -> None:
    manifest = exported[format, "embed"]

    cells = [image for row in rows_of(manifest) for image in row["images"]]
    assert {Image.open(io.BytesIO(cell["bytes"])).mode for cell in cells} == {"RGB"}
    assert not (manifest.directory / "images").exists()


@pytest.mark.parametrize(("format", "images"), EVERY)
def test_the_same_mixture_gives_the_same_bytes_and_the_manifest_covers_them(
    exported: Exported, store: Path, mixture: Mixture, tmp_path: Path, format: str, images: ImagePlacement
) -> None:
    one = exported[format, images]
    two = export(store, mixture, tmp_path / "deep" / "two", format=format, images=images)

    assert files(one.directory) == files(two.directory)
    listed = {file.file: file.sha256 for file in one.checksummed}
    there = {name: digest_bytes(data) for name, data in files(one.directory).items()}
    assert there.keys() - listed.keys() == {"manifest.json"}
    assert {name: there[name] for name in listed} == listed


def test_an_export_that_verifies_is_left_alone_and_one_that_does_not_is_written_anew(
    store: Path, mixture: Mixture, tmp_path: Path
) -> None:
    def again() -> Manifest:
        return export(store, mixture, tmp_path / "out", format="verl", images="beside")

    manifest = again()
    whole = files(manifest.directory)
    assert {"README.md", "reward.py"} < {file.file for file in manifest.files}
    notes = manifest.directory / "NOTES.md"
    notes.write_text("my own notes", encoding="utf-8")
    assert again() == manifest
    assert notes.read_text("utf-8") == "my own notes"
    notes.unlink()

    for file in (manifest.shards[0], *manifest.files[:3]):
        (manifest.directory / file.file).write_bytes(b"torn")
        with pytest.raises(DataError, match="differs from its checksum"):
            load_manifest(manifest.directory)
        again()
        assert files(manifest.directory) == whole


def test_an_export_whose_card_has_no_checksum_yet_loads_and_is_left_alone(
    store: Path, mixture: Mixture, tmp_path: Path
) -> None:
    manifest = export(store, mixture, tmp_path / "out")
    earlier = manifest.model_copy(update={"files": tuple(one for one in manifest.files if one.file != "README.md")})
    (manifest.directory / "manifest.json").write_text(earlier.to_text(), encoding="utf-8")
    (manifest.directory / "README.md").write_text("a card of another version", encoding="utf-8")
    before = files(manifest.directory)

    assert load_manifest(manifest.directory).files == ()
    assert export(store, mixture, tmp_path / "out") == earlier
    assert files(manifest.directory) == before


def test_a_changed_card_is_named_and_changes_nothing_that_training_reads(
    store: Path, mixture: Mixture, tmp_path: Path
) -> None:
    manifest = export(store, mixture, tmp_path / "out")
    assert [file.file for file in manifest.files] == ["README.md"]
    card = manifest.directory / "README.md"
    card.write_text(card.read_text("utf-8").replace("Format `trl`", "Format `TRL`"), encoding="utf-8")
    with pytest.raises(DataError, match=r"a file differs from its checksum.*README\.md"):
        load_manifest(manifest.directory)
    assert read_manifest(manifest.directory).content == manifest.model_copy(update={"files": ()}).content


def test_another_format_is_never_written_over_one(exported: Exported, store: Path, mixture: Mixture) -> None:
    directory = exported["verl", "embed"].directory
    before = files(directory)
    for format, images in EVERY:
        if (format, images) != ("verl", "embed"):
            with pytest.raises(RefusedError, match="in the format 'verl'"):
                export(store, mixture, directory, format=format, images=images)
    assert files(directory) == before


def test_every_format_has_a_directory_of_its_own_in_the_store(store: Path, mixture: Mixture) -> None:
    places = {default_directory(store, mixture, name, images) for name, images in EVERY}
    assert len(places) == len(EVERY)
    assert default_directory(store, mixture, "verl") == default_directory(store, mixture, "verl", "embed")


@pytest.mark.parametrize(("format", "images"), [("nemo", None), ("trl", "beside"), ("swift", "embed")])
def test_what_a_format_cannot_do_is_said_before_anything_is_written(
    store: Path, mixture: Mixture, tmp_path: Path, format: str, images: ImagePlacement | None
) -> None:
    with pytest.raises(UsageError, match=f"'{format}'"):
        export(store, mixture, tmp_path / "out", format=format, images=images)
    assert not (tmp_path / "out").exists()


def test_training_on_responses_needs_responses(tmp_path: Path) -> None:
    store = tmp_path / "store"
    sample_ids = ingest(store, [candidate(0), replace(candidate(1), response=None)])
    probe(store, {sample_id: group(2) for sample_id in sample_ids})
    (mixture,) = select(make_config(tmp_path), store, names=["reasoning"])
    with pytest.raises(DataError, match="1 of 2 samples have no reference response") as caught:
        export(store, mixture, format="llamafactory")
    assert sample_ids[1] in str(caught.value)
    assert export(store, mixture, format="swift").num_samples == 2


@pytest.mark.parametrize("placeholder", ["<image>", "<video>", "<audio>"])
def test_a_text_that_would_be_taken_for_a_medium_is_refused(exported: Exported, placeholder: str) -> None:
    def row(format: str, prompt: str, response: str) -> object:
        sample = Sample("0123456789abcdef", "made", "train", prompt, "3", response=response)
        one = ExportedSample(sample, 0, prompt, (b"png",), None, Band.UNPROBED, "{}")
        return FORMATS[format].row(one)

    odd = f"What does the tag {placeholder} do?"
    for format in dict(WITH_PLACEHOLDERS):
        with pytest.raises(DataError, match=f"literal {placeholder}.*sample 0123456789abcdef"):
            row(format, odd, "")
    with pytest.raises(DataError, match=f"literal {placeholder}"):
        row("llamafactory", "What is it?", odd)
    assert row("trl", odd, odd)


def test_a_message_of_a_row_is_what_each_framework_reads(exported: Exported) -> None:
    by_format = {name: rows_of(exported[name, images])[0] for name, images in EVERY}
    answer, response = by_format["trl"]["answer"], by_format["trl"]["response"]

    assert by_format["easyr1"]["answer"] == answer
    verl = by_format["verl"]
    assert [message["role"] for message in verl["prompt"]] == ["user"]
    assert verl["reward_model"] == {"style": "rule", "ground_truth": answer}
    assert (verl["data_source"], verl["ability"]) == ("made", by_format["trl"]["skill"])
    assert (verl["extra_info"]["split"], verl["extra_info"]["index"]) == ("train", 0)
    assert [message["role"] for message in by_format["swift"]["messages"]] == ["user"]
    assert by_format["swift"]["solution"] == answer
    factory = by_format["llamafactory"]["messages"]
    assert [message["role"] for message in factory] == ["user", "assistant"]
    assert factory[1]["content"] == response
    assert by_format["openrlhf"]["answer"] == answer


@pytest.mark.parametrize("format", WITH_REWARD)
def test_a_row_carries_all_that_a_grader_needs(exported: Exported, format: str) -> None:
    trl = rows_of(exported["trl", "embed"])
    for row, known in zip(rows_of(exported[format, "beside"]), trl, strict=True):
        gold = json.loads(row["extra_info"]["gold"] if format == "verl" else row.get("gold") or row["label"])
        assert (gold["answer"], gold["answer_type"], gold["options"]) == (
            known["answer"], known["answer_type"], known["options"],
        )  # fmt: skip
        assert gold["grading"] == json.loads(known["grading"])
        assert gold["max_completion_length"] == 64
        assert set(gold["extractors"]) <= set(EXTRACTORS)


def test_llama_factory_finds_columns_and_files_by_its_description(exported: Exported) -> None:
    manifest = exported["llamafactory", "beside"]
    info = json.loads((manifest.directory / "dataset_info.json").read_text("utf-8"))["reasoning"]

    row = rows_of(manifest)[0]
    assert info["formatting"] == "sharegpt"
    assert {row[column].__class__ for column in info["columns"].values()} == {list}
    tags = info["tags"]
    assert [message[tags["role_tag"]] for message in row["messages"]] == [tags["user_tag"], tags["assistant_tag"]]
    assert {path.suffix for path in (manifest.directory / info["file_name"]).iterdir()} == {".jsonl"}


@pytest.mark.parametrize(("format", "images"), EVERY)
def test_the_card_says_what_it_holds_and_how_to_train_on_it(
    exported: Exported, mixture: Mixture, place: Path, format: str, images: ImagePlacement
) -> None:
    manifest = exported[format, images]
    card = (manifest.directory / "README.md").read_text("utf-8")

    for said in (
        mixture.mixture_id,
        manifest.code_version,
        "| made | 6 | not declared |",
        "| medium | 6 |",
        "| max_pixels | 4096 |",
        "groups of 4 and `scale_rewards: group`",
        "| groups whose accuracy does not vary | ",
        "`small` was not checked against any benchmark",
    ):
        assert said in card
    assert str(place) not in card
    for name in (file.file for file in manifest.files if not file.file.startswith("images/")):
        assert name in card or name in ("dataset_info.json", "README.md")


def test_the_card_gives_licences_as_samples_declare_them_and_why_others_were_left_out(tmp_path: Path) -> None:
    store = tmp_path / "store"
    licensed = [replace(candidate(n), metadata={"license": ["CC-BY-4.0", "MIT"][n]}) for n in range(2)]
    sample_ids = ingest(store, [*licensed, candidate(2)])
    probe(store, dict(zip(sample_ids, (group(2), group(1), group(0)), strict=True)))
    (mixture,) = select(make_config(tmp_path), store, names=["reasoning"])

    card = (export(store, mixture).directory / "README.md").read_text("utf-8")

    assert "| made | 2 | CC-BY-4.0, MIT |" in card
    assert "| band-hard | 1 |" in card


def test_the_card_says_which_benchmarks_were_checked_and_what_of_them_is_left(tmp_path: Path) -> None:
    store = tmp_path / "store"
    sample_ids = ingest(store, [candidate(n) for n in range(4)])
    probe(store, {one: group(2) for one in sample_ids})

    def mark(benchmark: str, *found: str) -> None:
        overlaps = pl.DataFrame({"sample_id": found, "benchmark_sample_id": "their", "reason": "image"})
        with Catalog.open(store) as catalog:
            catalog.mark_overlaps("small", benchmark, overlaps, {"radius": 6})

    mark("before", *sample_ids[:2])
    mark("nothing")
    (mixture,) = select(make_config(tmp_path), store, names=["reasoning"])
    mark("afterwards", *sample_ids[1:3])

    card = (export(store, mixture).directory / "README.md").read_text("utf-8")

    assert "| in-benchmark | 2 |" in card
    assert "| before | 2 | 0 |" in card
    assert "| nothing | 0 | 0 |" in card
    assert "| afterwards | 2 | 1 |" in card


def test_the_card_gives_the_licence_that_a_source_declares(tmp_path: Path) -> None:
    shapes = {"type": "shapes", "name": "drawn", "license": "CC0-1.0", "splits": {"train": 2}}
    asked = {"name": "small", "sources": [shapes], "probe": {"template": "question"}}
    config = CatalogConfig.model_validate(
        {**asked, "mixtures": {"every": {"policy": "all"}}, "path": tmp_path / "c.yaml"}
    )
    store = tmp_path / "store"
    build(config, store)
    with Catalog.open(store, read_only=True) as catalog:
        sample_ids = [sample.sample_id for sample in catalog.samples("small")]
    probe(store, {one: group(2) for one in sample_ids})
    (mixture,) = select(config, store, probe_id="scripted")
    assert "| drawn | 2 | CC0-1.0 |" in (export(store, mixture).directory / "README.md").read_text("utf-8")


def test_training_takes_only_the_format_it_reads(exported: Exported) -> None:
    directory = exported["swift", "beside"].directory
    for read in (read_manifest, load_manifest):
        assert read(directory).format == "swift"
        with pytest.raises(RefusedError, match="'swift', and 'trl' is needed") as caught:
            read(directory, format="trl")
        assert "--format trl" in str(caught.value.help)
