"""Requests in tasks for actors: read ahead within bounds, and handed out again when an actor dies on one.

A task that an actor died on is done again as it is: machines fail. When the next actor dies on it too it is cut into
pieces, each of which may kill one more; what is a single sample by then is given up, so that one sample costs a few
actors at most and the others nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from pebr_data.engines.base import Request
from pebr_data.types import RolloutKey

TASK_ROLLOUTS = 512
"""Rollouts of a task at most, but one sample's in any case."""

TASK_PIXELS = 64_000_000
"""Image pixels of a task at most, but one sample's in any case: 192 MB as RGB."""

PIECES = 8
"""Into how many pieces a task is cut that killed two actors."""


@dataclass(frozen=True, slots=True)
class Task:
    """What an actor is given at a time.

    Attributes:
        requests: What to generate.
        deaths: How many actors died on it, or on the task that it was cut from.
    """

    requests: tuple[Request, ...]
    deaths: int = 0

    @property
    def keys(self) -> list[RolloutKey]:
        """Every rollout that it asks for."""
        return [key for request in self.requests for key in request.keys]


class Tasks:
    """The requests in tasks.

    Args:
        requests: Read as there is room: one task for each actor waits, no more.
        num_actors: How many actors share them.
    """

    def __init__(self, requests: Iterable[Request], num_actors: int) -> None:
        self._source = iter(requests)
        self._num_actors = num_actors
        self._waiting: deque[Request] = deque()
        self._rows = self._pixels = 0
        self._exhausted = False
        self._most = TASK_ROLLOUTS
        self._again: deque[Task] = deque()

    def read(self) -> bool:
        """Reads one request ahead; false when there is no room or nothing left."""
        full = self._rows >= self._num_actors * TASK_ROLLOUTS or self._pixels >= self._num_actors * TASK_PIXELS
        if self._exhausted or full:
            return False
        request = next(self._source, None)
        if request is None:
            self._exhausted = True
            # The last tasks are of one size, so that the actors end together.
            self._most = min(TASK_ROLLOUTS, -(-self._rows // self._num_actors))
            return False
        self._waiting.append(request)
        self._rows += len(request.keys)
        self._pixels += request.num_pixels
        return True

    def take(self) -> Task | None:
        """The next task; None when nothing is left, though a task under way may still come back."""
        if self._again:
            return self._again.popleft()
        while self.read():
            pass
        taken: list[Request] = []
        rows = pixels = 0
        while self._waiting:
            request = self._waiting[0]
            more_rows, more_pixels = len(request.keys), request.num_pixels
            if taken and (rows + more_rows > self._most or pixels + more_pixels > TASK_PIXELS):
                break
            taken.append(self._waiting.popleft())
            rows, pixels = rows + more_rows, pixels + more_pixels
        self._rows, self._pixels = self._rows - rows, self._pixels - pixels
        return Task(tuple(taken)) if taken else None

    def died(self, task: Task, owed: Collection[RolloutKey]) -> list[RolloutKey]:
        """Takes back what a dead actor left undone of a task; gives the rollouts that are given up.

        Args:
            task: What it had in hand.
            owed: The task's rollouts that it had not given yet.
        """
        left = [
            replace(request, keys=keys)
            for request in task.requests
            if (keys := tuple(key for key in request.keys if key in owed))
        ]
        deaths = task.deaths + 1
        if not left:
            return []
        if deaths == 1:
            self._again.append(Task(tuple(left), deaths))
        elif len(left) > 1:
            size = -(-len(left) // PIECES)
            self._again.extend(Task(tuple(left[at : at + size]), deaths) for at in range(0, len(left), size))
        else:
            return list(left[0].keys)
        return []
