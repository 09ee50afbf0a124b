"""The files that a torrent's content is in: how they are opened, and what is refused."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
from typing import TYPE_CHECKING

from ..errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .metainfo import File

__all__ = [
    "READ",
    "Absent",
    "create",
    "expect_file",
    "expect_kept",
    "explained",
    "lock",
    "place",
]

#: Opening a named pipe to read would wait for its writer; it is refused once it is open.
READ = os.O_RDONLY | os.O_NONBLOCK


class Absent(StorageError):
    """A file is not there, or ends before the bytes that were asked for."""


def place(content: Path, file: File) -> Path:
    """Return where a file of a torrent belongs, whose own file or directory is `content`."""
    return content.joinpath(*file.path[1:])


def create(real: str) -> int:
    """Open a file for reading and writing, made with its directories where it is missing."""
    os.makedirs(os.path.dirname(real), exist_ok=True)
    return os.open(real, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)


def lock(path: Path) -> int:
    """Open a file or directory and lock it; the lock goes with the descriptor."""
    descriptor = os.open(path, READ)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno == errno.EWOULDBLOCK:
            os.close(descriptor)
            raise StorageError(
                f"{path} is being downloaded already; wait for the other download, or end it"
            ) from error
        # Network file systems may know no locks, and downloads did without before.
    return descriptor


def expect_file(status: os.stat_result, path: Path) -> None:
    """Refuse what is no file: a directory, a pipe, a device."""
    if not stat.S_ISREG(status.st_mode):
        raise StorageError(f"{path} is in the way: it is not a file")


def expect_kept(descriptor: int, path: Path) -> None:
    """Refuse to write on to a file that nobody will find: it was removed, or replaced.

    A few file systems count no links; there the name decides.
    """
    status = os.fstat(descriptor)
    if not status.st_nlink and not _is_at(status, path):
        raise StorageError(f"{path} was removed while it was written; begin again to fetch it anew")


def _is_at(status: os.stat_result, path: Path) -> bool:
    try:
        return os.path.samestat(status, os.stat(path))
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def explained(doing: str, path: Path, file: File | None = None) -> Iterator[None]:
    """Turn the system's errors into ours."""
    try:
        yield
    except StorageError:
        raise
    except OSError as error:
        where = path if file is None else place(path, file)
        culprit = f" ({error.filename})" if error.filename not in (None, str(where)) else ""
        kind = Absent if isinstance(error, FileNotFoundError) else StorageError
        raise kind(f"can't {doing} {where}: {error.strerror}{culprit}") from error
