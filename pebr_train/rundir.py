"""The directory of a run: what lies where, who holds it, and whole files written aside and renamed.

    runs/<name>/
        recipe.json               the resolved recipe of the last attempt
        run.lock                  held while a process runs it
        logs/attempt_001.log      one per attempt
        evaluations/<label>.json  `base` and stages
        <stage>/started.json      what the stage is being trained as, and on what
        <stage>/checkpoints/      while the stage is unfinished, as <stage>/cache/
        <stage>/metrics.jsonl     one line per optimizer step
        <stage>/rollouts/         GRPO: every completion, one Parquet file per generation batch
        <stage>/final/            model and processor
        <stage>/done.json         written last: the stage is finished
        report.html

Paths only; who writes what is said where it is written.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pebr_data import durable
from pebr_data.errors import BusyError, StorageError
from pebr_data.models import FINAL


@dataclass(frozen=True, slots=True)
class StageDir:
    """What one stage keeps in a run's directory."""

    path: Path

    @property
    def checkpoints(self) -> Path:
        """TRL's checkpoints while the stage is unfinished."""
        return self.path / "checkpoints"

    @property
    def cache(self) -> Path:
        """Memory-mapped copies of the shards while the stage is unfinished."""
        return self.path / "cache"

    @property
    def metrics(self) -> Path:
        """One JSON line per optimizer step."""
        return self.path / "metrics.jsonl"

    @property
    def rollouts(self) -> Path:
        """Every completion of a GRPO stage."""
        return self.path / "rollouts"

    @property
    def started(self) -> Path:
        """What the stage is being trained as, and on what."""
        return self.path / "started.json"

    @property
    def final(self) -> Path:
        """The trained model and its processor."""
        return self.path / FINAL

    @property
    def done(self) -> Path:
        """Written last: the stage is finished."""
        return self.path / "done.json"


@dataclass(frozen=True, slots=True)
class RunDir:
    """The directory of a run."""

    path: Path

    @property
    def recipe(self) -> Path:
        """The resolved recipe."""
        return self.path / "recipe.json"

    @property
    def report(self) -> Path:
        """The report."""
        return self.path / "report.html"

    def stage(self, name: str) -> StageDir:
        """What the stage keeps."""
        return StageDir(self.path / name)

    def evaluation(self, label: str) -> Path:
        """The evaluation of `base` or of a stage's model."""
        return self.path / "evaluations" / f"{label}.json"

    def new_log(self) -> Path:
        """A log file that no earlier attempt has used."""
        logs = self.path / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        taken = [int(name.stem.removeprefix("attempt_")) for name in logs.glob("attempt_*.log")]
        return logs / f"attempt_{max(taken, default=0) + 1:03d}.log"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the run, so that no second process works in its directory.

        Raises:
            BusyError: Another process holds it.
            StorageError: The directory cannot be written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            opened = (self.path / "run.lock").open("a+", encoding="utf-8")
        except OSError as error:
            what = f"the run's directory cannot be written: {error.strerror}"
            raise StorageError(what, where=str(self.path), help="name a writable directory with --runs") from error
        with opened as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                handle.seek(0)
                holder = handle.read().strip() or "unknown"
                raise BusyError(
                    f"process {holder} is running this", where=str(self.path), help="wait for it, or stop it first"
                ) from None
            handle.seek(0)
            handle.truncate()
            handle.write(str(os.getpid()))
            handle.flush()
            yield


def write_whole(path: Path, text: str) -> None:
    """Write a file so that it is there whole or not at all.

    Raises:
        StorageError: It cannot be written.
    """
    try:
        durable.write_whole(path, text)
    except OSError as error:
        raise StorageError(f"cannot write: {error.strerror}", where=str(path), help="free space, run again") from error


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file whole. Errors as in `write_whole`."""
    write_whole(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")
