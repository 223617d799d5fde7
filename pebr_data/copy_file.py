"""Copying a file in a process of its own: `python -m pebr_data.copy_file FROM TO` prints the copy's SHA-256.

The process that has the catalog open must not open its file once more, because closing that handle would drop DuckDB's
lock (POSIX). So it keeps the lock and lets a child do the reading.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

from pebr_data.errors import StorageError

_BLOCK = 2**22


def copy_in_child(source: Path, target: Path) -> str:
    """Copies a file durably and gives the SHA-256 (64 hex digits) of what was written.

    Raises:
        StorageError: The file cannot be read, or the disk refuses.
    """
    done = subprocess.run(
        [sys.executable, "-m", "pebr_data.copy_file", str(source), str(target)], capture_output=True, text=True
    )
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        raise StorageError(
            f"could not be copied: {reason[0]}", where=str(source), help="see to the disk, then try again"
        )
    return done.stdout.strip()


def copy_durably(source: Path, target: Path) -> str:
    """The same in this process, which must not have the file open in any other way."""
    digest = hashlib.sha256()
    with source.open("rb") as reading, target.open("xb") as writing:
        while block := reading.read(_BLOCK):
            digest.update(block)
            writing.write(block)
        writing.flush()
        os.fsync(writing.fileno())
    return digest.hexdigest()


if __name__ == "__main__":
    print(copy_durably(Path(sys.argv[1]), Path(sys.argv[2])))
