"""Long-lived worker processes for work that may hang, eat memory or crash: a deadline, a limit, a hard kill.

    pool = WorkerPool("pebr_data.grading.workers.symbolic_child:compare")
    replies = pool.run([["1/2", "0.5"], ["x+1", "1+x"]])    # one Reply for each request, in order

Nothing here runs in the caller's process and nothing uses its signals, so `run` may be called from any thread, from
async code through `asyncio.to_thread`, in Ray and daemonic processes, and beside CUDA: the workers are forked by a
process of their own (`worker_child.py`), started with `exec`, that never shares the caller's memory, descriptors or
devices. It starts with the first request and ends with the interpreter; a process forked from the caller starts its
own.

Deadlines are wall-clock, for each request by itself: the time starts when the worker can begin it. A request that runs
out of time, of memory, or that its worker does not survive is tried once more, alone on a fresh worker with a longer
deadline; then its reply says which of these it was. So an answer takes at most the sum of the two deadlines, and a
request that was only unlucky (a loaded machine, a worker killed from outside) still gets its answer.
"""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from collections.abc import Sequence
from typing import Any, Self

from pebr_data.grading.workers.batch import Batch, Reply, Worker
from pebr_data.grading.workers.nursery import Nursery

DEADLINE_SECONDS = 2.0
"""Wall-clock time for one request: the slowest comparison worth having takes under half of it on a loaded core."""
RETRY_DEADLINE_SECONDS = 5.0
"""Wall-clock time for the second and last try, on a fresh worker."""
MEMORY_BYTES = 1 << 30
"""Address space a worker may take on top of what the libraries need: with them it stays under 1.2 GB."""
MAX_WORKERS = 4
"""Workers of a pool on a machine with at least as many cores: the probe's GPU, not the grading, sets the pace."""

_POOLS: weakref.WeakSet[WorkerPool] = weakref.WeakSet()


class WorkerPool:
    """Runs one function of JSON values on a few worker processes; thread-safe, started with the first request.

    Args:
        function: `module:name` of the function; the worker imports it.
        warm_up: Requests tried once before the first worker is forked, so that no worker starts cold.
        num_workers: Processes; one for each core the caller may use, up to `MAX_WORKERS`, if None.
        memory_bytes: Address space a worker may take on top of what it starts with.
        deadline_seconds: Wall-clock time for the first try of a request.
        retry_deadline_seconds: Wall-clock time for the second.
    """

    _idle: list[Worker]
    _workers: weakref.WeakSet[Worker]

    def __init__(
        self,
        function: str,
        *,
        warm_up: Sequence[Any] = (),
        num_workers: int | None = None,
        memory_bytes: int = MEMORY_BYTES,
        deadline_seconds: float = DEADLINE_SECONDS,
        retry_deadline_seconds: float = RETRY_DEADLINE_SECONDS,
    ) -> None:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        self._num_workers = num_workers or min(cores, MAX_WORKERS)
        self._deadlines = (deadline_seconds, retry_deadline_seconds)
        self._nursery = Nursery(function, warm_up, memory_bytes)
        self._forget()
        _POOLS.add(self)

    def run(self, requests: Sequence[Any]) -> list[Reply]:
        """One reply for each request, in order; the workers that are free share them.

        Args:
            requests: JSON values.

        Raises:
            UnavailableError: No worker process can be started.
        """
        if not requests:
            return []
        workers: list[Worker] = []
        try:
            self._borrow(workers, wait=True)
            while len(workers) < len(requests) and self._borrow(workers, wait=False):
                pass
            return Batch(requests, self._deadlines, self._replace).run(workers)
        finally:
            self._give_back(workers)

    def process_ids(self) -> list[int]:
        """The workers that wait for requests."""
        with self._free:
            return [worker.pid for worker in self._idle]

    def close(self) -> None:
        """Ends the processes; the next request starts them again."""
        with self._free:
            idle = self._idle
            self._idle = []
        for worker in idle:
            worker.channel.close()
        self._nursery.close()

    def abandon(self) -> None:
        """Forgets the workers of the process this one was forked from."""
        for worker in self._workers:
            worker.channel.close()
        self._nursery.abandon()
        self._forget()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _forget(self) -> None:
        """Starts over with no workers and a lock that nobody holds."""
        self._free = threading.Condition()
        self._idle = []
        self._workers = weakref.WeakSet()
        self._num_lent = 0

    def _borrow(self, workers: list[Worker], *, wait: bool) -> bool:
        """Adds a worker to a caller's; False when all are lent and the caller does not wait for one."""
        with self._free:
            if not wait and self._num_lent == self._num_workers:
                return False
            self._free.wait_for(lambda: self._num_lent < self._num_workers)
            self._num_lent += 1
            if self._idle:
                workers.append(self._idle.pop())
                return True
        try:
            workers.append(self._fork())
        except BaseException:
            with self._free:
                self._num_lent -= 1
                self._free.notify()
            raise
        return True

    def _give_back(self, workers: Sequence[Worker]) -> None:
        """Keeps the workers that are fit for the next caller and ends the others."""
        fit = [worker for worker in workers if worker.failure is None and not worker.at_hand]
        for worker in workers:
            if worker not in fit:
                self._end(worker)
        with self._free:
            self._idle += fit
            self._num_lent -= len(workers)
            self._free.notify(len(workers))

    def _fork(self) -> Worker:
        channel, pid = self._nursery.fork()
        channel.setblocking(False)
        worker = Worker(channel, pid)
        self._workers.add(worker)
        return worker

    def _end(self, worker: Worker) -> int | None:
        worker.channel.close()
        return self._nursery.end(worker.pid, wait=worker.failure == "crash")

    def _replace(self, worker: Worker) -> tuple[Worker, int | None]:
        """A fresh worker for one that is killed, and the wait status of that if it had died by itself."""
        status = self._end(worker)
        return self._fork(), status


def _close_all() -> None:
    for pool in list(_POOLS):
        pool.close()


def _abandon_all() -> None:
    for pool in list(_POOLS):
        pool.abandon()


atexit.register(_close_all)
os.register_at_fork(after_in_child=_abandon_all)
