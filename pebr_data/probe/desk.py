"""The desk where rollouts are handed in: they are graded, spooled and merged in a thread, while the engine goes on.

    with Desk(keeper, spool) as desk:
        desk.hand_in(key, generation, sample)
        desk.clear()                                # everything handed in has been kept

An answer that takes a grading worker seconds, an fsync or a merge does not make a GPU wait.
"""

from __future__ import annotations

import queue
import threading
from types import TracebackType
from typing import Self

from pebr_data.probe.keep import Keeper, Made
from pebr_data.probe.spool import SpoolWriter
from pebr_data.types import Generation, RolloutKey, Sample

MAX_WAITING = 2048
"""Rollouts that may wait to be kept; the engine waits when there are more."""


class Desk:
    """Keeps what is handed in, in order; a context manager that ends when everything is kept.

    Args:
        keeper: Grades and keeps; its figures may lag behind what was handed in.
        spool: Where rollouts go first.
    """

    def __init__(self, keeper: Keeper, spool: SpoolWriter) -> None:
        self._keeper = keeper
        self._spool = spool
        self._waiting: queue.Queue[Made | None] = queue.Queue(MAX_WAITING)
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._work, name="desk", daemon=True)

    def hand_in(self, key: RolloutKey, generation: Generation, sample: Sample) -> None:
        """Has a generation kept.

        Args:
            key: Which rollout it is.
            generation: What the policy made.
            sample: What it was asked, with the gold that the grading goes by.

        Raises:
            StorageError: The disk refused this one or one before.
        """
        if self._failure is not None:
            raise self._failure
        self._waiting.put((key, generation, sample))

    def clear(self) -> None:
        """Waits until everything that was handed in is kept.

        Raises:
            StorageError: The disk refused.
        """
        self._waiting.join()
        if self._failure is not None:
            raise self._failure

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._waiting.put(None)
        self._thread.join()
        if kind is None and self._failure is not None:
            raise self._failure

    def _work(self) -> None:
        going = True
        while going:
            taken = [self._waiting.get()]
            while not self._waiting.empty():
                taken.append(self._waiting.get())
            going = None not in taken
            try:
                if self._failure is None:
                    self._keeper.keep(self._spool, [one for one in taken if one is not None])
            except Exception as error:  # it is raised where the rollouts come from
                self._failure = error
            for _ in taken:
                self._waiting.task_done()
