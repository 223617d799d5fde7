"""A probe that is killed and run again while `stats` reads beside it: the transcript, of real commands.

    .venv/bin/python tests/bench/killed_probe.py        # builds shapes into a store of its own; two minutes or so

What it prints is the output of `pebr-data` as it comes, cut where it says so.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CATALOG = Path(__file__).parents[2] / "catalogs" / "shapes.yaml"
COMMAND = [sys.executable, "-c", "import sys; from pebr_data.cli import main; sys.exit(main())"]
PROBE = ["probe", str(CATALOG), "--model", "pebr-tiny", "--limit", "512"]
DEADLINE_SECONDS = 300.0


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        os.chdir(directory)
        run("build", str(CATALOG), shown=False)
        print(f"$ {told(PROBE)} &")
        with subprocess.Popen([*COMMAND, *PROBE], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as probing:
            wait_for_rollouts()
            run("stats", begin="without a complete group|probe .*: pebr-tiny", end="pass rates|perception|$^")
            time.sleep(1.0)
            print(f"$ kill -9 {probing.pid}")
            probing.send_signal(signal.SIGKILL)
        run("probe", "status", str(CATALOG))
        run(*PROBE)
        run("stats", begin="probe .*: pebr-tiny", end="pass rates|perception")


def run(*argv: str, shown: bool = True, begin: str = "", end: str = "$^") -> None:
    """Runs `pebr-data` and prints what it puts on stdout: from the line that `begin` matches up to that of `end`."""
    done = subprocess.run([*COMMAND, *argv], capture_output=True, text=True, check=True)
    if not shown:
        return
    print(f"$ {told(argv)}")
    is_open = False
    for line in done.stdout.splitlines():
        is_open = (is_open or re.match(begin, line) is not None) and re.match(end, line) is None
        if is_open and line:
            print(line)


def told(argv: list[str] | tuple[str, ...]) -> str:
    return "pebr-data " + shlex.join(argv).replace(str(CATALOG), "catalogs/shapes.yaml")


def wait_for_rollouts() -> None:
    """Returns once `stats` sees some of the probe's rollouts."""
    started = time.monotonic()
    while time.monotonic() - started < DEADLINE_SECONDS:
        done = subprocess.run([*COMMAND, "stats", "--json"], capture_output=True, text=True, check=True)
        if json.loads(done.stdout)["outcomes"]:
            return
    raise SystemExit("no rollout was merged in time")


if __name__ == "__main__":
    main()
