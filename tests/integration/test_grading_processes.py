"""Grading workers among processes: forked, daemonic, killed, and gone when their owner is."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pebr_data.grading.workers.batch import Reply
from tests.patient_pool import PatientPool

ODD = "tests.fixtures.odd_jobs:do"


@pytest.fixture(scope="module")
def pool() -> Iterator[PatientPool]:
    with PatientPool(ODD, num_workers=2) as pool:
        pool.run(["start"])
        yield pool


def value(reply: Reply) -> Any:
    assert reply.failure is None, reply.detail
    return reply.value[0]


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_in_a_daemonic_child_process(method: str) -> None:
    with multiprocessing.get_context(method).Pool(1) as children:
        assert children.apply(_ask_in_child, (ODD,)) == ["child", None]


def _ask_in_child(function: str) -> list[Any]:
    assert multiprocessing.current_process().daemon
    with PatientPool(function, num_workers=1) as pool:
        answered = pool.run(["child"])[0].value[0]
        with pool.hurried(0.1, 0.1):
            return [answered, pool.run([["hang"]])[0].value]


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_starts_its_own_workers_and_leaves_ours_alone(pool: PatientPool) -> None:
    pool.run(range(10))
    ours = set(pool.process_ids())
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            reply = pool.run(["child"])[0]
            os.write(writer, b"right" if value(reply) == "child" and reply.value[1] not in ours else b"wrong")
            pool.close()
            os._exit(0)
        finally:
            os._exit(1)
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        assert file.read() == b"right"
    assert os.waitpid(child, 0)[1] == 0
    assert pool.run(["parent"])[0].value[1] in ours


def test_the_process_workers_come_from_is_replaced_too(pool: PatientPool) -> None:
    pool.run(range(10))
    os.kill(_parent_of(pool.process_ids()[0]), signal.SIGKILL)
    assert [value(reply) for reply in pool.run(range(10))] == list(range(10))


def test_closing_leaves_no_process_and_no_descriptor_and_is_not_the_end() -> None:
    before = _num_descriptors()
    with PatientPool(ODD, num_workers=2) as pool:
        with pool.hurried(0.1, 0.1):
            pool.run([["hang"], *range(10)])
        pids = [*pool.process_ids(), _parent_of(pool.process_ids()[0])]
    assert _num_descriptors() == before
    assert _gone(pids)
    with pool:
        assert value(pool.run(["again"])[0]) == "again"


@pytest.mark.parametrize("ending", ["", "os.kill(os.getpid(), 9)", "os._exit(0)", "raise SystemExit(1)"])
def test_no_process_outlives_the_interpreter_however_it_ends(ending: str) -> None:
    script = f"""
import os, pathlib, threading, time
from pebr_data.grading.workers.worker import WorkerPool
pool = WorkerPool({ODD!r}, num_workers=2)
pool.run(range(10))
pids = pool.process_ids()
print(*pids, pathlib.Path(f"/proc/{{pids[0]}}/stat").read_text().rpartition(")")[2].split()[1], flush=True)
threading.Thread(target=lambda: pool.run([["hang"]]), daemon=True).start()
while len(pool.process_ids()) == 2:
    time.sleep(0.01)
time.sleep(0.1)
{ending}
"""
    done = subprocess.run([sys.executable, "-X", "dev", "-c", script], capture_output=True, text=True, env=_paths())
    pids = [int(word) for word in done.stdout.split()]
    assert len(pids) == 3, done.stderr
    assert done.stderr == ""
    assert _gone(pids)


def _paths() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


def _parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def _num_descriptors() -> int:
    gc.collect()
    return len(list(Path("/proc/self/fd").iterdir()))


def _gone(pids: list[int]) -> bool:
    """Whether no process of these runs, soon."""
    until = time.monotonic() + 60
    while any(_runs(pid) for pid in pids) and time.monotonic() < until:
        time.sleep(0.02)
    return not any(_runs(pid) for pid in pids)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
