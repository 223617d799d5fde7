"""Which files a source names, and the stamps by which a later build sees that they changed."""

from __future__ import annotations

import glob
import re
from collections.abc import Sequence
from pathlib import Path

from pebr_data.errors import DataError
from pebr_data.sources.tree import archive_of

Stamp = list[str | int]


class PatternReader:
    """The part of a reader whose files a pattern of `files_at` names.

    Args:
        pattern: Which files.
        base_dir: The directory that a relative pattern starts from.
        suffixes: As `files_at` takes them.
    """

    def __init__(self, pattern: str, base_dir: Path, suffixes: tuple[str, ...]) -> None:
        self._pattern = pattern
        self._base_dir = base_dir
        self._suffixes = suffixes

    @property
    def image_root(self) -> Path:
        """As `Reader.image_root`."""
        return root_at(self._pattern, self._base_dir)

    @property
    def files(self) -> list[Path]:
        """The files, in order.

        Raises:
            DataError: There are none.
        """
        return files_at(self._pattern, self._base_dir, self._suffixes)

    def stamps(self) -> list[Stamp]:
        """As `Reader.stamps`."""
        try:
            return stamps_of(self.files)
        except DataError:
            return []


def files_at(pattern: str, base_dir: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """The files that a path, a directory or a glob pattern names, in the order of their names, numbers by value.

    Args:
        pattern: A file; a directory, whose files with one of `suffixes` at any depth are meant; or a glob pattern.
        base_dir: The directory that a relative pattern starts from.
        suffixes: Endings in lower case, `.parquet` say.

    Raises:
        DataError: There are none.
    """
    path = base_dir / pattern
    if path.is_file():
        return [path]
    if path.is_dir():
        found = [file for file in path.rglob("*") if file.name.lower().endswith(suffixes) and file.is_file()]
        found = [file for file in found if not any(part.startswith(".") for part in file.relative_to(path).parts)]
    else:
        found = [Path(name) for name in glob.glob(str(path), recursive=True) if Path(name).is_file()]  # noqa: PTH207
    if not found:
        what = (
            "the directory has no file ending in " + " or ".join(suffixes) if path.is_dir() else "there is no such file"
        )
        raise DataError(what, where=str(path), help="get the data, or correct the path in the catalog YAML")
    return sorted(found, key=_in_order)


def root_at(pattern: str, base_dir: Path) -> Path:
    """The directory that `pattern` of `files_at` looks in: itself, or what comes before its file name or first star."""
    path = base_dir / pattern
    if path.is_dir():
        return path
    while glob.has_magic(path.as_posix()):
        path = path.parent
    return path.parent if path.is_file() else path


def stamp_of(path: Path) -> list[Stamp]:
    """Name, size in bytes and modification time (ns) of a file, or of the archive that a path leads into.

    Of a directory the name alone; nothing when there is no such place.
    """
    place = archive_of(path) or path
    if not place.exists():
        return []
    status = place.stat()
    return [[place.name, *((status.st_size, status.st_mtime_ns) if place.is_file() else (0, 0))]]


def stamps_of(files: Sequence[Path]) -> list[Stamp]:
    """The stamps of several places, one after the other."""
    return [stamp for file in files for stamp in stamp_of(file)]


def _in_order(path: Path) -> list[tuple[int, int, str]]:
    parts = re.split(r"(\d+)", path.as_posix())
    return [(1, int(part), "") if part.isdecimal() else (0, 0, part) for part in parts]
