"""Reading ahead: a thread takes the next few things from an iterator while the last ones are worked on."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Generic, Self, TypeVar

T = TypeVar("T")


class Ahead(Generic[T]):
    """An iterator over what a source gives; a context manager that ends the reading.

    Args:
        source: Read by another thread, until it ends or the block does.
        room: How much may be read and not yet taken; what is more by itself waits alone.
        weigh: What one thing takes of the room.
    """

    def __init__(self, source: Iterable[T], room: int, weigh: Callable[[T], int] = lambda _: 1) -> None:
        self._source = source
        self._room = room
        self._weigh = weigh
        self._read: deque[tuple[T, int]] = deque()
        self._held = 0
        self._ended = self._left = False
        self._failure: BaseException | None = None
        # Held for what is above; whoever waits for a change of it waits here.
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="ahead", daemon=True)

    def __iter__(self) -> Iterator[T]:
        while True:
            with self._changed:
                while not self._read and not self._ended:
                    self._changed.wait()
                if not self._read:
                    break
                one, weight = self._read.popleft()
                self._held -= weight
                self._changed.notify_all()
            yield one
        if self._failure is not None:
            raise self._failure

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._changed:
            self._left = True
            self._changed.notify_all()
        self._thread.join()

    def _work(self) -> None:
        try:
            for one in self._source:
                if not self._put(one, self._weigh(one)):
                    break
        except BaseException as error:  # it is raised where the things are taken
            self._failure = error
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _put(self, one: T, weight: int) -> bool:
        """Waits for room; false when nothing more is wanted."""
        with self._changed:
            while self._read and self._held + weight > self._room and not self._left:
                self._changed.wait()
            if self._left:
                return False
            self._read.append((one, weight))
            self._held += weight
            self._changed.notify_all()
        return True
