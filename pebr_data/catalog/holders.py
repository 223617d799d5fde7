"""Who holds the catalog: a small file beside it for each process that has it open.

DuckDB's own lock decides who gets in; these files only say who that is. The file of a process that died is recognised
as stale (its number is gone, or belongs to a later process by now) and removed by whoever looks next.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shlex
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from pebr_data.durable import write_whole

LOCK = "catalog.lock."
"""The files' names begin so; the process and a random part follow."""

_MAX_COMMAND = 200


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that has, or had, the catalog open.

    Attributes:
        pid: The process.
        started: When it began, in the system's own ticks; tells it from a later process of the same number. None where
            the system does not say.
        host: The machine it runs on.
        command: Its command line, shortened.
        since: When it opened the catalog (UTC, ISO 8601).
        access: `writing` or `reading`.
    """

    pid: int
    started: int | None
    host: str
    command: str
    since: str
    access: str

    @property
    def is_stale(self) -> bool:
        """Whether the process is known to be gone; of another machine's that is never known."""
        if self.host != socket.gethostname():
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except OSError:
            pass
        return self.started is not None and _started(self.pid) not in (None, self.started)

    def __str__(self) -> str:
        where = "" if self.host == socket.gethostname() else f" on {self.host}"
        return f"process {self.pid}{where} ({self.command}, {self.access} since {self.since})"


@contextmanager
def held(store: Path, access: str) -> Iterator[None]:
    """Says, for the length of the block, that this process has the store's catalog open.

    It is a convenience: a disk that refuses is no reason to fail.
    """
    name = f"{LOCK}{os.getpid()}-{secrets.token_hex(4)}"
    path = store / name
    mine = Holder(
        pid=os.getpid(),
        started=_started(os.getpid()),
        host=socket.gethostname(),
        command=_command(),
        since=datetime.now(UTC).isoformat(timespec="seconds"),
        access=access,
    )
    with contextlib.suppress(OSError):
        write_whole(path, json.dumps(asdict(mine)) + "\n", is_durable=False)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            path.unlink()


def holders(store: Path) -> list[Holder]:
    """The processes that have the catalog open, longest first. Files of dead ones are removed on the way."""
    found = []
    for path in store.glob(f"{LOCK}*"):
        try:
            holder = Holder(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            # Just let go of, or not one of ours.
            continue
        if holder.is_stale:
            with contextlib.suppress(OSError):
                path.unlink()
        else:
            found.append(holder)
    return sorted(found, key=lambda holder: holder.since)


def _command() -> str:
    program = Path(sys.argv[0]).name if sys.argv and sys.argv[0] else "python"
    text = shlex.join([program, *sys.argv[1:]])
    return text if len(text) <= _MAX_COMMAND else f"{text[:_MAX_COMMAND]}…"


def _started(pid: int) -> int | None:
    """When a process began (clock ticks after boot), or None where there is no such process or no /proc."""
    try:
        # The name in parentheses may hold anything; what follows it is numbers.
        return int(
            Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[19]
        )
    except (OSError, ValueError, IndexError):
        return None
