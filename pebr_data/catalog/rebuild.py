"""The rows of a catalog file in a fresh one: what mends an index, as long as every row reads."""

from __future__ import annotations

from pathlib import Path

import duckdb

from pebr_data.durable import sync


def rebuild(source: Path, target: Path) -> None:
    """Writes everything that `source` holds into the new file `target`, with indexes of its own.

    Raises:
        duckdb.Error: A row of `source` does not read, or the disk refuses.
    """
    connection = duckdb.connect()
    try:
        connection.execute("SET enable_progress_bar = false")
        for name, path, option in (("damaged", source, "(READ_ONLY)"), ("whole", target, "")):
            quoted = str(path).replace("'", "''")
            connection.execute(f"ATTACH '{quoted}' AS {name} {option}")
        connection.execute("COPY FROM DATABASE damaged TO whole")
        connection.execute("CHECKPOINT whole")
    finally:
        connection.close()
    sync(target)
