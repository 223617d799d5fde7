"""What a command prints: data on stdout, talk on stderr."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def print_json(value: Any) -> None:
    """Print a value as JSON on stdout; paths become strings."""
    print(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def print_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows as aligned plain text on stdout: text to the left, numbers to the right, None as a dash."""
    cells = [list(header), *([_cell(value) for value in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    right = [bool(rows) and all(_numeric(row[column]) for row in rows) for column in range(len(header))]
    for row in cells:
        aligned = (
            text.rjust(width) if is_right else text.ljust(width)
            for text, width, is_right in zip(row, widths, right, strict=True)
        )
        print("  ".join(aligned).rstrip())


def talk(line: str) -> None:
    """Print a line for people on stderr."""
    print(line, file=sys.stderr, flush=True)


def name_next(*command: str | Path) -> None:
    """End a command by naming the next one, on stderr."""
    talk(f"next: {shlex.join(str(part) for part in command)}")


def store_arguments(store: Path, default: Path) -> list[str]:
    """The `--store` arguments that a suggested command needs; none for the default store."""
    return [] if store == default else ["--store", str(store)]


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.3f}"
    if isinstance(value, int):
        return f"{value:,}"
    return str(value)


def _numeric(value: object) -> bool:
    return value is None or isinstance(value, int | float)
