"""Every hostile answer is answered in time and in memory, none runs, and the grade after it is right."""

from __future__ import annotations

import multiprocessing
import resource
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pebr_data.grading.workers.paper import paper_equal
from pebr_data.grading.workers.symbolic import WARM_UP, SymbolicVerdict, symbolic_equal
from tests.fixtures.hostile_answers import ANSWERS, GOLD, SENTINEL
from tests.patient_pool import PatientPool

DEADLINES = (1.0, 2.0)
SLACK_SECONDS = 60
"""What it takes to kill a worker and fork another, however slow the machine."""
MAX_BYTES = 1_200_000_000
PROFILES = {
    "symbolic": ("pebr_data.grading.workers.symbolic_child:compare", symbolic_equal),
    "paper": ("pebr_data.grading.workers.paper_child:compare", paper_equal),
}

Told = tuple[SymbolicVerdict, float, SymbolicVerdict]


def ask_all(profile: str, sentinel: str) -> tuple[dict[str, Told], int]:
    """For each answer its verdict, the seconds it took and the verdict after it; the peak memory of any worker."""
    function, equal = PROFILES[profile]
    with PatientPool(function, warm_up=WARM_UP, num_workers=3) as pool:
        pool.run([["2", "2"]])

        def ask(answer: str) -> Told:
            start = time.monotonic()
            with pool.hurried(*DEADLINES):
                verdict = equal(answer.replace(SENTINEL, sentinel), GOLD, pool=pool)
            seconds = time.monotonic() - start
            return verdict, seconds, equal(r"\sqrt{12}", GOLD, pool=pool)

        with ThreadPoolExecutor(3) as threads:
            told = dict(zip(ANSWERS, threads.map(ask, ANSWERS.values()), strict=True))
    return told, 1024 * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss


@pytest.mark.slow
@pytest.mark.parametrize("profile", PROFILES)
def test_hostile_answers_are_harmless(profile: str, tmp_path: Path) -> None:
    sentinel = tmp_path / "s"
    # In a process of its own, whose children are the workers and nothing else.
    with multiprocessing.get_context("spawn").Pool(1) as alone:
        told, peak_bytes = alone.apply(ask_all, (profile, str(sentinel)))
    assert len({text for text in ANSWERS.values()}) >= 100
    assert {name: verdict for name, (verdict, _, _) in told.items() if verdict.equal} == {}
    assert {name: s for name, (_, s, _) in told.items() if s > sum(DEADLINES) + SLACK_SECONDS} == {}
    assert {name: after for name, (_, _, after) in told.items() if after.equal is not True} == {}
    assert all(verdict.reason for verdict, _, _ in told.values())
    assert peak_bytes < MAX_BYTES
    assert not sentinel.exists()
