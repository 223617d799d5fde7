"""The policy beside its spool: `fingerprint.json`, so that a spool can be merged into a catalog that never met it."""

from __future__ import annotations

import json
from pathlib import Path

from pebr_data.durable import write_whole
from pebr_data.errors import StorageError
from pebr_data.types import Condition, Fingerprint

FINGERPRINT_FILE = "fingerprint.json"


def write_fingerprint(directory: Path, fingerprint: Fingerprint) -> None:
    """Notes the policy in its probe's directory, durably; nothing is done when it is there.

    Raises:
        StorageError: The disk refuses.
    """
    if read_fingerprint(directory) == fingerprint:
        return
    try:
        write_whole(directory / FINGERPRINT_FILE, json.dumps(fingerprint.to_json(), indent=2) + "\n")
    except OSError as error:
        raise StorageError(
            f"the probe's fingerprint could not be written: {error.strerror or error}",
            where=str(directory),
            help="make room on the disk or see to its permissions, then run the command again",
        ) from error


def read_fingerprint(directory: Path) -> Fingerprint | None:
    """The policy that a probe's directory names; None when it does not, or names another than the directory does."""
    try:
        value = json.loads((directory / FINGERPRINT_FILE).read_text(encoding="utf-8"))
        fingerprint = Fingerprint(**{**value, "condition": Condition(value["condition"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return fingerprint if fingerprint.probe_id == directory.name else None
