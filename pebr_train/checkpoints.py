"""Which checkpoints are whole. TRL writes them file by file, so a kill can leave one torn.

A marker with every file's size is written last, after all files are durable. A checkpoint without its marker, or that
differs from it, is never resumed from.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from pebr_data.durable import sync
from pebr_train.rundir import write_json

MARKER = "complete.json"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A whole checkpoint and the optimizer steps it has behind it."""

    path: Path
    step: int


def mark_complete(checkpoint: Path) -> None:
    """Make every file of a checkpoint durable and record it as whole."""
    marker = checkpoint / MARKER
    marker.unlink(missing_ok=True)
    files = [path for path in sorted(checkpoint.rglob("*")) if path.is_file()]
    for path in files:
        sync(path)
    write_json(marker, {str(path.relative_to(checkpoint)): path.stat().st_size for path in files})


def newest_complete(directory: Path) -> tuple[Checkpoint | None, list[Path]]:
    """The whole checkpoint with the most steps, or None; and the torn ones, newest first."""
    found = sorted(_checkpoints(directory), key=lambda checkpoint: -checkpoint.step)
    whole = [checkpoint for checkpoint in found if is_complete(checkpoint.path)]
    torn = [checkpoint.path for checkpoint in found if checkpoint not in whole]
    return (whole[0] if whole else None), torn


def is_complete(checkpoint: Path) -> bool:
    """Whether the checkpoint has its marker and every file as the marker says."""
    try:
        sizes = json.loads((checkpoint / MARKER).read_text(encoding="utf-8"))
        return "trainer_state.json" in sizes and all(
            (checkpoint / name).stat().st_size == size for name, size in sizes.items()
        )
    except (OSError, ValueError):
        return False


def _checkpoints(directory: Path) -> list[Checkpoint]:
    if not directory.is_dir():
        return []
    numbered = ((path, path.name.removeprefix("checkpoint-")) for path in directory.glob("checkpoint-*"))
    return [Checkpoint(path, int(number)) for path, number in numbered if number.isdigit()]
