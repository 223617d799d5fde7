"""The export contract: `manifest.json`, the checksummed list of a mixture's shards.

It is all that training knows of the data side. `load_manifest` reads it back and verifies every shard, so training
never starts on a torn or altered export.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, PrivateAttr, ValidationError

from pebr_data.errors import ConfigError, DataError, RefusedError
from pebr_data.hashing import digest, digest_file

MANIFEST_FILE = "manifest.json"
SCHEMA_VERSION = 1


class Shard(BaseModel):
    """One exported Parquet file: its name relative to the manifest, SHA-256, rows and size in bytes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: str
    sha256: str
    num_rows: int
    num_bytes: int


class Manifest(BaseModel):
    """What an export holds and where it comes from.

    Attributes:
        schema_version: Of this file; a newer one is refused.
        format: The layout of the rows (`trl`).
        catalog: Name of the catalog.
        mixture: Name of the mixture in it.
        mixture_id: The frozen choice of samples.
        policy: How they were chosen (`pebr`, `random`).
        band: The band they were chosen from; None when the policy has none.
        probe_id: The probe whose pass rates decided.
        fingerprint: The policy that was probed, as `Fingerprint.to_json`. Training prompts and sizes images like it.
        num_samples: Rows over all shards.
        columns: Column names, in order.
        shards: The files, in row order.
        code_version: Version of pebr that wrote them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: int = SCHEMA_VERSION
    format: str
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


def load_manifest(directory: Path) -> Manifest:
    """Read the manifest of an export and verify every shard against it.

    Raises:
        ConfigError: There is no export in `directory`.
        DataError: The manifest cannot be read, or a shard is missing or differs from what was written.
        RefusedError: A newer pebr wrote it.
    """
    manifest = read_manifest(directory)
    help = _again(directory)
    for shard in manifest.shards:
        path = directory / shard.file
        if not path.is_file():
            raise DataError("a shard of the export is missing", where=str(path), help=help)
        if path.stat().st_size != shard.num_bytes or digest_file(path) != shard.sha256:
            raise DataError("a shard differs from its checksum in the manifest", where=str(path), help=help)
    return manifest


def read_manifest(directory: Path) -> Manifest:
    """Read the manifest of an export without looking at its shards. Errors as in `load_manifest`."""
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
    for shard in manifest.shards:
        if os.sep in shard.file or shard.file in {"", ".", ".."}:
            raise DataError(f"the manifest names a shard outside its directory: {shard.file!r}", where=str(path))
    return manifest.at(directory)


def _again(directory: Path) -> str:
    return f"move {directory} away and export again: pebr-data export CATALOG.yaml --to {directory.parent}"
