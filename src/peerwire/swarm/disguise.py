"""A seed that passes for a peer with nothing, and carries out what `SuperSeed` decides (BEP 16)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..messages import Bitfield, Have, HaveAll, HaveNone, NotInterested
from ..pieces import PieceSet
from .superseed import SuperSeed

if TYPE_CHECKING:
    from ..asyncio.inbox import Received
    from ..asyncio.peer import Peer
    from .superseed import Reveals

__all__ = ["Disguise"]


class Disguise:
    """What each peer was shown, and the HAVEs that show it.

    Args:
        num_pieces: How many pieces the torrent has.
    """

    def __init__(self, num_pieces: int) -> None:
        self._num_pieces = num_pieces
        self._plan: SuperSeed[Peer] = SuperSeed(num_pieces)
        self._shown: dict[Peer, PieceSet] = {}
        self._silent: set[Peer] = set()  # who has not said yet what it has

    def meet(self, peer: Peer) -> PieceSet:
        """Returns what a new peer was shown and may ask for: nothing yet, kept up to date."""
        self._silent.add(peer)
        shown = self._shown[peer] = PieceSet(self._num_pieces)
        return shown

    def part(self, peer: Peer) -> None:
        """Forgets a peer."""
        del self._shown[peer]
        if peer in self._silent:
            self._silent.remove(peer)
        else:
            self._reveal(self._plan.left(peer))

    def heard(self, peer: Peer, message: Received) -> None:
        """Takes in a message of a peer, which its state has in it already."""
        match message:
            case Bitfield() | HaveAll() | HaveNone():
                self._join(peer)
            case Have() if peer in self._silent:
                self._join(peer)
            case Have(index):
                self._reveal(self._plan.peer_has(peer, index))
            case NotInterested() if peer not in self._silent:
                self._reveal(self._plan.uninterested(peer))

    def withdraw(self, index: int) -> None:
        """Takes note that a piece can't be served any more."""
        for shown in self._shown.values():
            shown.discard(index)
        self._reveal(self._plan.withdraw(index))

    def tick(self) -> None:
        """Begins a new round, of ten seconds.

        Who has said nothing so far has nothing: without the fast extension there is no other way
        to say so (BEP 3, bitfield).
        """
        for peer in list(self._shown):
            if peer in self._silent:
                self._join(peer)
            elif not peer.peer_interested:
                self._reveal(self._plan.uninterested(peer))
        self._reveal(self._plan.tick())

    def _join(self, peer: Peer) -> None:
        self._silent.discard(peer)
        self._reveal(self._plan.joined(peer, peer.peer_pieces))

    def _reveal(self, reveals: Reveals[Peer]) -> None:
        for peer, index in reveals:
            self._shown[peer].add(index)
            if peer.closed is None:
                peer.have(index)
