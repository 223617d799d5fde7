"""Images in directories, with their directory's name as the label or with metadata files among them."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from pebr_data.config import FolderSourceConfig
from pebr_data.errors import DataError
from pebr_data.sources.places import Stamp, files_at, stamps_of
from pebr_data.sources.rows import RawRow

METADATA = ("metadata.jsonl", "metadata.csv")
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff")
MAX_LINE_CHARS = 16 * 2**20


class FolderReader:
    """Reads the images of a directory, in the order of their paths.

    Where there are metadata files (`file_name` or `file_names`, relative to the file, and any other columns), their
    lines are the rows; else every image is one. A row has `images` (paths), `file_name` and `label`, the name of the
    directory the image lies in.

    Args:
        config: What the catalog YAML says of the source.
        base_dir: The directory that relative paths start from.
    """

    def __init__(self, config: FolderSourceConfig, base_dir: Path) -> None:
        self._config = config
        self._folder = base_dir / config.folder

    @property
    def image_root(self) -> Path:
        """As `Reader.image_root`."""
        return self._folder

    def rows(self, columns: tuple[str, ...] | None) -> Iterator[RawRow]:
        """As `Reader.rows`."""
        metadata = self._metadata()
        if not metadata:
            for path in files_at(str(self._folder), Path(), SUFFIXES):
                relative = path.relative_to(self._folder)
                yield RawRow(
                    relative.as_posix(), _with_images({"file_name": relative.name}, relative.parent), self._split
                )
        for path in metadata:
            relative = path.relative_to(self._folder)
            for number, row in _lines(path):
                columns_or_error = row if isinstance(row, DataError) else _with_images(row, relative.parent)
                yield RawRow(f"{relative.as_posix()}:{number}", columns_or_error, self._split)

    def count(self) -> int | None:
        """As `Reader.count`."""
        return None

    def stamps(self) -> list[Stamp]:
        """As `Reader.stamps`."""
        try:
            return stamps_of(self._metadata() or files_at(str(self._folder), Path(), SUFFIXES))
        except DataError:
            return []

    @property
    def _split(self) -> str:
        return self._config.split

    def _metadata(self) -> list[Path]:
        if not self._folder.is_dir():
            raise DataError(
                "there is no such directory", where=str(self._folder), help="get the data or correct `folder`"
            )
        return sorted(path for name in METADATA for path in self._folder.rglob(name) if path.is_file())


def _lines(path: Path) -> Iterator[tuple[int, dict[str, Any] | DataError]]:
    """Line number and row of each line of a metadata file.

    Raises:
        DataError: The file cannot be read, or no further.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            if path.suffix == ".csv":
                reader = csv.DictReader(file)
                for row in reader:
                    yield reader.line_num, {key: value for key, value in row.items() if key is not None}
                return
            for number, line in enumerate(iter(lambda: file.readline(MAX_LINE_CHARS), ""), start=1):
                if line.strip():
                    yield number, _parsed(line)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"the file cannot be read: {error}", where=str(path), help="mend the file") from error


def _parsed(line: str) -> dict[str, Any] | DataError:
    try:
        row = json.loads(line, parse_constant=lambda name: None)
    except (ValueError, RecursionError) as error:
        return DataError("not JSON", where=str(error))
    return row if isinstance(row, dict) else DataError("the row is not a mapping of columns to values")


def _with_images(row: dict[str, Any], folder: Path) -> dict[str, Any] | DataError:
    names = row.get("file_names", row.get("file_name"))
    if not isinstance(names, list):
        names = [names]
    if not all(isinstance(name, str) and name for name in names):
        return DataError("the row has no `file_name`")
    paths = [(PurePosixPath(folder.as_posix()) / name).as_posix() for name in names]
    return {"images": paths, "label": PurePosixPath(paths[0]).parent.name if paths else "", **row}
