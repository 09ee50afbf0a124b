"""Disk: a Storage for asyncio, its work off the event loop."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from ..errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Self

    from ..pieces import PieceSet
    from .storage import Buffer, Progress, Storage

__all__ = ["WORKERS", "Disk", "Span"]

#: Bytes of a piece: index, begin, length.
Span: TypeAlias = "tuple[int, int, int]"

#: Threads: some for reads to pass a disk that is slow to write. One hashes and writes about 1 GB/s.
WORKERS = 4

T = TypeVar("T")


class Disk:
    """The pieces of a torrent on disk, for the event loop: ``async with Disk(storage) as disk``.

    Each call is one hop to a thread of the disk's own and back, so few large calls are better than
    many small ones. Calls may overlap and end in any order. Cancelling a call does not take back
    what a thread is doing: a buffer that was passed in is its own again only when the call, or the
    disk, is over. Any call may raise `StorageError`: the disk is closed, or the system gives no
    thread to work in.

    Args:
        storage: Where the pieces are. It is closed with the disk.
        workers: Threads.
    """

    def __init__(self, storage: Storage, *, workers: int = WORKERS) -> None:
        self.storage = storage
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="peerwire-disk")
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Wait for what is under way, then close the files. Later calls raise StorageError.

        Raises:
            StorageError: What was written can't be kept after all, as some file systems say last.
        """
        self._closed = True
        await asyncio.to_thread(self._pool.shutdown)
        self.storage.close()

    async def read(self, index: int, begin: int, length: int) -> bytes:
        """Read bytes of a piece; arguments and errors are those of `Storage.read`."""
        return await self._hop(lambda: self.storage.read(index, begin, length))

    async def read_many(self, spans: Iterable[Span]) -> list[memoryview]:
        """Read many spans in one hop, those that lie one behind the other in one go.

        Args:
            spans: ``(index, begin, length)`` of each, as a peer's requests give them.

        Returns:
            The bytes of each span. Neighbours share memory, which is freed with the last of them.

        Raises:
            IndexError, ValueError, StorageError: As `Storage.read`; then nothing is returned.
        """
        wanted = list(spans)
        return await self._hop(lambda: list(self._read_spans(wanted)))

    async def hash_blocks(self, spans: Iterable[Span]) -> bytes:
        """Read blocks and hash each, in one hop (BEP 52, pieces root).

        Args:
            spans: As `read_many` has them.

        Returns:
            The SHA-256 of each, 32 bytes.

        Raises:
            IndexError, ValueError, StorageError: As `Storage.read`.
        """
        wanted = list(spans)
        return await self._hop(
            lambda: b"".join(hashlib.sha256(block).digest() for block in self._read_spans(wanted))
        )

    async def write_piece(self, index: int, buffer: Buffer) -> bool:
        """Hash a whole piece and, if it is right, write it: one hop for both.

        Returns:
            Whether the hash was right (BEP 3). If not, nothing was written.

        Raises:
            IndexError, StorageError: As `Storage.write`.
        """
        (right,) = await self.write_pieces([(index, buffer)])
        return right

    async def write_pieces(self, pieces: Sequence[tuple[int, Buffer]]) -> list[bool]:
        """Do the same for several in one hop: index and bytes of each.

        Returns:
            Of each piece, whether its hash was right. If not, it was not written.

        Raises:
            IndexError, StorageError: As `Storage.write`; those before were written.
        """
        return await self._hop(lambda: [self._write_if_right(*piece) for piece in pieces])

    async def check(self, index: int) -> bool:
        """Tell whether a piece is on disk, whole and right; errors are those of `Storage.check`."""
        return await self._hop(lambda: self.storage.check(index))

    async def verify(self, progress: Progress | None = None) -> PieceSet:
        """Return the pieces that are on disk, whole and right; see `Storage.verify`.

        A cancelled call ends soon, after the pieces in hand.

        Args:
            progress: Called on the event loop with the bytes that are done and those in all.

        Raises:
            StorageError: The disk refuses.
        """
        loop = asyncio.get_running_loop()
        given_up = threading.Event()

        def report(done: int, total: int) -> None:
            if given_up.is_set():
                raise asyncio.CancelledError
            if progress is not None:
                loop.call_soon_threadsafe(progress, done, total)

        try:
            return await self._hop(lambda: self.storage.verify(report))
        finally:
            given_up.set()

    async def _hop(self, work: Callable[[], T]) -> T:
        if self._closed:
            raise StorageError(
                f"{self.storage.content} was closed: nothing is read or written after that"
            )
        try:
            working = asyncio.get_running_loop().run_in_executor(self._pool, work)
        except RuntimeError as error:  # threads are started as they are needed, if there are any
            raise StorageError(f"can't use {self.storage.content}: {error}") from error
        return await working

    def _read_spans(self, spans: Iterable[Span]) -> Iterator[memoryview]:
        for index, begin, lengths in _neighbours(spans):
            data = memoryview(self.storage.read(index, begin, sum(lengths)))
            for length in lengths:
                yield data[:length]
                data = data[length:]

    def _write_if_right(self, index: int, buffer: Buffer) -> bool:
        digest = hashlib.sha1(buffer, usedforsecurity=False).digest()
        if digest != self.storage.metainfo.piece_hash(index):
            return False
        self.storage.write(index, 0, buffer)
        return True


def _neighbours(spans: Iterable[Span]) -> list[tuple[int, int, list[int]]]:
    """Spans that continue each other, as where they begin and the length of each."""
    runs: list[tuple[int, int, list[int]]] = []
    end = 0
    for index, begin, length in spans:
        if runs and (runs[-1][0], end) == (index, begin):
            runs[-1][2].append(length)
        else:
            runs.append((index, begin, [length]))
        end = begin + length
    return runs
