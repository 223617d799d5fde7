"""Stopping a probe in good order: the first signal is a wish, the second one ends it at once."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def stop_on_signals() -> Iterator[Callable[[], signal.Signals | None]]:
    """Inside the block SIGINT and SIGTERM only set what the yielded function returns: the first signal that came.

    A second one raises KeyboardInterrupt. Outside the main thread, where signals cannot be taken, none ever comes.
    """
    received: list[signal.Signals] = []

    def handle(number: int, frame: FrameType | None) -> None:
        received.append(signal.Signals(number))
        if len(received) > 1:
            raise KeyboardInterrupt
        print("finishing the batch in hand; once more stops at once", file=sys.stderr, flush=True)

    with signals_to(handle):
        yield lambda: received[0] if received else None


@contextmanager
def signals_to(handle: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Inside the block `handle` gets SIGINT and SIGTERM; outside the main thread it gets none."""
    is_main = threading.current_thread() is threading.main_thread()
    before = {number: signal.signal(number, handle) for number in SIGNALS} if is_main else {}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
