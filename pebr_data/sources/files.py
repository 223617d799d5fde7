"""Rows in a JSON list or in JSON lines, with images beside them in a directory or a tar archive."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from pebr_data.config import FileSourceConfig
from pebr_data.errors import DataError
from pebr_data.images import MAX_BYTES
from pebr_data.sources.base import Reject
from pebr_data.sources.fields import to_candidate
from pebr_data.sources.tree import Tree, archive_of, open_tree
from pebr_data.types import Candidate

MAX_DATA_BYTES = 8 * 2**30
"""Size of a data file that is read at most."""


class FileSource:
    """The rows of one data file, in the file's order.

    Args:
        config: What the catalog YAML says of it.
        base_dir: The directory that relative paths in `config` start from.
    """

    def __init__(self, config: FileSourceConfig, base_dir: Path) -> None:
        self.name = config.name
        self._config = config
        self._file = base_dir / config.file
        self._image_root = self._file.parent if config.image_root is None else base_dir / config.image_root

    def candidates(self) -> Iterator[Candidate | Reject]:
        """Every row, as a candidate or as a reject with its reason.

        Raises:
            DataError: The data file or the image root cannot be read, or not one row of the file can be used.
        """
        num_candidates, first_reject = 0, None
        with ExitStack() as stack:
            data = self._read(stack)
            images = None if self._config.fields.images is None else stack.enter_context(open_tree(self._image_root))
            for where, row in self._rows(data):
                item = self._candidate(row, where, images)
                if isinstance(item, Reject):
                    first_reject = first_reject or item
                else:
                    num_candidates += 1
                yield item
        if num_candidates == 0 and first_reject is not None:
            raise DataError(
                f"no row of the source `{self.name}` can be used; the first: {first_reject.reason}",
                where=first_reject.where,
                help="correct `fields` or `image_root` of this source in the catalog YAML",
            )

    def _read(self, stack: ExitStack) -> bytes:
        try:
            return stack.enter_context(open_tree(self._file.parent)).read(self._file.name, max_bytes=MAX_DATA_BYTES)
        except DataError as error:
            help = error.help or f"correct `file` of the source `{self.name}` in the catalog YAML, or get the file"
            raise DataError(error.what, where=str(self._file), help=help) from error

    def stamps(self) -> list[list[str | int]]:
        """Path, size in bytes and modification time (ns) of the files and directories this source reads from."""
        paths = (archive_of(path) or path for path in (self._file, self._image_root))
        return [
            [path.name, *((status.st_size, status.st_mtime_ns) if path.is_file() else (0, 0))]
            for path in paths
            if path.exists() and (status := path.stat())
        ]

    def _candidate(self, row: Any, where: str, images: Tree | None) -> Candidate | Reject:
        try:
            if isinstance(row, DataError):
                raise row
            if not isinstance(row, Mapping):
                raise DataError("the row is not a mapping of columns to values")
            candidate = to_candidate(
                row,
                self._config.fields,
                source=self.name,
                split=self._config.split,
                read_image=lambda entry: _read_image(entry, images),
            )
            self._check_phrases(candidate)
            return candidate
        except DataError as error:
            place = where if error.where is None else f"{where}, {error.where}"
            return Reject(source=self.name, where=place, reason=error.what)

    def _check_phrases(self, candidate: Candidate) -> None:
        response = (candidate.response or "").casefold()
        for phrase in self._config.reject_phrases:
            if phrase.casefold() in response:
                raise DataError(f"the response holds {phrase!r}")

    def _rows(self, data: bytes) -> Iterator[tuple[str, Any]]:
        """Where each row is, and the row; a DataError in its place when that row alone is broken."""
        name = self._config.file.as_posix()
        if self._config.type == "jsonl":
            for number, line in enumerate(data.split(b"\n"), start=1):
                if line.strip():
                    yield f"{name}:{number}", _parse_line(line)
            return
        try:
            rows = _parse(data)
        except (ValueError, RecursionError) as error:
            hint = "its rows look like JSON lines: set `type: jsonl`" if "Extra data" in str(error) else None
            raise DataError(
                f"not JSON: {error}", where=str(self._file), help=hint or "mend the file or get it again"
            ) from error
        if not isinstance(rows, list):
            raise DataError("a JSON list of rows is expected", where=str(self._file), help="wrap the rows in [ ]")
        for index, row in enumerate(rows):
            yield f"{name}[{index}]", row


def _parse(data: bytes) -> Any:
    """JSON as data; NaN and infinities, which JSON does not have, as null: data frames write missing values so."""
    return json.loads(data, parse_constant=lambda name: None)


def _parse_line(line: bytes) -> Any:
    try:
        return _parse(line)
    except (ValueError, RecursionError) as error:
        return DataError("not JSON", where=str(error))


def _read_image(entry: Any, images: Tree | None) -> bytes:
    path = entry.get("path") if isinstance(entry, Mapping) else entry
    if not isinstance(path, str):
        raise DataError("an image must be given by its path")
    if images is None:
        raise DataError("the source has no image root")
    return images.read(path, max_bytes=MAX_BYTES)
