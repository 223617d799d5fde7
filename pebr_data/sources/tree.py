"""A directory or a tar archive to read files from, and never anything outside it."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Protocol, Self

from pebr_data.errors import DataError
from pebr_data.sources.tar import members_of, open_tar, read_member

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
    """Files under a directory, which itself may be a symbolic link; none below it is followed."""

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
        target = self._root / inside(path)
        try:
            resolved = target.resolve()
            if resolved != target:
                raise DataError("the path is or goes through a symbolic link, and none is followed", where=path)
            if not resolved.is_file():
                raise DataError("there is no such file", where=path)
            _check_size(path, resolved.stat().st_size, max_bytes)
            return resolved.read_bytes()
        except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links
            raise DataError(f"the file cannot be read: {_reason(error)}", where=path) from error


class TarTree:
    """Files in an uncompressed tar archive, under `prefix`. Links in the archive are not followed."""

    def __init__(self, archive: Path, prefix: str = ".") -> None:
        self._stack = ExitStack()
        with ExitStack() as stack:
            self._tar = stack.enter_context(open_tar(archive))
            members = members_of(self._tar, archive)
            self._members = {PurePosixPath(member.name).as_posix(): member for member in members}
            self._stack = stack.pop_all()
        self._prefix = PurePosixPath(prefix)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def read(self, path: str, *, max_bytes: int) -> bytes:
        """As `Tree.read`."""
        member = self._members.get((self._prefix / inside(path)).as_posix())
        if member is None:
            raise DataError("there is no such file", where=path)
        _check_size(path, member.size, max_bytes)
        return read_member(self._tar, member)


def inside(path: str) -> PurePosixPath:
    """`path` as a relative path without `..`.

    Raises:
        DataError: It is absolute, an address or a Windows path, or leads out.
    """
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
