"""The torrent of a run: both sides make it from the seed, so both know what is right."""

from __future__ import annotations

import random
from hashlib import sha1, sha256
from typing import TYPE_CHECKING

from peerwire import HashRange, ServedTorrent
from peerwire.torrent.hashing import HashServer, layer_requests, leaf_requests
from peerwire.torrent.merkle import MerkleTree, block_hashes

if TYPE_CHECKING:
    from peerwire import Request

__all__ = ["Torrent"]

#: 498 pieces: with spare bits in the last byte of a bitfield.
NUM_PIECES = 498
PIECE_LENGTH = 32 * 1024

#: Of the info dictionary: three pieces (BEP 9), the last of them short.
METADATA_LENGTH = 40_000


class Torrent:
    """A hybrid: content, metadata and a tree.

    Args:
        seed: What it is made from.
    """

    def __init__(self, seed: int) -> None:
        rng = random.Random(seed)
        self.num_pieces = NUM_PIECES
        self.length = NUM_PIECES * PIECE_LENGTH
        self.content = memoryview(rng.randbytes(self.length))
        self.metadata = rng.randbytes(METADATA_LENGTH)
        self.info_hash = sha1(self.metadata).digest()
        self.info_hash_v2 = sha256(self.metadata).digest()
        tree = MerkleTree(block_hashes(self.content))
        self.root = tree.root
        self.hashes = HashServer([tree])

    @property
    def served(self) -> dict[bytes, ServedTorrent]:
        """What `peerwire.serve` is told."""
        served = ServedTorrent(self.num_pieces, self.info_hash_v2)
        return {self.info_hash: served, self.info_hash_v2[:20]: served}

    def block(self, index: int, begin: int, length: int) -> memoryview:
        """Returns a block, without a copy."""
        start = index * PIECE_LENGTH + begin
        return self.content[start : start + length]

    def answer(self, request: Request) -> memoryview:
        """Returns the block that is asked for; shorter if it reaches out of its piece."""
        end = min(request.begin + request.length, PIECE_LENGTH)
        return self.block(request.index, request.begin, max(0, end - request.begin))

    def random_block(self, rng: random.Random) -> tuple[int, int, int]:
        """Returns index, begin and length of a block: mostly as clients ask, sometimes not."""
        index = rng.randrange(self.num_pieces)
        if rng.random() < 0.8:
            return index, rng.choice((0, 16384)), 16384
        length = rng.randint(1, 16384)
        return index, rng.randint(0, PIECE_LENGTH - length), length

    def random_hashes(self, rng: random.Random) -> HashRange:
        """Returns some of the hashes that somebody who fetches this torrent asks for."""
        if rng.random() < 0.3:
            return rng.choice(list(layer_requests(self.root, 1, self.length)))
        index = rng.randrange(self.num_pieces)
        return next(leaf_requests(self.root, self.length, PIECE_LENGTH, index))
