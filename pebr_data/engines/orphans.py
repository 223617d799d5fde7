"""Ends what an engine has started when the process that probes was killed, and could not end it itself.

vLLM's engine runs in a process of its own that waits for requests for ever: after a kill -9 of the probe it would keep
its GPU. `watch()` starts a small process that looks on from outside.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import Any

LOOK_EVERY_SECONDS = 1.0
GRACE_SECONDS = 10.0
"""How long a process may take to end by SIGTERM."""


def watch() -> None:
    """Has every process that this one starts, directly or not, ended soon after this one is gone.

    To be called before the first is started. Out of reach of this process's group, so that what is sent to the group
    does not end the watching.
    """
    subprocess.Popen(
        [sys.executable, "-P", "-m", __name__, str(os.getpid())],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def main(pid: int) -> None:
    """Look on until the parent, process `pid`, is gone; then end what it had started."""
    import psutil

    started: set[Any] = set()
    while True:
        try:
            seen = set(psutil.Process(pid).children(recursive=True))
        except psutil.NoSuchProcess:
            break
        # What was seen while it ended is nobody's child any more, and not all there was.
        if os.getppid() != pid:
            break
        started = seen
        time.sleep(LOOK_EVERY_SECONDS)
    # A process is known by its pid and the time that it began, so that none is taken for another.
    left = [one for one in started if one.pid != os.getpid() and one.is_running()]
    for number in (signal.SIGTERM, signal.SIGKILL):
        for one in left:
            try:
                one.send_signal(number)
            except psutil.NoSuchProcess:
                continue
        _, left = psutil.wait_procs(left, timeout=GRACE_SECONDS)


if __name__ == "__main__":
    main(int(sys.argv[1]))
