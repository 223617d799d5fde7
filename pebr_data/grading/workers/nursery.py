"""The process that workers are forked from, as its owner sees it: started when needed, replaced when it died."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from typing import Any

from pebr_data.errors import UnavailableError
from pebr_data.grading.workers.worker_child import CONTROL, FORK, KILL, REAP, STATUS, receive, receive_value

START_SECONDS = 120.0
"""Time to import the libraries and warm up: about three seconds, many times that on a crowded machine."""
CONTROL_SECONDS = 10.0
"""Time to fork or reap one worker: milliseconds, unless somebody stopped the process."""
_KEPT_VARIABLES = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PYTHONHOME", "TMPDIR")


class Nursery:
    """Starts the process of `worker_child.py` and asks it for workers; thread-safe.

    Args:
        function: `module:name` of the function the workers run.
        warm_up: Requests it is tried on before the first worker is forked.
        memory_bytes: Address space a worker may take on top of what it starts with.
    """

    def __init__(self, function: str, warm_up: Sequence[Any], memory_bytes: int) -> None:
        self._order = {"function": function, "warm_up": list(warm_up), "memory_bytes": memory_bytes}
        self._lock = threading.Lock()
        self._control: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def fork(self) -> tuple[socket.socket, int]:
        """A fresh worker: our end of its socket, and its process id.

        Raises:
            UnavailableError: The process cannot be started.
        """
        with self._lock:
            for _ in range(2):
                control = self._control or self._start()
                ours, theirs = socket.socketpair()
                answer = None
                with theirs, contextlib.suppress(OSError):
                    socket.send_fds(control, [CONTROL.pack(FORK, 0)], [theirs.fileno()])
                    answer = receive(control, STATUS.size)
                if answer is not None:
                    return ours, STATUS.unpack(answer)[0]
                ours.close()
                self._stop()
        raise UnavailableError("the grading workers keep dying as they start", help="look for memory or process limits")

    def end(self, pid: int, *, wait: bool = False) -> int | None:
        """Kills a worker; its wait status if one waits for it, unless it went with an earlier process."""
        with self._lock:
            if self._control is None:
                return None
            answer = None
            with contextlib.suppress(OSError):
                self._control.sendall(CONTROL.pack(REAP if wait else KILL, pid))
                answer = receive(self._control, STATUS.size)
            if answer is None:
                self._stop()
                return None
            return int(STATUS.unpack(answer)[0]) if wait else None

    def close(self) -> None:
        """Ends the process and its workers; the next `fork` starts another."""
        with self._lock:
            self._stop()

    def abandon(self) -> None:
        """Lets go of the process without ending it: it belongs to the process we were forked from."""
        self._lock = threading.Lock()
        if self._control is not None:
            self._control.close()
        if self._process is not None:
            self._process.returncode = 0
        self._control = self._process = None

    def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        self._control = ours
        command = [sys.executable, "-P", "-m", "pebr_data.grading.workers.worker_child"]
        try:
            with theirs:
                self._process = subprocess.Popen(
                    [*command, str(theirs.fileno()), json.dumps(self._order)],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    pass_fds=(theirs.fileno(),),
                    env=_environment(),
                    start_new_session=True,
                )
            ours.settimeout(START_SECONDS)
            problem = receive_value(ours)
        except OSError as error:
            problem = str(error)
        if problem != "":
            self._stop()
            raise UnavailableError(
                f"the grading workers do not start: {problem or 'their process ended'}",
                help="install pebr with its dependencies in the environment this runs in",
            )
        ours.settimeout(CONTROL_SECONDS)
        return ours

    def _stop(self) -> None:
        if self._control is not None:
            self._control.close()
        if self._process is not None:
            try:
                self._process.wait(1.0)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._control = self._process = None


def _environment() -> dict[str, str]:
    """What Python needs to find the same modules; no devices, one thread, the same hashes in every worker."""
    kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    path = os.pathsep.join(os.path.abspath(entry) for entry in sys.path)  # noqa: PTH100
    fixed = {"PYTHONPATH": path, "PYTHONHASHSEED": "0", "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    return kept | fixed
