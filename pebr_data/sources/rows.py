"""What every source of rows shares: a reader gives raw rows, and each becomes a candidate or a reject."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

from pebr_data.config import RowSourceConfig
from pebr_data.errors import DataError
from pebr_data.images import MAX_BYTES
from pebr_data.sources.base import Reject
from pebr_data.sources.embedded import ReadPath
from pebr_data.sources.fetch import NUM_AT_ONCE, Fetcher, is_address
from pebr_data.sources.fields import to_candidate
from pebr_data.sources.filters import filtered_out
from pebr_data.sources.places import Stamp, stamp_of
from pebr_data.sources.tree import Tree, open_tree
from pebr_data.types import Candidate


@dataclass(frozen=True, slots=True)
class RawRow:
    """One row as its file holds it.

    Attributes:
        where: The file and the row's place in it.
        columns: Column -> value, in Python's own types; a DataError where this row alone is broken.
        split: The split of the row unless a column names it.
    """

    where: str
    columns: Mapping[str, Any] | DataError
    split: str


class Reader(Protocol):
    """Reads raw rows out of one kind of file, the same rows in the same order each time."""

    @property
    def image_root(self) -> Path:
        """Where image paths start unless the catalog YAML says otherwise."""

    def rows(self, columns: tuple[str, ...] | None) -> Iterator[RawRow]:
        """Every row, in bounded memory.

        Args:
            columns: The columns or paths that are needed; others may be left out. None for all.

        Raises:
            DataError: A file cannot be read, or no further.
        """

    def count(self) -> int | None:
        """How many rows there are, where the files say so without being read."""

    def stamps(self) -> list[Stamp]:
        """Path, size in bytes and modification time (ns) of what is read, to see when it changes."""


class RowSource:
    """A source whose candidates are the rows that a reader gives.

    Args:
        config: What the catalog YAML says of it.
        base_dir: The directory that relative paths in `config` start from.
        reader: Reads the rows.
    """

    def __init__(self, config: RowSourceConfig, base_dir: Path, reader: Reader) -> None:
        self.name = config.name
        self.config = config
        self.reader = reader
        self._base_dir = base_dir

    def candidates(self) -> Iterator[Candidate | Reject]:
        """Every row, as a candidate or as a reject with its reason.

        Raises:
            DataError: A file or the image root cannot be read, or not one row can be used.
            UnavailableError: A host that images are fetched from is given up.
        """
        num_candidates, first_reject = 0, None
        with closing(self._items()) as items:
            for item in items:
                if isinstance(item, Reject):
                    first_reject = first_reject or item
                else:
                    num_candidates += 1
                yield item
        if num_candidates == 0 and first_reject is not None:
            raise DataError(
                f"no row of the source `{self.name}` can be used; the first: {first_reject.reason}",
                where=first_reject.where,
                help="correct `fields`, `keep_if` or `image_root` of this source in the catalog YAML; "
                "pebr-data build --dry-run shows its rows",
            )

    def _items(self) -> Generator[Candidate | Reject, None, None]:
        rows = self.reader.rows(self.config.columns())
        with ExitStack() as stack:
            if not self.config.allowed_hosts:
                read_path = self.image_reader(stack)
                yield from (self.candidate(row, read_path) for row in rows)
                return
            fetcher = stack.enter_context(Fetcher(self.config.allowed_hosts))
            read_path = self.image_reader(stack, fetcher.fetch)
            threads = stack.enter_context(ThreadPoolExecutor(NUM_AT_ONCE, thread_name_prefix="rows"))
            pending: deque[Future[Candidate | Reject]] = deque()
            try:
                for row in rows:
                    pending.append(threads.submit(self.candidate, row, read_path))
                    if len(pending) > NUM_AT_ONCE:
                        yield pending.popleft().result()
                while pending:
                    yield pending.popleft().result()
            finally:
                threads.shutdown(wait=False, cancel_futures=True)
                fetcher.cancel()

    def image_reader(self, stack: ExitStack, fetch: ReadPath | None = None) -> ReadPath:
        """Reads images by their path, until the stack is closed. A root that the YAML names is opened at once.

        Args:
            stack: What is opened is closed with it.
            fetch: Gives what lies at an address, where the YAML allows any host.

        Raises:
            DataError: There is no such root.
        """
        tree: Tree | None = None
        if self.config.image_root is not None:
            tree = stack.enter_context(open_tree(self._base_dir / self.config.image_root))

        one_at_a_time = Lock()  # an archive is one open file

        def read_path(path: str) -> bytes:
            nonlocal tree
            if is_address(path):
                if fetch is None or not self.config.allowed_hosts:
                    raise DataError(
                        "the image's path is an address, and `allowed_hosts` names no host", where=path[:200]
                    )
                return fetch(path)
            with one_at_a_time:
                if tree is None:
                    tree = stack.enter_context(open_tree(self.reader.image_root))
                return tree.read(path, max_bytes=MAX_BYTES)

        return read_path

    def candidate(self, row: RawRow, read_path: ReadPath) -> Candidate | Reject:
        """What one row becomes."""
        try:
            if isinstance(row.columns, DataError):
                raise row.columns
            columns = self._with_constants(row.columns)
            reason = filtered_out(columns, self.config.keep_if)
            if reason is not None:
                raise DataError(reason)
            candidate = to_candidate(
                columns, self.config.fields, source=self.name, split=row.split, read_path=read_path
            )
            self._check_phrases(candidate)
            return candidate
        except DataError as error:
            place = row.where if error.where is None else f"{row.where}, {error.where}"
            return Reject(source=self.name, where=place, reason=error.what)

    def stamps(self) -> list[Stamp]:
        """As `Reader.stamps`, with the image root."""
        root = self.config.image_root
        return self.reader.stamps() + ([] if root is None else stamp_of(self._base_dir / root))

    def _with_constants(self, columns: Mapping[str, Any]) -> Mapping[str, Any]:
        constants = self.config.constants
        if not constants:
            return columns
        for name in constants:
            if columns.get(name) is not None:
                raise DataError(f"the row has a column `{name}`, which `constants` would hide")
        return {**columns, **constants}

    def _check_phrases(self, candidate: Candidate) -> None:
        response = (candidate.response or "").casefold()
        for phrase in self.config.reject_phrases:
            if phrase.casefold() in response:
                raise DataError(f"the response holds {phrase!r}")
