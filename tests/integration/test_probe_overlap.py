"""What goes on while an engine generates: rollouts are kept behind it, images are read ahead of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from pebr_data.catalog.store import Catalog
from pebr_data.engines.base import Request, Sampling
from pebr_data.errors import StorageError
from pebr_data.probe import spool
from pebr_data.probe.ahead import Ahead
from pebr_data.probe.desk import Desk
from pebr_data.probe.keep import Keeper, Made
from pebr_data.probe.run import run_probe
from pebr_data.types import Generation, RolloutKey, Sample
from tests.probed_store import fill, fingerprint

MADE = Generation("### The final answer is: 1", 9, "stop")
SAMPLE = Sample("s", "made", "train", "How many?", "1")


class Slow:
    """A keeper that keeps nothing before it is told to."""

    def __init__(self) -> None:
        self.may = threading.Event()
        self.kept: list[int] = []

    def keep(self, spool: Any, made: Iterable[Made]) -> None:
        assert self.may.wait(240)
        self.kept += [key.index for key, _, _ in made]


def hand_in(desk: Desk, index: int) -> None:
    desk.hand_in(RolloutKey("p", "s", index), MADE, SAMPLE)


def test_keeping_holds_up_nobody_and_everything_is_kept_in_order() -> None:
    keeper = Slow()
    with Desk(cast(Keeper, keeper), cast(Any, None)) as desk:
        for index in range(100):
            hand_in(desk, index)
        assert keeper.kept == []
        keeper.may.set()
        desk.clear()
        assert keeper.kept == list(range(100))
        hand_in(desk, 100)
    assert keeper.kept == list(range(101))


@pytest.mark.parametrize("how", ["hand_in", "clear", "leave"])
def test_what_keeps_it_from_keeping_is_raised_where_rollouts_come_from(how: str) -> None:
    class Full:
        def keep(self, spool: Any, made: Iterable[Made]) -> None:
            raise StorageError("the disk is full")

    with pytest.raises(StorageError, match="full"), Desk(cast(Keeper, Full()), cast(Any, None)) as desk:
        hand_in(desk, 0)
        while how == "hand_in":
            hand_in(desk, 1)
        if how == "clear":
            desk.clear()


def test_a_disk_that_fills_up_is_a_clean_stop_and_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[RolloutKey] = []

    class Scripted:
        name = "transformers"

        def generate(
            self, requests: Iterable[Request], sampling: Sampling, *, stop: Callable[[], object] | None = None
        ) -> Iterator[tuple[RolloutKey, Generation]]:
            for request in requests:
                for key in request.keys:
                    made.append(key)
                    yield key, MADE

    fill(tmp_path, {"train": 20})
    with Catalog.open(tmp_path, read_only=True) as catalog:
        samples = catalog.samples("small")
    run_probe(tmp_path, samples[:5], fingerprint(), Scripted, num_rollouts=8)
    full = Path("/dev/full")
    with monkeypatch.context() as patch:
        patch.setattr(spool, "_new_segment", lambda directory: (full, full.open("wb", buffering=0)))
        with pytest.raises(StorageError, match="No space left") as caught:
            run_probe(tmp_path, samples, fingerprint(), Scripted, num_rollouts=8)
    assert caught.value.exit_code == 74
    made.clear()
    assert run_probe(tmp_path, samples, fingerprint(), Scripted, num_rollouts=8).num_owed == 0
    assert len(made) == len(set(made)) == 15 * 8


def test_reading_ahead_changes_nothing_and_is_bounded() -> None:
    read: list[int] = []

    def source() -> Iterator[int]:
        for number in range(100):
            read.append(number)
            yield number

    with Ahead(source(), room=4) as ready:
        taken = []
        for number in ready:
            taken.append(number)
            assert len(read) <= len(taken) + 4 + 1
    assert taken == list(range(100))
    with Ahead(source(), room=4) as ready:
        assert next(iter(ready)) == 0
    assert len(read) <= 100 + 8


def test_large_things_take_more_of_the_room_and_one_too_large_waits_alone() -> None:
    read: list[int] = []

    def source() -> Iterator[int]:
        for weight in [1, 2, 2, 9, 1, 1]:
            read.append(weight)
            yield weight

    def come_to(count: int) -> bool:
        deadline = time.monotonic() + 5
        while len(read) < count and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(0.05)
        return len(read) == count

    with Ahead(source(), room=4, weigh=lambda weight: weight) as ready:
        assert come_to(3)  # 1 and 2 wait, and the second 2 for room
        things = iter(ready)
        assert next(things) == 1
        assert come_to(4)
        assert [next(things), next(things)] == [2, 2]
        assert come_to(5)
        assert list(things) == [9, 1, 1]


def test_what_breaks_in_reading_is_raised_where_it_is_taken() -> None:
    def source() -> Iterator[int]:
        yield 1
        raise ValueError("broken")

    with Ahead(source(), room=4) as ready, pytest.raises(ValueError, match="broken"):
        list(ready)
