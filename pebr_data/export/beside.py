"""Images as files beside the shards, named by their content, so that rows which share one share its file."""

from __future__ import annotations

from pathlib import Path

from pebr_data.durable import sync
from pebr_data.hashing import digest_bytes
from pebr_data.manifest import File

_PNG = b"\x89PNG"


class ImagesBeside:
    """The images of an export under `images/`.

    Args:
        directory: The export.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._files: dict[str, File] = {}

    def add(self, data: bytes) -> str:
        """Write an encoded PNG or JPEG image, where that is owed; gives its path relative to the export."""
        sha256 = digest_bytes(data)
        name = f"images/{sha256[:2]}/{sha256}.{'png' if data.startswith(_PNG) else 'jpg'}"
        if name not in self._files:
            path = self._directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            sync(path)
            self._files[name] = File(file=name, sha256=sha256, num_bytes=len(data))
        return name

    @property
    def files(self) -> tuple[File, ...]:
        """What was written, by name."""
        return tuple(self._files[name] for name in sorted(self._files))
