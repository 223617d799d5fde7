"""Reading ahead: a thread takes the next few things from an iterator while the last ones are worked on."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Generic, Self, TypeVar

T = TypeVar("T")


class Ahead(Generic[T]):
    """An iterator over what a source gives; a context manager that ends the reading.

    Args:
        source: Read by another thread, until it ends or the block does.
        room: How many things may be read and not yet taken.
    """

    def __init__(self, source: Iterable[T], room: int) -> None:
        self._source = source
        self._read: queue.Queue[tuple[T] | BaseException | None] = queue.Queue(room)
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._work, name="ahead", daemon=True)

    def __iter__(self) -> Iterator[T]:
        while (given := self._read.get()) is not None:
            if isinstance(given, BaseException):
                raise given
            yield given[0]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._left.set()
        while self._thread.is_alive():
            # It may be waiting for room.
            while not self._read.empty():
                self._read.get_nowait()
            self._thread.join(0.01)

    def _work(self) -> None:
        end: BaseException | None = None
        try:
            for one in self._source:
                self._read.put((one,))
                if self._left.is_set():
                    return
        except BaseException as error:  # it is raised where the things are taken
            end = error
        self._read.put(end)
