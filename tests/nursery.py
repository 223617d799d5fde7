"""Processes that are forked from one which has imported everything: importing would take longer than their work.

Each runs some code as `python -c` would, in a process of its own, and ends as that would.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MESSAGE_SIZE = 2**16

# For each message it forks a process that forks another, which does the work, and tells how that has ended.
NURSERY = """
import json, os, signal, socket, sys
import pebr_data.catalog.ingest, pebr_data.cli, pebr_data.doctor.repair, pebr_data.probe.run, tests.probed_store

def next_work(orders):
    while True:
        message, places, _, _ = socket.recv_fds(orders, int(sys.argv[2]), 3)
        if not message:
            sys.exit()
        watcher = os.fork()
        if watcher == 0:
            *streams, told = places
            child = os.fork()
            if child == 0:
                orders.close()
                os.close(told)
                for number, stream in enumerate([os.open(os.devnull, os.O_RDONLY), *streams]):
                    os.dup2(stream, number)
                    os.close(stream)
                return message
            for stream in streams:
                os.close(stream)
            os.write(told, f"{child}\\n".encode())
            os.write(told, f"{os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}\\n".encode())
            os._exit(0)
        for place in places:
            os.close(place)
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass

code, sys.argv[1:], environment = json.loads(next_work(socket.socket(fileno=int(sys.argv[1]))))
sys.argv[0] = "-c"
os.environ.update(environment)
exec(code, {"__name__": "__main__"})
"""


class Child:
    """A forked process; as much of `subprocess.Popen` as the tests need.

    Attributes:
        pid: Its id.
        returncode: What `Popen` would have; none before its end was waited for.
        stdout: What it prints.
        stderr: What it says.
    """

    def __init__(self, stdout: int, stderr: int, told: int) -> None:
        self.stdout, self.stderr, self._told = os.fdopen(stdout), os.fdopen(stderr), os.fdopen(told)
        self.pid = int(self._told.readline())
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Its exit code, none as long as it runs."""
        if self.returncode is None and select.select([self._told], [], [], 0)[0]:
            self.wait()
        return self.returncode

    def wait(self) -> int:
        if self.returncode is None:
            self.returncode = int(self._told.readline())
            self._told.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def communicate(self) -> tuple[str, str]:
        """The rest of what it prints and says, once it has ended."""
        with self.stdout, self.stderr, ThreadPoolExecutor(1) as reading:
            err = reading.submit(self.stderr.read)
            told = self.stdout.read(), err.result()
        self.wait()
        return told


@functools.cache
def _nursery() -> socket.socket:
    """Where orders go; the process that takes them ends with this one."""
    mine, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with its:
        process = subprocess.Popen(
            [sys.executable, "-c", NURSERY, str(its.fileno()), str(MESSAGE_SIZE)],
            cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, pass_fds=[its.fileno()],
        )  # fmt: skip

    def end() -> None:
        mine.close()
        process.wait()

    atexit.register(end)
    return mine


def start(code: str, *arguments: str, environment: Mapping[str, str] | None = None) -> Child:
    """Begins to run the code with these arguments and, beside what there is, this environment."""
    pipes = [os.pipe() for _ in range(3)]
    order = json.dumps([code, arguments, dict(environment or {})]).encode()
    assert len(order) <= MESSAGE_SIZE
    socket.send_fds(_nursery(), [order], [write for _, write in pipes])
    for _, write in pipes:
        os.close(write)
    return Child(*(read for read, _ in pipes))
