"""The desk where rollouts are handed in: they are graded, spooled and merged in a thread, while the engine goes on.

    with Desk(keeper, spool) as desk:
        desk.hand_in(key, generation, sample)
        desk.clear()                                # everything handed in has been kept

An answer that takes a grading worker seconds, an fsync or a merge does not make a GPU wait.
"""

from __future__ import annotations

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
        self._waiting: list[Made] = []
        self._in_hand = 0
        self._closing = False
        self._failure: Exception | None = None
        # Held for what is above; whoever waits for a change of it waits here.
        self._changed = threading.Condition()
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
        with self._changed:
            while len(self._waiting) >= MAX_WAITING:
                self._changed.wait()
            if self._failure is not None:
                raise self._failure
            self._waiting.append((key, generation, sample))
            if len(self._waiting) == 1:
                self._changed.notify_all()

    def clear(self) -> None:
        """Waits until everything that was handed in is kept.

        Raises:
            StorageError: The disk refused.
        """
        with self._changed:
            while self._waiting or self._in_hand:
                self._changed.wait()
        if self._failure is not None:
            raise self._failure

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join()
        if kind is None and self._failure is not None:
            raise self._failure

    def _work(self) -> None:
        while taken := self._take():
            try:
                if self._failure is None:
                    self._keeper.keep(self._spool, taken)
            except Exception as error:  # it is raised where the rollouts come from
                self._failure = error

    def _take(self) -> list[Made]:
        """What waits, all of it; nothing when nothing will come any more. What was taken before is done with."""
        with self._changed:
            self._in_hand = 0
            self._changed.notify_all()
            while not self._waiting and not self._closing:
                self._changed.wait()
            taken, self._waiting = self._waiting, []
            self._in_hand = len(taken)
            self._changed.notify_all()
        return taken
