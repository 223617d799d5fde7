"""One process that kills itself with SIGKILL, over and over: `python -m tests.crash_points ORDER.json`.

The engine is loaded once, but for Ray's; every probe runs in a fork of that process and dies at its point, the last one
does not. So twenty kills of a real engine take seconds. One more probe, of another store, is left alone from the
beginning.
"""

from __future__ import annotations

import importlib
import itertools
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pebr_data.catalog import rollouts
from pebr_data.catalog.store import Catalog
from pebr_data.engines.base import Engine, open_engine
from pebr_data.models import resolve_model, served_model
from pebr_data.probe import generate, keep, run, spool
from pebr_data.types import Fingerprint

SYNC_EVERY, MERGE_EVERY = 8, 24

POINTS: list[tuple[str, int]] = [
    ("made", 1),
    ("torn record", 1),
    ("appended", 1),
    ("acknowledged", 1),
    ("merging", 1),
    ("torn record", 2),
    ("made", 11),
    ("merged", 1),
    ("in the transaction", 1),
    ("acknowledged", 2),
    ("appended", 2),
    ("noted", 2),
    ("torn record", 3),
    ("merging", 2),
    ("made", 19),
    ("acknowledged", 3),
    ("in the transaction", 2),
    ("merged", 2),
    ("noted", 4),
    ("made", 30),
]
"""Where a probe dies, and at which time that it gets there."""


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def arm(point: str, at: int) -> None:
    """Has this process die when it gets to the point the `at`-th time."""
    passing = itertools.count(1)

    def before(act: Callable[..., Any]) -> Callable[..., Any]:
        def acting(*given: Any, **more: Any) -> Any:
            if next(passing) == at:
                die()
            return act(*given, **more)

        return acting

    def after(act: Callable[..., Any]) -> Callable[..., Any]:
        def acting(*given: Any, **more: Any) -> Any:
            done = act(*given, **more)
            if next(passing) == at:
                die()
            return done

        return acting

    def half(append: Callable[..., None]) -> Callable[..., None]:
        def appending(self: spool.SpoolWriter, made: list[Any]) -> None:
            append(self, made)
            if next(passing) == at:
                os.truncate(self.path, self.path.stat().st_size - 20)
                die()

        return appending

    places: dict[str, tuple[Any, str, Callable[..., Any]]] = {
        "made": (generate.Desk, "hand_in", before),
        "torn record": (spool.SpoolWriter, "append", half),
        "appended": (spool.SpoolWriter, "append", after),
        "acknowledged": (keep.Keeper, "acknowledge", after),
        "noted": (keep, "write_progress", before),
        "merging": (Catalog, "merge_rollouts", before),
        "in the transaction": (rollouts, "_write_grades", before),
        "merged": (Catalog, "merge_rollouts", after),
    }
    owner, name, wrap = places[point]
    setattr(owner, name, wrap(getattr(owner, name)))


def main() -> None:
    order = json.loads(Path(sys.argv[1]).read_text())
    policy = Fingerprint(**order["policy"])
    killed, whole, log = (Path(order[name]) for name in ("killed", "whole", "log"))
    name, options = order["engine"], order["options"]
    model = served_model(policy.model) if policy.engine == "server" else resolve_model("pebr-tiny")
    keep.SYNC_EVERY, keep.MERGE_EVERY = SYNC_EVERY, MERGE_EVERY
    # What a probe would import in every fork.
    for module in ("httpx", "tenacity") if name == "server" else ():
        importlib.import_module(module)

    def load() -> Engine:
        return open_engine(name, model, max_pixels=policy.max_pixels, **options)

    # A connection to a cluster does not outlive a fork: each probe makes its own.
    engine = None if name == "ray" else load()

    def probe(number: int, store: Path) -> None:
        def note(done: int, *_: object) -> None:
            if store == killed:
                with log.open("a") as out:
                    out.write(f"{number} {done}\n")

        with Catalog.open(store, read_only=True) as catalog:
            samples = catalog.samples(order["catalog"])
        run.run_probe(
            store, samples, policy, (lambda: engine) if engine is not None else load, num_rollouts=8, progress=note
        )

    for number, point in enumerate([*POINTS, None, None]):
        child = os.fork()
        if child == 0:
            try:
                if point is not None:
                    arm(*point)
                probe(number, killed if number <= len(POINTS) else whole)
                os._exit(0)
            except BaseException as error:
                print(f"{point}: {error!r}", file=sys.stderr, flush=True)
                os._exit(1)
        _, status = os.waitpid(child, 0)
        wanted = signal.SIGKILL if point is not None else 0
        if status != wanted:
            sys.exit(f"the probe that was to die at {point} ended with {status}")


if __name__ == "__main__":
    main()
