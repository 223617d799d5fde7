"""Datasets of the Hugging Face hub: at a pinned commit, or a directory that holds a copy of one.

The hub's libraries fetch files and say which file belongs to which split. The rows are read by `tables`, images as
bytes: no dataset script is run, nothing is unpickled, and no path or address that stands in the data is opened.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from pebr_data.config import HubSourceConfig
from pebr_data.errors import ConfigError, DataError, UnavailableError
from pebr_data.sources.places import Stamp, stamps_of
from pebr_data.sources.rows import RawRow
from pebr_data.sources.tables import count_rows, table_rows

FETCHED = (
    "**/*.parquet", "*.parquet", "**/*.arrow", "*.arrow", "README.md", "dataset_dict.json", "**/state.json",
    "state.json", "**/dataset_info.json", "dataset_info.json",
)  # fmt: skip
"""What is fetched of a dataset's repository: tables and what describes them. No code, no pickles."""

_TABLES = (".parquet", ".arrow")
_OTHER_TYPES = "download it, and read it with a source of the type json, jsonl, webdataset or folder"
_PART = re.compile(r"(.*)-(\d{5})-of-(\d{5})(?=\.|-)")


class HubReader:
    """Reads the chosen splits of a dataset, one after the other.

    Args:
        config: What the catalog YAML says of the source.
        base_dir: The directory that a local dataset's path starts from.
        fetch: Whether what is not in the local cache is downloaded.

    Raises:
        ConfigError: `dataset` is a hub id and no revision is given.
    """

    def __init__(self, config: HubSourceConfig, base_dir: Path, *, fetch: bool = True) -> None:
        if config.revision is None and not config.is_local:
            raise ConfigError(
                f"the source `{config.name}` names the dataset {config.dataset} without the revision to read",
                help="set `revision` to the commit you mean (40 hex digits), so that the rows stay the same; "
                'the newest is printed by: python -c "import huggingface_hub as h; '
                f"print(h.dataset_info('{config.dataset}').sha)\"",
            )
        self._config = config
        self._base_dir = base_dir
        self._fetch = fetch

    def without_fetching(self) -> HubReader:
        """The same reader, which takes what is in the local cache and downloads nothing."""
        return HubReader(self._config, self._base_dir, fetch=False)

    @property
    def image_root(self) -> Path:
        """As `Reader.image_root`."""
        return self._directory()

    def rows(self, columns: tuple[str, ...] | None) -> Iterator[RawRow]:
        """As `Reader.rows`.

        Raises:
            UnavailableError: The dataset cannot be fetched, or the libraries of the hub are not installed.
        """
        files = [(path, split) for split, paths in self._files().items() for path in paths]
        yield from table_rows(files, columns)

    def count(self) -> int | None:
        """As `Reader.count`."""
        return count_rows([path for files in self._files().values() for path in files])

    def stamps(self) -> list[Stamp]:
        """As `Reader.stamps`; a pinned commit never changes and has none."""
        if not self._config.is_local:
            return []
        folder = self._base_dir / self._config.dataset
        return stamps_of(sorted(path for path in folder.rglob("*") if path.suffix in (".parquet", ".arrow", ".json")))

    def _files(self) -> dict[str, list[Path]]:
        """The files of each split, by the split's name here."""
        folder = self._directory()
        found = _saved_splits(folder) or _repository_splits(folder, self._config.config)
        wanted = self._config.splits or {split: split for split in found}
        files: defaultdict[str, list[Path]] = defaultdict(list)
        for split, its_name in wanted.items():
            if split not in found:
                raise DataError(
                    f"the dataset has no split `{split}`; it has {', '.join(f'`{name}`' for name in found)}",
                    where=f"source {self._config.name}",
                    help="correct `splits` of the source",
                )
            _require_every_part(found[split])
            files[its_name] += found[split]
        return files

    def _directory(self) -> Path:
        if not self._config.is_local:
            return _fetched(self._config.dataset, str(self._config.revision), self._fetch)
        folder = self._base_dir / self._config.dataset
        if not folder.is_dir():
            raise DataError("there is no such directory", where=str(folder), help="get the data, or correct `dataset`")
        return folder


def _fetched(dataset: str, revision: str, fetch: bool) -> Path:
    """The dataset's files at a commit, in the hub's local cache; downloaded if need be and if allowed."""
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
    except ModuleNotFoundError as error:
        raise _needs_extra(error) from error
    try:
        return Path(
            snapshot_download(
                dataset,
                repo_type="dataset",
                revision=revision,
                allow_patterns=list(FETCHED),
                local_files_only=not fetch,
            )
        )
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise UnavailableError(
            f"the dataset cannot be fetched: {reason}",
            where=f"{dataset} at {revision}",
            help="try again where the hub is reached, or put a copy on this machine and set `dataset` to its path: "
            f"hf download {dataset} --repo-type dataset --revision {revision} --local-dir DIR",
        ) from error


