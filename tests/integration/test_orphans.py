"""What an engine has started ends with the process that probes, even when that is killed.

That vLLM's processes do is in `test_vllm_ends.py`.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import descendants, is_running, wait_for_end

pytest.importorskip("psutil")

WATCHER = """\
import sys, time
from pebr_data.engines import orphans
wait = time.sleep
def looked(seconds):
    print(len(sys._getframe(1).f_locals["started"]), flush=True)
    wait(0.1)
time.sleep = looked
orphans.main(int(sys.argv[1]))
"""
PROBE = f"""\
import os, subprocess, sys
watcher = subprocess.Popen([sys.executable, "-c", {WATCHER!r}, str(os.getpid())], start_new_session=True)
child = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(600)'])"
subprocess.Popen([sys.executable, "-c", child], start_new_session=True, stdout=subprocess.DEVNULL)
sys.stdin.read()
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_process_that_is_killed_leaves_nothing_it_has_started(number: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PROBE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
    ) as probe:
        assert probe.stdout is not None
        # It has seen itself, the child and the child's child.
        while int(probe.stdout.readline()) < 3:
            pass
        started = descendants(probe.pid)
        assert all(map(is_running, started))
        probe.send_signal(number)
        wait_for_end(started)
