"""The processes that a process has started, and waiting for their end."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

END_SECONDS = 120.0


def descendants(pid: int) -> set[int]:
    """Those that it has started, and those that these have."""
    found = {int(one) for path in Path(f"/proc/{pid}/task").glob("*/children") for one in path.read_text().split()}
    return found.union(*(descendants(one) for one in found))


def wait_for_end(pids: Iterable[int]) -> None:
    """Returns once none of them runs any more."""
    deadline = time.monotonic() + END_SECONDS
    while alive := [pid for pid in pids if is_running(pid)]:
        assert time.monotonic() < deadline, alive
        time.sleep(0.2)


def is_running(pid: int) -> bool:
    """Whether there is such a process and it has not ended; one that nobody has waited for has."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"
