"""Packed segments: what nobody appends to any more, as Parquet that never changes.

`000007.bin` becomes `000007-<digits of its SHA-256>.parquet`. That takes a fraction of the disk, and which rollouts it
holds can be read without reading the completions. A segment with a torn or damaged record stays as it is, for
`pebr-data doctor` to name and mend.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Set
from pathlib import Path

import polars as pl

from pebr_data.durable import sync, write_durably
from pebr_data.hashing import digest_bytes
from pebr_data.types import Generation, Grade, Outcome, Rollout, RolloutKey

_GENERATION = pl.Struct(
    {
        "completion": pl.String,
        "num_tokens": pl.Int32,
        "finish_reason": pl.String,
        "num_prompt_tokens": pl.Int32,
        "num_image_tokens": pl.Int32,
        "error": pl.String,
    }
)
_GRADE = pl.Struct({"outcome": pl.String, "answer": pl.String, "reason": pl.String, "grader_version": pl.String})
_RECORD: dict[str, pl.DataType | type[pl.DataType]] = {
    "probe_id": pl.String,
    "sample_id": pl.String,
    "index": pl.Int32,
    "generation": _GENERATION,
    "grade": _GRADE,
    "order": pl.List(pl.UInt8),
}
"""A record's payload."""

_OPTIONAL = ("error", "answer", "order")

_DIGITS = 16


def is_packed(path: Path) -> bool:
    """Whether a segment is Parquet."""
    return path.suffix == ".parquet"


def pack(path: Path, payloads: list[bytes]) -> Path | None:
    """Replaces a segment by a packed one; gives its path, or None where it has to stay.

    It stays while its writer lives, and where a text holds half a character, which Parquet cannot hold.

    Args:
        path: The segment.
        payloads: Of all its records, in order.

    Raises:
        OSError: The disk refuses; the segment is there still.
    """
    if not all(map(_is_text, payloads)):
        return None
    try:
        frame = pl.read_ndjson(b"\n".join(payloads), schema=_RECORD).unnest("generation", "grade")
    except pl.exceptions.PolarsError:
        return None
    if len(frame) != len(payloads) or any(frame.drop(_OPTIONAL).null_count().row(0)):
        return None
    held = io.BytesIO()
    frame.write_parquet(held, compression="zstd")
    data = held.getvalue()
    target = path.with_name(f"{path.stem}-{digest_bytes(data)[:_DIGITS]}.parquet")
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        write_durably(aside, data)
        aside.replace(target)
    finally:
        aside.unlink(missing_ok=True)
    sync(path.parent)
    path.unlink()
    return target


def read_packed(path: Path, data: bytes, skip: Set[tuple[str, int]]) -> tuple[Rollout, ...] | None:
    """The rollouts of a packed segment, in order; None where its bytes are not those that were written.

    Args:
        path: The segment, whose name says what its bytes are.
        data: Its bytes.
        skip: The (sample_id, index) of rollouts that are not wanted.
    """
    if digest_bytes(data)[:_DIGITS] != path.stem.partition("-")[2]:
        return None
    if skip:
        keys = pl.read_parquet(io.BytesIO(data), columns=["sample_id", "index"]).rows()
        if all(key in skip for key in keys):
            return ()
    return tuple(
        Rollout(
            key=RolloutKey(row["probe_id"], row["sample_id"], row["index"]),
            generation=Generation(**{name: row[name] for name in _names(_GENERATION)}),
            grade=Grade(**{**{name: row[name] for name in _names(_GRADE)}, "outcome": Outcome(row["outcome"])}),
            order=tuple(row["order"] or ()),
        )
        for row in pl.read_parquet(io.BytesIO(data)).iter_rows(named=True)
        if (row["sample_id"], row["index"]) not in skip
    )


def _is_text(payload: bytes) -> bool:
    """Whether every text of a record is Unicode; Polars would put something else in the place of half a character."""
    if b"\\ud" not in payload:
        return True
    try:
        json.dumps(json.loads(payload), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _names(kind: pl.Struct) -> list[str]:
    return [field.name for field in kind.fields]
