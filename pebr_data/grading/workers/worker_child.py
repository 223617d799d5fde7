"""The far side of `worker.py`: a process that loads the libraries once and forks workers that answer requests.

`worker.WorkerPool` starts `python -m pebr_data.grading.workers.worker_child`, the nursery. It imports the function,
tries it on a few requests so that its caches are warm, then waits on a control socket: `FORK` comes with one end of a
socket pair and makes a worker that serves it; `KILL` and `REAP` kill a worker, `REAP` to read its status. The nursery
has one thread and never sees an answer, so forking it is safe, a fresh worker takes milliseconds, and no process id is
used again before it was reaped. When the parent is gone the control socket ends: the nursery kills its workers and
leaves.

A worker gives up, before the first request: memory beyond its limit, core dumps, files of any size, and by an audit
hook every way to write, delete, connect, start a process or load a library. Nothing in the requests is meant to reach
any of that; the hook is for what nobody thought of.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import resource
import select
import signal
import socket
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

CONTROL = struct.Struct("!ci")
"""A control message: the command and a process id (0 for `FORK`)."""
FORK, KILL, REAP = b"f", b"k", b"r"
STATUS = struct.Struct("!i")
"""The answer to a control message: the new worker's process id, the wait status of the reaped one, or 0."""
LENGTH = struct.Struct("!I")
"""What stands before every JSON text."""

CPU_SECONDS = 120
"""CPU time one request may take: a backstop for when the parent's own deadline does not act."""
REAP_SECONDS = 0.02
"""Time between two looks at workers that were killed: giving a gigabyte back takes the kernel a while."""
RECURSION_LIMIT = 5_000
"""Frames a worker may use: the parser takes about 25 for each level of nesting."""
_PR_SET_PDEATHSIG = 1
_ALLOWED_PREFIXES = (
    "array.",
    "compile",
    "exec",
    "import",
    "marshal.",
    "object.__",
    "code.__new__",
    "sys.",
    "gc.",
    "builtins.id",
)
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC

Function = Callable[[Any], Any]


def encode(value: object) -> bytes:
    """A JSON value as a frame: its length in four bytes, then the text in ASCII (lone surrogates survive)."""
    text = json.dumps(value, separators=(",", ":")).encode("ascii")
    return LENGTH.pack(len(text)) + text


def receive(channel: socket.socket, num_bytes: int) -> bytes | None:
    """Exactly that many bytes from a blocking socket, or None when it ended before."""
    data = bytearray()
    while len(data) < num_bytes:
        part = channel.recv(num_bytes - len(data))
        if not part:
            return None
        data += part
    return bytes(data)


def receive_value(channel: socket.socket) -> Any:
    """The JSON value of the next frame, or None when the socket ended."""
    head = receive(channel, LENGTH.size)
    text = None if head is None else receive(channel, LENGTH.unpack(head)[0])
    return None if text is None else json.loads(text)


def serve(channel: socket.socket, function: Function) -> None:
    """Answers lists of requests, one frame for each request, until the socket ends or memory ran out."""
    while (requests := receive_value(channel)) is not None:
        for request in requests:
            _limit_cpu()
            reply = _call(function, request)
            channel.sendall(encode(reply))
            if reply.get("failure") == "memory":
                return


def _call(function: Function, request: Any) -> dict[str, Any]:
    try:
        return {"value": function(request)}
    except MemoryError:
        return {"failure": "memory", "detail": "the memory limit was reached"}
    except BaseException as error:  # whatever the library raises is an answer, and the worker stays
        return {"failure": "error", "detail": f"{type(error).__name__}: {str(error)[:200]}"}


def _limit_cpu() -> None:
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = int(used.ru_utime + used.ru_stime) + CPU_SECONDS
    resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.RLIM_INFINITY))


def _address_space() -> int:
    """Bytes of address space this process has now."""
    return int(Path("/proc/self/statm").read_text("ascii").split()[0]) * resource.getpagesize()


def _give_up_rights(memory_bytes: int) -> None:
    """Leaves this process with CPU time, its memory limit and its socket."""
    with contextlib.suppress(OSError):
        memory_bytes += _address_space()
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    sys.setrecursionlimit(RECURSION_LIMIT)
    sys.addaudithook(_refuse)


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    """Refuses every audited action but running code that is loaded and reading the modules that are not yet."""
    if event == "open":
        _, mode, flags = arguments
        if not (isinstance(flags, int) and flags & _WRITING) and not (mode and set(str(mode)) & set("wax+")):
            return
    elif event == "resource.setrlimit":
        if arguments[0] == resource.RLIMIT_CPU:
            return
    elif event.startswith(_ALLOWED_PREFIXES) or event in ("os.listdir", "os.scandir"):
        return
    raise PermissionError(f"a grading worker may not: {event}")


def _die_with_parent(parent: int) -> None:
    """Has the kernel kill this process when the nursery ends; where it cannot, the closed socket does."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)


def _work(channel: socket.socket, function: Function, memory_bytes: int, parent: int) -> NoReturn:
    code = 1
    try:
        _die_with_parent(parent)
        _give_up_rights(memory_bytes)
        serve(channel, function)
        code = 0
    finally:
        os._exit(code)


def tend(control: socket.socket, function: Function, memory_bytes: int) -> None:
    """Forks and reaps workers as the control socket says, until it ends."""
    workers: set[int] = set()
    dying: set[int] = set()
    nursery = os.getpid()
    try:
        while True:
            while dying and not select.select([control], [], [], REAP_SECONDS)[0]:
                dying -= {pid for pid in dying if os.waitpid(pid, os.WNOHANG)[0]}
            message, descriptors, _, _ = socket.recv_fds(control, CONTROL.size, 1, socket.MSG_WAITALL)
            if len(message) < CONTROL.size:
                return
            command, pid = CONTROL.unpack(message)
            if command == FORK:
                channel = socket.socket(fileno=descriptors[0])
                pid = os.fork()
                if pid == 0:
                    control.close()
                    _work(channel, function, memory_bytes, nursery)
                channel.close()
                workers.add(pid)
                control.sendall(STATUS.pack(pid))
                continue
            status = 0
            if pid in workers:
                workers.remove(pid)
                os.kill(pid, signal.SIGKILL)
                if command == REAP:
                    status = os.waitpid(pid, 0)[1]
                else:
                    dying.add(pid)
            control.sendall(STATUS.pack(status))
    finally:
        for pid in workers:
            os.kill(pid, signal.SIGKILL)
        for pid in workers | dying:
            os.waitpid(pid, 0)


def main() -> None:
    """Serves the control socket whose descriptor the first argument gives; the second says what for, in JSON."""
    control = socket.socket(fileno=int(sys.argv[1]))
    order = json.loads(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        module, _, name = order["function"].partition(":")
        function: Function = getattr(importlib.import_module(module), name)
        for request in order["warm_up"]:
            function(request)
    except Exception as error:
        control.sendall(encode(f"{type(error).__name__}: {error}"))
        return
    gc.collect()
    gc.freeze()
    control.sendall(encode(""))
    tend(control, function, order["memory_bytes"])


if __name__ == "__main__":
    main()
