"""A directory or a tar archive to read files from, and never anything outside it."""

from __future__ import annotations

import tarfile
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Protocol, Self

from pebr_data.errors import DataError

_ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")


class Tree(Protocol):
    """Files under relative POSIX paths. A context manager; read only while it is open."""

    def read(self, path: str, *, max_bytes: int) -> bytes:
        """The bytes of the file at `path`.

        Raises:
            DataError: The path leaves the tree, there is no such regular file, or it is larger than `max_bytes`.
        """

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def open_tree(path: Path) -> Tree:
    """The tree at `path`, which may lead into a tar archive (`data/pebr.tar/images`).

    Raises:
        DataError: There is neither such a directory nor such an archive, or the archive is compressed or broken.
    """
    archive = archive_of(path)
    if archive is not None:
        return TarTree(archive, path.relative_to(archive).as_posix())
    return DirectoryTree(path)


def archive_of(path: Path) -> Path | None:
    """The tar archive that `path` is or leads into, or None."""
    for candidate in (path, *path.parents):
        if candidate.name.lower().endswith(_ARCHIVES) and candidate.is_file():
            return candidate
    return None


class DirectoryTree:
    """Files under a directory. Symbolic links are followed only while they stay inside it."""

    def __init__(self, root: Path) -> None:
        if not root.is_dir():
            raise DataError(
                "there is no such directory or tar archive", where=str(root), help="get the data or correct the path"
            )
        self._root = root.resolve()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def read(self, path: str, *, max_bytes: int) -> bytes:
        """As `Tree.read`."""
        target = self._root / _inside(path)
        try:
            resolved = target.resolve()
            if not resolved.is_relative_to(self._root):
                raise DataError("the path is a link that leads out of its directory", where=path)
            if not resolved.is_file():
                raise DataError("there is no such file", where=path)
            _check_size(path, resolved.stat().st_size, max_bytes)
            return resolved.read_bytes()
        except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links
            raise DataError(f"the file cannot be read: {_reason(error)}", where=path) from error


class TarTree:
    """Files in an uncompressed tar archive, under `prefix`. Links in the archive are not followed."""

    def __init__(self, archive: Path, prefix: str = ".") -> None:
        try:
            self._tar = tarfile.open(archive, mode="r:")  # noqa: SIM115 - closed by __exit__
            members = self._tar.getmembers()
        except (tarfile.TarError, OSError, EOFError) as error:
            raise DataError(
                f"not a readable uncompressed tar archive: {error}",
                where=str(archive),
                help="if it is compressed, decompress it first: images are read from it in any order",
            ) from error
        self._members = {PurePosixPath(member.name).as_posix(): member for member in members}
        self._prefix = PurePosixPath(prefix)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tar.close()

    def read(self, path: str, *, max_bytes: int) -> bytes:
        """As `Tree.read`."""
        member = self._members.get((self._prefix / _inside(path)).as_posix())
        if member is None:
            raise DataError("there is no such file", where=path)
        if not member.isreg():
            raise DataError("the path is no regular file", where=path)
        _check_size(path, member.size, max_bytes)
        try:
            file = self._tar.extractfile(member)
            data = b"" if file is None else file.read()
        except (tarfile.TarError, OSError, EOFError) as error:
            raise DataError(f"the file cannot be read: {_reason(error)}", where=path) from error
        if len(data) != member.size:
            raise DataError("the archive ends amid the file", where=path)
        return data


def _inside(path: str) -> PurePosixPath:
    """`path` as a relative path without `..`."""
    if not path.strip() or "\0" in path:
        raise DataError("the path is empty or holds a NUL", where=repr(path))
    if "://" in path or path.startswith("data:"):
        raise DataError("the path is an address, and nothing is fetched", where=path[:100])
    if "\\" in path or path[1:2] == ":":
        raise DataError("the path is a Windows path; a relative path with `/` is expected", where=path)
    relative = PurePosixPath(path)
    if relative.is_absolute() or ".." in relative.parts:
        raise DataError("the path leads out of its directory; a relative one without `..` is expected", where=path)
    return relative


def _check_size(path: str, size: int, max_bytes: int) -> None:
    if size > max_bytes:
        raise DataError(f"the file is larger than {max_bytes} bytes", where=path)


def _reason(error: Exception) -> str:
    """Why, without the path: reasons are counted."""
    return (isinstance(error, OSError) and error.strerror) or type(error).__name__
