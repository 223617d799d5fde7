"""Rows in a JSON list or in JSON lines, with images beside them in a directory or a tar archive."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pebr_data.config import FileSourceConfig
from pebr_data.errors import DataError
from pebr_data.sources.places import Stamp, stamp_of, stamps_of
from pebr_data.sources.rows import RawRow
from pebr_data.sources.tree import archive_of, open_tree

MAX_DATA_BYTES = 8 * 2**30
"""Size of a data file that is read whole at most."""

MAX_LINE_BYTES = 256 * 2**20
"""Size of a line of JSON lines."""


class FileReader:
    """Reads the rows of one data file, in the file's order.

    Args:
        config: What the catalog YAML says of it.
        base_dir: The directory that relative paths in `config` start from.
    """

    def __init__(self, config: FileSourceConfig, base_dir: Path) -> None:
        self._config = config
        self._file = base_dir / config.file

    @property
    def image_root(self) -> Path:
        """As `Reader.image_root`."""
        return self._file.parent

    def rows(self, columns: tuple[str, ...] | None) -> Iterator[RawRow]:
        """As `Reader.rows`; a JSON list is parsed whole."""
        name = self._config.file.as_posix()
        if self._config.type == "jsonl":
            for number, line in enumerate(self._lines(), start=1):
                if isinstance(line, DataError) or line.strip():
                    yield RawRow(f"{name}:{number}", _line_row(line), self._config.split)
            return
        for index, row in enumerate(self._list()):
            yield RawRow(f"{name}[{index}]", _mapping(row), self._config.split)

    def count(self) -> int | None:
        """As `Reader.count`."""
        return None

    def stamps(self) -> list[Stamp]:
        """As `Reader.stamps`."""
        return stamps_of([self._file]) + ([] if self._config.image_root is not None else stamp_of(self.image_root))

    def _lines(self) -> Iterable[bytes | DataError]:
        if archive_of(self._file) is not None or not self._file.is_file():
            yield from self._read().split(b"\n")
            return
        with self._file.open("rb") as file:
            while line := file.readline(MAX_LINE_BYTES + 1):
                if len(line) <= MAX_LINE_BYTES:
                    yield line
                    continue
                while line and not line.endswith(b"\n"):
                    line = file.readline(MAX_LINE_BYTES)
                yield DataError(f"the line is longer than {MAX_LINE_BYTES} bytes")

    def _list(self) -> list[Any]:
        try:
            rows = _parse(self._read())
        except (ValueError, RecursionError) as error:
            hint = "its rows look like JSON lines: set `type: jsonl`" if "Extra data" in str(error) else None
            raise DataError(
                f"not JSON: {error}", where=str(self._file), help=hint or "mend the file or get it again"
            ) from error
        if not isinstance(rows, list):
            raise DataError("a JSON list of rows is expected", where=str(self._file), help="wrap the rows in [ ]")
        return rows

    def _read(self) -> bytes:
        try:
            with open_tree(self._file.parent) as tree:
                return tree.read(self._file.name, max_bytes=MAX_DATA_BYTES)
        except DataError as error:
            name = self._config.name
            help = error.help or f"correct `file` of the source `{name}` in the catalog YAML, or get the file"
            raise DataError(error.what, where=str(self._file), help=help) from error


def _parse(data: bytes) -> Any:
    """JSON as data; NaN and infinities, which JSON does not have, as null: data frames write missing values so."""
    return json.loads(data, parse_constant=lambda name: None)


def _line_row(line: bytes | DataError) -> Mapping[str, Any] | DataError:
    if isinstance(line, DataError):
        return line
    try:
        return _mapping(_parse(line))
    except (ValueError, RecursionError) as error:
        return DataError("not JSON", where=str(error))


def _mapping(row: Any) -> Mapping[str, Any] | DataError:
    return row if isinstance(row, Mapping) else DataError("the row is not a mapping of columns to values")
