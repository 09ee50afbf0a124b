"""Answering one peer's requests: for blocks from disk, for hashes from the trees of the files."""

from __future__ import annotations

import asyncio
from itertools import islice
from typing import TYPE_CHECKING

from ..errors import StorageError
from .allowance import Allowance

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..asyncio.peer import Peer
    from ..messages import HashRequest, Request
    from ..pieces import PieceSet
    from ..torrent.disk import Disk
    from ..torrent.hashing import HashServer
    from ..torrent.metainfo import Metainfo

__all__ = ["Upload"]

#: Blocks read in one go: enough that the hop to a thread is small beside the reading, few enough
#: that a choke or a cancel finds most requests still unanswered.
BATCH = 32


class Upload:
    """Serves the requests of one peer, the oldest first.

    Hashes are served as far as they are in the .torrent, whether the peer is choked or not. Those
    of blocks, which every piece asked about would have to be read for, are rejected: 48 bytes are
    not to cost us megabytes (BEP 52, hash reject).

    Attributes:
        allowance: The pieces that it is served even while it is choked.

    Args:
        peer: Who asks.
        metainfo: The torrent.
        disk: Where its content is.
        have: The pieces that may be served, kept up to date by the owner.
        on_failure: Told of each piece that can't be read, and why. It is to take it out of `have`.
        hashes: Answers hash requests; None where the trees are not known, and all are rejected.
    """

    def __init__(
        self,
        peer: Peer,
        metainfo: Metainfo,
        disk: Disk,
        have: PieceSet,
        *,
        on_failure: Callable[[int, StorageError], None],
        hashes: HashServer | None = None,
    ) -> None:
        self._peer = peer
        self._metainfo = metainfo
        self._disk = disk
        self._have = have
        self._on_failure = on_failure
        self._hashes = hashes
        self.allowance = Allowance(peer, metainfo, have)
        self._asked = asyncio.Event()

    def requested(self) -> None:
        """Takes note that a request has come in, for a block or for hashes."""
        self._asked.set()

    async def run(self) -> None:
        """Answers requests until it is cancelled or the connection ends.

        Raises:
            ConnectionClosed: The connection has ended.
        """
        while True:
            await self._asked.wait()
            self._asked.clear()
            while batch := list(islice(self._peer.peer_requests, BATCH)):
                await self._answer(batch)
            for asked in list(self._peer.peer_hash_requests):
                await self._answer_hashes(asked)

    async def _answer_hashes(self, asked: HashRequest) -> None:
        hashes = None if self._hashes is None else self._hashes.answer(asked.range)
        if hashes is None:
            self._peer.reject_hashes(asked)
        else:
            await self._peer.respond_hashes(asked, hashes)

    async def _answer(self, requests: list[Request]) -> None:
        batch = []
        for request in requests:
            if self._serves(request):
                batch.append(request)
            else:
                self._peer.reject(request)
        if not batch:
            return
        try:
            blocks = await self._disk.read_many([(r.index, r.begin, r.length) for r in batch])
        except StorageError as error:
            await self._answer_what_can_be_read(batch, error)
            return
        for request, block in zip(batch, blocks, strict=True):
            await self._peer.respond(request, block)

    async def _answer_what_can_be_read(self, batch: list[Request], error: StorageError) -> None:
        """A file was removed or cut short, or the disk fails; the others may be there."""
        if len(batch) == 1:
            self._on_failure(batch[0].index, error)
            self._peer.reject(batch[0])
            return
        for request in batch:
            await self._answer([request])

    def _serves(self, request: Request) -> bool:
        inside = request.begin + request.length <= self._metainfo.piece_size(request.index)
        if not inside or request.index not in self._have:
            return False
        return not self._peer.am_choking or self.allowance.grants(request)
