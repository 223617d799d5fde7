"""What runs inside a Ray actor: another engine, loaded there, that never sees the catalog."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pebr_data.engines.base import Engine, Request, Sampling, open_engine
from pebr_data.errors import PebrError, UnavailableError
from pebr_data.models import SHIPPED, ResolvedModel, resolve_model
from pebr_data.types import Generation, RolloutKey

CHUNK_ROLLOUTS = 64
"""Finished rollouts that are sent together; with a dead actor no more than these are lost, and those unfinished."""

CHUNK_SECONDS = 2.0
"""How long finished ones wait for more."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an actor runs."""

    pid: int
    node: str


class EngineActor:
    """An engine on some machine of the cluster.

    Args:
        name: The engine's name.
        model: The model, as the probe resolved it.
        max_pixels: As for `open_engine`.
        options: The engine's own.
    """

    def __init__(self, name: str, model: ResolvedModel, max_pixels: int | None, options: dict[str, Any]) -> None:
        self._opening = name, model, max_pixels, options
        self._engine: Engine | None = None

    def load(self) -> Place:
        """Loads the engine.

        Raises:
            PebrError: It cannot be loaded here, or the model that is here is another one.
        """
        name, model, max_pixels, options = self._opening
        node = platform.node()
        if model.is_local and name != "server":
            model = _found_here(model, node)
        self._engine = open_engine(name, model, max_pixels=max_pixels, **options)
        return Place(os.getpid(), node)

    def generate(
        self, requests: Sequence[Request], sampling: Sampling
    ) -> Iterator[list[tuple[RolloutKey, Generation]] | PebrError]:
        """One generation for every key of every request, some at a time, as they finish.

        An error that a user can mend is the last thing that it gives.
        """
        assert self._engine is not None
        chunk: list[tuple[RolloutKey, Generation]] = []
        sent = time.monotonic()
        try:
            for done in self._engine.generate(requests, sampling):
                chunk.append(done)
                if len(chunk) >= CHUNK_ROLLOUTS or time.monotonic() - sent > CHUNK_SECONDS:
                    yield chunk
                    chunk, sent = [], time.monotonic()
        except PebrError as error:
            yield chunk
            yield error
            return
        yield chunk


def _found_here(model: ResolvedModel, node: str) -> ResolvedModel:
    """The model on this machine.

    Raises:
        UnavailableError: It is not here, or its content is another.
    """
    found = resolve_model(model.name if model.name in SHIPPED else model.location)
    if found.revision != model.revision:
        raise UnavailableError(
            f"the model's content is not that of the machine which probes: {found.revision}, not {model.revision}",
            where=f"{found.location} on {node}",
            help="give every machine the same files, or put the model where all of them see it",
        )
    return found
