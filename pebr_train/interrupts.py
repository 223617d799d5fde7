"""SIGINT and SIGTERM while a run is under way: finish the step, save, and say how to go on.

with Interrupts(resume=command) as interrupts:
    ...                              # a signal here ends the run at once: everything but training is restartable
    with interrupts.deferred():
        train(stop=interrupts.stop_requested)      # a signal here is a wish; a second one ends the run at once
    interrupts.check()               # raises Interrupted when a signal came
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Self

from pebr_data.errors import Interrupted
from pebr_data.probe.stop import signals_to


class Interrupts:
    """Takes the two signals over while it is entered; outside the main thread it does nothing.

    Args:
        resume: The command that goes on with the run.
    """

    def __init__(self, resume: str) -> None:
        self.resume = resume
        self.received: signal.Signals | None = None
        self._deferred = False
        self._taken = signals_to(self._handle)

    def __enter__(self) -> Self:
        self._taken.__enter__()
        return self

    def __exit__(self, *raised: Any) -> None:
        self._taken.__exit__(*raised)

    def stop_requested(self) -> bool:
        """Whether a signal asked for an end."""
        return self.received is not None

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Inside, the first signal only sets `stop_requested`."""
        self._deferred = True
        try:
            yield
        finally:
            self._deferred = False

    def check(self) -> None:
        """End the run when a signal came.

        Raises:
            Interrupted: One did.
        """
        if self.received is not None:
            raise self.error(self.received)

    def error(self, number: signal.Signals) -> Interrupted:
        """The error that ends a run which got this signal."""
        return Interrupted(number, resume=self.resume)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        first, self.received = self.received is None, signal.Signals(number)
        if self._deferred and first:
            print("stopping after this step, with a checkpoint; once more stops at once", file=sys.stderr, flush=True)
            return
        raise self.error(self.received)
