"""Hashes of a hybrid's files for those who ask: from its .torrent, and from disk (BEP 52)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ..errors import LocalProtocolError, StorageError
from ..limits import BLOCK_LENGTH
from ..torrent.hashing import HashServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..hashes import HashRange
    from ..pieces import PieceSet
    from ..torrent.disk import Disk, Span
    from ..torrent.metainfo_v2 import FileV2, MetainfoV2

__all__ = ["Proofs"]

#: Blocks read and hashed in one go: a megabyte, however long the pieces are.
BATCH = 64


class Proofs:
    """Answers hash requests about the files of one torrent, for all of its peers.

    The hashes of pieces are in the .torrent. Those of blocks are in no file: the pieces are read
    again and hashed, for one request at a time, so that requests keep one thread busy at the most.

    Args:
        meta: The torrent; of a file whose piece layer it lacks, no hashes are given.
        disk: Its content.
    """

    def __init__(self, meta: MetainfoV2, disk: Disk) -> None:
        self._meta = meta
        self._disk = disk
        self._server = HashServer(meta.trees())
        # Files that are the same share a root. The first will do for all.
        self._files = {file.pieces_root: file for file in reversed(meta.files) if file.length}
        self._reading = asyncio.Lock()

    async def answer(
        self, asked: HashRange, have: PieceSet, affords: Callable[[int], bool]
    ) -> list[bytes] | None:
        """Answer a request.

        Args:
            asked: What was asked for.
            have: The pieces that may be read.
            affords: Asked with a number of bytes whether so much is read for who asks.

        Returns:
            The hashes of a ``hashes`` message; None if the request is to be rejected.
        """
        blocks: list[Span] = []
        pieces = self._server.pieces(asked)
        if pieces:
            blocks = list(self._blocks(self._files[asked.pieces_root], pieces))
            there = all(index in have for index, _, _ in blocks)
            if not there or not affords(sum(length for _, _, length in blocks)):
                return None
        try:
            return self._server.answer(asked, await self._hash(blocks))
        except (StorageError, LocalProtocolError):  # it is gone, or is not what it was
            return None

    def _blocks(self, file: FileV2, pieces: range) -> Iterator[Span]:
        """The blocks of some pieces of a file."""
        size = self._meta.piece_length
        first = file.offset // size
        for piece in pieces:
            end = min(size, file.length - piece * size)
            for begin in range(0, end, BLOCK_LENGTH):
                yield first + piece, begin, min(BLOCK_LENGTH, end - begin)

    async def _hash(self, blocks: list[Span]) -> bytes:
        if not blocks:
            return b""
        async with self._reading:
            parts = [
                await self._disk.hash_blocks(blocks[start : start + BATCH])
                for start in range(0, len(blocks), BATCH)
            ]
        return b"".join(parts)
