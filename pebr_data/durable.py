"""What is on disk stays there: fsync of a file that was written, or of a directory that got a new entry."""

from __future__ import annotations

import os
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
