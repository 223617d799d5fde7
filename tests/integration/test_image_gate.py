"""The gate: what one image does to its process is recorded for that image alone."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pytest

from pebr_data.errors import DataError, StorageError
from pebr_data.images import MAX_BYTES, ImageFacts, ImageGate
from pebr_data.images import gate as gate_module
from pebr_data.images.facts import examine
from tests.hostile_images import encoded, picture

RIGHT = [encoded(picture(seed, 30), "PNG") for seed in range(4)]
FACTS = [examine(data) for data in RIGHT]

BEWITCHED = """
import os, time
from pathlib import Path
from pebr_data.images import worker
real = worker.examine
def examine(data):
    word = data[:20].decode(errors="replace")
    if word == "crash":
        os.abort()
    if word == "hang":
        time.sleep(60)
    if word == "memory":
        bytearray(2 * 2**30)
    if word == "file":
        Path("/etc/passwd").read_bytes()
    if word == "babble":
        os.write(1, b"no answer\\n")
    return real(data)
worker.examine = examine
worker.main()
"""


@pytest.fixture
def bewitched(monkeypatch: pytest.MonkeyPatch, word: str) -> Iterator[ImageGate]:
    """A gate whose children do what an image tells them: decoders that crash on demand are hard to come by."""
    monkeypatch.setattr(gate_module, "COMMAND", (sys.executable, "-P", "-c", BEWITCHED))
    gate = ImageGate(num_workers=1, deadline_seconds=3.0 if word == "hang" else 120.0)
    yield gate
    gate.close()


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("crash", "the decoder crashed on the image"),
        ("hang", "decoding the image took more than 3 seconds"),
        ("memory", "decoding the image takes more than 1024 MiB of memory"),
        ("file", "the decoder crashed on the image"),
        ("babble", "the decoder crashed on the image"),
    ],
)
def test_what_an_image_does_to_its_process_is_its_own_reason(bewitched: ImageGate, word: str, reason: str) -> None:
    found = bewitched.examine([RIGHT[0], word.encode(), RIGHT[1], b"", RIGHT[2]])
    assert [found[0], found[2], found[4]] == FACTS[:3]
    assert isinstance(found[1], DataError) and found[1].what == reason
    assert isinstance(found[3], DataError) and found[3].what.startswith("not an image")


def test_a_process_that_the_system_ended_between_images_costs_no_image() -> None:
    gate = ImageGate(num_workers=1)
    assert gate.examine(RIGHT[:1]) == FACTS[:1]
    child = gate._idle.get()
    assert child._process is not None
    os.kill(child._process.pid, 9)
    gate._idle.put(child)
    assert gate.examine(RIGHT) == FACTS
    gate.close()


def test_many_images_come_back_in_order_from_several_processes() -> None:
    gate = ImageGate(num_workers=2)
    images = [*RIGHT, b"no image", b"x" * (MAX_BYTES + 1)] * 40
    found = gate.examine(images)
    gate.close()
    assert [one for one in found if isinstance(one, ImageFacts)] == FACTS * 40
    refused = [one.what for one in found if isinstance(one, DataError)]
    assert refused[0::2] == ["not an image in a known format (PNG, JPEG, WEBP, GIF, BMP, TIFF)"] * 40
    assert refused[1::2] == [f"the image file is larger than {MAX_BYTES} bytes"] * 40


def test_a_gate_whose_processes_do_not_start_says_so_and_blames_no_image(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate_module, "COMMAND", (sys.executable, "-c", "raise SystemExit('no such library')"))
    gate = ImageGate(num_workers=1)
    with pytest.raises(StorageError, match="does not start: no such library"):
        gate.examine(RIGHT)
    gate.close()
