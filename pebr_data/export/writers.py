"""Writing rows to one file: Parquet with its schema, or JSON lines."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pebr_data.types import Json

Write = Callable[[Sequence[Mapping[str, Json]]], None]


@contextmanager
def row_writer(path: Path, schema: Any) -> Iterator[Write]:
    """A function that appends a group of rows to a new file; what it was given counts in the file's size at once.

    Args:
        path: The file; `.parquet` or `.jsonl` decides how it is written.
        schema: The rows' `pyarrow.Schema`.
    """
    kind = _parquet if path.suffix == ".parquet" else _json_lines
    with kind(path, schema) as write:
        yield write


@contextmanager
def _parquet(path: Path, schema: Any) -> Iterator[Write]:
    from pyarrow import parquet

    from pebr_data.arrow import arrow_table

    with parquet.ParquetWriter(path, schema, compression="zstd", use_dictionary=False) as writer:

        def write(rows: Sequence[Mapping[str, Json]]) -> None:
            writer.write_table(arrow_table(rows, schema), row_group_size=len(rows))

        yield write


@contextmanager
def _json_lines(path: Path, schema: Any) -> Iterator[Write]:
    with path.open("w", encoding="utf-8", newline="\n") as file:

        def write(rows: Sequence[Mapping[str, Json]]) -> None:
            for row in rows:
                file.write(json.dumps({name: row[name] for name in schema.names}, ensure_ascii=False) + "\n")
            file.flush()

        yield write
