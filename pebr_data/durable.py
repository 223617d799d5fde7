"""What is on disk stays there, and is there whole: written aside, fsynced, then renamed.

Whatever is written aside begins with a dot and ends with its process, so that `doctor` finds what a crash has left.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def sync(path: Path) -> None:
    """Make a file's bytes, or a directory's entries, durable.

    Raises:
        OSError: There is no such path, or the disk refuses.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_whole(path: Path, text: str, *, is_durable: bool = True) -> None:
    """Write a file (UTF-8) so that it is there whole or not at all; its directory is made when missing.

    Args:
        path: The file; what it was is replaced.
        text: What it holds.
        is_durable: Whether it must outlive a power failure. What is only a convenience need not wait for the disk.

    Raises:
        OSError: The disk refuses; what was there is there still.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        aside.write_text(text, encoding="utf-8")
        if is_durable:
            sync(aside)
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
    if is_durable:
        sync(path.parent)


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


def write_durably(path: Path, data: bytes) -> None:
    """Make a new file of these bytes, which are on disk when this returns; its directory's entry is not.

    Raises:
        OSError: There is such a file, or the disk refuses.
    """
    with path.open("xb", buffering=0) as file:
        rest = memoryview(data)
        while rest:
            rest = rest[file.write(rest) :]
        os.fsync(file.fileno())
