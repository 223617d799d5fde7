from __future__ import annotations

import json
from pathlib import Path

import pytest

from pebr_data.errors import ConfigError, DataError, RefusedError
from pebr_data.hashing import digest_bytes
from pebr_data.manifest import MANIFEST_FILE, SCHEMA_VERSION, Manifest, Shard, load_manifest


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    data = b"PAR1 rows PAR1"
    (tmp_path / "shard-00000.parquet").write_bytes(data)
    manifest = Manifest(
        format="trl",
        catalog="shapes",
        mixture="reasoning",
        mixture_id="0123456789abcdef",
        policy="pebr",
        band="medium",
        probe_id="fedcba9876543210",
        fingerprint={"model": "pebr-tiny", "max_pixels": 802_816},
        num_samples=3,
        columns=("sample_id",),
        shards=(Shard(file="shard-00000.parquet", sha256=digest_bytes(data), num_rows=3, num_bytes=len(data)),),
        code_version="0.1.0",
    )
    (tmp_path / MANIFEST_FILE).write_text(manifest.to_text(), encoding="utf-8")
    return tmp_path


def edit(directory: Path, **changes: object) -> None:
    path = directory / MANIFEST_FILE
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **changes}), encoding="utf-8")


def test_an_intact_export_loads_with_its_paths(exported: Path) -> None:
    manifest = load_manifest(exported)

    assert manifest.num_samples == 3
    assert manifest.paths == (exported / "shard-00000.parquet",)


def test_a_missing_export_is_a_configuration_error_that_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no export") as caught:
        load_manifest(tmp_path / "nowhere")
    assert "pebr-data export" in (caught.value.help or "")


def test_an_altered_shard_is_named(exported: Path) -> None:
    (exported / "shard-00000.parquet").write_bytes(b"PAR1 ROWS PAR1")
    with pytest.raises(DataError, match=r"shard-00000\.parquet"):
        load_manifest(exported)


def test_a_cut_shard_is_named(exported: Path) -> None:
    (exported / "shard-00000.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match="checksum"):
        load_manifest(exported)


def test_a_missing_shard_is_named(exported: Path) -> None:
    (exported / "shard-00000.parquet").unlink()
    with pytest.raises(DataError, match="missing"):
        load_manifest(exported)


def test_a_newer_schema_is_refused(exported: Path) -> None:
    edit(exported, schema_version=SCHEMA_VERSION + 1, something_new=1)
    with pytest.raises(RefusedError, match="schema version"):
        load_manifest(exported)


def test_a_manifest_of_the_first_schema_is_read(exported: Path) -> None:
    raw = json.loads((exported / MANIFEST_FILE).read_text("utf-8"))
    older = {name: value for name, value in raw.items() if name not in ("images", "files")}
    (exported / MANIFEST_FILE).write_text(json.dumps({**older, "schema_version": 1}), encoding="utf-8")
    manifest = load_manifest(exported, format="trl")
    assert (manifest.images, manifest.files) == ("embed", ())


def test_a_file_beside_the_shards_is_verified_too(exported: Path) -> None:
    (exported / "reward.py").write_bytes(b"right")
    edit(exported, files=[{"file": "reward.py", "sha256": digest_bytes(b"right"), "num_bytes": 5}])
    assert load_manifest(exported).files[0].file == "reward.py"
    (exported / "reward.py").write_bytes(b"wrong")
    with pytest.raises(DataError, match=r"a file differs .*reward\.py"):
        load_manifest(exported)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"format": "trl"}'])
def test_a_broken_manifest_is_bad_data(exported: Path, text: str) -> None:
    (exported / MANIFEST_FILE).write_text(text, encoding="utf-8")
    with pytest.raises(DataError):
        load_manifest(exported)


@pytest.mark.parametrize("file", ["../secret.parquet", "/etc/passwd", "a/../../b.parquet", "..", "", "a\\b.parquet"])
def test_a_shard_outside_the_directory_is_refused(exported: Path, file: str) -> None:
    shards = json.loads((exported / MANIFEST_FILE).read_text("utf-8"))["shards"]
    edit(exported, shards=[{**shards[0], "file": file}])
    with pytest.raises(DataError, match="outside"):
        load_manifest(exported)


def test_a_manifest_whose_counts_do_not_agree_is_refused_with_a_way_out(exported: Path) -> None:
    edit(exported, num_samples=2)
    with pytest.raises(DataError, match="says 2 samples, but its shards hold 3") as caught:
        load_manifest(exported)
    assert f"move {exported} away" in str(caught.value.help)
