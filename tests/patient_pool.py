"""Grading workers that are waited for, however slow the machine, but by a thread that is in a hurry."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pebr_data.grading.workers.worker import WorkerPool

PATIENCE = (120.0, 120.0)
"""Seconds for the two tries of a request that is to be answered."""


class PatientPool(WorkerPool):
    """A pool that gives every request `PATIENCE`, outside of `hurried`.

    Args:
        function: As for `WorkerPool`.
        options: As for `WorkerPool`.
    """

    def __init__(self, function: str, **options: Any) -> None:
        self._hurry = threading.local()
        super().__init__(function, **options)

    @contextmanager
    def hurried(self, first: float, second: float) -> Iterator[None]:
        """Inside the block this thread's requests have that many seconds: some are to come too late."""
        self._hurry.deadlines = first, second
        try:
            yield
        finally:
            del self._hurry.deadlines

    @property
    def _deadlines(self) -> tuple[float, float]:
        return getattr(self._hurry, "deadlines", PATIENCE)

    @_deadlines.setter
    def _deadlines(self, given: tuple[float, float]) -> None:
        """The pool's own deadlines are not wanted."""
