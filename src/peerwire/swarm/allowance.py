"""Pieces that a peer may have although it is choked, so that it has something to give (BEP 6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..fast import allowed_fast_set

if TYPE_CHECKING:
    from ..asyncio.peer import Peer
    from ..messages import Request
    from ..pieces import PieceSet
    from ..torrent.metainfo import Metainfo

__all__ = ["MAX_COPIES", "Allowance"]

#: How often a choked peer may have each of these pieces. Once is not enough, as blocks get lost
#: with a connection and pieces go corrupt; libtorrent: 3.
MAX_COPIES = 3


class Allowance:
    """The allowed-fast set of one peer, and what it has had of it.

    It holds for as long as the peer owns fewer pieces than the set has (BEP 6, allowed fast; so it
    is in webtorrent).

    Args:
        peer: Whom to allow it.
        metainfo: The torrent.
        have: The pieces that may be served, kept up to date by the owner.
    """

    def __init__(self, peer: Peer, metainfo: Metainfo, have: PieceSet) -> None:
        self._peer = peer
        self._metainfo = metainfo
        self._have = have
        ip, _ = peer.address  # empty if the connection was gone at once
        self._pieces: list[int] = []
        if peer.fast and ip:
            self._pieces = allowed_fast_set(metainfo.num_pieces, peer.info_hash, ip)
        self._announced = False
        self._given: dict[int, int] = {}  # bytes of each piece

    def peer_announced(self) -> None:
        """Takes note that the peer has said what it has; before, it may be a seed."""
        self._announced = True
        self.offer()

    def offer(self) -> None:
        """Tells the peer, if it is choked, of pieces of its set that we have by now."""
        peer = self._peer
        if peer.closed is not None or not peer.am_choking or not self._holds:
            return
        for index in self._pieces:
            new = index not in peer.peer_pieces and index not in peer.wire.allowed_fast
            if new and index in self._have:
                peer.allowed_fast(index)

    def grants(self, request: Request) -> bool:
        """Whether to answer a request of the peer although it is choked, which counts it."""
        given = self._given.get(request.index, 0) + request.length
        if not self._holds or given > MAX_COPIES * self._metainfo.piece_size(request.index):
            return False
        self._given[request.index] = given
        return True

    @property
    def _holds(self) -> bool:
        return self._announced and len(self._peer.peer_pieces) < len(self._pieces)
