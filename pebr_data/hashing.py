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

    if not len(texts):
        return b""
    columns = [texts.alias("text"), *([] if values is None else [values.alias("value")])]
    value = [] if values is None else [pl.lit('":"'), pl.col("value")]
    pieces = [pl.lit('"'), pl.col("text"), *value, pl.lit('",')]
    items = pl.DataFrame(columns).select(item=pl.concat_str(pieces))["item"]
    # What an Arrow column of texts holds is these texts one after the other.
    text = items.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest()).buffers()[-1]
    joined = np.frombuffer(text, np.uint8)[: items.str.len_bytes().sum() - 1]
    num_quotes = 2 * len(columns) * len(texts)
    if np.count_nonzero(joined == ord('"')) == num_quotes and not (joined == ord("\\")).any() and joined.min() >= 32:
        return joined.tobytes()
    escaped = (":".join(map(canonical, row)) for row in pl.DataFrame(columns).iter_rows())
    return ",".join(escaped).encode()


def hex_numbers(texts: pl.Series) -> NDArray[np.uint64] | None:
    """The numbers that texts of 16 (lower-case) hex digits are, in whose order they sort; None when one is not that."""
    import polars as pl

    if not (texts.str.len_bytes() == 16).all():
        return None
    numbers = texts.str.to_integer(base=16, dtype=pl.UInt64, strict=False)
    return None if numbers.null_count() else numbers.to_numpy()


def side_by_side(texts: pl.Series) -> pl.Series:
    """The same texts, in memory in their order: what looks at each of a million is several times as fast then."""
    import polars as pl

    copied = pl.Series(texts.name, texts.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest()))
    assert copied.dtype == texts.dtype
    return copied


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
