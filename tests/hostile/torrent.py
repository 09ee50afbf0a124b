"""What all cases are about: a torrent, who we are, and what a peer says first."""

from __future__ import annotations

from peerwire import Handshake, Message, Reserved

from ..swarm.conftest import make_torrent
from .case import Pause, Reply, Step, messages

__all__ = [
    "BASE",
    "BLOCK",
    "EXTENDED",
    "FAST",
    "INFO_HASH",
    "NUM_PIECES",
    "OUR_ID",
    "PEER_ID",
    "TORRENT",
    "after",
    "greeting",
    "said",
    "trickled",
]

BLOCK = 16 * 1024

#: Thirteen pieces of four blocks, the last one shorter: three bits of a bitfield are spare.
TORRENT = make_torrent(12 * 4 * BLOCK + 20_000, 4 * BLOCK)
INFO_HASH = TORRENT.meta.info_hash
NUM_PIECES = TORRENT.meta.num_pieces

OUR_ID = b"-PW0000-ourselvesxyz"
PEER_ID = b"-XX0000-hostileeeeee"

BASE = Reserved(0)
FAST = Reserved.FAST
EXTENDED = Reserved.FAST | Reserved.EXTENSION


def greeting(
    reserved: Reserved = FAST, *, info_hash: bytes = INFO_HASH, peer_id: bytes = PEER_ID
) -> Handshake:
    """Returns a handshake that our side takes, unless told otherwise."""
    return Handshake(info_hash, peer_id, reserved)


def said(*what: bytes | Message | Handshake) -> bytes:
    """Returns all of it as one segment."""
    return b"".join(part if isinstance(part, bytes) else part.encode() for part in what)


def after(kind: type[Message], *what: bytes | Message) -> Reply:
    """Says something once it has heard a message of a kind."""

    def make(heard: bytes) -> bytes | None:
        return said(*what) if any(isinstance(m, kind) for m in messages(heard)) else None

    return Reply(make)


def trickled(data: bytes, seconds: float) -> tuple[Step, ...]:
    """Says a byte at a time, with so many seconds after each."""
    return tuple(step for n in data for step in (bytes((n,)), Pause(seconds)))
