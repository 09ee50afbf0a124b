"""How many peers have each piece, for all pieces at once.

What is asked about pieces in a swarm is asked about all of them at once, so a set of pieces is one
big integer with a bit a piece, as the bitfield of BEP 3 has them: an operation on it runs over
thousands of pieces in a microsecond. Counts are kept the same way, as bit planes: plane k holds
bit k of every piece's count, so that a peer joins or leaves with one ripple-carry addition, and the
rarest of some candidates are found by halving them once a plane.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..pieces import PieceSet

if TYPE_CHECKING:
    import random

__all__ = ["PieceBits", "Rarity"]


class PieceBits:
    """Turns pieces into bits of one integer, and back.

    Args:
        num_pieces: How many pieces the torrent has.
    """

    __slots__ = ("_num_pieces", "_top", "all")

    def __init__(self, num_pieces: int) -> None:
        self._num_pieces = num_pieces
        self._top = 8 * ((num_pieces + 7) // 8) - 1  # the bit of piece 0
        self.all = self.of(PieceSet.full(num_pieces))  #: The bits of every piece.

    def bit(self, index: int) -> int:
        """Returns the bit of one piece."""
        return 1 << (self._top - index)

    def of(self, pieces: PieceSet) -> int:
        """Returns the bits of a set; what is not a piece of the torrent is left out."""
        return int.from_bytes(bytes(PieceSet.full(self._num_pieces) & pieces))

    def any_of(self, bits: int, rng: random.Random) -> int:
        """Returns the index of one piece of the set, each as likely as any other."""
        rank = rng.randrange(bits.bit_count())
        low = 0
        width = bits.bit_length()
        while width > 1:  # halve, and keep the half that has the bit of that rank
            half = width // 2
            upper = bits >> half
            above = upper.bit_count()
            if rank < above:
                bits, low, width = upper, low + half, width - half
            else:
                bits, rank, width = bits & ((1 << half) - 1), rank - above, half
        return self._top - low


class Rarity:
    """How often each piece has been added, as bit planes; the lowest comes first."""

    __slots__ = ("_planes",)

    def __init__(self) -> None:
        self._planes: list[int] = []

    def add(self, bits: int) -> None:
        """Counts each piece of the set once more."""
        carry = bits
        for number, plane in enumerate(self._planes):
            if not carry:
                return
            self._planes[number] = plane ^ carry
            carry &= plane
        if carry:
            self._planes.append(carry)

    def subtract(self, bits: int) -> None:
        """Counts each piece of the set once less; all of them were added before."""
        borrow = bits
        for number, plane in enumerate(self._planes):
            if not borrow:
                return
            self._planes[number] = plane ^ borrow
            borrow &= ~plane

    def rarest(self, candidates: int) -> int:
        """Returns those of some pieces that are counted least."""
        for plane in reversed(self._planes):
            candidates = candidates & ~plane or candidates
        return candidates

    def any(self) -> int:
        """Returns the pieces that are counted at all."""
        union = 0
        for plane in self._planes:
            union |= plane
        return union
