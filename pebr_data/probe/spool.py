"""The spool: where a rollout first lands, and from when on nothing loses it.

A segment is an append-only file of records: length (u32), CRC-32 (u32, of the payload), payload (JSON, UTF-8), numbers
little-endian. Every run writes segments of its own. A rollout is acknowledged once its record is fsynced. What a crash
leaves unfinished at the end of a segment is ignored, and owed again. Segments that are done with are packed, see
`pebr_data.probe.packed`.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import struct
import zlib
from collections.abc import Iterable, Iterator, Set
from contextlib import suppress
from dataclasses import asdict, dataclass
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from pebr_data.durable import sync
from pebr_data.errors import StorageError
from pebr_data.probe.packed import is_packed, pack, read_packed
from pebr_data.types import Generation, Grade, Json, Outcome, Rollout, RolloutKey

_HEADER = struct.Struct("<II")
_START = b'{"probe_id":'
"""Every payload begins so; damage in the middle of a segment is skipped to the next one that checks out."""

_NAME = re.compile(r"\d{6,}(?:\.bin|-[0-9a-f]{16}\.parquet)")
_encode = msgspec.json.Encoder().encode

SEGMENT_BYTES = 64 * 2**20
"""A writer begins another segment when one is as large: segments are read whole."""


class SpoolWriter:
    """A new segment, open for appending, and further ones as they fill up; a context manager that closes the last.

    Args:
        directory: The spool of one probe; made when missing.

    Raises:
        StorageError: The disk refuses.
    """

    def __init__(self, directory: Path) -> None:
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self.path, self._file = _new_segment(directory)
        except OSError as error:
            raise _refused(error, directory) from error

    def append(self, rollouts: Iterable[Rollout]) -> None:
        """Write rollouts' records; they are acknowledged by the next `sync`.

        Raises:
            StorageError: The disk refuses.
        """
        records = bytearray()
        for rollout in rollouts:
            payload = _to_payload(rollout)
            records += _HEADER.pack(len(payload), zlib.crc32(payload)) + payload
        left = memoryview(records)
        try:
            if self._file.tell() >= SEGMENT_BYTES:
                os.fsync(self._file.fileno())
                self._file.close()
                self.path, self._file = _new_segment(self.path.parent)
            while left:
                left = left[self._file.write(left) :]
        except OSError as error:
            raise _refused(error, self.path) from error

    def sync(self) -> None:
        """Acknowledge everything appended: it is on disk when this returns.

        Raises:
            StorageError: The disk refuses.
        """
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            raise _refused(error, self.path) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()


@dataclass(frozen=True, slots=True)
class Segment:
    """What a segment holds.

    Attributes:
        path: The file.
        rollouts: Every rollout whose record is whole, in the order written.
        torn_at: Where an unfinished record begins, in bytes, when the writer was stopped in the middle of one.
        damaged_at: Where damage begins, in bytes, for each place where a record went bad *before* the end. A packed
            segment is whole, or as good as empty and damaged at 0.
    """

    path: Path
    rollouts: tuple[Rollout, ...]
    torn_at: int | None
    damaged_at: tuple[int, ...]


def _new_segment(directory: Path) -> tuple[Path, FileIO]:
    while True:
        number = 1 + max(map(_number, segments(directory)), default=0)
        path = directory / f"{number:06d}.bin"
        # Another shard of the probe may take the number first.
        with suppress(FileExistsError):
            # Unbuffered: what was appended survives the end of the process, however it ends.
            file = path.open("xb", buffering=0)
            # Until it is closed, however the process ends. Who looks whether it can be packed lets go of it at once.
            fcntl.flock(file, fcntl.LOCK_EX)
            sync(directory)
            return path, file


def segments(directory: Path) -> list[Path]:
    """The segments of a spool, packed ones as well, oldest first; none when there is no such directory."""
    found = [*directory.glob("*.bin"), *directory.glob("*.parquet")]
    return sorted(path for path in found if _NAME.fullmatch(path.name))


def _number(path: Path) -> int:
    return int(path.stem.partition("-")[0])


def pack_spool(directory: Path) -> None:
    """Packs the segments that nobody appends to any more, as far as the disk allows it.

    Those that an older pebr made without a bound stay as they are.
    """
    for path in segments(directory):
        # Somebody appends to it, another shard is packing it as well, or the disk is full: it is as safe as it was.
        with suppress(OSError), path.open("rb") as file:
            if is_packed(path) or path.stat().st_size > 2 * SEGMENT_BYTES:
                continue
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            payloads = _whole_payloads(file.read())
            if payloads:
                pack(path, payloads)


def _whole_payloads(data: bytes) -> list[bytes]:
    """Of every record of a segment; none where one is torn or damaged."""
    payloads, position = [], 0
    while position < len(data):
        payload = _payload_at(data, position)
        if payload is None:
            return []
        payloads.append(payload)
        position += _HEADER.size + len(payload)
    return payloads


def read_spool(directory: Path, skip: Set[tuple[str, int]] = frozenset()) -> Iterator[Segment]:
    """Every segment of a spool, oldest first.

    Args:
        directory: The spool.
        skip: The (sample_id, index) of rollouts that are left out.

    Raises:
        StorageError: A segment cannot be read.
    """
    for path in segments(directory):
        yield read_segment(path, skip)


def read_segment(path: Path, skip: Set[tuple[str, int]] = frozenset()) -> Segment:
    """The segment's whole records, and where it is torn or damaged.

    Args:
        path: The segment.
        skip: The (sample_id, index) of rollouts that are left out.

    Raises:
        StorageError: The file cannot be read.
    """
    try:
        path, data = _read(path)
    except OSError as error:
        raise StorageError(
            f"a spool segment cannot be read: {error.strerror or error}",
            where=str(path),
            help="see to the disk, then run the command again",
        ) from error
    if is_packed(path):
        unpacked = read_packed(path, data, skip)
        return Segment(path, unpacked or (), None, (0,) if unpacked is None else ())
    rollouts: list[Rollout] = []
    damaged: list[int] = []
    position = 0
    while position < len(data):
        record = _record_at(data, position)
        if record is None:
            following = _next_record(data, position + 1)
            if following is None:
                return Segment(path, tuple(rollouts), position, tuple(damaged))
            damaged.append(position)
            position = following
            continue
        rollout, position = record
        if (rollout.key.sample_id, rollout.key.index) not in skip:
            rollouts.append(rollout)
    return Segment(path, tuple(rollouts), None, tuple(damaged))


def _read(path: Path) -> tuple[Path, bytes]:
    try:
        return path, path.read_bytes()
    except FileNotFoundError:
        # Another shard of the probe may have packed it just now.
        packed = next(path.parent.glob(f"{path.stem}-*.parquet"), None)
        if packed is None:
            raise
        return packed, packed.read_bytes()


def _record_at(data: bytes, position: int) -> tuple[Rollout, int] | None:
    """The rollout whose record begins here and where the next one does; None unless it is whole."""
    payload = _payload_at(data, position)
    if payload is None:
        return None
    return _from_json(json.loads(payload)), position + _HEADER.size + len(payload)


def _payload_at(data: bytes, position: int) -> bytes | None:
    start = position + _HEADER.size
    if start > len(data):
        return None
    length, checksum = _HEADER.unpack_from(data, position)
    payload = data[start : start + length]
    if len(payload) < length or not payload.startswith(_START) or zlib.crc32(payload) != checksum:
        return None
    return payload


def _next_record(data: bytes, position: int) -> int | None:
    while (found := data.find(_START, position + _HEADER.size)) >= 0:
        position = found - _HEADER.size
        if _record_at(data, position) is not None:
            return position
        position += 1
    return None


def _to_payload(rollout: Rollout) -> bytes:
    key = rollout.key
    value: dict[str, object] = {
        "probe_id": key.probe_id,
        "sample_id": key.sample_id,
        "index": key.index,
        "generation": rollout.generation,
        "grade": rollout.grade,
    }
    if rollout.order:
        value["order"] = rollout.order
    try:
        return _encode(value)
    except UnicodeEncodeError:  # half a character, which UTF-8 cannot hold and an escape can
        return json.dumps(value, default=asdict, separators=(",", ":")).encode()


def _from_json(value: dict[str, Json]) -> Rollout:
    grade = value["grade"]
    return Rollout(
        key=RolloutKey(value["probe_id"], value["sample_id"], value["index"]),
        generation=Generation(**value["generation"]),
        grade=Grade(**{**grade, "outcome": Outcome(grade["outcome"])}),
        order=tuple(value.get("order", ())),
    )


def _refused(error: OSError, where: Path) -> StorageError:
    return StorageError(
        f"the spool could not be written: {error.strerror or error}",
        where=str(where),
        help="make room on the disk or see to its permissions, then run the command again; what was kept stays",
    )
