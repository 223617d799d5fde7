"""The spool: where a rollout first lands, and from when on nothing loses it.

A segment is an append-only file of records: length (u32), CRC-32 (u32, of the payload), payload (JSON, UTF-8), numbers
little-endian. Every run writes a segment of its own. A rollout is acknowledged once its record is fsynced. What a crash
leaves unfinished at the end of a segment is ignored, and owed again.
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, fields
from io import FileIO
from operator import attrgetter
from pathlib import Path
from types import TracebackType
from typing import Self

from pebr_data.durable import sync
from pebr_data.errors import StorageError
from pebr_data.types import Generation, Grade, Json, Outcome, Rollout, RolloutKey

_HEADER = struct.Struct("<II")
_START = b'{"probe_id": "'
"""Every payload begins so; damage in the middle of a segment is skipped to the next one that checks out."""

_GENERATION = [field.name for field in fields(Generation)]
_GRADE = [field.name for field in fields(Grade)]
_generation_values, _grade_values = attrgetter(*_GENERATION), attrgetter(*_GRADE)


class SpoolWriter:
    """A new segment, open for appending; a context manager that closes it.

    Args:
        directory: The spool of one probe; made when missing.

    Raises:
        StorageError: The disk refuses.
    """

    def __init__(self, directory: Path) -> None:
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self.path, self._file = _new_segment(directory)
            sync(directory)
        except OSError as error:
            raise _refused(error, directory) from error

    def append(self, rollouts: Iterable[Rollout]) -> None:
        """Write rollouts' records; they are acknowledged by the next `sync`.

        Raises:
            StorageError: The disk refuses.
        """
        records = bytearray()
        for rollout in rollouts:
            payload = json.dumps(_to_json(rollout)).encode()
            records += _HEADER.pack(len(payload), zlib.crc32(payload)) + payload
        left = memoryview(records)
        try:
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
        damaged_at: Where damage begins, in bytes, for each place where a record went bad *before* the end.
    """

    path: Path
    rollouts: tuple[Rollout, ...]
    torn_at: int | None
    damaged_at: tuple[int, ...]


def _new_segment(directory: Path) -> tuple[Path, FileIO]:
    while True:
        number = 1 + max((int(path.stem) for path in segments(directory)), default=0)
        path = directory / f"{number:06d}.bin"
        # Another shard of the probe may take the number first.
        with suppress(FileExistsError):
            # Unbuffered: what was appended survives the end of the process, however it ends.
            return path, path.open("xb", buffering=0)


def segments(directory: Path) -> list[Path]:
    """The segments of a spool, oldest first; none when there is no such directory."""
    return sorted(path for path in directory.glob("*.bin") if path.stem.isdigit())


def read_spool(directory: Path) -> Iterator[Segment]:
    """Every segment of a spool, oldest first.

    Raises:
        StorageError: A segment cannot be read.
    """
    for path in segments(directory):
        yield read_segment(path)


def read_segment(path: Path) -> Segment:
    """The segment's whole records, and where it is torn or damaged.

    Raises:
        StorageError: The file cannot be read.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise StorageError(
            f"a spool segment cannot be read: {error.strerror or error}",
            where=str(path),
            help="see to the disk, then run the command again",
        ) from error
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
        rollouts.append(rollout)
    return Segment(path, tuple(rollouts), None, tuple(damaged))


def _record_at(data: bytes, position: int) -> tuple[Rollout, int] | None:
    """The rollout whose record begins here and where the next one does; None unless it is whole."""
    start = position + _HEADER.size
    if start > len(data):
        return None
    length, checksum = _HEADER.unpack_from(data, position)
    payload = data[start : start + length]
    if len(payload) < length or not payload.startswith(_START) or zlib.crc32(payload) != checksum:
        return None
    return _from_json(json.loads(payload)), start + length


def _next_record(data: bytes, position: int) -> int | None:
    while (found := data.find(_START, position + _HEADER.size)) >= 0:
        position = found - _HEADER.size
        if _record_at(data, position) is not None:
            return position
        position += 1
    return None


def _to_json(rollout: Rollout) -> dict[str, Json]:
    value = {
        "probe_id": rollout.key.probe_id,
        "sample_id": rollout.key.sample_id,
        "index": rollout.key.index,
        "generation": dict(zip(_GENERATION, _generation_values(rollout.generation), strict=True)),
        "grade": dict(zip(_GRADE, _grade_values(rollout.grade), strict=True)),
    }
    return value | {"order": rollout.order} if rollout.order else value


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
