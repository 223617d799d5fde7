"""What a build would have to read."""

from __future__ import annotations

from pathlib import Path

from pebr_data.catalog.connection import CATALOG_FILE, connect
from pebr_data.catalog.samples import finished_build
from pebr_data.config import CatalogConfig
from pebr_data.hashing import digest
from pebr_data.images import ImageStore
from pebr_data.sources.base import open_source, source_stamp


def pending(config: CatalogConfig, store: Path) -> tuple[str, ...]:
    """The sources that `build` would read, by name: those that no finished build covers. Writes nothing.

    Raises:
        BusyError: Another process holds the catalog.
        DataError: A source cannot be read at all.
    """
    stamps = {
        open_source(source, config.base_dir).name: digest(source_stamp(source, config.base_dir))
        for source in config.sources
    }
    if not (store / CATALOG_FILE).exists():
        return tuple(stamps)
    images = ImageStore(store / "images")
    with connect(store, read_only=True, wait_seconds=None) as connection:
        return tuple(
            name
            for name, stamp in stamps.items()
            if finished_build(connection, images, config.name, name, stamp) is None
        )
