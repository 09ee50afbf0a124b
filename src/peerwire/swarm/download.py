"""Fetching the pieces of a torrent from any number of peers, and believing none of them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import ConnectionClosed, PeerChoked, StorageError
from ..limits import BLOCK_LENGTH
from .events import PieceCorrupt, PieceVerified
from .picker import Block

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..asyncio.peer import Peer
    from ..messages import Piece
    from ..requests import PendingRequest
    from ..torrent.disk import Disk
    from ..torrent.metainfo import Metainfo
    from .picker import Picker

__all__ = ["Download"]

#: Requests outstanding to a peer of which nothing is known yet, or which lets them time out.
MIN_PIPELINE = 4

#: The most that are: what libtorrent queues of a peer that announces no number of its own.
MAX_PIPELINE = 250

#: Seconds of a peer's rate that are asked for ahead, as libtorrent does.
PIPELINE_SECONDS = 3.0

#: Seconds from the first request of a peer during which its pipeline grows whatever its rate,
#: which is not known before: doubled by every half of it that is answered.
SLOW_START = 5.0

#: Bytes of whole pieces that may wait for the disk before no more are asked for.
MAX_UNWRITTEN = 64 * 1024 * 1024


@dataclass(slots=True)
class _Pipeline:
    """How many requests are kept outstanding to one peer, and since when any are."""

    depth: int = MIN_PIPELINE
    since: float | None = None

    def grow(self, rate: float, now: float) -> None:
        """Takes in that half of it was answered, at `rate` bytes a second."""
        depth = min(2 * self.depth, MAX_PIPELINE)
        if self.since is not None and now - self.since > SLOW_START:
            depth = min(depth, int(rate * PIPELINE_SECONDS / BLOCK_LENGTH))
        self.depth = max(MIN_PIPELINE, depth)


class Download:
    """The pieces of one torrent on their way in.

    Args:
        metainfo: The torrent.
        disk: Where verified pieces go.
        picker: What to ask of whom.
        on_verified: Told of each piece that is on disk.
        on_corrupt: Told of each piece whose hash was wrong.
        on_failure: Told of the error, when the disk fails.
    """

    def __init__(
        self,
        metainfo: Metainfo,
        disk: Disk,
        picker: Picker[Peer],
        *,
        on_verified: Callable[[PieceVerified], None],
        on_corrupt: Callable[[PieceCorrupt], None],
        on_failure: Callable[[StorageError], None],
    ) -> None:
        self._metainfo = metainfo
        self._disk = disk
        self._picker = picker
        self._on_verified = on_verified
        self._on_corrupt = on_corrupt
        self._on_failure = on_failure
        self._buffers: dict[int, memoryview] = {}
        self._pipelines: dict[Peer, _Pipeline] = {}
        self._unwritten = 0
        self._writes: set[asyncio.Task[None]] = set()

    def add(self, peer: Peer) -> None:
        """Takes a peer in, with the pieces it has said to have."""
        self._picker.add_peer(peer, peer.peer_pieces)
        self._pipelines[peer] = _Pipeline()

    def remove(self, peer: Peer) -> None:
        """Lets a peer go; what was asked of it is asked of others."""
        del self._pipelines[peer]
        self._picker.remove_peer(peer)

    def peer_has(self, peer: Peer, index: int) -> None:
        """Takes note of a HAVE."""
        self._picker.peer_has(peer, index)
        self._may_want(peer)

    def peer_announced(self, peer: Peer) -> None:
        """Takes note of a whole new set of pieces."""
        self._picker.replace(peer, peer.peer_pieces)
        self._may_want(peer)

    def update_interest(self, peer: Peer) -> None:
        """Says whether the peer has something for us (BEP 3: kept up to date at all times)."""
        if self._picker.interesting(peer):
            peer.interested()
        else:
            peer.not_interested()

    def refill(self, peer: Peer) -> None:
        """Asks the peer for as much as keeps it busy."""
        if self._unwritten >= MAX_UNWRITTEN:
            return  # the disk is behind; `_finish` comes back here
        pipeline = self._pipelines[peer]
        room = pipeline.depth - len(peer.requests)
        only = peer.peer_allowed_fast if peer.peer_choking else None
        if room <= 0 or (only is not None and not only):
            return
        for block in self._picker.pick(peer, room, only=only):
            view = self._buffer(block.index)[block.begin : block.begin + block.length]
            try:
                peer.request_nowait(block.index, block.begin, block.length, into=view)
            except (PeerChoked, ConnectionClosed):
                self._picker.failed(peer, block)
        if pipeline.since is None and peer.requests:
            pipeline.since = asyncio.get_running_loop().time()

    def received(self, peer: Peer, piece: Piece) -> None:
        """Takes in a block that was asked for."""
        length = len(piece.block)
        result = self._picker.received(peer, piece.index, piece.begin)
        for other in result.others:
            other.cancel(piece.index, piece.begin, length)
        if result.whole:
            self._unwritten += self._metainfo.piece_size(piece.index)
            task = asyncio.get_running_loop().create_task(self._finish(piece.index))
            self._writes.add(task)
            task.add_done_callback(self._writes.discard)
        pipeline = self._pipelines[peer]
        if len(peer.requests) <= pipeline.depth // 2:
            pipeline.grow(peer.download_rate, asyncio.get_running_loop().time())
            self.refill(peer)

    def ended(self, peer: Peer, request: PendingRequest, *, stalled: bool) -> None:
        """Takes in that a block will not come from this peer."""
        self._picker.failed(peer, Block(*request.key))
        if stalled:
            self._pipelines[peer] = _Pipeline()
        self.refill(peer)

    async def settle(self) -> None:
        """Waits until every piece that has come is written."""
        if self._writes:
            await asyncio.wait(self._writes)

    def _may_want(self, peer: Peer) -> None:
        self.update_interest(peer)
        self.refill(peer)

    def _buffer(self, index: int) -> memoryview:
        buffer = self._buffers.get(index)
        if buffer is None:
            buffer = memoryview(bytearray(self._metainfo.piece_size(index)))
            self._buffers[index] = buffer
        return buffer

    async def _finish(self, index: int) -> None:
        """Verifies and writes a whole piece, and draws the consequences."""
        buffer = self._buffers.pop(index)
        try:
            good = await self._disk.write_piece(index, buffer)
        except StorageError as error:
            self._on_failure(error)
            return
        finally:
            self._unwritten -= len(buffer)
        if good:
            self._picker.verified(index)
            self._on_verified(PieceVerified(index))
        else:
            blame = self._picker.corrupt(index)
            guilty = blame.peers[0] if blame.alone else None
            self._on_corrupt(PieceCorrupt(index, list(blame.peers), guilty))
        for peer in list(self._pipelines):
            self.refill(peer)
