"""Every image that should not exist, through the gate: within its bounds, and the next image is always right."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pebr_data.errors import DataError
from pebr_data.images import ImageFacts, ImageGate, decode, worker
from pebr_data.images.facts import examine
from pebr_data.images.worker import DEADLINE_SECONDS, MAX_MEMORY_BYTES
from tests.hostile_images import PARTS, Made, encoded, picture, scan_bomb

pytestmark = pytest.mark.alone

START_SECONDS = 60
"""What it takes to start a child, however slow the machine."""
WITNESS = encoded(picture(99), "PNG")


def worker_peaks() -> dict[str, int]:
    """Most bytes of address space that each living child of a gate has had; one that has ended has none any more."""
    lists = Path("/proc/self/task").glob("*/children")
    peaks = {}
    for child in {Path("/proc", number) for one in lists for number in one.read_text().split()}:
        try:
            command, status = (child / "cmdline").read_bytes(), (child / "status").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if worker.__name__.encode() in command.split(b"\0") and "VmPeak:" in status:
            peaks[child.name] = 1024 * int(status.split("VmPeak:")[1].split()[0])
    return peaks


@pytest.fixture(scope="module")
def gate() -> Iterator[ImageGate]:
    gate = ImageGate(num_workers=1)
    yield gate
    gate.close()


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.__name__)
def test_a_hostile_image_costs_nothing_but_itself(gate: ImageGate, part: Callable[[], Made]) -> None:
    right = examine(WITNESS)
    wrong: dict[str, object] = {}
    for name, data, expected in part():
        gate.examine([WITNESS])
        started = time.monotonic()
        found, witness = gate.examine([data, WITNESS])
        seconds = time.monotonic() - started
        peaks = worker_peaks()
        max_seconds = DEADLINE_SECONDS + START_SECONDS
        if not _as_expected(found, expected, data):
            wrong[name] = found
        elif witness != right or seconds > max_seconds or not peaks or max(peaks.values()) > MAX_MEMORY_BYTES:
            wrong[name] = (witness, seconds, peaks)
    assert wrong == {}


def _as_expected(found: ImageFacts | DataError, expected: str | None, data: bytes) -> bool:
    if isinstance(found, ImageFacts):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return expected is None and decode(data).size == (found.width, found.height)
    # Out of files: an import that the child should have made before it gave up its rights.
    return expected is not None and found.what.startswith(expected) and "Too many open files" not in str(found)


def test_an_image_that_takes_too_long_is_refused_and_the_others_are_not() -> None:
    gate = ImageGate(num_workers=1, deadline_seconds=3)
    before, slow, after = gate.examine([WITNESS, scan_bomb(3_000), WITNESS])
    gate.close()
    assert isinstance(slow, DataError) and "took more than 3 seconds" in slow.what
    assert before == after == examine(WITNESS)
