"""Members of an uncompressed tar archive, in order and without extracting any; a hostile one is an error in time."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from pebr_data.errors import DataError

_MAX_READ_BYTES = 128 * 2**20
"""What is read at once at most: an image, or a header that claims to be longer than any is."""

BROKEN = (tarfile.TarError, OSError, EOFError, ValueError, OverflowError, RecursionError, MemoryError)
"""What `tarfile` raises over a broken archive."""


class _Guarded:
    """A file that refuses to be read in huge pieces or to go backwards for ever, whatever an archive's headers say."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _MAX_READ_BYTES:
            raise tarfile.ReadError("a header claims an impossible size")
        return self._file.read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()


@contextmanager
def open_tar(path: Path) -> Iterator[tarfile.TarFile]:
    """The archive, open for reading.

    Raises:
        DataError: It cannot be read, or is compressed.
    """
    with path.open("rb") as file:
        try:
            tar = tarfile.open(fileobj=_Guarded(file), mode="r:")  # type: ignore[call-overload]  # noqa: SIM115
        except BROKEN as error:
            raise unreadable(path, error) from error
        with tar:
            yield tar


def members_of(tar: tarfile.TarFile, path: Path) -> Iterator[tarfile.TarInfo]:
    """The members in the order of the archive; none is kept, so that an archive of millions takes no memory.

    Raises:
        DataError: The archive is broken from here on.
    """
    offset = -1
    while True:
        try:
            member = tar.next()
        except BROKEN as error:
            raise unreadable(path, error) from error
        if member is None:
            return
        if member.offset <= offset or member.size < 0:
            raise unreadable(path, tarfile.ReadError("a header claims an impossible size"))
        offset = member.offset
        tar.members.clear()  # type: ignore[attr-defined]
        yield member


def read_member(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    """The bytes of a plain file.

    Raises:
        DataError: It is no plain file, or the archive ends in it.
    """
    if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or member.issparse():
        raise DataError("the path is no regular file", where=member.name)
    try:
        file = tar.extractfile(member)
        data = b"" if file is None else file.read()
    except BROKEN as error:
        raise DataError(f"the file cannot be read: {type(error).__name__}", where=member.name) from error
    if len(data) != member.size:
        raise DataError("the archive ends amid the file", where=member.name)
    return data


def unreadable(path: Path, error: BaseException) -> DataError:
    """The error for an archive that cannot be read."""
    return DataError(
        f"not a readable uncompressed tar archive: {error}",
        where=str(path),
        help="if it is compressed, decompress it first; else get it again",
    )