def _saved_splits(folder: Path) -> dict[str, list[Path]]:
    """The files of each split of what `datasets` saved with `save_to_disk`; empty when it did not write the folder."""
    if (folder / "dataset_dict.json").is_file():
        names = _described(folder / "dataset_dict.json").get("splits")
        if not isinstance(names, list):
            raise DataError("the file names no splits", where=str(folder / "dataset_dict.json"), help="save it again")
        return {name: _saved_files(folder / _plain(name, folder)) for name in names}
    if (folder / "state.json").is_file():
        split = _described(folder / "state.json").get("_split")
        return {split if isinstance(split, str) else "train": _saved_files(folder)}
    return {}


def _saved_files(folder: Path) -> list[Path]:
    listed = _described(folder / "state.json").get("_data_files")
    names = [entry.get("filename") for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
    files = [folder / _plain(name, folder) for name in names]
    for path in files:
        if not path.is_file():
            raise DataError("the dataset lacks one of its files", where=str(path), help="copy it again")
    return files


def _plain(name: object, folder: Path) -> str:
    if not isinstance(name, str) or not re.fullmatch(r"[^/\\\0]+", name) or name in (".", ".."):
        raise DataError(
            "the dataset names a file outside its directory", where=f"{folder}, {name!r}", help="save it again"
        )
    return name


def _described(path: Path) -> dict[str, object]:
    try:
        described = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"the dataset's description cannot be read: {error}", where=str(path)) from error
    return described if isinstance(described, dict) else {}


def _repository_splits(folder: Path, config: str | None) -> dict[str, list[Path]]:
    """The files of each split of a copy of a dataset's repository, as `datasets` sorts them.

    Raises:
        DataError: It has other files than Parquet and Arrow, or no such configuration.
        UnavailableError: `datasets` is not installed.
    """
    try:
        import datasets
    except ModuleNotFoundError as error:
        raise _needs_extra(error) from error
    try:
        with tempfile.TemporaryDirectory() as aside:
            view = _linked(folder, Path(aside) / "tables")
            # It makes a cache directory, though nothing is prepared.
            builder = datasets.load_dataset_builder(str(view), name=config, cache_dir=str(Path(aside) / "cache"))
            data_files = {
                str(split): [folder / Path(str(path)).relative_to(view) for path in paths]
                for split, paths in (builder.config.data_files or {}).items()
            }
    except DataError:
        raise
    except Exception as error:  # the boundary around the resolution of names in `datasets`, which raises many kinds
        reason = str(error).splitlines()[0][:300] if str(error) else type(error).__name__
        raise DataError(
            f"its files cannot be told apart: {reason}",
            where=str(folder),
            help="set `config` of the source to one of the dataset's configurations, or read its files with a source "
            "of another type",
        ) from error
    if not data_files or any(path.suffix not in _TABLES for paths in data_files.values() for path in paths):
        raise DataError("the dataset has no Parquet or Arrow files", where=str(folder), help=_OTHER_TYPES)
    return data_files


def _linked(folder: Path, view: Path) -> Path:
    """A directory with links to the tables of `folder` and what describes them: images beside them would mislead."""
    described = ("README.md", "dataset_infos.json")
    tables = [path for path in folder.rglob("*") if path.suffix in _TABLES and path.is_file()]
    if not tables:
        raise DataError("the dataset has no Parquet or Arrow files", where=str(folder), help=_OTHER_TYPES)
    for path in [*tables, *(folder / name for name in described if (folder / name).is_file())]:
        link = view / path.relative_to(folder)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(path.resolve())
    return view


def _require_every_part(files: list[Path]) -> None:
    """A part that was not copied would be rows that nobody misses."""
    parts: defaultdict[tuple[str, int], set[int]] = defaultdict(set)
    for path in files:
        match = _PART.match(path.name)
        if match:
            parts[f"{path.parent}/{match[1]}", int(match[3])].add(int(match[2]))
    for (stem, count), numbers in parts.items():
        if numbers != set(range(count)):
            raise DataError(
                f"the dataset has {len(numbers)} of the {count} parts of a split",
                where=stem,
                help="copy it again, whole",
            )


def _needs_extra(error: ModuleNotFoundError) -> UnavailableError:
    return UnavailableError(
        f"a source of the type hub needs a package that is not installed: {error.name}",
        help="pip install 'pebr[train]', or read the dataset's files with a source of the type parquet",
    )
