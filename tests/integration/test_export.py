from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image

from pebr_data.catalog.store import Catalog
from pebr_data.errors import DataError, RefusedError
from pebr_data.export import shards
from pebr_data.export.formats import FORMATS
from pebr_data.export.formats.trl import FEATURES
from pebr_data.export.shards import default_directory, export
from pebr_data.export.shown import as_shown
from pebr_data.images import decode
from pebr_data.manifest import load_manifest
from pebr_data.select.mixture import frozen, select
from pebr_data.types import Condition, Mixture
from tests.probed_store import YAML, fill, fingerprint, group, make_config, png, probe


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 samples with 0..4 of 4 correct in turn, with the mixtures `reasoning` and `warmup` selected."""
    place = tmp_path_factory.mktemp("template")
    sample_ids = fill(place / "store", {"train": 12})
    probe(place / "store", {sample_id: group(n % 5) for n, sample_id in enumerate(sample_ids)})
    select(make_config(place), place / "store", names=["reasoning", "warmup"])
    return place / "store"


@pytest.fixture
def store(template: Path, tmp_path: Path) -> Path:
    """A copy of the template that a test may change."""
    return Path(shutil.copytree(template, tmp_path / "store"))


@pytest.fixture
def reasoning(store: Path, tmp_path: Path) -> Mixture:
    (mixture,) = frozen(make_config(tmp_path), store, names=["reasoning"])
    return mixture


def files(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_the_rows_are_the_mixture_in_its_order(store: Path, reasoning: Mixture) -> None:
    manifest = export(store, reasoning)

    rows = [row for path in manifest.paths for row in pq.read_table(path).to_pylist()]
    assert [row["sample_id"] for row in rows] == list(reasoning.sample_ids)
    assert manifest.num_samples == len(rows) == sum(shard.num_rows for shard in manifest.shards)
    with Catalog.open(store, read_only=True) as catalog:
        sample = catalog.samples(sample_ids=[rows[0]["sample_id"]])[0]
    row = rows[0]
    assert row["prompt"] == [{"role": "user", "content": sample.question}]
    assert row["question"] == sample.question
    assert row["answer"] == sample.answer
    assert row["keywords"] == list(sample.keywords)
    assert row["description"] == sample.description
    assert row["response"] == sample.response
    assert json.loads(row["metadata"]) == sample.metadata
    assert row["band"] == "medium"
    assert 0 < row["pass_rate"] < 1
    number = int(sample.question.removesuffix("?").split()[-1])
    assert row["images"] == [{"bytes": png(number), "path": None}]


def test_the_manifest_says_where_the_samples_come_from(store: Path, reasoning: Mixture) -> None:
    manifest = load_manifest(export(store, reasoning).directory)

    assert manifest.directory == default_directory(store, reasoning)
    assert (manifest.catalog, manifest.mixture, manifest.mixture_id) == ("small", "reasoning", reasoning.mixture_id)
    assert (manifest.policy, manifest.band, manifest.probe_id) == ("pebr", "medium", reasoning.probe_id)
    assert manifest.fingerprint == fingerprint().to_json()
    assert manifest.columns == tuple(FEATURES)


def test_the_same_mixture_gives_the_same_bytes(store: Path, reasoning: Mixture, tmp_path: Path) -> None:
    one = export(store, reasoning, tmp_path / "one")
    two = export(store, reasoning, tmp_path / "deep" / "two")
    assert files(one.directory) == files(two.directory)


def test_exporting_again_leaves_the_files_alone(
    store: Path, reasoning: Mixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = export(store, reasoning)
    monkeypatch.setattr(shards, "_write_shards", pytest.fail)
    assert export(store, reasoning) == first


def test_a_damaged_export_is_written_anew(store: Path, reasoning: Mixture) -> None:
    manifest = export(store, reasoning)
    whole = files(manifest.directory)
    manifest.paths[0].write_bytes(b"torn")

    export(store, reasoning)

    assert files(manifest.directory) == whole
    assert [path.name for path in manifest.directory.parent.iterdir()] == [manifest.directory.name]


def test_samples_that_were_never_probed_have_neither_a_pass_rate_nor_a_band(tmp_path: Path) -> None:
    store = tmp_path / "store"
    sample_ids = fill(store, {"train": 2, "demonstrations": 3})
    probe(store, {sample_ids[0]: group(2)})
    config = make_config(tmp_path, YAML + "  demonstrations: {policy: all, split: demonstrations}\n")
    (demonstrations,) = select(config, store, names=["demonstrations"])

    manifest = export(store, demonstrations)

    rows = [row for path in manifest.paths for row in pq.read_table(path).to_pylist()]
    assert {row["sample_id"] for row in rows} == set(sample_ids[2:])
    assert {(row["pass_rate"], row["band"]) for row in rows} == {(None, "unprobed")}


@pytest.mark.parametrize("occupy", [lambda d: (d / "thesis.txt").write_text("mine"), lambda d: (d / "sub").mkdir()])
def test_a_directory_with_other_files_is_refused_and_left_alone(
    store: Path, reasoning: Mixture, tmp_path: Path, occupy: Callable[[Path], object]
) -> None:
    target = tmp_path / "mine"
    target.mkdir()
    occupy(target)
    before = sorted(target.iterdir())

    with pytest.raises(RefusedError, match="other files"):
        export(store, reasoning, target)
    assert sorted(target.iterdir()) == before


def test_another_mixture_is_never_overwritten(store: Path, reasoning: Mixture, tmp_path: Path) -> None:
    (warmup,) = frozen(make_config(tmp_path), store, names=["warmup"])
    export(store, reasoning, tmp_path / "out")
    with pytest.raises(RefusedError, match=r"'reasoning'.*already"):
        export(store, warmup, tmp_path / "out")


def test_a_crash_leaves_nothing_half_written(
    store: Path, reasoning: Mixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> str:
        raise OSError("disk full")

    monkeypatch.setattr(shards, "card", fail)
    with pytest.raises(OSError, match="disk full"):
        export(store, reasoning, tmp_path / "exports" / "out")
    assert list((tmp_path / "exports").iterdir()) == []


def test_what_a_killed_export_left_behind_is_swept(store: Path, reasoning: Mixture, tmp_path: Path) -> None:
    left = tmp_path / "exports" / ".out.partial-999999999"
    left.mkdir(parents=True)
    (left / "shard-00000.parquet").write_bytes(b"half")
    export(store, reasoning, tmp_path / "exports" / "out")
    assert [path.name for path in (tmp_path / "exports").iterdir()] == ["out"]


def test_an_empty_mixture_has_nothing_to_export(tmp_path: Path) -> None:
    store = tmp_path / "store"
    (sample_id,) = fill(store, {"train": 1})
    probe(store, {sample_id: group(0)})
    (empty,) = select(make_config(tmp_path), store, names=["reasoning"])
    with pytest.raises(DataError, match="empty"):
        export(store, empty)


def test_a_missing_image_is_named(store: Path, reasoning: Mixture, tmp_path: Path) -> None:
    for path in (store / "images").rglob("*.png"):
        path.unlink()
    with pytest.raises(DataError, match="image"):
        export(store, reasoning, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_large_mixtures_become_several_shards(store: Path, reasoning: Mixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "ROWS_PER_GROUP", 2)
    monkeypatch.setattr(shards, "BYTES_PER_SHARD", 1)

    manifest = load_manifest(export(store, reasoning).directory)

    assert [shard.num_rows for shard in manifest.shards] == [2, 2, 2, 1]
    ids = [row["sample_id"] for path in manifest.paths for row in pq.read_table(path).to_pylist()]
    assert ids == list(reasoning.sample_ids)


def test_a_blind_policy_trains_without_images(tmp_path: Path) -> None:
    store = tmp_path / "store"
    (sample_id,) = fill(store, {"train": 1})
    blind = probe(store, {sample_id: group(1)}, fingerprint(condition=Condition.BLIND))
    (mixture,) = select(make_config(tmp_path), store, names=["reasoning"], probe_id=blind)

    (row,) = pq.read_table(export(store, mixture).paths[0]).to_pylist()

    assert row["images"] == []


def test_every_format_has_a_sample_id_column() -> None:
    for layout in FORMATS.values():
        assert layout.schema(layout.images[0]).names[0] == "sample_id"


class TestImagesAsShown:
    @staticmethod
    def encoded(image: Image.Image, **how: object) -> bytes:
        buffer = io.BytesIO()
        image.save(buffer, **{"format": "PNG", **how})  # type: ignore[arg-type]
        return buffer.getvalue()

    def test_a_plain_file_passes_unchanged(self) -> None:
        for format in ("PNG", "JPEG"):
            data = self.encoded(Image.new("RGB", (40, 30), "red"), format=format)
            assert as_shown(data, 802_816) is data

    @pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "L", "1", "I;16"])
    def test_anything_else_becomes_the_pixels_of_the_probe(self, mode: str) -> None:
        data = self.encoded(Image.new(mode, (40, 30)))
        shown = as_shown(data, 802_816)
        with Image.open(io.BytesIO(shown)) as image:
            assert image.mode == "RGB"
            assert image.tobytes() == decode(data, 802_816).tobytes()

    def test_a_rotation_by_exif_is_carried_out(self) -> None:
        exif = Image.Exif()
        exif[0x0112] = 6
        data = self.encoded(Image.new("RGB", (40, 30)), format="JPEG", exif=exif)
        with Image.open(io.BytesIO(as_shown(data, 802_816))) as image:
            assert image.size == (30, 40)

    def test_a_large_image_is_held_to_the_pixel_budget(self) -> None:
        data = self.encoded(Image.new("RGB", (200, 100)))
        with Image.open(io.BytesIO(as_shown(data, 5_000))) as image:
            assert image.width * image.height <= 5_000
