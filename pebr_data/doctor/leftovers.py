"""What killed writes have left aside: files and directories that nothing refers to and nobody goes on with."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

MIN_AGE_SECONDS = 3600.0
"""A write that has been silent for so long is over, wherever its process runs or ran."""

_PATTERNS = (
    "images/??/.put-*",
    ".catalog.duckdb.*",  # made, restored or rebuilt
    ".catalog.lock.*",
    ".empty-*",
    "probes/.*.json.*",
    "probes/*/.*.json.*",
    "probes/*/spool/.*.bin.*",  # packed
    "backups/.*.partial-*",
    "backups/.[0-9]*Z.*",  # as an older pebr called them
    "exports/**/.*.partial-*",
)


def leftovers(store: Path) -> list[Path]:
    """Every one of them, by path; what was touched within `MIN_AGE_SECONDS` is left out, for it may be under way."""
    oldest_alive = time.time() - MIN_AGE_SECONDS
    found = {path for pattern in _PATTERNS for path in store.glob(pattern)}
    return sorted(path for path in found if _last_touched(path) < oldest_alive)


def remove(store: Path) -> Iterator[str]:
    """Removes them, and says how many there were.

    Raises:
        OSError: The disk refuses.
    """
    removed = 0
    for path in leftovers(store):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
        removed += 1
    if removed:
        yield f"removed {removed:,} leftovers of writes that were killed"


def _last_touched(path: Path) -> float:
    """When a file, or anything in a directory, last changed; seconds since 1970, infinity once it is gone."""
    paths = [path, *path.rglob("*")] if path.is_dir() and not path.is_symlink() else [path]
    try:
        return max(one.lstat().st_mtime for one in paths)
    except FileNotFoundError:
        return float("inf")
