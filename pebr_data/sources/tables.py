"""Rows in Parquet and Arrow files, streamed in bounded memory and checked before they are trusted."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pebr_data.config import TableSourceConfig
from pebr_data.errors import DataError
from pebr_data.sources import footers
from pebr_data.sources.columns import root_of
from pebr_data.sources.footers import BATCH_BYTES, BOMB, MAX_BATCH_ROWS, MAX_LIST, MAX_RATIO
from pebr_data.sources.places import PatternReader
from pebr_data.sources.rows import RawRow

SUFFIXES = {"parquet": (".parquet",), "arrow": (".arrow", ".feather", ".ipc")}
_MAX_ARROW_ROWS = 10_000_000
_FILE_MAGIC = b"ARROW1\0\0"
_BROKEN = "get the file again, or leave it out of `files`"
_UNTRUSTED = "if the file is to be trusted, write it again uncompressed, in smaller row groups"

Batches = Generator[pa.RecordBatch, None, None]


class TableReader(PatternReader):
    """Reads the rows of Parquet or Arrow files one after the other.

    Args:
        config: What the catalog YAML says of the source.
        base_dir: The directory that relative paths start from.
    """

    def __init__(self, config: TableSourceConfig, base_dir: Path) -> None:
        super().__init__(config.files, base_dir, SUFFIXES[config.type])
        self._split = config.split

    def rows(self, columns: tuple[str, ...] | None) -> Iterator[RawRow]:
        """As `Reader.rows`."""
        yield from table_rows([(path, self._split) for path in self.files], columns)

    def count(self) -> int | None:
        """As `Reader.count`."""
        return count_rows(self.files)


def table_rows(files: Sequence[tuple[Path, str]], columns: tuple[str, ...] | None) -> Iterator[RawRow]:
    """The rows of files, one file after the other: Parquet when its name says so, else Arrow (file or stream format).

    Args:
        files: Each file with the split of its rows.
        columns: The columns or paths that are needed; all are read when a file lacks one of them, or with None.

    Raises:
        DataError: A file cannot be read, or no further; or it would unpack to far more than its size.
    """
    parquet = [path for path, _ in files if _is_parquet(path)]
    verdicts = dict(zip(parquet, _judge(parquet, columns), strict=True))
    for path, split in files:
        index, num_bytes = 0, 0
        with _reading(path):
            verdict = verdicts.get(path)
            batches = _arrow_batches(path, columns) if verdict is None else _parquet_batches(path, columns, verdict)
            for batch in batches:
                num_bytes += _unpacked_bytes(batch, path)
                if num_bytes > MAX_RATIO * path.stat().st_size + 2**30:
                    raise _bomb(path)
                for i in range(batch.num_rows):
                    yield RawRow(f"{path.name}[{index}]", _row(batch, i), split)
                    index += 1


def _is_parquet(path: Path) -> bool:
    return path.name.lower().endswith(".parquet")


def _judge(paths: Sequence[Path], columns: tuple[str, ...] | None) -> list[int | str]:
    """For each Parquet file how many rows to read at once, or why it is refused; see `footers`."""
    if not paths:
        return []
    asked = json.dumps({"paths": [str(path.absolute()) for path in paths], "columns": columns})
    command = [sys.executable, "-P", footers.__file__]
    try:
        done = subprocess.run(
            command, input=asked, capture_output=True, text=True, timeout=60 + len(paths), check=False
        )
        told: str | bytes = done.stdout
    except subprocess.TimeoutExpired as error:
        told = error.stdout or ""
    lines = (told if isinstance(told, str) else told.decode()).splitlines()
    verdicts: list[int | str] = [json.loads(line) for line in lines]
    # It ended at the file after those; what lies behind that one is not looked at before it is mended.
    return verdicts + ["the file cannot be read: its footer is broken"] * (len(paths) - len(verdicts))


def count_rows(files: Sequence[Path]) -> int | None:
    """Rows of Parquet files by their footers; None when others are among them or one cannot be read."""
    try:
        return sum(int(pq.read_metadata(path).num_rows) for path in files)
    except (pa.ArrowException, OSError, ValueError):
        return None


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, MemoryError, OverflowError, ValueError, KeyError, struct.error) as error:
        reason = str(error).splitlines()[0][:300] if str(error) else type(error).__name__
        raise DataError(f"the file cannot be read: {reason}", where=str(path), help=_BROKEN) from error


def _parquet_batches(path: Path, columns: tuple[str, ...] | None, verdict: int | str) -> Batches:
    if isinstance(verdict, str):
        raise DataError(verdict, where=str(path), help=_UNTRUSTED if verdict == BOMB else _BROKEN)
    with pq.ParquetFile(path, pre_buffer=False, buffer_size=2**20, page_checksum_verification=True) as file:
        names = _needed(file.schema_arrow, columns, path)
        yield from file.iter_batches(batch_size=verdict, columns=names)


def _arrow_batches(path: Path, columns: tuple[str, ...] | None) -> Batches:
    _refuse_compressed(path)
    with pa.memory_map(str(path)) as source:
        is_file = source.read(len(_FILE_MAGIC)) == _FILE_MAGIC
        source.seek(len(_FILE_MAGIC) if is_file else 0)  # the file format holds a stream
        with pa.ipc.open_stream(source) as reader:
            names = _needed(reader.schema, columns, path)
            for batch in reader:
                if batch.num_rows > _MAX_ARROW_ROWS:
                    raise DataError(f"a batch has more than {_MAX_ARROW_ROWS} rows", where=str(path))
                batch = batch.select(names)
                batch.validate(full=True)  # offsets and text are the file's claims until then
                rows = max(1, min(MAX_BATCH_ROWS, int(BATCH_BYTES * batch.num_rows / max(batch.nbytes, 1))))
                for start in range(0, batch.num_rows, rows):
                    yield batch.slice(start, rows)


def _refuse_compressed(path: Path) -> None:
    with pa.memory_map(str(path)) as source:
        if source.read(len(_FILE_MAGIC)) != _FILE_MAGIC:
            source.seek(0)
        messages = pa.ipc.MessageReader.open_stream(source)
        while True:
            try:
                message = messages.read_next_message()
            except StopIteration:
                return
            if message.type in ("record batch", "dictionary") and _is_compressed(message.metadata.to_pybytes()):
                raise DataError(
                    "the Arrow file is compressed, and what it unpacks to is not known before",
                    where=str(path),
                    help="write it uncompressed, as `save_to_disk` does, or as Parquet",
                )


def _is_compressed(message: bytes) -> bool:
    """Whether a record batch's buffers are compressed: its flatbuffer has a `compression` (Arrow's Message.fbs)."""
    root = struct.unpack_from("<I", message)[0]
    header = _table_field(message, root, 2)
    if header is None:
        return False
    header += struct.unpack_from("<I", message, header)[0]
    if _table_field(message, root, 1) is not None and message[_table_field(message, root, 1) or 0] == 2:
        data = _table_field(message, header, 1)  # a dictionary batch holds its record batch
        if data is None:
            return False
        header = data + struct.unpack_from("<I", message, data)[0]
    return _table_field(message, header, 3) is not None


def _table_field(message: bytes, table: int, number: int) -> int | None:
    """Where a flatbuffer table holds its field; None when the field is not there."""
    vtable = table - struct.unpack_from("<i", message, table)[0]
    size = struct.unpack_from("<H", message, vtable)[0]
    slot = 4 + 2 * number
    if slot + 2 > size:
        return None
    offset = struct.unpack_from("<H", message, vtable + slot)[0]
    return table + offset if offset else None


def _needed(schema: pa.Schema, columns: tuple[str, ...] | None, path: Path) -> list[str]:
    """The columns to read: those asked for, or all when one of them is not there, so that messages can name them.

    Of types that no field needs (unions, maps, views, …) columns are left out, unless they are asked for.

    Raises:
        DataError: Two columns have one name, or one that is asked for has such a type.
    """
    names = list(schema.names)
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"the file has two columns called `{twice}`", where=str(path), help="rename one of them")
    wanted = {column if column in names else root_of(column) for column in columns or names}
    for name in names:
        if not _is_readable(schema.field(name).type):
            if columns is not None and name in wanted:
                raise DataError(
                    f"the column `{name}` is of the type {schema.field(name).type}, which is not read", where=str(path)
                )
            names = [other for other in names if other != name]
    return [name for name in names if name in wanted] if wanted <= set(names) else names


def _is_readable(kind: pa.DataType) -> bool:
    types = pa.types
    if types.is_struct(kind):
        fields = [kind.field(i) for i in range(kind.num_fields)]
        return len({field.name for field in fields}) == len(fields) and all(_is_readable(one.type) for one in fields)
    if types.is_list(kind) or types.is_large_list(kind):
        return _is_readable(kind.value_type)
    if types.is_dictionary(kind):
        kind = kind.value_type
    return bool(
        types.is_primitive(kind) or types.is_string(kind) or types.is_large_string(kind) or types.is_binary(kind)
        or types.is_large_binary(kind) or types.is_null(kind)
    )  # fmt: skip


def _unpacked_bytes(batch: pa.RecordBatch, path: Path) -> int:
    """What a batch takes once every dictionary is written out.

    Raises:
        DataError: It has a list of more than a million items: a billion nulls take no room in the file.
    """
    arrays, num_bytes = list(batch.columns), batch.nbytes
    while arrays:
        array = arrays.pop()
        if pa.types.is_struct(array.type):
            arrays += array.flatten()
        elif pa.types.is_list(array.type) or pa.types.is_large_list(array.type):
            if (pc.max(pc.list_value_length(array)).as_py() or 0) > MAX_LIST:
                raise _bomb(path)
            arrays.append(array.flatten())
        elif pa.types.is_dictionary(array.type) and not pa.types.is_primitive(array.type.value_type):
            num_bytes += pc.sum(pc.binary_length(array.dictionary).take(array.indices)).as_py() or 0
    return int(num_bytes)


def _bomb(path: Path) -> DataError:
    return DataError(BOMB, where=str(path), help=_UNTRUSTED)


def _row(batch: pa.RecordBatch, index: int) -> dict[str, Any] | DataError:
    """One row in Python's types; row by row, because what a dictionary repeats takes room only here."""
    try:
        return {name: column[index].as_py() for name, column in zip(batch.schema.names, batch.columns, strict=True)}
    except UnicodeDecodeError:
        return DataError("a text of the row is not UTF-8")
