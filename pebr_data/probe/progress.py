"""How far each run of a probe is: `run-1-of-1.json` beside the spool, for whoever asks while it runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from pebr_data.durable import write_whole

_PREFIX = "run-"


@dataclass(frozen=True, slots=True)
class RunProgress:
    """What the last run of a probe, or of a shard of it, has come to.

    Attributes:
        shard: Which shard, as its `stem`.
        started: When it began to generate, in seconds since 1970.
        updated: When this was written.
        num_done: Wanted rollouts acknowledged, those of earlier runs included.
        num_wanted: All wanted rollouts, without those that early stopping has spared.
        num_generated: Rollouts that this run made, failed ones included.
        num_failed: Those that the engine failed on.
        num_tokens: Completion tokens of those that did not fail.
        outcomes: How the rollouts of this run were graded.
    """

    shard: str
    started: float
    updated: float
    num_done: int
    num_wanted: int
    num_generated: int
    num_failed: int
    num_tokens: int
    outcomes: Mapping[str, int]

    @property
    def seconds(self) -> float:
        """How long it has generated."""
        return max(self.updated - self.started, 0.0)

    @property
    def rate(self) -> float | None:
        """Rollouts per second that did not fail; None before there was one."""
        good = self.num_generated - self.num_failed
        return good / self.seconds if good and self.seconds > 0 else None

    @property
    def seconds_left(self) -> float | None:
        """Time the rest takes at this rate; at most, where the probe stops early."""
        return (self.num_wanted - self.num_done) / self.rate if self.rate else None


def write_progress(directory: Path, progress: RunProgress) -> None:
    """Notes it in the probe's directory. It is a convenience: a disk that refuses is no reason to fail."""
    path = directory / f"{_PREFIX}{progress.shard}.json"
    with suppress(OSError):
        write_whole(path, json.dumps(asdict(progress)) + "\n", is_durable=False)


def read_progress(directory: Path) -> list[RunProgress]:
    """What was noted for each shard that was ever run, by name; what cannot be read is left out."""
    found = []
    for path in sorted(directory.glob(f"{_PREFIX}*.json")):
        with suppress(OSError, ValueError, TypeError):
            found.append(RunProgress(**json.loads(path.read_text(encoding="utf-8"))))
    return found
