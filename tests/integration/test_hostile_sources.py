"""Hostile tars, Parquet and Arrow files: a reject or a clear error, in bounded time and memory, without a network."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.hostile_files import HOSTILE, png

ROOT = Path(__file__).parents[2]
MAX_SECONDS = 10
"""Of the processor; what else runs on the machine does not count."""
MAX_BYTES = 2**30
NETWORK = {f"socket.{name}" for name in ("getaddrinfo", "gethostbyname", "connect", "sendto", "sendmsg", "bind")}
"""Audit events of a process that uses a network."""


def read_all(folder: Path) -> None:
    """Read every hostile file in `folder` and print what came of it as JSON lines; run in a process of its own."""
    from pebr_data.errors import PebrError
    from pebr_data.source_config import TableSourceConfig, WebDatasetSourceConfig
    from pebr_data.sources.base import Reject, open_source

    opened: list[str] = []
    asked: list[str] = []

    def watch(event: str, args: tuple[object, ...]) -> None:
        if event == "open":
            opened.append(str(args[0]))
        elif event in NETWORK:
            asked.append(event)

    sys.addaudithook(watch)
    for name, hostile in HOSTILE.items():
        model = WebDatasetSourceConfig if hostile.kind == "webdataset" else TableSourceConfig
        config = model.model_validate({"type": hostile.kind, "name": "bad", "files": name})
        started = time.process_time()
        opened.clear()
        asked.clear()
        good, reasons, error = 0, [], None
        try:
            for item in open_source(config, folder).candidates():
                if isinstance(item, Reject):
                    reasons = [*reasons[-50:], item.reason]
                else:
                    good += 1
        except PebrError as caught:
            error = str(caught)
        outside = [path for path in opened if "secret" in path or "etc/outside" in path]
        status = Path("/proc/self/status").read_text()
        peak = int(re.search(r"VmHWM:\s*(\d+) kB", status)[1]) * 1024  # type: ignore[index]
        print(json.dumps([name, good, reasons, error, time.process_time() - started, peak, outside, asked]), flush=True)
    asked.clear()
    with socket.socket() as own:
        own.connect_ex(("127.0.0.1", 9))
    socket.getaddrinfo("127.0.0.1", 9)
    print(json.dumps(["a network that is used", *asked]))


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    folder = tmp_path_factory.mktemp("hostile") / "root"
    folder.mkdir()
    (folder.parent / "secret.png").write_bytes(png())
    for name, hostile in HOSTILE.items():
        hostile.make(folder / name)
    code = f"from pathlib import Path\nfrom {__name__} import read_all\nread_all(Path({str(folder)!r}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-2000:]
    return {name: rest for name, *rest in map(json.loads, done.stdout.splitlines())}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_a_reject_or_a_clear_error(name: str, outcomes: dict[str, list[Any]]) -> None:
    good, reasons, error, seconds, peak, outside, asked = outcomes[name]
    hostile = HOSTILE[name]
    if hostile.num_good is not None:
        assert (good, error) == (hostile.num_good, None)
    told = [*reasons, error or ""]
    assert any(one.startswith(hostile.outcome) for one in told), told[-3:]
    assert seconds < MAX_SECONDS
    assert peak < MAX_BYTES
    assert (outside, asked) == ([], [])


def test_the_watch_for_a_network_sees_one_that_is_used(outcomes: dict[str, list[Any]]) -> None:
    assert outcomes["a network that is used"] == ["socket.connect", "socket.getaddrinfo"]
