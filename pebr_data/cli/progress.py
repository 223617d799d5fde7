"""How far a long command is: a bar with rate and remaining time on a terminal, one plain line every 30 s elsewhere.

    with progress("probe", "rollouts") as update:
        update(1024, 20480)        # done, total; both may grow

Everything goes to stderr: stdout is for data.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, TextIO

PLAIN_INTERVAL_SECONDS = 30.0


class Update(Protocol):
    """Called with how much is done, out of how much (None: unknown), and a word on what is going on."""

    def __call__(self, done: int, total: int | None = None, note: str = "") -> None:
        """Say that `done` of `total` are finished."""


@contextmanager
def progress(
    title: str,
    unit: str,
    *,
    stream: TextIO | None = None,
    interval_seconds: float = PLAIN_INTERVAL_SECONDS,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Update]:
    """Show the progress of what runs inside, on `stream` (stderr by default).

    Args:
        title: What is being done, in a word.
        unit: What is counted, in the plural.
        stream: Where to write; a terminal gets a bar.
        interval_seconds: Time between two plain lines when `stream` is no terminal.
        clock: Seconds that only go up.
    """
    target = sys.stderr if stream is None else stream
    with (
        _bar(title, unit, target) if target.isatty() else _lines(title, unit, target, interval_seconds, clock) as update
    ):
        yield update


@contextmanager
def _bar(title: str, unit: str, stream: TextIO) -> Iterator[Update]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[unit]} {task.fields[rate]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    )
    with Progress(*columns, console=Console(file=stream), transient=True) as bar:
        task = bar.add_task(title, total=None, unit=unit, rate="", note="")
        pace = _Pace(time.monotonic)

        def update(done: int, total: int | None = None, note: str = "") -> None:
            pace.see(done)
            bar.update(task, completed=done, total=total, note=note, rate=pace.rate_text())

        yield update


@contextmanager
def _lines(
    title: str, unit: str, stream: TextIO, interval_seconds: float, clock: Callable[[], float]
) -> Iterator[Update]:
    pace = _Pace(clock)
    last = clock()

    def update(done: int, total: int | None = None, note: str = "") -> None:
        nonlocal last
        pace.see(done)
        if clock() - last < interval_seconds:
            return
        last = clock()
        count = f"{done:,}" if total is None else f"{done:,}/{total:,}"
        parts = [f"{title}: {count} {unit}", pace.rate_text(), pace.left_text(done, total), note]
        print(", ".join(part for part in parts if part), file=stream, flush=True)

    yield update


class _Pace:
    """The rate since the first count seen, so that what an earlier run did does not flatter it."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._start = clock()
        self._first: int | None = None
        self._rate = 0.0

    def see(self, done: int) -> None:
        if self._first is None:
            self._first = done
        elapsed = self._clock() - self._start
        self._rate = (done - self._first) / elapsed if elapsed > 0 else 0.0

    def rate_text(self) -> str:
        return "" if self._rate <= 0 else rate_text(self._rate)

    def left_text(self, done: int, total: int | None) -> str:
        if total is None or self._rate <= 0:
            return ""
        return f"{duration((total - done) / self._rate)} left"


def rate_text(rate: float) -> str:
    """A rate per second for people: `85/s`, `0.25/s`."""
    return f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.2g}/s"


def duration(seconds: float) -> str:
    """A time span for people: `42 s`, `3 min 09 s`, `2 h 05 min`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
