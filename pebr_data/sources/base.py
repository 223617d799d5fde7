"""What a source is, and the one dict of all sources.

Adding a source of rows is a module with a reader (`pebr_data.sources.rows.Reader`), its config in
`pebr_data.source_config`, and a line in `SOURCES`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pebr_data.config import (
    FileSourceConfig,
    FolderSourceConfig,
    HubSourceConfig,
    RowSourceConfig,
    ShapesSourceConfig,
    SourceConfig,
    TableSourceConfig,
    WebDatasetSourceConfig,
)
from pebr_data.types import Candidate, Json


@dataclass(frozen=True, slots=True)
class Reject:
    """A row of a source that cannot become a sample: the source's name, where it is, and why.

    Reasons are counted, so what differs from row to row (a path, a position) belongs into `where`.
    """

    source: str
    where: str
    reason: str


class Source(Protocol):
    """Yields the same candidates in the same order each time."""

    @property
    def name(self) -> str:
        """The source's name in the catalog YAML."""

    def candidates(self) -> Iterator[Candidate | Reject]:
        """Every row, as a candidate or as a reject with its reason.

        Raises:
            DataError: The source as a whole cannot be read.
            UnavailableError: It needs the model hub, or a package that is not installed.
        """


def _open_shapes(config: ShapesSourceConfig, base_dir: Path) -> Source:
    from pebr_data.sources.shapes import ShapesSource

    return ShapesSource(name=config.name, seed=config.seed, splits=config.splits)


def _open_files(config: FileSourceConfig, base_dir: Path) -> Source:
    from pebr_data.sources.files import FileReader
    from pebr_data.sources.rows import RowSource

    return RowSource(config, base_dir, FileReader(config, base_dir))


def _open_tables(config: TableSourceConfig, base_dir: Path) -> Source:
    from pebr_data.sources.rows import RowSource
    from pebr_data.sources.tables import TableReader

    return RowSource(config, base_dir, TableReader(config, base_dir))


def _open_webdataset(config: WebDatasetSourceConfig, base_dir: Path) -> Source:
    from pebr_data.sources.rows import RowSource
    from pebr_data.sources.webdataset import WebDatasetReader

    return RowSource(config, base_dir, WebDatasetReader(config, base_dir))


def _open_folder(config: FolderSourceConfig, base_dir: Path) -> Source:
    from pebr_data.sources.folder import FolderReader
    from pebr_data.sources.rows import RowSource

    return RowSource(config, base_dir, FolderReader(config, base_dir))


def _open_hub(config: HubSourceConfig, base_dir: Path) -> Source:
    from pebr_data.sources.hub import HubReader
    from pebr_data.sources.rows import RowSource

    return RowSource(config, base_dir, HubReader(config, base_dir))


SOURCES: Mapping[str, Callable[[Any, Path], Source]] = {
    "shapes": _open_shapes,
    "json": _open_files,
    "jsonl": _open_files,
    "parquet": _open_tables,
    "arrow": _open_tables,
    "webdataset": _open_webdataset,
    "folder": _open_folder,
    "hub": _open_hub,
}


def open_source(config: SourceConfig, base_dir: Path) -> Source:
    """The source that `config` declares; nothing is read before `candidates` is called.

    Args:
        config: One of a catalog's `sources`.
        base_dir: The directory that the config's relative paths start from: the catalog YAML's own.

    Raises:
        ConfigError: The source names a dataset on the hub without the revision to read.
    """
    return SOURCES[config.type](config, base_dir)


def source_stamp(config: SourceConfig, base_dir: Path) -> Json:
    """What decides which candidates a source yields, as a JSON-serialisable value: when it differs, build again.

    The source as declared, and the size and modification time of the files it reads from, so that rows added to a file
    are found. What lies inside an image directory is not looked at.
    """
    stamp: dict[str, Json] = {"config": config.model_dump(mode="json")}
    if isinstance(config, RowSourceConfig):
        from pebr_data.sources.rows import RowSource

        source = open_source(config, base_dir)
        if isinstance(source, RowSource):
            stamp["files"] = source.stamps()
    return stamp
