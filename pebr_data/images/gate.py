"""The gate: every new image is decoded in a limited child process before anything else looks at it.

    for found in open_gate().examine([data, other]):     # ImageFacts, or a DataError that says why not

An image that crashes the child, takes too long or too much memory is refused with that as the reason; the next image
gets a fresh child. What the children may not do is in `worker`.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import os
import queue
import selectors
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import chain
from typing import IO

from pebr_data.errors import DataError, StorageError
from pebr_data.images import worker
from pebr_data.images.decode import MAX_BYTES, too_large
from pebr_data.images.facts import ImageFacts

_CHUNK_IMAGES = 32
_CHUNK_BYTES = 4 * 2**20
"""What a child is handed at once: many small images cost one round trip, and no child waits for another's share."""

COMMAND = (sys.executable, "-P", "-m", worker.__name__)
"""Starts a child. -P: nothing is imported from the current directory."""

_PIPE_BYTES = 2**20
"""What lies ready for a child while it decodes, so that it seldom waits for this process."""

_START_SECONDS = 60.0
_READ_BYTES = 2**16
_CRASHED = "the decoder crashed on the image"


@lru_cache(maxsize=1)
def _gate_of(process_id: int) -> ImageGate:
    gate = ImageGate(num_workers=len(os.sched_getaffinity(0)))
    atexit.register(lambda: gate.close() if os.getpid() == process_id else None)
    return gate


def open_gate() -> ImageGate:
    """This process's gate, one child to a usable core; children start when asked and end when they are idle."""
    return _gate_of(os.getpid())


class ImageGate:
    """A pool of limited children. Its methods may be called from several threads.

    Args:
        num_workers: How many children decode at the same time.
        deadline_seconds: Wall-clock time that one image gets.
    """

    def __init__(self, num_workers: int, *, deadline_seconds: float = worker.DEADLINE_SECONDS) -> None:
        self._idle: queue.LifoQueue[_Child] = queue.LifoQueue()
        for _ in range(num_workers):
            self._idle.put(_Child(deadline_seconds))
        self._threads = ThreadPoolExecutor(max_workers=num_workers, thread_name_prefix="image-gate")

    def examine(self, images: Sequence[bytes]) -> list[ImageFacts | DataError]:
        """The facts of each encoded image, or why no model can be shown it, in order.

        Raises:
            StorageError: No child process can be started.
        """
        small = [data for data in images if len(data) <= MAX_BYTES]
        answers = chain.from_iterable(self._threads.map(self._examine_chunk, _chunks(small)))
        return [next(answers) if len(data) <= MAX_BYTES else too_large(data) for data in images]

    def close(self) -> None:
        """End the children; the gate cannot be used afterwards."""
        self._threads.shutdown()
        while not self._idle.empty():
            self._idle.get().end()

    def _examine_chunk(self, images: Sequence[bytes]) -> list[ImageFacts | DataError]:
        child = self._idle.get()
        try:
            return child.examine(images)
        finally:
            self._idle.put(child)


def _chunks(images: Sequence[bytes]) -> Iterator[list[bytes]]:
    chunk: list[bytes] = []
    num_bytes = 0
    for data in images:
        if chunk and (len(chunk) == _CHUNK_IMAGES or num_bytes + len(data) > _CHUNK_BYTES):
            yield chunk
            chunk, num_bytes = [], 0
        chunk.append(data)
        num_bytes += len(data)
    if chunk:
        yield chunk


class _Crash(Exception):
    """The child ended without an answer to the image it was at."""


class _Blocked(Exception):
    """The child was still at one image when its time was over."""


class _Child:
    """One child process, started when it is needed."""

    def __init__(self, deadline_seconds: float) -> None:
        self._deadline_seconds = deadline_seconds
        self._process: subprocess.Popen[bytes] | None = None

    def examine(self, images: Sequence[bytes]) -> list[ImageFacts | DataError]:
        """As `ImageGate.examine`, one image after the other."""
        found: list[ImageFacts | DataError] = []
        suspect = -1
        while len(found) < len(images):
            at = len(found)
            try:
                # An image at which the child ended is tried once more by itself: the system may have killed the child.
                for answer in self._ask(images[at : at + 1] if suspect == at else images[at:]):
                    found.append(answer)
            except _Blocked:
                self.end()
                found.append(DataError(f"decoding the image took more than {self._deadline_seconds:g} seconds"))
            except _Crash:
                self.end()
                if suspect == len(found):
                    found.append(DataError(_CRASHED))
                suspect = len(found)
        return found

    def end(self) -> None:
        """Kill the process, if there is one."""
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()
        self._process = None

    def _ask(self, images: Sequence[bytes]) -> Iterator[ImageFacts | DataError]:
        """The answers as they come; an image that the child has not taken yet is written while its answers are read."""
        process = self._running()
        assert process.stdin is not None and process.stdout is not None
        outgoing = memoryview(b"".join(part for data in images for part in (worker.HEADER.pack(len(data)), data)))
        incoming = bytearray()
        num_answers = 0
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            selector.register(process.stdin, selectors.EVENT_WRITE)
            deadline = time.monotonic() + self._deadline_seconds
            while num_answers < len(images):
                ready = {key.fileobj for key, _ in selector.select(max(0.0, deadline - time.monotonic()))}
                if process.stdout in ready:
                    incoming += _read(process.stdout)
                    *lines, rest = incoming.split(b"\n")
                    incoming = bytearray(rest)
                    for line in lines:
                        num_answers += 1
                        deadline = time.monotonic() + self._deadline_seconds
                        yield _facts(bytes(line))
                elif time.monotonic() >= deadline:
                    raise _Blocked
                if process.stdin in ready:
                    outgoing = outgoing[_write(process.stdin, outgoing) :]
                    if not outgoing:
                        selector.unregister(process.stdin)

    def _running(self) -> subprocess.Popen[bytes]:
        """The process, ready for images.

        Raises:
            StorageError: It does not start.
        """
        if self._process is not None and self._process.poll() is None:
            return self._process
        self.end()
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
            "MALLOC_ARENA_MAX": "1",
        }
        self._process = process = subprocess.Popen(
            COMMAND,
            bufsize=0, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment,
        )  # fmt: skip
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            started = bool(selector.select(_START_SECONDS)) and _first(process.stdout) == worker.READY
        if not started:
            process.kill()
            said = process.stderr.read().decode(errors="replace").strip().rpartition("\n")[2]
            self.end()
            raise StorageError(
                f"the process that checks images does not start: {said or 'it says nothing'}",
                help=f"try it by hand: {shlex.join(COMMAND)} </dev/null",
            )
        os.set_blocking(process.stdin.fileno(), False)
        with contextlib.suppress(OSError):  # more than the system allows one user: it works with less
            fcntl.fcntl(process.stdin.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        return process


def _first(pipe: IO[bytes]) -> bytes:
    return os.read(pipe.fileno(), len(worker.READY))


def _read(pipe: IO[bytes]) -> bytes:
    data = os.read(pipe.fileno(), _READ_BYTES)
    if not data:
        raise _Crash
    return data


def _write(pipe: IO[bytes], data: memoryview) -> int:
    try:
        return os.write(pipe.fileno(), data)
    except BlockingIOError:
        return 0
    except BrokenPipeError as error:
        raise _Crash from error


def _facts(line: bytes) -> ImageFacts | DataError:
    try:
        return worker.facts_from(line)
    except ValueError as error:
        raise _Crash from error
