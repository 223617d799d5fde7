"""An engine that answers from seeds in the place of `transformers` in Ray's workers; a file tells how it misbehaves."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from pebr_data.engines.base import ENGINES, Request, Sampling
from pebr_data.errors import UnavailableError
from pebr_data.types import Generation, RolloutKey

SCRIPT = "PEBR_TEST_SCRIPT"
"""The environment variable that names the file.

It holds `{"seconds": of a rollout, "poison": [text of a question, …], "unloadable": …, "real": …}`; with the last it
stands aside.
"""


def completion(key: RolloutKey) -> str:
    return f"### The final answer is: {key.seed % 5}"


class ScriptedEngine:
    name = "transformers"

    def __init__(self) -> None:
        if read_script().get("unloadable"):
            raise UnavailableError("there is no such model", help="name another")

    def generate(
        self, requests: Iterable[Request], sampling: Sampling, *, stop: Callable[[], object] | None = None
    ) -> Iterator[tuple[RolloutKey, Generation]]:
        script = read_script()
        for request in requests:
            text = request.prompt[0]["content"][-1]["text"]
            if any(poison in text for poison in script.get("poison", [])):
                os.kill(os.getpid(), signal.SIGKILL)
            for key in request.keys:
                time.sleep(script.get("seconds", 0.0))
                yield key, Generation(completion(key), 9, "stop", 30, 9)


def read_script() -> dict[str, Any]:
    script: dict[str, Any] = json.loads(Path(os.environ[SCRIPT]).read_text())
    return script


def install() -> None:
    real = ENGINES["transformers"]
    ENGINES["transformers"] = lambda model, **options: (
        real(model, **options) if read_script().get("real") else ScriptedEngine()
    )
