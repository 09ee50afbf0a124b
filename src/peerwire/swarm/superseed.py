"""Super-seeding: which piece to show to whom, so that a seed gives each piece about once (BEP 16).

Theory of operation. A super-seed says that it has nothing, and then tells each peer of one piece
at a time. The peer gets the next once another peer has shown the last one, which proves that it
was passed on. A piece counts as often as there are peers that have it or were shown it last; the
one that counts least is shown, so that the whole torrent is out before anything is given twice.

Waiting for that proof must not leave a peer waiting for ever. So it ends, too, when the peer is
done with its piece and nobody is left who could show it:

- done: it has said to have the piece; or it is not interested. Clients that spare HAVEs for those
  who have the piece (ours is one) say no more than that, and so does who does not want the piece.
- nobody could: a peer has the piece already, or was shown it once and so may spare us its HAVE, or
  it has shown nothing new for `PATIENCE` rounds. A crawler that only watches is not waited for.

A peer with nobody beside it is thus given piece after piece, as fast as it takes them.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Hashable
from typing import TYPE_CHECKING, Generic, TypeAlias, TypeVar

from ..pieces import PieceSet
from .rarity import PieceBits, Rarity

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

__all__ = ["PATIENCE", "SuperSeed"]

#: Rounds for which a peer is waited for that shows nothing new: two minutes of ten seconds each,
#: in which 1 MiB comes in even at 10 KB/s.
PATIENCE = 12

K = TypeVar("K", bound=Hashable)

#: Whom to tell of which piece, in this order.
Reveals: TypeAlias = "list[tuple[K, int]]"


class _Peer(Generic[K]):
    """What one peer has, was shown, and is waited for with.

    `current` is the piece it was shown last, None while there is none; `done` whether it has that
    or does not want it, `passed_on` whether another has shown it since. `active` is the round in
    which the peer came or last showed something.
    """

    __slots__ = ("active", "current", "done", "key", "passed_on", "pieces", "shown")

    def __init__(self, key: K, num_pieces: int) -> None:
        self.key = key
        self.pieces = PieceSet(num_pieces)
        self.shown = PieceSet(num_pieces)
        self.current: int | None = None
        self.done = False
        self.passed_on = False
        self.active = 0


class SuperSeed(Generic[K]):
    """Decides which pieces to reveal, and when.

    Each method takes note of something and returns whom to tell of which piece now. What was
    revealed to a peer stays so: it may ask for that, and for nothing else.

    Args:
        num_pieces: How many pieces the torrent has.
        rng: Breaks ties; pass a seeded one and everything is deterministic.
    """

    def __init__(self, num_pieces: int, rng: random.Random | None = None) -> None:
        self._num_pieces = num_pieces
        self._bits = PieceBits(num_pieces)
        self._rng = rng if rng is not None else random.Random()
        self._offered = PieceSet.full(num_pieces)
        self._rarity = Rarity()
        self._peers: dict[K, _Peer[K]] = {}
        self._round = 0

    def joined(self, peer: K, pieces: PieceSet) -> Reveals[K]:
        """Takes in a new peer with what it has, or all that a known one says to have now."""
        who = self._peers.get(peer)
        if who is None:
            who = self._peers[peer] = _Peer(peer, self._num_pieces)
        self._rarity.subtract(self._counted(who))
        who.pieces = PieceSet.full(self._num_pieces) & pieces
        self._rarity.add(self._counted(who))
        return self._showed(who, who.pieces)

    def peer_has(self, peer: K, index: int) -> Reveals[K]:
        """Takes note that a peer has one more piece (BEP 3, have)."""
        who = self._peers[peer]
        if index in who.pieces:
            return []
        who.pieces.add(index)
        if who.current != index:
            self._rarity.add(self._bits.bit(index))
        return self._showed(who, (index,))

    def uninterested(self, peer: K) -> Reveals[K]:
        """Takes note that a peer has no use for what it was shown, or not any more (BEP 3).

        To be told when a peer says so, and each round of a peer that never says anything else.
        """
        who = self._peers[peer]
        who.done = True
        return self._proceed([who])

    def left(self, peer: K) -> Reveals[K]:
        """Forgets a peer: what it has counts no more, and nothing is waited for from it."""
        self._rarity.subtract(self._counted(self._peers.pop(peer)))
        return self._proceed(self._peers.values())

    def withdraw(self, index: int) -> Reveals[K]:
        """Never reveals a piece again, as it can't be served."""
        self._offered.discard(index)
        stranded = [who for who in self._peers.values() if who.current == index]
        for who in stranded:
            who.passed_on = True
        return self._proceed(stranded)

    def tick(self) -> Reveals[K]:
        """Begins a new round; to be called every ten seconds."""
        self._round += 1
        return self._proceed(self._peers.values())

    def _showed(self, who: _Peer[K], pieces: Container[int | None]) -> Reveals[K]:
        who.active = self._round
        moved = [other for other in self._peers.values() if other.current in pieces]
        for other in moved:
            if other is who:
                who.done = True
            else:
                other.passed_on = True
        return self._proceed([who, *moved])

    def _proceed(self, peers: Iterable[_Peer[K]]) -> Reveals[K]:
        """Shows the next piece to each of these whose last has gone its way."""
        reveals = []
        waiting = deque(peers)
        while waiting:
            who = waiting.popleft()
            index = self._next(who) if self._is_settled(who) else None
            if index is None:
                continue
            reveals.append((who.key, index))
            # It may not show that piece any more to those who had hoped for it.
            waiting.extend(
                other
                for other in self._peers.values()
                if other.current == index and other is not who
            )
        return reveals

    def _next(self, who: _Peer[K]) -> int | None:
        candidates = self._bits.of(self._offered - who.pieces - who.shown)
        if not candidates:
            return None
        index = self._bits.any_of(self._rarity.rarest(candidates), self._rng)
        self._rarity.subtract(self._counted(who))
        who.current = index
        who.shown.add(index)
        who.done = who.passed_on = False
        self._rarity.add(self._counted(who))
        return index

    def _counted(self, who: _Peer[K]) -> int:
        """The pieces that it has or is about to have."""
        pieces = self._bits.of(who.pieces)
        return pieces if who.current is None else pieces | self._bits.bit(who.current)

    def _is_settled(self, who: _Peer[K]) -> bool:
        if who.current is None or who.passed_on:
            return True
        return who.done and not any(
            other is not who and self._could_show(other, who.current)
            for other in self._peers.values()
        )

    def _could_show(self, other: _Peer[K], index: int) -> bool:
        lacks = index not in other.pieces and index not in other.shown
        return lacks and self._round - other.active <= PATIENCE
