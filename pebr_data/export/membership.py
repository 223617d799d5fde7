"""Which exports of a store hold a mixture."""

from __future__ import annotations

from pathlib import Path

from pebr_data.errors import PebrError
from pebr_data.manifest import MANIFEST_FILE, read_manifest


def exports_of(store: Path) -> dict[str, tuple[Path, ...]]:
    """The directories under `exports/` that hold each mixture, by mixture_id; unreadable ones are passed over."""
    found: dict[str, tuple[Path, ...]] = {}
    for path in sorted(store.glob(f"exports/**/{MANIFEST_FILE}")):
        try:
            mixture_id = read_manifest(path.parent).mixture_id
        except PebrError:
            continue
        found[mixture_id] = (*found.get(mixture_id, ()), path.parent)
    return found
