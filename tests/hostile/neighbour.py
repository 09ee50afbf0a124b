"""A peer that behaves, beside one that does not."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from .torrent import BLOCK, NUM_PIECES, TORRENT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from peerwire import Peer

__all__ = ["NEIGHBOUR_ID", "Neighbour"]

NEIGHBOUR_ID = b"-NB0000-nextdoorrrrr"


class Neighbour:
    """Fetches a block whenever it is told to, and looks at it.

    Attributes:
        served: How many it was given.
    """

    def __init__(self, peer: Peer) -> None:
        self.served = 0
        self._peer = peer
        self._next: Iterator[int] = itertools.cycle(range(NUM_PIECES))

    async def fetch(self) -> None:
        """Asks for the next block; fails if it does not get it."""
        index = next(self._next)
        block = await self._peer.request(index, 0, BLOCK)
        assert block == TORRENT.block(index, 0, BLOCK)
        self.served += 1
