"""The image store: original bytes under their SHA-256, durable before anybody is told that they are there."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pebr_data.durable import sync, write_durably
from pebr_data.errors import DataError
from pebr_data.hashing import digest_bytes
from pebr_data.images.gate import open_gate

_EXTENSIONS = {"PNG": "png", "JPEG": "jpg", "WEBP": "webp", "GIF": "gif", "BMP": "bmp", "TIFF": "tif"}
_NUM_THREADS = 16
"""Writing waits for the disk, not for Python: many at once are several times faster than one."""


class ImageStore:
    """Original image bytes under their SHA-256: `root/ab/abcdef….png`. Putting twice changes nothing.

    Args:
        root: The directory; made when the first image is put.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def put(self, data: bytes) -> str:
        """Let an encoded image through the gate and store it durably; gives its hash (64 hex digits).

        Raises:
            DataError: No model can be shown this image. Nothing is stored.
            OSError: The disk refused.
        """
        image_hash = digest_bytes(data)
        if not self.holds(image_hash):
            [found] = open_gate().examine([data])
            if isinstance(found, DataError):
                raise found
            self.put_all({image_hash: (data, found.format)})
        return image_hash

    def put_all(self, images: Mapping[str, tuple[bytes, str]]) -> None:
        """Store images that have passed the gate; all of them are durable when this returns.

        Each file is written aside and synced, then all are renamed, then each directory is synced once: a crash leaves
        no image in part under its name, and at worst some that no sample refers to.

        Args:
            images: By hash, the encoded image and its format as the gate told it.

        Raises:
            OSError: The disk refused; some of the images may be there.
        """
        targets = [
            (self.root / image_hash[:2] / f"{image_hash}.{_EXTENSIONS[image_format]}", data)
            for image_hash, (data, image_format) in images.items()
        ]
        new = [
            (target.parent / f".put-{secrets.token_hex(8)}", target, data)
            for target, data in targets
            if not target.is_file()
        ]
        if not new:
            return
        folders = {target.parent for _, target, _ in new}
        new_folders = [folder for folder in folders if not folder.is_dir()]
        for folder in new_folders:
            folder.mkdir(parents=True, exist_ok=True)
        try:
            with ThreadPoolExecutor(max_workers=_NUM_THREADS) as pool:
                list(pool.map(lambda one: write_durably(one[0], one[2]), new))
            for aside, target, _ in new:
                aside.replace(target)
        except BaseException:
            for aside, _, _ in new:
                aside.unlink(missing_ok=True)
            raise
        with ThreadPoolExecutor(max_workers=_NUM_THREADS) as pool:
            list(pool.map(sync, folders))
        if new_folders:
            sync(self.root)
            sync(self.root.parent)

    def get(self, image_hash: str) -> bytes:
        """The stored bytes, checked against their hash.

        Raises:
            DataError: There is no such image, or its bytes have changed on disk.
        """
        path = self.path(image_hash)
        data = path.read_bytes()
        if digest_bytes(data) != image_hash:
            raise DataError(
                "a stored image does not match its hash", where=str(path), help=f"delete {path} and build again"
            )
        return data

    def holds(self, image_hash: str) -> bool:
        """Whether the image is there; its bytes are not read."""
        return self._find(image_hash) is not None

    def path(self, image_hash: str) -> Path:
        """Where the image lies.

        Raises:
            DataError: There is no such image.
        """
        found = self._find(image_hash)
        if found is None:
            raise DataError(
                f"there is no image {image_hash}",
                where=str(self.root),
                help="run `pebr-data build` again; it stores what is missing",
            )
        return found

    def _find(self, image_hash: str) -> Path | None:
        if not re.fullmatch(r"[0-9a-f]{64}", image_hash):
            return None
        folder = self.root / image_hash[:2]
        paths = (folder / f"{image_hash}.{extension}" for extension in _EXTENSIONS.values())
        return next((path for path in paths if path.is_file()), None)
