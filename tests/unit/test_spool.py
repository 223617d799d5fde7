"""The spool: what was appended comes back, whatever happened to the end or the middle of a segment."""

from __future__ import annotations

import json
import struct
import zlib
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pebr_data.errors import StorageError
from pebr_data.probe.spool import SpoolWriter, read_segment, read_spool, segments
from pebr_data.types import Generation, Grade, Outcome, Rollout, RolloutKey


def rollout(index: int, completion: str = "### The final answer is: 3", error: str | None = None) -> Rollout:
    return Rollout(
        key=RolloutKey("0123456789abcdef", "fedcba9876543210", index),
        generation=Generation(
            completion=completion,
            num_tokens=7,
            finish_reason="stop" if error is None else "error",
            num_prompt_tokens=21,
            num_image_tokens=9,
            error=error,
        ),
        grade=Grade(Outcome.CORRECT if error is None else Outcome.ERROR, "3", "equal", "pebr-1"),
    )


def write(directory: Path, rollouts: list[Rollout]) -> Path:
    with SpoolWriter(directory) as spool:
        for one in rollouts:
            spool.append([one])
        spool.sync()
        return spool.path


@settings(max_examples=30)
@given(st.lists(st.text(), max_size=6))
def test_what_was_appended_comes_back_in_order(
    tmp_path_factory: pytest.TempPathFactory, completions: list[str]
) -> None:
    written = [rollout(index, text) for index, text in enumerate(completions)]
    segment = read_segment(write(tmp_path_factory.mktemp("spool"), written))
    assert segment.rollouts == tuple(written)
    assert (segment.torn_at, segment.damaged_at) == (None, ())


def test_an_error_keeps_its_message(tmp_path: Path) -> None:
    failed = rollout(0, "", error="ValueError: no")
    assert read_segment(write(tmp_path, [failed])).rollouts == (failed,)


def test_records_with_spaces_in_their_json_are_read(tmp_path: Path) -> None:
    """So the standard library writes it, and pebr did before it used msgspec."""
    written = [rollout(0), rollout(1, "\ud800 and ü"), rollout(2)]
    records = b""
    for one in written:
        value = asdict(one)
        payload = json.dumps({**value.pop("key"), "generation": value["generation"], "grade": value["grade"]}).encode()
        records += struct.pack("<II", len(payload), zlib.crc32(payload)) + payload
    segment = tmp_path / "000001.bin"
    segment.write_bytes(records)
    assert read_segment(segment).rollouts == tuple(written)
    segment.write_bytes(records[:20] + b"\xff" + records[21:])
    assert read_segment(segment).rollouts == tuple(written[1:])


def test_a_record_is_in_the_file_before_it_is_acknowledged(tmp_path: Path) -> None:
    with SpoolWriter(tmp_path) as spool:
        spool.append([rollout(0)])
        assert read_segment(spool.path).rollouts == (rollout(0),)


def test_each_writer_has_a_segment_of_its_own(tmp_path: Path) -> None:
    for index in range(3):
        write(tmp_path / "spool", [rollout(index)])
    assert [path.name for path in segments(tmp_path / "spool")] == ["000001.bin", "000002.bin", "000003.bin"]
    assert [one.key.index for segment in read_spool(tmp_path / "spool") for one in segment.rollouts] == [0, 1, 2]


def test_a_probe_without_a_spool_has_no_segments(tmp_path: Path) -> None:
    assert list(read_spool(tmp_path / "none")) == []


def test_a_segment_cut_anywhere_keeps_every_whole_record(tmp_path: Path) -> None:
    written = [rollout(index) for index in range(3)]
    path = write(tmp_path, written)
    whole = path.read_bytes()
    size = len(whole) // 3
    for length in {*range(0, len(whole), 7), size - 1, size, size + 1, size + 7, size + 8, size + 9}:
        path.write_bytes(whole[:length])
        segment = read_segment(path)
        assert segment.rollouts == tuple(written[: length // size])
        assert segment.torn_at == (length // size * size if length % size else None)
        assert segment.damaged_at == ()


@pytest.mark.parametrize("offset", [0, 4, 8, 30], ids=["length", "checksum", "start", "payload"])
def test_damage_in_the_middle_is_named_and_costs_only_its_record(tmp_path: Path, offset: int) -> None:
    path = write(tmp_path, [rollout(index) for index in range(4)])
    data = bytearray(path.read_bytes())
    second = len(data) // 4
    data[second + offset] ^= 0xFF
    path.write_bytes(data)
    segment = read_segment(path)
    assert [one.key.index for one in segment.rollouts] == [0, 2, 3]
    assert (segment.torn_at, segment.damaged_at) == (None, (second,))


def test_a_file_of_zeros_is_a_torn_end(tmp_path: Path) -> None:
    path = write(tmp_path, [rollout(0)])
    end = path.stat().st_size
    path.write_bytes(path.read_bytes() + bytes(500))
    segment = read_segment(path)
    assert (len(segment.rollouts), segment.torn_at) == (1, end)


def test_a_spool_that_cannot_be_made_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="could not be written"):
        SpoolWriter(tmp_path / "file" / "spool")
