"""Ids and digests: canonical JSON through SHA-256, so that the same value has the same id on every machine."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl


def digest(value: Any) -> str:
    """SHA-256 (64 hex digits) of a JSON-serialisable value, independent of key order and whitespace."""
    return digest_bytes(canonical(value).encode("utf-8"))


def canonical(value: Any) -> str:
    """A JSON-serialisable value as the one text that `digest` hashes: keys sorted, no whitespace, nothing escaped."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def json_texts(texts: pl.Series) -> pl.Series:
    """`canonical` of each string, for digests of a million of them."""
    import polars as pl

    if texts.str.contains(r'["\\\x00-\x1f]').any():
        return pl.Series(texts.name, [canonical(text) for text in texts], dtype=pl.String)
    return '"' + texts + '"'


def digest_bytes(data: bytes) -> str:
    """SHA-256 (64 hex digits) of bytes."""
    return hashlib.sha256(data).hexdigest()


def digest_file(path: Path) -> str:
    """SHA-256 (64 hex digits) of a file's bytes, read in blocks.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def seed_from(*parts: object) -> int:
    """A seed in 0 .. 2**63-1 derived from the parts' JSON (strings and integers)."""
    return int(digest(list(parts))[:16], 16) >> 1
