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
