"""The checksums of the catalog file's blocks, those of indexes included, which no query reads as a whole.

A DuckDB file is three headers of 4 KiB, then blocks of 256 KiB. Each begins with a checksum of the rest: 5381, and for
every 64-bit word, xor-ed to it, the word times a constant. A file whose headers do not check out that way is of another
version and passes: reading all its rows remains.

Read in a child process, `python -m pebr_data.catalog.blocks FILE`: closing another handle on the file would drop
the lock of a process that has it open (POSIX).
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from pebr_data.errors import StorageError

_HEADER_BYTES = 4096
_BLOCK_BYTES = 2**18
_FACTOR = np.uint64(0xBF58476D1CE4E5B9)


def damaged_blocks(path: Path) -> list[int]:
    """Where the blocks that differ from their checksum begin, in bytes.

    Raises:
        StorageError: The file cannot be read.
    """
    done = subprocess.run([sys.executable, "-m", "pebr_data.catalog.blocks", str(path)], capture_output=True, text=True)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise StorageError(f"the file cannot be read: {reason}", where=str(path), help="see to the disk")
    return [int(position) for position in json.loads(done.stdout)]


def _scan(path: Path) -> list[int]:
    damaged = []
    with path.open("rb") as file:
        if not all(_is_whole(file.read(_HEADER_BYTES)) for _ in range(3)):
            return []
        position = 3 * _HEADER_BYTES
        while len(block := file.read(_BLOCK_BYTES)) == _BLOCK_BYTES:
            if not _is_whole(block):
                damaged.append(position)
            position += _BLOCK_BYTES
    return damaged


def _is_whole(block: bytes) -> bool:
    if len(block) < 16:
        return False
    words = np.frombuffer(block, dtype="<u8")
    return int(words[0]) == int(np.bitwise_xor.reduce(words[1:] * _FACTOR)) ^ 5381


if __name__ == "__main__":
    print(json.dumps(_scan(Path(sys.argv[1]))))
