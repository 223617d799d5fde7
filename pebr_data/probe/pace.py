"""How fast a model was when it was last probed: `pace.json` beside the spool. What `--dry-run` estimates time by."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from pebr_data.durable import write_whole
from pebr_data.types import Fingerprint

PACE_FILE = "pace.json"


@dataclass(frozen=True, slots=True)
class Pace:
    """What one run of a probe came to.

    Attributes:
        num_rollouts: Rollouts made; failed ones do not count.
        num_tokens: Their completion tokens.
        seconds: Time that took, without loading the model.
    """

    num_rollouts: int
    num_tokens: int
    seconds: float


def write_pace(directory: Path, pace: Pace) -> None:
    """Note the pace of a run in its probe's directory, unless a longer one's is there: a few rollouts say little.

    It is a convenience: a disk that refuses is no reason to fail.
    """
    before = _read(directory / PACE_FILE)
    if before is not None and before.num_rollouts > pace.num_rollouts:
        return
    with suppress(OSError):
        write_whole(directory / PACE_FILE, json.dumps(asdict(pace)) + "\n", is_durable=False)


def find_pace(store: Path, fingerprint: Fingerprint, known: Sequence[Fingerprint]) -> Pace | None:
    """The pace of this probe, else of the newest other one of the same model on the same engine.

    Args:
        store: The store that holds the probes.
        fingerprint: The policy to be probed.
        known: The policies that were probed, oldest first.
    """
    alike = [
        one
        for one in reversed(known)
        if (one.revision, one.engine) == (fingerprint.revision, fingerprint.engine)
        # How long answers are, and how fast they come, depends on what is shown.
        and (one.template, one.condition) == (fingerprint.template, fingerprint.condition)
    ]
    for one in (fingerprint, *alike):
        pace = _read(store / "probes" / one.probe_id / PACE_FILE)
        if pace is not None:
            return pace
    return None


def own_pace(directory: Path) -> Pace | None:
    """The pace of the probe whose directory this is, where it has one."""
    return _read(directory / PACE_FILE)


def _read(path: Path) -> Pace | None:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        pace = Pace(int(value["num_rollouts"]), int(value["num_tokens"]), float(value["seconds"]))
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return pace if pace.num_rollouts > 0 and pace.seconds > 0 else None
