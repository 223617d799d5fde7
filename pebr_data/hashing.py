"""Ids and digests: canonical JSON through SHA-256, so that the same value has the same id on every machine."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(value: Any) -> str:
    """SHA-256 (64 hex digits) of a JSON-serialisable value, independent of key order and whitespace."""
    return digest_bytes(canonical(value).encode("utf-8"))


def canonical(value: Any) -> str:
    """A JSON-serialisable value as the one text that `digest` hashes: keys sorted, no whitespace, nothing escaped."""
    return _CANONICAL.encode(value)


def json_items(texts: pl.Series, values: pl.Series | None = None) -> bytes:
    """What `canonical` puts between the brackets of a list of strings, for digests of a million of them.

    Args:
        texts: The strings.
        values: Strings too: then `texts` are the sorted keys of an object that has these values.
    """
    import numpy as np
    import polars as pl

    columns = [texts.alias("text"), *([] if values is None else [values.alias("value")])]
    if not len(texts):
        return b""
    items = pl.DataFrame(columns).select(pl.concat_str(pl.all(), separator='":"').str.join('","'))
    joined = str(items.item()).encode()
    num_quotes = 2 * (len(columns) * len(texts) - 1)
    least = np.frombuffer(joined, np.uint8).min(initial=255)
    if joined.count(b'"') == num_quotes and b"\\" not in joined and least >= 32:
        return b'"' + joined + b'"'
    escaped = (":".join(map(canonical, row)) for row in pl.DataFrame(columns).iter_rows())
    return ",".join(escaped).encode()


def hex_numbers(texts: pl.Series) -> NDArray[np.uint64] | None:
    """The numbers that texts of 16 (lower-case) hex digits are, in whose order they sort; None when one is not that."""
    import polars as pl

    if not (texts.str.len_bytes() == 16).all():
        return None
    numbers = texts.str.to_integer(base=16, dtype=pl.UInt64, strict=False)
    return None if numbers.null_count() else numbers.to_numpy()


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
