"""Peers that say nothing, or next to it."""

from __future__ import annotations

from peerwire import Bitfield, Choke, KeepAlive, PeerTimeout, Unknown

from ..case import Case, Ended, Pause, Step, Tolerated
from ..torrent import greeting, said, trickled

__all__ = ["CASES"]


def late(name: str, *script: Step, says: str = "no whole handshake within 10 s") -> Case:
    return Case(
        id=f"silence/{name}",
        script=script,
        expect=Ended(PeerTimeout, "Limits.handshake_timeout", says),
    )


def idle(name: str, *script: Step) -> Case:
    return Case(
        id=f"silence/{name}",
        script=(greeting(), *script),
        expect=Ended(PeerTimeout, "Limits.idle_timeout", "no message for 12"),
    )


HANDSHAKE = said(greeting())
SOME = b"\xff\0"

CASES = (
    late("from-the-start", Pause(10), says="0 bytes of it came"),
    late("after-a-byte", HANDSHAKE[:1], Pause(10), says="1 bytes of it came"),
    late("a-byte-before-the-end", HANDSHAKE[:67], Pause(10), says="67 bytes of it came"),
    late("handshake-trickled", *trickled(HANDSHAKE[:8], 1.5)),
    late("handshake-trickled-slowly", *trickled(HANDSHAKE[:1], 9), HANDSHAKE[1:2], Pause(2)),
    idle("after-the-handshake", Pause(120)),
    idle("after-a-bitfield", Bitfield(SOME), Pause(120)),
    idle("in-a-length-prefix", b"\0\0", Pause(120)),
    idle("in-a-message", said(Bitfield(b"\xff\xf8"))[:-1], Pause(120)),
    idle("message-trickled", *trickled(said(Unknown(99, bytes(100)))[:14], 9)),
    idle("length-prefix-trickled", *trickled(b"\0\0\0", 60)),
    Case(
        id="silence/keep-alives-only",
        script=(greeting(), *(Pause(60), KeepAlive()) * 4),
        expect=Tolerated(),
    ),
    Case(
        id="silence/choking-and-keep-alives",
        script=(greeting(), Bitfield(SOME), Choke(), *(Pause(60), KeepAlive()) * 3),
        expect=Tolerated(),
    ),
)
