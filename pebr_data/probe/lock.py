"""One run at a time for each part of a probe; neither other parts nor probes of other policies wait for it."""

from __future__ import annotations

import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pebr_data.errors import BusyError, StorageError
from pebr_data.probe.shard import WHOLE, Shard

GATE_SECONDS = 10.0
"""How long to wait for somebody who is only just taking a lock, which takes him a moment."""


@contextmanager
def probe_lock(directory: Path, shard: Shard = WHOLE) -> Iterator[None]:
    """Holds the probe's lock for the block. The system lets go of it when the process ends, however it ends.

    Shards of one count exclude only themselves. Shards of different counts overlap, so they exclude each other, and
    `WHOLE` is the one shard of count 1. Each shard has a lock file; who takes one looks at all others first, behind the
    file `lock`, so that two who begin at the same moment see each other.

    Args:
        directory: `store/probes/<probe_id>`; made when missing.
        shard: The part of the probe that is run.

    Raises:
        BusyError: Another run of this probe, on some of the same samples, is under way; the message names its process.
        StorageError: The disk refuses.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        gate = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            _pass(gate, directory)
            for path in sorted(directory.glob("lock-*-of-*")):
                if not path.name.endswith(f"-of-{shard.count}"):
                    os.close(_take(path, directory))
            handle = _take(directory / f"lock-{shard.stem}", directory)
        finally:
            os.close(gate)
    except OSError as error:
        raise StorageError(
            f"the probe's directory cannot be written: {error.strerror or error}",
            where=str(directory),
            help="name a writable directory with --store",
        ) from error
    try:
        yield
    finally:
        os.close(handle)


def held_shards(directory: Path) -> dict[str, str]:
    """The shards of a probe that are being run: their `stem`, and which process runs them."""
    found = {}
    for path in sorted(directory.glob("lock-*-of-*")):
        handle = os.open(path, os.O_RDONLY)
        try:
            # Shared: two who only look are not in each other's way.
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            found[path.name.removeprefix("lock-")] = _holder(handle)
        finally:
            os.close(handle)
    return found


def _pass(gate: int, directory: Path) -> None:
    deadline = time.monotonic() + GATE_SECONDS
    while True:
        try:
            return fcntl.flock(gate, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() > deadline:
                raise _busy("another process", directory) from error
            time.sleep(0.01)


def _take(path: Path, directory: Path) -> int:
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    deadline = time.monotonic() + 0.2
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError as error:
            # `held_shards` holds it for an instant, too.
            if time.monotonic() > deadline:
                holder = _holder(handle)
                os.close(handle)
                raise _busy(f"process {holder}", directory) from error
            time.sleep(0.01)
    os.ftruncate(handle, 0)
    os.pwrite(handle, f"{os.getpid()} on {socket.gethostname()}\n".encode(), 0)
    return handle


def _holder(handle: int) -> str:
    return os.pread(handle, 256, 0).decode("utf-8", "replace").strip() or "unknown"


def _busy(holder: str, directory: Path) -> BusyError:
    return BusyError(
        f"{holder} is running this probe",
        where=str(directory),
        help="wait for it to finish, then run the command again",
    )
