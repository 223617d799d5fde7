"""A stage's `metrics.jsonl`: one line per optimizer step, each step once."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pebr_train.rundir import write_whole


def append(path: Path, step: int, values: Mapping[str, Any]) -> None:
    """Add the line of one optimizer step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as handle:
        handle.write(json.dumps({"step": step, **values}) + "\n")


def read(path: Path) -> Iterator[dict[str, Any]]:
    """The lines in order; a line that a kill cut short is left out."""
    if not path.is_file():
        return
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            continue


def forget_after(path: Path, step: int) -> None:
    """Keep only the first `step` optimizer steps, because training goes on from there."""
    if path.is_file():
        write_whole(path, "".join(json.dumps(line) + "\n" for line in read(path) if line["step"] <= step))
