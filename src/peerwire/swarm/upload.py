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
    from ..torrent.metainfo import Metainfo
    from .proofs import Proofs

__all__ = ["Upload"]

#: Blocks read in one go: enough that the hop to a thread is small beside the reading, few enough
#: that a choke or a cancel finds most requests still unanswered.
BATCH = 32

#: Bytes that are read and hashed for a peer who asks for the hashes of blocks, and how many more
#: for each byte of content that it was given: a piece of a megabyte for each block of it. So who
#: fetches pieces gets their hashes (BEP 52: no reject after a block that is served), and 48 bytes
#: do not cost us megabytes again and again.
HASHED = 16 * 1024 * 1024
HASHED_PER_BYTE = 64


class Upload:
    """Serves the requests of one peer, the oldest first.

    The hashes of pieces are served whether the peer is choked or not. For those of blocks, whole
    pieces have to be read, so they are for who is unchoked, and in proportion to what it was given
    (BEP 52, peer messages, leaves both limits to us).

    Attributes:
        allowance: The pieces that it is served even while it is choked.

    Args:
        peer: Who asks.
        metainfo: The torrent.
        disk: Where its content is.
        have: The pieces that may be served, kept up to date by the owner.
        on_failure: Told of each piece that can't be read, and why. It is to take it out of `have`.
        proofs: Answers hash requests; None where the trees are not known, and all are rejected.
    """

    def __init__(
        self,
        peer: Peer,
        metainfo: Metainfo,
        disk: Disk,
        have: PieceSet,
        *,
        on_failure: Callable[[int, StorageError], None],
        proofs: Proofs | None = None,
    ) -> None:
        self._peer = peer
        self._metainfo = metainfo
        self._disk = disk
        self._have = have
        self._on_failure = on_failure
        self._proofs = proofs
        self._hashed = 0  # bytes
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
        hashes = None
        if self._proofs is not None:
            hashes = await self._proofs.answer(asked.range, self._have, self._affords)
        if hashes is None:
            self._peer.reject_hashes(asked)
        else:
            await self._peer.respond_hashes(asked, hashes)

    def _affords(self, size: int) -> bool:
        """Whether so many bytes are read for the hashes of blocks, which counts them."""
        most = HASHED + HASHED_PER_BYTE * self._peer.uploaded
        if self._peer.am_choking or self._hashed + size > most:
            return False
        self._hashed += size
        return True

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
