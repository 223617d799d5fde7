"""The export contract: `manifest.json`, the checksummed list of a mixture's shards and of the files that go with them.

It is all that training knows of the data side. `load_manifest` reads it back and verifies every file, so training
never starts on a torn or altered export.
"""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import BaseModel, ConfigDict, PrivateAttr, ValidationError

from pebr_data.errors import ConfigError, DataError, RefusedError
from pebr_data.hashing import digest, digest_file
from pebr_data.types import ImagePlacement

MANIFEST_FILE = "manifest.json"
SCHEMA_VERSION = 2
"""2 added `images` and `files`; a manifest without them holds neither."""


class File(BaseModel):
    """One file of an export: its path relative to the manifest, SHA-256 and size in bytes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: str
    sha256: str
    num_bytes: int


class Shard(BaseModel):
    """One exported file of rows: its path relative to the manifest, SHA-256, rows and size in bytes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: str
    sha256: str
    num_rows: int
    num_bytes: int


class Manifest(BaseModel):
    """What an export holds and where it comes from.

    Attributes:
        schema_version: Of this file; a newer one is refused.
        format: The layout of the rows, a name in `pebr_data.export.formats.FORMATS`.
        images: Where the images are.
        catalog: Name of the catalog.
        mixture: Name of the mixture in it.
        mixture_id: The frozen choice of samples.
        policy: How they were chosen (`pebr`, `random`).
        band: The band they were chosen from; None when the policy has none.
        probe_id: The probe whose pass rates decided.
        fingerprint: The policy that was probed, as `Fingerprint.to_json`. Training prompts and sizes images like it.
        num_samples: Rows over all shards.
        columns: Column names, in order.
        shards: The files of rows, in their order.
        files: All others: the card, images beside the shards, a reward for the framework. The card of an export by an
            earlier pebr is not among them.
        code_version: Version of pebr that wrote them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: int = SCHEMA_VERSION
    format: str
    images: ImagePlacement = "embed"
    catalog: str
    mixture: str
    mixture_id: str
    policy: str
    band: str | None
    probe_id: str
    fingerprint: dict[str, Any]
    num_samples: int
    columns: tuple[str, ...]
    shards: tuple[Shard, ...]
    files: tuple[File, ...] = ()
    code_version: str

    _directory: Path | None = PrivateAttr(default=None)

    @property
    def directory(self) -> Path:
        """Where the manifest was loaded from or written to.

        Raises:
            ValueError: It was built in memory and lies nowhere.
        """
        if self._directory is None:
            raise ValueError("this manifest has not been written anywhere")
        return self._directory

    @property
    def paths(self) -> tuple[Path, ...]:
        """The shards' paths, in row order."""
        return tuple(self.directory / shard.file for shard in self.shards)

    @property
    def checksummed(self) -> tuple[Shard | File, ...]:
        """Every file that has its checksum here."""
        return self.shards + self.files

    @property
    def content(self) -> str:
        """16 hex digits of all that training reads: the rows' bytes, and the policy they are prompted like."""
        return digest({"fingerprint": self.fingerprint, "shards": [shard.sha256 for shard in self.shards]})[:16]

    def at(self, directory: Path) -> Manifest:
        """The same manifest, lying in `directory`."""
        copy = self.model_copy()
        copy._directory = directory
        return copy

    def to_text(self) -> str:
        """The manifest as it stands in `manifest.json`."""
        return json.dumps(self.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n"


def load_manifest(directory: Path, *, format: str | None = None) -> Manifest:
    """Read the manifest of an export and verify every file against it.

    Args:
        directory: The export.
        format: The only layout that is of use; any by default.

    Raises:
        ConfigError: There is no export in `directory`.
        DataError: The manifest cannot be read, or a file is missing or differs from what was written.
        RefusedError: A newer pebr wrote it, or its layout is another.
    """
    manifest = read_manifest(directory, format=format)
    help = _again(directory)
    for file in manifest.checksummed:
        what = "shard" if isinstance(file, Shard) else "file"
        path = directory / file.file
        if not path.is_file():
            raise DataError(f"a {what} of the export is missing", where=str(path), help=help)
        if path.stat().st_size != file.num_bytes or digest_file(path) != file.sha256:
            raise DataError(f"a {what} differs from its checksum in the manifest", where=str(path), help=help)
    return manifest


def read_manifest(directory: Path, *, format: str | None = None) -> Manifest:
    """Read the manifest of an export without looking at its files. Arguments and errors as in `load_manifest`."""
    path = directory / MANIFEST_FILE
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        help = f"export it first: pebr-data export CATALOG.yaml --to {directory.parent}"
        raise ConfigError("no export found", where=str(path), help=help) from None
    except (OSError, ValueError) as error:
        raise DataError(f"the manifest cannot be read: {error}", where=str(path), help=_again(directory)) from None
    version = raw.get("schema_version") if isinstance(raw, dict) else None
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise RefusedError(
            f"the manifest has schema version {version}, this pebr reads up to {SCHEMA_VERSION}",
            where=str(path),
            help="use the version of pebr that wrote it, or a newer one",
        )
    try:
        manifest = Manifest.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        what = f"the manifest is not valid: {'.'.join(map(str, first['loc']))}: {first['msg']}"
        raise DataError(what, where=str(path), help=_again(directory)) from None
    num_rows = sum(shard.num_rows for shard in manifest.shards)
    if num_rows != manifest.num_samples:
        what = f"the manifest says {manifest.num_samples:,} samples, but its shards hold {num_rows:,}"
        raise DataError(what, where=str(path), help=_again(directory))
    for file in manifest.checksummed:
        if not _inside(file.file):
            raise DataError(f"the manifest names a file outside its directory: {file.file!r}", where=str(path))
    if format is not None and manifest.format != format:
        raise RefusedError(
            f"the export has the format {manifest.format!r}, and {format!r} is needed",
            where=str(directory),
            help=f"export the mixture once more: pebr-data export CATALOG.yaml --format {format} --to DIR",
        )
    return manifest.at(directory)


def _inside(name: str) -> bool:
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts and "\\" not in name


def _again(directory: Path) -> str:
    return f"move {directory} away and export again: pebr-data export CATALOG.yaml --to {directory.parent}"
