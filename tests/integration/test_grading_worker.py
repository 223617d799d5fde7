"""Worker processes: each request gets its reply or its reason in time, wherever it is asked from."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from pebr_data.errors import UnavailableError
from pebr_data.grading.workers.batch import Reply
from pebr_data.grading.workers.worker import WorkerPool
from tests.patient_pool import PatientPool

ODD = "tests.fixtures.odd_jobs:do"
SLACK = 60
"""Seconds an answer may take beyond its deadlines: to kill a worker and fork another, however slow the machine."""


@pytest.fixture(scope="module")
def pool() -> Iterator[PatientPool]:
    with PatientPool(ODD, num_workers=2) as pool:
        pool.run(["start"])
        yield pool


def value(reply: Reply) -> Any:
    assert reply.failure is None, reply.detail
    return reply.value[0]


def test_replies_come_in_the_order_of_the_requests_from_several_workers(pool: PatientPool) -> None:
    requests = list(range(500))
    replies = pool.run(requests)
    assert [value(reply) for reply in replies] == requests
    assert len({reply.value[1] for reply in replies}) == 2


def test_nothing_asked_is_nothing_started() -> None:
    with WorkerPool("no.such.module:function") as pool:
        assert pool.run([]) == []


def test_text_of_any_kind_arrives_unchanged(pool: PatientPool) -> None:
    texts = ["", "\x00", "\ud800", "\u202e", "\n{}", "x" * 3_000_000]
    assert [value(reply) for reply in pool.run(texts)] == texts


@pytest.mark.parametrize(
    ("request_", "failure"),
    [
        (["hang"], "timeout"),
        (["sleep", 60], "timeout"),
        (["allocate", 4 << 30], "memory"),
        (["exit", 3], "crash"),
        (["raise"], "error"),
    ],
)
def test_a_failure_is_told_apart_in_time_and_the_next_reply_is_right(
    pool: PatientPool, request_: list[Any], failure: str
) -> None:
    start = time.monotonic()
    with pool.hurried(0.3, 0.6) if failure == "timeout" else nullcontext():
        (reply,) = pool.run([request_])
    assert (reply.value, reply.failure) == (None, failure)
    assert reply.detail
    assert time.monotonic() - start < 0.3 + 0.6 + SLACK
    assert value(pool.run(["next"])[0]) == "next"


def test_what_hangs_in_a_batch_costs_its_neighbours_nothing(pool: PatientPool) -> None:
    requests = ["a", ["hang"], "b", ["exit", 1], *"cdefgh", ["raise"], "i"]
    with pool.hurried(0.5, 5.0):
        replies = pool.run(requests)
    assert [reply.failure for reply in replies] == [
        {"hang": "timeout", "exit": "crash", "raise": "error"}.get(request[0]) for request in requests
    ]
    assert [value(reply) for reply in replies if reply.failure is None] == list("abcdefghi")


def test_who_is_only_late_is_answered_at_the_second_try(pool: PatientPool) -> None:
    with pool.hurried(0.3, 60.0):
        assert value(pool.run([["sleep", 0.4]])[0]) == ["sleep", 0.4]


def test_a_worker_can_neither_disturb_the_replies_nor_write_nor_start_anything(
    pool: PatientPool, tmp_path: Path
) -> None:
    target = tmp_path / "written"
    printed, written, ran = pool.run([["print"], ["write", str(target)], ["run", f"touch {target}"]])
    assert value(printed) == ["print"]
    assert (written.failure, ran.failure) == ("error", "error")
    assert "PermissionError" in written.detail
    assert not target.exists()


def test_a_worker_sees_no_device_and_no_secret(pool: PatientPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_TOKEN", "secret")
    with PatientPool(ODD, num_workers=1) as fresh:
        (reply,) = fresh.run([["environment"]])
    assert reply.failure is None, reply.detail
    environment = reply.value
    assert environment["CUDA_VISIBLE_DEVICES"] == ""
    assert "SOME_TOKEN" not in environment


def test_eight_threads_at_once(pool: PatientPool) -> None:
    with ThreadPoolExecutor(8) as threads:
        batches = list(threads.map(lambda i: pool.run([[i, k] for k in range(50)]), range(8)))
    assert [[value(reply) for reply in batch] for batch in batches] == [[[i, k] for k in range(50)] for i in range(8)]


def test_from_async_code(pool: PatientPool) -> None:
    async def ask() -> list[list[Reply]]:
        return await asyncio.gather(*(asyncio.to_thread(pool.run, [i]) for i in range(8)))

    assert [value(reply) for (reply,) in asyncio.run(ask())] == list(range(8))


def test_workers_killed_from_outside_are_replaced(pool: PatientPool) -> None:
    pool.run(range(10))
    for pid in pool.process_ids():
        os.kill(pid, signal.SIGKILL)
    assert [value(reply) for reply in pool.run(range(10))] == list(range(10))


def test_a_function_that_cannot_be_imported_is_told_with_its_reason() -> None:
    with WorkerPool("no.such.module:function") as pool, pytest.raises(UnavailableError, match="No module named 'no'"):
        pool.run(["x"])
