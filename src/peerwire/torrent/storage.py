"""Storage: a torrent's pieces as files on a disk, and back (BEP 3, BEP 47).

POSIX only: it reads and writes at positions of shared files, without seeking.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from bisect import bisect_right
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from ..errors import StorageError
from ..pieces import PieceSet
from .files import READ, Absent, create, expect_file, expect_kept, explained, lock, place
from .handles import Handles
from .padding import Padding, sha1_of_zeros

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator
    from concurrent.futures import Future
    from typing import Self

    from .metainfo import File, Metainfo

__all__ = [
    "MAX_OPEN_FILES",
    "Buffer",
    "Progress",
    "Storage",
    "StrPath",
    "in_threads",
    "locate",
]

#: Called with the bytes that are done and those that there are.
Progress: TypeAlias = "Callable[[int, int], None]"
StrPath: TypeAlias = "str | os.PathLike[str]"
Buffer: TypeAlias = "bytes | bytearray | memoryview"

#: Files kept open: a quarter of what macOS gives a process, which needs the rest for its peers.
MAX_OPEN_FILES = 64
#: Bytes read at a time for hashing: enough that a call costs nothing beside its hash.
_CHUNK = 256 * 1024
#: Bytes that a thread hashes before it asks for more work.
_RUN = 8 * 1024 * 1024
#: The most files that one error names.
_LISTED = 5

T = TypeVar("T")


class Storage:
    """A torrent's content on disk, by piece. Every method may be called by any thread.

    Files appear when they are first written to (the only file of a torrent when it is prepared),
    and are sparse. Pad files never reach the disk: they read as zeros, and what is written to them
    is dropped (BEP 47). Links are not made. A file that is longer than the torrent says is left
    so: its end is somebody's data, and no reason to delete it was given.

    Nothing is written outside `root` (or `content`): each path is followed to its end, through
    every symbolic link, before its file is opened for writing or its directories are made, and
    refused where that end lies elsewhere. Reading follows links anywhere: whoever seeds may keep
    parts on another disk.

    Args:
        metainfo: What the files are.
        root: The directory that holds the torrent's file or directory under its own name.
        content: The file or directory itself where it has another name; `root` is not used then.
        max_open: Most files kept open.
    """

    def __init__(
        self,
        metainfo: Metainfo,
        root: StrPath,
        *,
        content: StrPath | None = None,
        max_open: int = MAX_OPEN_FILES,
    ) -> None:
        self.metainfo = metainfo
        #: The torrent's own file or directory.
        self.content = Path(os.path.abspath(content or Path(root, metainfo.name)))
        self._bound = os.path.realpath(content or root)
        # Files that hold bytes, in the order of their offsets.
        self._files = [file for file in metainfo.files if file.length]
        self._offsets = [file.offset for file in self._files]
        self._padding = Padding(metainfo)
        self._handles = Handles(self._open, max_open)
        self._claim: int | None = None  # a descriptor that holds the lock of a download

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the files that are open. A later call opens what it needs.

        Raises:
            StorageError: The file system says only now that it could not keep what was written.
        """
        claim, self._claim = self._claim, None
        if claim is not None:
            os.close(claim)
        with explained("close the files of", self.content):
            self._handles.close()

    def prepare(self) -> None:
        """Make ready for a download: the directory, the empty files, and nothing in the way.

        Nobody else can do so for the same file or directory until `close`, or the end of the
        process, however that comes: two torrents of one name would overwrite each other's pieces
        after they were verified. It is an advisory lock, where the file system has such.

        Raises:
            StorageError: Something other than a file is where a file belongs, a path leads out of
                `root`, another download is at it, or the disk refuses.
        """
        single = len(self.metainfo.files[0].path) == 1
        top = self.content.parent if single else self.content
        with explained("make the directory", top):
            self._inside(self.content)
            os.makedirs(top, exist_ok=True)
        for file in self.metainfo.files:
            if file.pad or file.link:
                continue
            path = place(self.content, file)
            with explained("make the file", path):
                real = self._inside(path)
                try:
                    expect_file(os.stat(real), path)
                except FileNotFoundError:
                    if single or not file.length:
                        os.close(create(real))
        if self._claim is None:
            with explained("lock", self.content):
                self._claim = lock(self.content)

    def read(self, index: int, begin: int, length: int) -> bytes:
        """Read `length` bytes of a piece, from its byte `begin`.

        Raises:
            IndexError: The torrent has no such piece.
            ValueError: The piece has no such bytes.
            StorageError: A file is missing or too short, or the disk refuses.
        """
        parts = []
        for number, position, size in self._spans(index, begin, length):
            if self._files[number].pad:
                parts.append(bytes(size))
                continue
            with self._opened(number, "read") as descriptor:
                part = os.pread(descriptor, size, position)
            self._expect(number, position, size, len(part))
            parts.append(part)
        return b"".join(parts)

    def readinto(self, index: int, begin: int, buffer: bytearray | memoryview) -> None:
        """Fill a buffer with a piece's bytes from `begin` on; errors are those of `read`."""
        view = memoryview(buffer).cast("B")
        for number, position, size in self._spans(index, begin, len(view)):
            part, view = view[:size], view[size:]
            if self._files[number].pad:
                part[:] = bytes(size)
                continue
            with self._opened(number, "read") as descriptor:
                count = os.preadv(descriptor, [part], position)
            self._expect(number, position, size, count)

    def write(self, index: int, begin: int, data: Buffer) -> None:
        """Write bytes of a piece, from its byte `begin` on. They are believed: see `check`.

        Raises:
            IndexError: The torrent has no such piece.
            ValueError: The piece has no such bytes.
            StorageError: A path leads out of `root`, the file was removed since it was opened, or
                the disk refuses.
        """
        view = memoryview(data).cast("B")
        for number, position, size in self._spans(index, begin, len(view)):
            part, view = view[:size], view[size:]
            if self._files[number].pad:
                continue
            with self._opened(number, "write", write=True) as descriptor:
                while part:  # a disk that fills up takes some of it first
                    count = os.pwrite(descriptor, part, position)
                    part, position = part[count:], position + count
                expect_kept(descriptor, place(self.content, self._files[number]))

    def digest(self, index: int, buffer: bytearray | None = None) -> bytes:
        """Return the SHA-1 of a piece as it is on disk, 20 bytes; errors are those of `read`.

        Args:
            index: The piece.
            buffer: Memory to read into, in steps of its length, where many pieces are hashed.
        """
        size = self.metainfo.piece_size(index)
        if not self._padding.content_size(index):
            return sha1_of_zeros(size)
        view = memoryview(buffer or bytearray(min(size, _CHUNK)))
        sha1 = hashlib.sha1(usedforsecurity=False)
        for begin in range(0, size, len(view)):
            part = view[: size - begin]
            self.readinto(index, begin, part)
            sha1.update(part)
        return sha1.digest()

    def check(self, index: int, buffer: bytearray | None = None) -> bool:
        """Tell whether a piece is on disk, whole and right. Arguments are those of `digest`.

        Raises:
            IndexError: The torrent has no such piece.
            StorageError: The disk refuses; a file that is missing or too short is no error here.
        """
        try:
            return self.digest(index, buffer) == self.metainfo.piece_hash(index)
        except Absent:
            return False

    def verify(self, progress: Progress | None = None, workers: int | None = None) -> PieceSet:
        """Return the pieces that are on disk, whole and right.

        What the files are too short for is not read, so nothing is done for a fresh download.

        Args:
            progress: Called from this thread as the work goes on, bytes not there counted as done;
                what it raises ends the work.
            workers: Threads, by default one for each processor; each holds 256 KiB.

        Raises:
            StorageError: The disk refuses.
        """
        present = list(self._present())
        total = self.metainfo.length
        done = total - sum(map(self._bytes_of, present))
        report = progress or (lambda done, total: None)
        report(done, total)
        have = PieceSet(self.metainfo.num_pieces)
        # Closed at once, not when a traceback lets go of it, should `progress` raise.
        with contextlib.closing(
            in_threads(self._right_pieces, self.runs(present), workers)
        ) as results:
            for run, right in results:
                have.update(right)
                done += self._bytes_of(run)
                report(done, total)
        return have

    def runs(self, ranges: Iterable[range]) -> Iterator[range]:
        """Cut ranges of pieces into such as one thread hashes in one go."""
        step = max(1, _RUN // self.metainfo.piece_length)
        for pieces in ranges:
            for start in range(pieces.start, pieces.stop, step):
                yield range(start, min(start + step, pieces.stop))

    def digests(self, run: range) -> bytes:
        """Return the SHA-1 of each piece of a run, one behind the other; errors as in `read`."""
        buffer = bytearray(_CHUNK)
        return b"".join([self.digest(index, buffer) for index in run])

    def _right_pieces(self, run: range) -> list[int]:
        buffer = bytearray(_CHUNK)
        return [index for index in run if self.check(index, buffer)]

    def _present(self) -> Iterator[range]:
        """The pieces whose bytes the files are long enough to hold."""
        piece_length = self.metainfo.piece_length
        start = 0  # the first byte behind the last one that is missing
        for file in self._files:
            size = file.length if file.pad else self._size_on_disk(file)
            if size < file.length:
                yield range(-(-start // piece_length), (file.offset + size) // piece_length)
                start = file.offset + file.length
        yield range(-(-start // piece_length), self.metainfo.num_pieces)

    def _size_on_disk(self, file: File) -> int:
        path = place(self.content, file)
        try:
            with explained("read", path):
                return path.stat().st_size
        except Absent:
            return 0

    def _bytes_of(self, pieces: range) -> int:
        piece_length = self.metainfo.piece_length
        end = min(pieces.stop * piece_length, self.metainfo.length)
        return max(0, end - pieces.start * piece_length)

    def _spans(self, index: int, begin: int, length: int) -> Iterator[tuple[int, int, int]]:
        """The files that hold some of a piece: number, position there, and bytes."""
        size = self.metainfo.piece_size(index)
        if begin < 0 or length < 0 or begin + length > size:
            raise ValueError(f"bytes {begin}+{length} of piece {index}, which has {size}")
        offset = index * self.metainfo.piece_length + begin
        number = bisect_right(self._offsets, offset) - 1
        while length:
            file = self._files[number]
            position = offset - file.offset
            part = min(length, file.length - position)
            yield number, position, part
            offset += part
            length -= part
            number += 1

    @contextlib.contextmanager
    def _opened(self, number: int, doing: str, *, write: bool = False) -> Iterator[int]:
        """The descriptor of an open file; what the system has against it becomes ours."""
        with (
            explained(doing, self.content, self._files[number]),
            self._handles.use(number, write=write) as descriptor,
        ):
            yield descriptor

    def _open(self, number: int, write: bool) -> int:
        path = place(self.content, self._files[number])
        descriptor = create(self._inside(path)) if write else os.open(path, READ)
        try:
            expect_file(os.fstat(descriptor), path)
        except StorageError:
            os.close(descriptor)
            raise
        return descriptor

    def _inside(self, path: Path) -> str:
        """Where a path leads, symbolic links followed, if that is not out of `root`.

        A torrent can make no link, so this needs to hold against links that lie there, not against
        somebody who swaps one in while we look: they have the disk already.
        """
        real = os.path.realpath(path)
        if os.path.commonpath((self._bound, real)) != self._bound:
            raise StorageError(
                f"{path} leads to {real}, out of {self._bound}: nothing is written through a"
                " symbolic link that leaves the directory; remove the link"
            )
        return real

    def _expect(self, number: int, position: int, size: int, count: int) -> None:
        """Judge what a read gave: less than was asked for is a file's end."""
        if count < size:
            file = self._files[number]
            raise Absent(
                f"{place(self.content, file)} is too short: nothing is at byte {position + count},"
                f" and the torrent has {file.length} there"
            )


def in_threads(
    function: Callable[[range], T], runs: Iterable[range], workers: int | None = None
) -> Generator[tuple[range, T]]:
    """Call a function for each run of pieces, in threads, and give the results in order.

    Args:
        function: What to do with a run.
        runs: The runs, taken as needed: a few more than there are threads are under way at once.
        workers: Threads, by default one for each processor.

    Raises:
        StorageError: The system gives no thread to work in; and whatever `function` raises.
    """
    workers = workers or os.cpu_count() or 1
    waiting: deque[tuple[range, Future[T]]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="peerwire-hash")
    try:
        for run in runs:
            try:
                waiting.append((run, pool.submit(function, run)))
            except RuntimeError as error:  # the system gives no more threads
                raise StorageError(f"can't hash: {error}") from error
            if len(waiting) > 2 * workers:
                first, future = waiting.popleft()
                yield first, future.result()
        for first, future in waiting:
            yield first, future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def locate(metainfo: Metainfo, path: StrPath) -> Path:
    """Find a torrent's content: at `path` itself, whatever its name, or by its name inside it.

    Only names and lengths are looked at.

    Returns:
        The torrent's file or directory, for ``Storage(..., content=...)``.

    Raises:
        StorageError: Some of it is at neither place; the message tells what is missing.
    """
    here = Path(os.path.abspath(path))
    if not here.exists():
        raise StorageError(f"{here} does not exist")
    single = len(metainfo.files[0].path) == 1
    if here.is_dir():
        candidates = [here / metainfo.name] if single else [here, here / metainfo.name]
    elif single:
        candidates = [here]
    else:
        raise StorageError(f"{here} is a file, and {metainfo.name!r} is a directory of files")
    lacking, content = min(
        ((_lacking(metainfo, candidate), candidate) for candidate in candidates),
        key=lambda found: len(found[0]),
    )
    if lacking:
        more = f", and {len(lacking) - _LISTED} more" if len(lacking) > _LISTED else ""
        raise StorageError(
            f"{content} is not all of {metainfo.name!r}: {', '.join(lacking[:_LISTED])}{more}"
        )
    return content


def _lacking(metainfo: Metainfo, content: Path) -> list[str]:
    """What of the files with bytes is missing or too short, told one by one."""
    lacking = []
    for file in metainfo.files:
        if file.pad or not file.length:
            continue
        name = "/".join(file.path[1:]) or file.path[0]
        try:
            size = place(content, file).stat().st_size
        except OSError as error:
            lacking.append(f"{name!r}: {error.strerror}")
            continue
        if size < file.length:
            lacking.append(f"{name!r} has {size} of {file.length} bytes")
    return lacking
