"""Generating: round by round, images read ahead of the engine and rollouts kept beside it."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

from pebr_data.engines.base import Engine, Request, Sampling
from pebr_data.errors import PebrError
from pebr_data.images import ImageStore
from pebr_data.probe.ahead import Ahead
from pebr_data.probe.desk import Desk
from pebr_data.probe.keep import Keeper
from pebr_data.probe.pace import Pace, write_pace
from pebr_data.probe.requests import OwedRequests
from pebr_data.probe.spool import SpoolWriter, pack_spool
from pebr_data.types import Sample

Stop = Callable[[], object]
"""Asked between batches; true ends the probe in good order. May return the signal that was received."""

PIXELS_AHEAD = 100_000_000
"""Of images that are read while the engine is busy with those before: 300 MB as RGB."""

REQUEST_PIXELS = 10_000
"""What a request counts as at least; most of what waits for a small image is not its pixels."""

GIVE_UP_AFTER = 512
"""Rollouts that all fail, and nothing but them, before the probe is given up."""


def generate_owed(engine: Engine, samples: Sequence[Sample], keeper: Keeper, stop: Stop) -> None:
    """Generates what the keeper's rounds ask for, and hands it to the desk as it comes.

    Args:
        engine: The policy's engine.
        samples: What is asked about, with the golds that the grading goes by.
        keeper: Where rollouts go, round by round.
        stop: Ends it after the batch in hand when it returns true.

    Raises:
        PebrError: The engine cannot go on, or the disk refuses; what was made is kept.
    """
    directory, fingerprint = keeper.directory, keeper.fingerprint
    sampling = Sampling(fingerprint.temperature, fingerprint.top_p, fingerprint.max_completion_length)
    images = ImageStore(keeper.store / "images")
    by_id = {sample.sample_id: sample for sample in samples}
    started = time.monotonic()
    keeper.started = time.time()
    keeper.tell()
    with SpoolWriter(directory / "spool") as spool, _old_objects_left_alone():
        try:
            with Desk(keeper, spool) as desk:
                for owed in keeper.rounds:
                    requests = OwedRequests(samples, owed, fingerprint, images)
                    with Ahead(requests, PIXELS_AHEAD, _weight) as ready:
                        for key, generation in engine.generate(ready, sampling, stop=stop):
                            desk.hand_in(key, generation, by_id[key.sample_id])
                            if _is_hopeless(keeper):
                                break
                    for key, generation in requests.failed:
                        desk.hand_in(key, generation, by_id[key.sample_id])
                    # The next round asks for what this one left open.
                    desk.clear()
                    if stop() or _is_hopeless(keeper):
                        break
        except BaseException:
            keeper.acknowledge(spool)
            with suppress(PebrError):
                keeper.merge(wait_seconds=2.0)
            raise
        keeper.acknowledge(spool)
        keeper.merge()
    num_good = keeper.num_generated - keeper.num_failed
    if num_good:
        write_pace(directory, Pace(num_good, keeper.num_tokens, time.monotonic() - started))
    pack_spool(directory / "spool")


@contextmanager
def _old_objects_left_alone() -> Iterator[None]:
    """Keeps the garbage collector from what is loaded by now.

    torch and transformers are 400,000 objects. Looking through them took half a second, each 8,000 rollouts or so, in
    which no engine that runs in this process goes on.
    """
    if gc.get_freeze_count():
        # Somebody else has seen to it, and would not have it undone.
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _weight(request: Request) -> int:
    return max(REQUEST_PIXELS, request.num_pixels)


def _is_hopeless(keeper: Keeper) -> bool:
    return keeper.num_generated >= GIVE_UP_AFTER and keeper.all_failed
