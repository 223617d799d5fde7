"""Tasks for actors: everything is handed out once, within bounds, and a sample that kills actors is found."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pebr_data.engines import tasks as module
from pebr_data.engines.base import Request
from pebr_data.engines.tasks import Tasks
from pebr_data.types import RolloutKey

IMAGE = Image.new("RGB", (8, 8))


def requests(num_keys: list[int]) -> list[Request]:
    return [
        Request([], (IMAGE,), tuple(RolloutKey("p", str(number), index) for index in range(count)))
        for number, count in enumerate(num_keys)
    ]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TASK_ROLLOUTS", 16)


@given(st.lists(st.integers(1, 20), max_size=60), st.integers(1, 4))
def test_every_rollout_is_handed_out_once_and_what_waits_is_bounded(counts: list[int], num_actors: int) -> None:
    read = 0

    def source() -> Iterator[Request]:
        nonlocal read
        for request in requests(counts):
            read += len(request.keys)
            yield request

    tasks = Tasks(source(), num_actors)
    given_out: list[RolloutKey] = []
    while (task := tasks.take()) is not None:
        assert len(task.keys) <= 16 or len(task.requests) == 1
        given_out += task.keys
        assert read - len(given_out) < 16 * num_actors + 20
    assert given_out == [key for request in requests(counts) for key in request.keys]


def test_the_last_tasks_are_shared_by_all_actors() -> None:
    tasks = Tasks(requests([4] * 6), num_actors=3)
    assert [len(task.keys) for _ in range(3) if (task := tasks.take()) is not None] == [8, 8, 8]


def test_images_bound_a_task_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TASK_PIXELS", 3 * 64)
    tasks = Tasks(requests([1] * 9), num_actors=1)
    sizes = []
    while (task := tasks.take()) is not None:
        sizes.append(len(task.requests))
    assert sizes == [3, 3, 3]


@given(st.integers(0, 15), st.integers(0, 2))
def test_a_sample_that_kills_actors_costs_a_few_and_takes_no_other_with_it(poison: int, num_given: int) -> None:
    tasks = Tasks(requests([1] * 32), num_actors=1)
    done: list[str] = []
    given_up: list[str] = []
    deaths = 0
    while (task := tasks.take()) is not None:
        names = [key.sample_id for key in task.keys]
        if str(poison) in names:
            deaths += 1
            # It had sent a few of them, but never the one it died on.
            sent = [name for name in names if name != str(poison)][:num_given]
            done += sent
            owed = [key for key in task.keys if key.sample_id not in sent]
            given_up += [key.sample_id for key in tasks.died(task, owed)]
        else:
            done += names
    assert given_up == [str(poison)]
    assert sorted([*done, *given_up], key=int) == [str(number) for number in range(32)]
    assert deaths <= 4
