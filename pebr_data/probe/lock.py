"""One run at a time for each probe; probes of different policies do not wait for each other."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pebr_data.errors import BusyError, StorageError


@contextmanager
def probe_lock(directory: Path) -> Iterator[None]:
    """Holds the probe's lock for the block. The system lets go of it when the process ends, however it ends.

    Args:
        directory: `store/probes/<probe_id>`; made when missing.

    Raises:
        BusyError: Another run of this probe is under way; the message names its process.
        StorageError: The disk refuses.
    """
    path = directory / "lock"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise StorageError(
            f"the probe's directory cannot be written: {error.strerror or error}",
            where=str(directory),
            help="name a writable directory with --store",
        ) from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(handle, 32).decode("ascii", "replace").strip()
            raise BusyError(
                f"process {holder or 'unknown'} is running this probe",
                where=str(directory),
                help="wait for it to finish, then run the command again",
            ) from error
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode("ascii"), 0)
        yield
    finally:
        os.close(handle)
