"""Packed segments: the same rollouts in less room, and never less than what was spooled."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pebr_data.errors import StorageError
from pebr_data.probe import packed, spool
from pebr_data.probe.spool import SpoolWriter, pack_spool, read_segment, read_spool, segments
from pebr_data.types import Generation, Grade, Outcome, Rollout, RolloutKey

PROBE = "0123456789abcdef"


def rollout(index: int, completion: str = "### The final answer is: 3", *, failed: bool = False) -> Rollout:
    generation = Generation(completion, 7, "stop", 21, 9)
    if failed:
        generation = Generation("", 0, "error", error="ValueError: no")
    grade = Grade(Outcome.ERROR if failed else Outcome.CORRECT, None if failed else "3", "equal", "pebr-1")
    return Rollout(RolloutKey(PROBE, "fedcba9876543210", index), generation, grade, (2, 0, 1) if index % 2 else ())


def write(directory: Path, rollouts: list[Rollout]) -> Path:
    with SpoolWriter(directory) as writer:
        writer.append(rollouts)
        writer.sync()
        return writer.path


def held(directory: Path) -> list[Rollout]:
    return [one for segment in read_spool(directory) for one in segment.rollouts]


@settings(max_examples=30)
@given(st.lists(st.text(), min_size=1, max_size=6))
def test_what_was_packed_comes_back_in_order(tmp_path_factory: pytest.TempPathFactory, completions: list[str]) -> None:
    directory = tmp_path_factory.mktemp("spool")
    written = [rollout(index, text, failed=not text) for index, text in enumerate(completions)]
    write(directory, written)
    pack_spool(directory)
    [path] = segments(directory)
    assert path.suffix == ".parquet"
    assert held(directory) == written


def test_segments_keep_their_order_and_numbers(tmp_path: Path) -> None:
    for index in range(2):
        write(tmp_path, [rollout(index)])
    pack_spool(tmp_path)
    before = segments(tmp_path)
    write(tmp_path, [rollout(2)])
    assert [path.name[:6] for path in segments(tmp_path)] == ["000001", "000002", "000003"]
    assert [one.key.index for one in held(tmp_path)] == [0, 1, 2]
    pack_spool(tmp_path)
    assert segments(tmp_path)[:2] == before
    assert [one.key.index for one in held(tmp_path)] == [0, 1, 2]
    assert not list(tmp_path.glob(".*"))


def test_packing_takes_a_fraction_of_the_room(tmp_path: Path) -> None:
    text = "### Image Description: a large red circle at center, a small blue square at top-left {}\n"
    path = write(tmp_path, [rollout(index, text.format(index) * 4) for index in range(1000)])
    size = path.stat().st_size
    pack_spool(tmp_path)
    assert segments(tmp_path)[0].stat().st_size < size / 8


def test_a_segment_whose_writer_lives_is_left_to_it(tmp_path: Path) -> None:
    with SpoolWriter(tmp_path) as writer:
        writer.append([rollout(0)])
        pack_spool(tmp_path)
        writer.append([rollout(1)])
        assert segments(tmp_path) == [writer.path]
    assert held(tmp_path) == [rollout(0), rollout(1)]
    pack_spool(tmp_path)
    assert writer.path not in segments(tmp_path)
    assert held(tmp_path) == [rollout(0), rollout(1)]


@pytest.mark.parametrize("harm", ["torn", "damaged", "empty"])
def test_a_segment_that_is_not_whole_stays_as_it_is(tmp_path: Path, harm: str) -> None:
    path = write(tmp_path, [rollout(0), rollout(1)])
    data = bytearray(path.read_bytes())
    data[20] ^= 0xFF
    path.write_bytes({"torn": path.read_bytes()[:-3], "damaged": bytes(data), "empty": b""}[harm])
    before = path.read_bytes()
    pack_spool(tmp_path)
    assert segments(tmp_path) == [path]
    assert path.read_bytes() == before


def test_a_segment_without_a_bound_stays_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, [rollout(index) for index in range(20)])
    monkeypatch.setattr(spool, "SEGMENT_BYTES", path.stat().st_size // 3)
    pack_spool(tmp_path)
    assert segments(tmp_path) == [path]


def test_half_a_character_stays_in_a_segment_that_can_hold_it(tmp_path: Path) -> None:
    written = [rollout(0, "\ud800"), rollout(2)]
    path = write(tmp_path, written)
    pack_spool(tmp_path)
    assert segments(tmp_path) == [path]
    assert held(tmp_path) == written


def test_a_packed_segment_with_another_byte_is_damaged_and_gives_nothing(tmp_path: Path) -> None:
    write(tmp_path, [rollout(index) for index in range(3)])
    pack_spool(tmp_path)
    [path] = segments(tmp_path)
    whole = path.read_bytes()
    for position in range(0, len(whole), 97):
        data = bytearray(whole)
        data[position] ^= 0xFF
        path.write_bytes(data)
        segment = read_segment(path)
        assert (segment.rollouts, segment.damaged_at) == ((), (0,))
    path.write_bytes(whole[:-1])
    assert read_segment(path).damaged_at == (0,)


@pytest.mark.parametrize("is_packed", [False, True])
def test_rollouts_that_are_not_wanted_are_left_out(tmp_path: Path, is_packed: bool) -> None:
    write(tmp_path, [rollout(index) for index in range(4)])
    if is_packed:
        pack_spool(tmp_path)
    [path] = segments(tmp_path)
    every = {("fedcba9876543210", index) for index in range(4)}
    assert read_segment(path, every).rollouts == ()
    assert read_segment(path, every - {("fedcba9876543210", 2)}).rollouts == (rollout(2),)
    assert [segment.damaged_at for segment in read_spool(tmp_path, every)] == [()]


def test_a_crash_between_packing_and_removing_costs_nothing(tmp_path: Path) -> None:
    path = write(tmp_path, [rollout(0), rollout(1)])
    whole = path.read_bytes()
    pack_spool(tmp_path)
    [made] = segments(tmp_path)
    path.write_bytes(whole)
    assert set(held(tmp_path)) == {rollout(0), rollout(1)}
    pack_spool(tmp_path)
    assert segments(tmp_path) == [made]


def test_a_disk_that_refuses_leaves_the_segment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, [rollout(0)])

    def full(aside: Path, data: bytes) -> None:
        aside.write_bytes(data[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(packed, "write_durably", full)
    pack_spool(tmp_path)
    assert list(tmp_path.iterdir()) == [path]


def test_a_segment_that_is_gone_is_a_storage_error(tmp_path: Path) -> None:
    path = write(tmp_path, [rollout(0)])
    path.unlink()
    with pytest.raises(StorageError, match="cannot be read"):
        read_segment(path)


def test_a_segment_that_is_packed_while_it_is_looked_for_is_found(tmp_path: Path) -> None:
    path = write(tmp_path, [rollout(0)])
    pack_spool(tmp_path)
    assert not path.exists()
    assert read_segment(path).rollouts == (rollout(0),)


def test_a_writer_begins_another_segment_when_one_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "SEGMENT_BYTES", 1000)
    with SpoolWriter(tmp_path) as writer:
        for index in range(20):
            writer.append([rollout(index)])
        writer.sync()
        assert len(segments(tmp_path)) > 3
        pack_spool(tmp_path)
        assert [path for path in segments(tmp_path) if path.suffix == ".bin"] == [writer.path]
    assert held(tmp_path) == [rollout(index) for index in range(20)]
