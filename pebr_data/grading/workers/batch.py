"""Sharing a batch of requests among workers: each request has its deadline and, once, a second try."""

from __future__ import annotations

import json
import math
import os
import select
import signal
import socket
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pebr_data.grading.workers.worker_child import LENGTH, encode

PIPELINED_REQUESTS = 32
"""Requests a worker has at hand at most, so that it need not wait for its owner between two of them."""

Failure = Literal["timeout", "memory", "crash", "error"]
"""Why there is no value: out of time, out of memory, the process died, the function raised."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of one request: a value, or the failure and a sentence on it."""

    value: Any = None
    failure: Failure | None = None
    detail: str = ""


@dataclass(eq=False)
class Worker:
    """One worker process, with what is on its way to it and from it.

    Args:
        channel: Our end of its socket; not blocking.
        pid: Its process id.
    """

    channel: socket.socket
    pid: int
    at_hand: deque[int] = field(default_factory=deque)
    """The requests it was given and has not answered, by their place in the batch."""
    expires: float = 0.0
    """The monotonic time, in seconds, at which the first of them is out of time."""
    failure: Failure | None = None
    """What ended it, once that is known."""
    outbox: bytearray = field(default_factory=bytearray)
    inbox: bytearray = field(default_factory=bytearray)

    def give(self, requests: Sequence[Any], places: Sequence[int], deadline_seconds: float) -> None:
        """Hands it requests; the deadline is that of the first, if it has none at hand."""
        if not self.at_hand:
            self.expires = time.monotonic() + deadline_seconds
        self.at_hand.extend(places)
        self.outbox += encode([requests[place] for place in places])
        self.send()

    def send(self) -> None:
        """Sends what its socket takes now."""
        try:
            while self.outbox:
                del self.outbox[: self.channel.send(self.outbox)]
        except BlockingIOError:
            return
        except OSError:
            self.outbox.clear()
            self.failure = "crash"

    def receive(self) -> list[Any]:
        """The replies that have arrived whole."""
        try:
            part = self.channel.recv(1 << 16)
        except BlockingIOError:
            return []
        except OSError:
            part = b""
        if not part:
            self.failure = "crash"
        self.inbox += part
        replies = []
        while len(self.inbox) >= LENGTH.size:
            end = LENGTH.size + LENGTH.unpack_from(self.inbox)[0]
            if len(self.inbox) < end:
                break
            replies.append(json.loads(self.inbox[LENGTH.size : end]))
            del self.inbox[:end]
        return replies


class Batch:
    """The requests of one call and what has come of them.

    Args:
        requests: JSON values.
        deadlines: Seconds for the first and for the second try of a request.
        replace: Kills a worker and gives a fresh one, with the wait status of the old if that had died by itself.
    """

    def __init__(
        self,
        requests: Sequence[Any],
        deadlines: tuple[float, float],
        replace: Callable[[Worker], tuple[Worker, int | None]],
    ) -> None:
        self._requests = requests
        self._deadlines = deadlines
        self._replace = replace
        self._todo = deque(range(len(requests)))
        self._retried: set[int] = set()
        self._replies: dict[int, Reply] = {}

    def run(self, workers: list[Worker]) -> list[Reply]:
        """One reply for each request, in order; a worker that had to be killed is replaced in the list."""
        while True:
            for worker in workers:
                self._feed(worker, len(workers))
            busy = [worker for worker in workers if worker.at_hand]
            if not busy:
                return [self._replies[place] for place in range(len(self._requests))]
            _wait(busy)
            now = time.monotonic()
            for worker in busy:
                worker.send()
                for reply in worker.receive():
                    self._settle(worker, reply, now)
                if worker.at_hand and now >= worker.expires and worker.failure is None:
                    worker.failure = "timeout"
                if worker.failure is not None:
                    self._renew(workers, workers.index(worker))

    def _feed(self, worker: Worker, num_workers: int) -> None:
        """Tops a worker up with its share of what is left, unless it is at a second try."""
        if len(worker.at_hand) > PIPELINED_REQUESTS // 2 or (worker.at_hand and worker.at_hand[0] in self._retried):
            return
        num = min(math.ceil(len(self._todo) / num_workers), PIPELINED_REQUESTS - len(worker.at_hand))
        if num:
            worker.give(self._requests, [self._todo.popleft() for _ in range(num)], self._deadlines[0])

    def _settle(self, worker: Worker, reply: dict[str, Any], now: float) -> None:
        """Keeps a reply, and starts the clock of the next request; out of memory, a worker is of no more use."""
        if reply.get("failure") == "memory":
            worker.failure = "memory"
            return
        place = worker.at_hand.popleft()
        self._replies[place] = Reply(reply.get("value"), reply.get("failure"), reply.get("detail", ""))
        worker.expires = now + self._deadlines[0]

    def _renew(self, workers: list[Worker], index: int) -> None:
        """Puts a fresh worker in the place of a failed one and tries there what it was at, if that is not the end."""
        failed = workers[index]
        self._todo.extendleft(reversed(list(failed.at_hand)[1:]))
        workers[index], status = self._replace(failed)
        if not failed.at_hand:
            return
        place = failed.at_hand[0]
        if place not in self._retried:
            self._retried.add(place)
            workers[index].give(self._requests, [place], self._deadlines[1])
            return
        failure, detail = self._explain(failed.failure, status)
        self._replies[place] = Reply(None, failure, detail)

    def _explain(self, failure: Failure | None, status: int | None) -> tuple[Failure, str]:
        first, second = self._deadlines
        by_signal = status is not None and os.WIFSIGNALED(status) and signal.Signals(os.WTERMSIG(status))
        if failure == "timeout" or by_signal == signal.SIGXCPU:
            return "timeout", f"no verdict within {first:g} s, nor within {second:g} s on a fresh worker"
        if failure == "memory":
            return "memory", "the memory limit was reached twice"
        how = by_signal.name if by_signal else "unknown" if status is None else f"exit code {os.WEXITSTATUS(status)}"
        return "crash", f"the worker died twice ({how})"


def _wait(busy: Sequence[Worker]) -> None:
    """Returns when a socket can be used or the first deadline has passed."""
    poll = select.poll()
    for worker in busy:
        poll.register(worker.channel, select.POLLIN | (select.POLLOUT if worker.outbox else 0))
    left = min(worker.expires for worker in busy) - time.monotonic()
    poll.poll(max(0, math.ceil(1_000 * left)))
