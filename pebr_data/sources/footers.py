"""Judges the footers of Parquet files. A script for a process of its own: pyarrow aborts over some broken footers.

Reads `{"paths": […], "columns": […] or null}` from standard input. Prints one JSON value a file: how many rows to read
at once, or a text that says why the file is refused. It imports nothing of pebr, so that it starts fast.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Collection
from typing import Any

MAX_RATIO = 200
"""What a file may unpack to, as a multiple of its size."""

MAX_LIST = 1_000_000
"""Items a list may have."""

MAX_BATCH_ROWS = 512
BATCH_BYTES = 32 * 2**20
"""What a batch of rows should take, by the file's own account."""

_MAX_BATCH_BYTES = 256 * 2**20
_MAX_QUIET_BYTES = 64 * 2**20
_MAX_VALUES_PER_ROW = 10_000
_MAX_ADDRESS_BYTES = 8 * 2**30
_MAX_SECONDS = 300

BOMB = "a column unpacks to far more than it takes in the file"


def judge(path: str, columns: Collection[str] | None) -> int | str:
    """How many rows a batch may have, by the file's own account of its columns; or why it is refused."""
    import pyarrow.parquet as pq

    metadata = pq.read_metadata(path)
    roots = None if columns is None else {column.split(".", 1)[0] for column in columns} | set(columns)
    rows = float(MAX_BATCH_ROWS)
    for group in (metadata.row_group(i) for i in range(metadata.num_row_groups)):
        row_bytes = 0.0
        for chunk in (group.column(i) for i in range(group.num_columns)):
            name = chunk.path_in_schema
            if roots is not None and name not in roots and name.split(".", 1)[0] not in roots:
                continue
            unpacked, packed = chunk.total_uncompressed_size, max(chunk.total_compressed_size, 1)
            too_many = chunk.num_values > _MAX_VALUES_PER_ROW * group.num_rows + MAX_LIST
            if (unpacked > _MAX_QUIET_BYTES and unpacked > MAX_RATIO * packed) or too_many:
                return BOMB
            row_bytes += unpacked / max(group.num_rows, 1)
            if chunk.has_dictionary_page and chunk.dictionary_page_offset is not None:
                # Each row may repeat the largest word of the dictionary.
                word = (chunk.data_page_offset - chunk.dictionary_page_offset) * unpacked / packed
                rows = min(rows, _MAX_BATCH_BYTES / max(word, 1))
        rows = min(rows, BATCH_BYTES / max(row_bytes, 1))
    return max(1, int(rows))


def main() -> None:
    """Judge the files that standard input names."""
    import resource

    for limit, bound in ((resource.RLIMIT_AS, _MAX_ADDRESS_BYTES), (resource.RLIMIT_CPU, _MAX_SECONDS)):
        hard = resource.getrlimit(limit)[1]
        bound = bound if hard == resource.RLIM_INFINITY else min(bound, hard)
        resource.setrlimit(limit, (bound, bound))
    asked: dict[str, Any] = json.load(sys.stdin)
    for path in asked["paths"]:
        try:
            verdict: int | str = judge(path, asked["columns"])
        except Exception as error:  # the boundary around a parser of foreign bytes
            verdict = f"the file cannot be read: {str(error) or type(error).__name__}".splitlines()[0][:300]
        print(json.dumps(verdict), flush=True)


if __name__ == "__main__":
    main()
