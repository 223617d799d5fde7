"""A directory that appears whole: written aside, then moved into its place."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pebr_data.durable import sync


@contextmanager
def written_aside(target: Path) -> Iterator[Path]:
    """A fresh directory beside `target`, gone afterwards unless it was moved; so are those of dead processes."""
    target.parent.mkdir(parents=True, exist_ok=True)
    prefix = f".{target.name}.partial-"
    for left in target.parent.glob(f"{prefix}*"):
        if not _is_alive(left.name.removeprefix(prefix)):
            shutil.rmtree(left, ignore_errors=True)
    aside = target.parent / f"{prefix}{os.getpid()}"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    try:
        yield aside
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def move(aside: Path, target: Path) -> None:
    """Put the finished directory in place; what was there makes room."""
    for folder in (aside, *(path for path in aside.rglob("*") if path.is_dir())):
        sync(folder)
    if target.exists():
        old = aside.with_name(f"{aside.name}-old")
        target.rename(old)
        aside.rename(target)
        shutil.rmtree(old)
    else:
        aside.rename(target)
    sync(target.parent)


def _is_alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except (ValueError, PermissionError):
        return True
    return True
