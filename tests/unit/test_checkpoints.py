from __future__ import annotations

from pathlib import Path

from pebr_train.checkpoints import Checkpoint, mark_complete, newest_complete


def checkpoint(directory: Path, step: int, *, complete: bool = True) -> Path:
    path = directory / f"checkpoint-{step}"
    path.mkdir(parents=True)
    (path / "model.safetensors").write_bytes(b"weights" * step)
    (path / "trainer_state.json").write_text("{}", encoding="utf-8")
    if complete:
        mark_complete(path)
    return path


def test_the_newest_whole_checkpoint_is_found_and_torn_ones_are_named(tmp_path: Path) -> None:
    checkpoint(tmp_path, 5)
    ten = checkpoint(tmp_path, 10)
    torn = checkpoint(tmp_path, 15, complete=False)

    assert newest_complete(tmp_path) == (Checkpoint(ten, 10), [torn])


def test_a_checkpoint_cut_short_after_its_marker_is_torn(tmp_path: Path) -> None:
    five, ten = checkpoint(tmp_path, 5), checkpoint(tmp_path, 10)
    (ten / "model.safetensors").write_bytes(b"weig")

    assert newest_complete(tmp_path) == (Checkpoint(five, 5), [ten])


def test_a_missing_file_or_a_broken_marker_makes_it_torn(tmp_path: Path) -> None:
    five, ten = checkpoint(tmp_path, 5), checkpoint(tmp_path, 10)
    (five / "trainer_state.json").unlink()
    (ten / "complete.json").write_text("{", encoding="utf-8")

    assert newest_complete(tmp_path) == (None, [ten, five])


def test_where_nothing_was_saved_there_is_nothing_to_resume(tmp_path: Path) -> None:
    assert newest_complete(tmp_path / "nowhere") == (None, [])


def test_steps_count_as_numbers(tmp_path: Path) -> None:
    checkpoint(tmp_path, 9)
    newest = checkpoint(tmp_path, 100)

    assert newest_complete(tmp_path)[0] == Checkpoint(newest, 100)
