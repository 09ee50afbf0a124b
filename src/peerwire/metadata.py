"""The info dictionary of a torrent, put together from what peers send of it (BEP 9).

Nobody is believed: it is handed out once it has the torrent's info-hash, and not before. Peers
that announce the same size share an assembly, so that each piece is asked for once while there is
another to ask for. When the whole has the wrong hash, one of those who gave it has lied. From then
on every peer of that size has an assembly of its own, so that whoever fills one wrongly is the
liar; one after the other would let the first that dawdles hold up all the rest. A peer takes part
in one assembly, and an assembly ends with its last peer: what is held never exceeds what the peers
that are here have announced.
"""

from __future__ import annotations

import enum
import hashlib
from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from .errors import LocalProtocolError

__all__ = ["PIECE_LENGTH", "Metadata", "Verdict", "piece_count", "piece_size"]

#: Bytes of each piece of the metadata but the last (BEP 9, metadata).
PIECE_LENGTH: Final = 16 * 1024

K = TypeVar("K", bound=Hashable)


def piece_count(size: int) -> int:
    """Returns how many pieces metadata of so many bytes has."""
    return -(-size // PIECE_LENGTH)


def piece_size(size: int, piece: int) -> int:
    """Returns how many bytes a piece has: 16 KiB, or what is left for the last."""
    return min(PIECE_LENGTH, size - piece * PIECE_LENGTH)


class Verdict(enum.Enum):
    """What a piece that came in means."""

    MORE = "others are missing"
    VERIFIED = "the metadata is whole, and has the info-hash"
    CORRUPT = "the whole has the wrong hash; of those who gave it, each is now asked for all"
    LIAR = "the whole has the wrong hash, and this peer gave all of it"


@dataclass(slots=True, eq=False)
class _Assembly(Generic[K]):
    """Pieces that belong together, and who gave them."""

    parts: dict[int, bytes] = field(default_factory=dict)
    givers: set[K] = field(default_factory=set)


@dataclass(slots=True, eq=False)
class _Source(Generic[K]):
    """A peer: the size it announced, what it works on, and the pieces it was asked for."""

    size: int
    assembly: _Assembly[K]
    asked: set[int] = field(default_factory=set)


class Metadata(Generic[K]):
    """The metadata of one torrent on its way in, from any number of peers.

    It is pure: it says what to ask of whom and judges what comes. `UtMetadata` does the talking,
    and has held each piece to the length and size that its peer announced.

    Args:
        info_hashes: What the metadata has to hash to, all of them: 20 bytes are its SHA-1 or the
            beginning of its SHA-256, as in a handshake, and 32 bytes its SHA-256 (BEP 52).

    Attributes:
        verified: The info dictionary's bytes, once they are whole and have the info-hashes.

    Raises:
        LocalProtocolError: There is no info-hash, or one has neither length.
    """

    def __init__(self, *info_hashes: bytes) -> None:
        if not info_hashes or any(len(info_hash) not in (20, 32) for info_hash in info_hashes):
            lengths = ", ".join(str(len(info_hash)) for info_hash in info_hashes) or "no"
            raise LocalProtocolError(
                f"info-hashes of {lengths} bytes; there is at least one, of 20 or 32 bytes",
                rule="BEP 3 and BEP 52: info-hash",
            )
        self.verified: bytes | None = None
        self._info_hashes = info_hashes
        self._sources: dict[K, _Source[K]] = {}
        self._shared: dict[int, _Assembly[K]] = {}  # by size
        self._split: set[int] = set()  # sizes whose shared assembly had the wrong hash

    def add(self, peer: K, size: int) -> None:
        """Takes a peer in.

        Args:
            peer: Whatever names it.
            size: Bytes of metadata that it announced, within `Limits.max_metadata`.
        """
        if size in self._split:
            assembly = _Assembly[K]()
        else:
            assembly = self._shared.setdefault(size, _Assembly())
        self._sources[peer] = _Source(size, assembly)

    def remove(self, peer: K) -> None:
        """Lets a peer go. What it gave stays as long as others announce the same size."""
        size = self._sources.pop(peer).size
        if all(source.size != size for source in self._sources.values()):
            self._shared.pop(size, None)
            self._split.discard(size)

    def pick(self, peer: K, outstanding: int) -> list[int]:
        """Chooses pieces to ask of a peer now: those nobody is asked for, then those others are.

        Args:
            peer: Whom to ask.
            outstanding: How many it may have been asked for at once, in all.
        """
        source = self._sources[peer]
        parts = source.assembly.parts
        askers = Counter(
            piece
            for other in self._sources.values()
            if other.assembly is source.assembly
            for piece in other.asked
        )
        missing = [
            piece
            for piece in range(piece_count(source.size))
            if piece not in parts and piece not in source.asked
        ]
        missing.sort(key=askers.__getitem__)
        picked = missing[: max(0, outstanding - len(source.asked))]
        source.asked.update(picked)
        return picked

    def received(self, peer: K, piece: int, data: bytes) -> Verdict:
        """Takes in a piece that a peer was asked for, and judges the whole when it is the last.

        A piece that another has given meanwhile is dropped. After `Verdict.LIAR` the peer is to be
        removed.
        """
        source = self._sources[peer]
        source.asked.discard(piece)
        assembly = source.assembly
        if piece in assembly.parts:
            return Verdict.MORE
        assembly.parts[piece] = data
        assembly.givers.add(peer)
        count = piece_count(source.size)
        if len(assembly.parts) < count:
            return Verdict.MORE
        whole = b"".join(assembly.parts[number] for number in range(count))
        if all(_has_hash(whole, info_hash) for info_hash in self._info_hashes):
            self.verified = whole
            return Verdict.VERIFIED
        alone = len(assembly.givers) == 1
        assembly.parts.clear()
        assembly.givers.clear()
        if alone:
            return Verdict.LIAR
        self._part_ways(source.size)
        return Verdict.CORRUPT

    def _part_ways(self, size: int) -> None:
        """Gives every peer of a size an assembly of its own, and those that come later, too."""
        self._split.add(size)
        del self._shared[size]
        for source in self._sources.values():
            if source.size == size:
                source.assembly = _Assembly()


def _has_hash(metadata: bytes, info_hash: bytes) -> bool:
    sha256 = hashlib.sha256(metadata).digest()
    if len(info_hash) == len(sha256):
        return info_hash == sha256
    sha1 = hashlib.sha1(metadata, usedforsecurity=False).digest()
    return info_hash in (sha1, sha256[:20])
