"""The engine `ray`: another engine in actors on a Ray cluster, or several of them on this machine, each with its GPUs.

The process that probes reads the images, hands out tasks and keeps what comes back; actors generate, and open neither
catalog nor store. Seeds come from the rollouts' keys, so which actor makes a rollout does not matter. What a dead actor
leaves undone is done by another one (`pebr_data.engines.tasks`).
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from pebr_data.engine_options import RayOptions, placed_options
from pebr_data.engines.actor import EngineActor, Place
from pebr_data.engines.base import Request, Sampling, failed
from pebr_data.engines.tasks import Task, Tasks
from pebr_data.errors import PebrError, UnavailableError
from pebr_data.models import ResolvedModel
from pebr_data.types import Generation, RolloutKey

START_SECONDS = 900.0
"""How long the first actor may take to find its place in the cluster and to load the model."""

MAX_DEATHS = 16
"""Actors that may die one after another without a single rollout in between."""

LOOK_EVERY_SECONDS = 0.2
"""How often `stop` is asked while nothing comes back."""

Done = tuple[RolloutKey, Generation]


@dataclass(slots=True, eq=False)
class _Actor:
    """An actor and what it is doing.

    Attributes:
        handle: Ray's.
        reply: What it will give next: its place, or the rollouts of a task. None while it has nothing to do.
        place: Where it runs, once it has loaded.
        task: What it has in hand.
        owed: The rollouts of that which it has not given yet.
    """

    handle: Any
    reply: Any
    place: Place | None = None
    task: Task | None = None
    owed: set[RolloutKey] = field(default_factory=set)


class RayEngine:
    """Actors on a cluster, one of which is ready.

    Args:
        model: The model that each loads; a directory must be the same on every machine.
        options: What they run, how many, and with what.
        max_pixels: No image of a request has more.

    Raises:
        UnavailableError: Ray is not installed, there is no cluster or no room in it, or no actor can load the model.
    """

    def __init__(self, model: ResolvedModel, options: RayOptions, max_pixels: int | None = None) -> None:
        try:
            import ray
        except ImportError as error:
            raise UnavailableError(
                f"the engine `ray` needs a package that is not installed: {error.name}", help="pip install 'pebr[ray]'"
            ) from error
        self._ray: Any = ray
        self.name: str = options.engine
        self._connect(options.address)
        total = self._ray.cluster_resources()
        num_gpus = options.num_gpus
        if num_gpus is None:
            wanted = {"transformers": 1, "vllm": getattr(options, "tensor_parallel_size", 1), "server": 0}
            num_gpus = wanted[options.engine] if total.get("GPU") else 0
        self._resources = {"num_cpus": options.num_cpus, "num_gpus": num_gpus}
        self._arguments = (options.engine, model, max_pixels, placed_options(options))
        num_actors = options.num_actors or max(1, sum(self._room(node) for node in self._ray.nodes()))
        self._deaths = 0
        self.actors = [self._start() for _ in range(num_actors)]
        self._wait_for_one()

    def _connect(self, address: str | None) -> None:
        if self._ray.is_initialized():
            return
        # Probing tells nobody that it does.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        try:
            with warnings.catch_warnings(), _own_sigterm():
                warnings.simplefilter("ignore")
                # What actors print is for no one: stdout is ours, and their errors come back.
                self._ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        except Exception as error:  # the boundary around Ray, which raises bare exceptions as it starts
            raise UnavailableError(
                f"there is no Ray cluster: {' '.join(str(error).split())[:300]}",
                where=f"address {address or os.environ.get('RAY_ADDRESS', 'of this machine')}",
                help="start one with `ray start --head`, or set `address` in `probe.engine_options`",
            ) from error

    def _room(self, node: dict[str, Any]) -> int:
        """How many actors fit on a machine of the cluster."""
        has = node.get("Resources", {}) if node.get("Alive") else {}
        asked = {"CPU": self._resources["num_cpus"], "GPU": self._resources["num_gpus"]}
        return min((int(has.get(kind, 0) // number) for kind, number in asked.items() if number), default=1)

    def _start(self) -> _Actor:
        handle = self._ray.remote(EngineActor).options(max_restarts=0, **self._resources).remote(*self._arguments)
        return _Actor(handle, handle.load.remote())

    def _wait_for_one(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not any(actor.place for actor in self.actors):
            for actor in self._replied(LOOK_EVERY_SECONDS):
                self._loaded(actor)
            if time.monotonic() > deadline:
                raise UnavailableError(
                    f"no actor was ready after {START_SECONDS:.0f} s: each wants {self._resources}, "
                    f"and the cluster has {self._ray.cluster_resources()}",
                    help="ask for less with `num_cpus` and `num_gpus`, or add machines to the cluster",
                )

    def generate(
        self, requests: Iterable[Request], sampling: Sampling, *, stop: Callable[[], object] | None = None
    ) -> Iterator[Done]:
        """One generation for every key of every request, as actors send them; see `Engine.generate`.

        When `stop` is true the tasks in hand are still finished.
        """
        tasks = Tasks(requests, len(self.actors))
        stopped = False
        try:
            while True:
                stopped = stopped or bool(stop is not None and stop())
                left = not stopped and self._hand_out(tasks, sampling)
                if not left and not any(actor.task for actor in self.actors):
                    return
                # Reading images goes on while actors work.
                reading = not stopped and tasks.read()
                for actor in self._replied(0 if reading else LOOK_EVERY_SECONDS):
                    if actor.task is None:
                        self._loaded(actor)
                    else:
                        yield from self._advanced(actor, actor.task, tasks)
        finally:
            for actor in [one for one in self.actors if one.task is not None]:
                self._replace(actor)

    def _hand_out(self, tasks: Tasks, sampling: Sampling) -> bool:
        """Gives every actor that is ready and idle a task; whether some may be left."""
        ready = [actor for actor in self.actors if actor.place is not None and actor.task is None]
        for actor in ready:
            task = tasks.take()
            if task is None:
                return False
            actor.task, actor.owed = task, set(task.keys)
            remote = actor.handle.generate.options(num_returns="streaming")
            actor.reply = remote.remote(task.requests, sampling)
        return True

    def _replied(self, timeout: float) -> list[_Actor]:
        """The actors that have something for us, waiting for one of them."""
        waited_for = [actor for actor in self.actors if actor.reply is not None]
        if not waited_for:
            time.sleep(timeout)
            return []
        replies = [actor.reply for actor in waited_for]
        ready, _ = self._ray.wait(replies, num_returns=1, timeout=timeout, fetch_local=False)
        return [actor for actor in waited_for if any(actor.reply is one for one in ready)]

    def _loaded(self, actor: _Actor) -> None:
        try:
            actor.place = self._ray.get(actor.reply)
            actor.reply = None
        except self._ray.exceptions.RayTaskError as error:
            raise _cause(error) from None
        except self._ray.exceptions.RayError as error:
            self._count_death(error)
            self._replace(actor)

    def _advanced(self, actor: _Actor, task: Task, tasks: Tasks) -> Iterator[Done]:
        """What an actor gives next of its task."""
        try:
            reply = next(actor.reply, None)
            given = None if reply is None else self._ray.get(reply)
        except self._ray.exceptions.RayTaskError as error:
            raise _cause(error) from None
        except self._ray.exceptions.RayError as error:
            yield from self._died(actor, task, tasks, error)
            return
        if given is None:
            actor.task, actor.reply = None, None
        elif isinstance(given, PebrError):
            if self.name == "server":
                # What keeps one actor from the server keeps all of them.
                raise given
            yield from self._died(actor, task, tasks, given)
        else:
            self._deaths = 0 if given else self._deaths
            for key, generation in given:
                actor.owed.discard(key)
                yield key, generation

    def _died(self, actor: _Actor, task: Task, tasks: Tasks, error: Exception) -> Iterator[Done]:
        self._count_death(error)
        given_up = tasks.died(task, actor.owed)
        self._replace(actor)
        for key in given_up:
            yield key, failed(f"{task.deaths + 1} actors died on it; the last one: {_reason(error)}")

    def _count_death(self, error: Exception) -> None:
        self._deaths += 1
        if self._deaths > MAX_DEATHS:
            raise UnavailableError(
                f"{self._deaths} actors died one after another; the last one: {_reason(error)}",
                help="see Ray's logs of its workers; if memory ran out give each actor more, or a smaller batch",
            )

    def _replace(self, actor: _Actor) -> None:
        """Another actor in the place of one that is dead or not to be trusted."""
        self._ray.kill(actor.handle)
        self.actors[self.actors.index(actor)] = self._start()


@contextmanager
def _own_sigterm() -> Iterator[None]:
    """Ray has SIGTERM end the process as it connects; outside the block it does what it did before."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread() and before is not None:
            signal.signal(signal.SIGTERM, before)


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


def _cause(error: Any) -> Exception:
    """The exception that an actor's method raised, as itself where it is one for the user."""
    cause = getattr(error, "cause", None)
    return cause if isinstance(cause, PebrError) else error
