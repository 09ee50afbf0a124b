"""Who sent the wrong blocks of a piece, found out once that piece is right."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

if TYPE_CHECKING:
    from .picker import Block

__all__ = ["MAX_BLOCKS", "Evidence"]

#: Blocks whose hashes are kept; of more, the pieces that failed first are forgotten. So many are
#: 256 MiB of wrong data, and a few MiB of hashes.
MAX_BLOCKS = 16 * 1024

K = TypeVar("K", bound=Hashable)


class _Sent(NamedTuple, Generic[K]):
    begin: int
    length: int
    digest: bytes
    sender: K


class Evidence(Generic[K]):
    """Hashes of the blocks of pieces that were corrupt, and who sent each.

    To have had a part in such a piece proves nothing. But once the piece has come right, from
    whomever, a block that differs from what it should have been names its sender, and nobody else
    (libtorrent: smart ban). Nothing is hashed here before a piece has failed.

    Args:
        max_blocks: How many blocks are remembered.
    """

    def __init__(self, max_blocks: int = MAX_BLOCKS) -> None:
        self._max_blocks = max_blocks
        self._count = 0
        self._sent: dict[int, list[_Sent[K]]] = {}

    def __len__(self) -> int:
        return self._count

    def corrupt(self, index: int, piece: memoryview, senders: Mapping[Block, K]) -> None:
        """Takes note of the blocks of a piece that has the wrong hash.

        Args:
            index: The piece.
            piece: Its bytes.
            senders: Who sent each of its blocks.
        """
        sent = self._sent.setdefault(index, [])
        for block, sender in senders.items():
            digest = _digest(piece[block.begin : block.begin + block.length])
            sent.append(_Sent(block.begin, block.length, digest, sender))
        self._count += len(senders)
        while self._count > self._max_blocks and len(self._sent) > 1:
            self._count -= len(self._sent.pop(next(iter(self._sent))))

    def verified(self, index: int, piece: memoryview) -> list[K]:
        """Names those who sent a wrong block of a piece that is right by now.

        Args:
            index: The piece.
            piece: Its bytes.

        Returns:
            Each once, in the order in which their blocks came to be known.
        """
        if index not in self._sent:
            return []
        sent = self._sent.pop(index)
        self._count -= len(sent)
        right: dict[tuple[int, int], bytes] = {}
        guilty: dict[K, None] = {}
        for begin, length, digest, sender in sent:
            if (begin, length) not in right:
                right[begin, length] = _digest(piece[begin : begin + length])
            if digest != right[begin, length]:
                guilty[sender] = None
        return list(guilty)


def _digest(block: memoryview) -> bytes:
    # Not a checksum, for which a liar could forge a block that has the right one.
    return hashlib.blake2b(block, digest_size=16).digest()
