"""One thing that is wrong with a store."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Part = Literal["catalog", "spool", "images", "export", "backup", "leftovers"]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is damaged or missing.

    Attributes:
        part: Which part of the store.
        what: What is wrong.
        where: The file it concerns.
        help: The command that mends it.
    """

    part: Part
    what: str
    where: Path
    help: str
