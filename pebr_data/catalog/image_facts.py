"""What is known of images, in the catalog: written when they are ingested, or when first asked for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import duckdb
import pyarrow as pa

from pebr_data.arrow import arrow_table
from pebr_data.catalog.connection import connect, transaction
from pebr_data.catalog.queries import load_query
from pebr_data.errors import DataError
from pebr_data.images import ImageFacts, ImageStore, open_gate

_IMAGES = pa.schema(
    [
        ("image_hash", pa.large_string()),
        ("format", pa.large_string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("num_bytes", pa.int64()),
        ("num_frames", pa.int32()),
        ("flags", pa.list_(pa.large_string())),
        ("phash", pa.uint64()),
        ("thumbnail", pa.large_binary()),
    ]
)
_BATCH_SIZE = 512


def write_image_facts(connection: duckdb.DuckDBPyConnection, facts: Iterable[ImageFacts]) -> None:
    """Adds rows for images that have none. Call it inside a transaction."""
    rows = [{name: getattr(one, name) for name in _IMAGES.names} for one in facts]
    connection.register("batch_facts", arrow_table(rows, _IMAGES))
    connection.execute("INSERT INTO images SELECT * FROM batch_facts ON CONFLICT DO NOTHING")
    connection.unregister("batch_facts")


def read_image_facts(connection: duckdb.DuckDBPyConnection, image_hashes: Sequence[str]) -> list[ImageFacts]:
    """See `Catalog.image_facts`."""
    columns = ", ".join(_IMAGES.names)
    rows = connection.execute(
        f"SELECT {columns} FROM images WHERE list_contains(?::VARCHAR[], image_hash)", [list(image_hashes)]
    ).fetchall()
    found = {
        row[0]: ImageFacts(**{**dict(zip(_IMAGES.names, row, strict=True)), "flags": tuple(row[6])}) for row in rows
    }
    return [found[image_hash] for image_hash in dict.fromkeys(image_hashes) if image_hash in found]


def known_images(connection: duckdb.DuckDBPyConnection) -> set[bytes]:
    """The hashes (32 bytes) of all images that have a row."""
    return {bytes.fromhex(value) for (value,) in connection.execute("SELECT image_hash FROM images").fetchall()}


def images_without_facts(connection: duckdb.DuckDBPyConnection, catalog: str | None) -> list[str]:
    """The images of a catalog's samples, or of every catalog's, that have no row; by hash."""
    rows = connection.execute(load_query("images_without_facts"), {"catalog": catalog}).fetchall()
    return [image_hash for (image_hash,) in rows]


def complete_image_facts(store: Path, catalog: str | None) -> dict[str, str]:
    """Looks at those images that were stored before there was a table of them.

    The catalog file is closed meanwhile.

    Args:
        store: The store.
        catalog: Whose images; every catalog's when None.

    Returns:
        By hash, why there is still no row for an image: it is gone or damaged, or no longer passes the gate.

    Raises:
        BusyError: Another process holds the catalog.
    """
    with connect(store, read_only=True, wait_seconds=None) as connection:
        missing = images_without_facts(connection, catalog)
    images = ImageStore(store / "images")
    problems: dict[str, str] = {}
    for start in range(0, len(missing), _BATCH_SIZE):
        read: dict[str, bytes] = {}
        for image_hash in missing[start : start + _BATCH_SIZE]:
            try:
                read[image_hash] = images.get(image_hash)
            except (DataError, OSError) as error:
                problems[image_hash] = str(error)
        found = dict(zip(read, open_gate().examine(list(read.values())), strict=True))
        problems |= {image_hash: str(one) for image_hash, one in found.items() if isinstance(one, DataError)}
        with connect(store, read_only=False, wait_seconds=None) as connection, transaction(connection):
            write_image_facts(connection, (one for one in found.values() if isinstance(one, ImageFacts)))
    return problems
