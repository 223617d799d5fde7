"""WebDataset shards: tar archives whose neighbouring files with one stem are a sample. Streamed, never extracted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from tarfile import TarFile, TarInfo
from typing import Any

from pebr_data.config import WebDatasetSourceConfig
from pebr_data.errors import DataError
from pebr_data.images import MAX_BYTES
from pebr_data.sources.places import PatternReader
from pebr_data.sources.rows import RawRow
from pebr_data.sources.tar import members_of, open_tar, read_member
from pebr_data.sources.tree import inside

IMAGES = frozenset({"png", "jpg", "jpeg", "webp", "gif", "bmp", "tif", "tiff"})
TEXTS = frozenset({"txt", "text", "cls", "caption"})
PICKLES = frozenset({"pyd", "pickle", "pkl", "pt", "pth", "npy", "npz", "ten", "tb", "joblib"})
"""Endings that the `webdataset` library unpickles, or that may hold pickles. Such a file is never read."""

MAX_TEXT_BYTES = 16 * 2**20
MAX_GROUP_BYTES = 256 * 2**20
MAX_GROUP_FILES = 256


class WebDatasetReader(PatternReader):
    """Reads the samples of tar shards in order.

    A row has a column for each file, named by what follows the first dot of its name (`json`, `png`, `0.jpg`); the keys
    of a `json` file; `images`, all images in the archive's order; and `__key__`.

    Args:
        config: What the catalog YAML says of the source.
        base_dir: The directory that relative paths start from.
    """

    def __init__(self, config: WebDatasetSourceConfig, base_dir: Path) -> None:
        super().__init__(config.files, base_dir, (".tar",))
        self._split = config.split

    def rows(self, columns: tuple[str, ...] | None) -> Iterator[RawRow]:
        """As `Reader.rows`."""
        for path in self.files:
            for key, group in _groups(path):
                yield RawRow(f"{path.name}, {key}", group, self._split)

    def count(self) -> int | None:
        """As `Reader.count`."""
        return None


def _groups(path: Path) -> Iterator[tuple[str, dict[str, Any] | DataError]]:
    """Key and row of each run of files with one key; the error of its first file that is refused in a row's place."""
    key: str | None = None
    group: list[tuple[str, Any]] = []
    problem: DataError | None = None
    num_bytes = 0
    with open_tar(path) as tar:
        for member in members_of(tar, path):
            if member.isdir():
                continue
            its_key, ending = _key_of(member.name)
            if its_key != key:
                if key is not None:
                    yield key, problem or _row(key, group)
                key, group, problem, num_bytes = its_key, [], None, 0
            if problem is not None:
                continue
            num_bytes += member.size
            try:
                if num_bytes > MAX_GROUP_BYTES or len(group) >= MAX_GROUP_FILES:
                    raise DataError(f"a sample has more than {MAX_GROUP_FILES} files or {MAX_GROUP_BYTES} bytes")
                group += _value(tar, member, ending)
            except DataError as error:
                problem, group = error, []
        if key is not None:
            yield key, problem or _row(key, group)


def _key_of(name: str) -> tuple[str, str]:
    """`dir/0001.seg.png` is the file `seg.png` of the sample `dir/0001`."""
    folder, slash, base = name.rpartition("/")
    stem, _, ending = base.partition(".")
    return f"{folder}{slash}{stem}", ending.lower()


def _value(tar: TarFile, member: TarInfo, ending: str) -> list[tuple[str, Any]]:
    """The column and value of one file; nothing for a kind of file that no sample needs, which is not read."""
    inside(member.name)
    if not member.isreg():
        raise DataError("the archive holds a link or device, and no such thing is followed", where=member.name)
    kind = ending.rpartition(".")[2]
    if kind in PICKLES:
        raise DataError(
            f"the archive holds a `.{kind}` file, which may be a pickle and is never read", where=member.name
        )
    if kind not in IMAGES | TEXTS | {"json"}:
        return []
    if member.size > (MAX_BYTES if kind in IMAGES else MAX_TEXT_BYTES):
        raise DataError("a file is larger than is read", where=member.name)
    data = read_member(tar, member)
    if kind in IMAGES:
        return [(ending, data)]
    try:
        text = data.decode("utf-8-sig")
        return [(ending, json.loads(text, parse_constant=lambda name: None) if kind == "json" else text)]
    except (ValueError, RecursionError) as error:
        what = "not JSON" if kind == "json" else "a text is not UTF-8"
        raise DataError(what, where=f"{member.name}: {error}") from error


def _row(key: str, group: list[tuple[str, Any]]) -> dict[str, Any] | DataError:
    row: dict[str, Any] = {}
    for ending, value in group:
        if ending in row:
            return DataError(f"the sample has two files `.{ending}`")
        row[ending] = value
    described = row.get("json")
    keys = described if isinstance(described, dict) else {}
    images = [value for _, value in group if isinstance(value, bytes)] or keys.get("images", [])
    return {**keys, "images": images, **row, "__key__": key}
