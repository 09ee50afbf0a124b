"""Answering one peer's requests from disk."""

from __future__ import annotations

import asyncio
from itertools import islice
from typing import TYPE_CHECKING

from ..errors import StorageError

if TYPE_CHECKING:
    from ..asyncio.peer import Peer
    from ..messages import Request
    from ..pieces import PieceSet
    from ..torrent.disk import Disk
    from ..torrent.metainfo import Metainfo

__all__ = ["Upload"]

#: Blocks read in one go: enough that the hop to a thread is small beside the reading, few enough
#: that a choke or a cancel finds most requests still unanswered.
BATCH = 32


class Upload:
    """Serves the requests of one peer, the oldest first.

    Args:
        peer: Who asks.
        metainfo: The torrent.
        disk: Where its content is.
        have: The pieces that may be served, kept up to date by the owner.
    """

    def __init__(self, peer: Peer, metainfo: Metainfo, disk: Disk, have: PieceSet) -> None:
        self._peer = peer
        self._metainfo = metainfo
        self._disk = disk
        self._have = have
        self._asked = asyncio.Event()

    def requested(self, request: Request) -> None:
        """Takes note of a request that has just come in."""
        if self._serves(request):
            self._asked.set()
        else:
            self._peer.reject(request)

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

    async def _answer(self, batch: list[Request]) -> None:
        spans = [(request.index, request.begin, request.length) for request in batch]
        try:
            blocks = await self._disk.read_many(spans)
        except StorageError:
            # A file that was removed or cut short while we serve it. BEP 6 has an answer for that.
            for request in batch:
                self._peer.reject(request)
            raise
        for request, block in zip(batch, blocks, strict=True):
            await self._peer.respond(request, block)

    def _serves(self, request: Request) -> bool:
        inside = request.begin + request.length <= self._metainfo.piece_size(request.index)
        return inside and request.index in self._have
