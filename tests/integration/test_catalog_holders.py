"""Who holds the catalog is written beside it, and a dead process does not hold it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pebr_data.catalog.holders import LOCK, holders
from pebr_data.catalog.store import Catalog
from pebr_data.cli import main as pebr_data

HOLD = """
import sys
from pathlib import Path
from pebr_data.catalog.store import Catalog
with Catalog.open(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.readline()
"""


def hold(store: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(store)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_the_holder_is_named_while_it_holds(tmp_path: Path) -> None:
    with Catalog.open(tmp_path):
        [mine] = holders(tmp_path)
        assert (mine.pid, mine.access) == (os.getpid(), "writing")
    assert holders(tmp_path) == []
    with Catalog.open(tmp_path, read_only=True), Catalog.open(tmp_path, read_only=True):
        assert [one.access for one in holders(tmp_path)] == ["reading", "reading"]


def test_a_killed_process_holds_nothing(tmp_path: Path) -> None:
    process = hold(tmp_path)
    [theirs] = holders(tmp_path)
    assert theirs.pid == process.pid
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert holders(tmp_path) == []
    assert list(tmp_path.glob(f"{LOCK}*")) == []


def test_a_later_process_of_the_same_number_is_another_one(tmp_path: Path) -> None:
    with Catalog.open(tmp_path):
        [path] = tmp_path.glob(f"{LOCK}*")
        text = path.read_text()
    path.write_text(json.dumps({**json.loads(text), "started": 1}))
    assert holders(tmp_path) == []


def test_a_process_of_another_machine_is_never_taken_for_dead(tmp_path: Path) -> None:
    with Catalog.open(tmp_path):
        [path] = tmp_path.glob(f"{LOCK}*")
        text = path.read_text()
    path.write_text(json.dumps({**json.loads(text), "host": "elsewhere", "started": 1}))
    assert [str(one).split(" (")[0] for one in holders(tmp_path)] == [f"process {os.getpid()} on elsewhere"]


def test_a_command_waits_as_long_as_it_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    process = hold(tmp_path)
    try:
        assert pebr_data(["stats", "--store", str(tmp_path), "--wait", "0.1"]) == 75
        said = capsys.readouterr().err
        assert f"process {process.pid} (-c" in said
        assert "within 0.1 s" in said
        assert "--wait" in said
    finally:
        process.communicate("done\n")
    assert pebr_data(["stats", "--store", str(tmp_path)]) == 0
