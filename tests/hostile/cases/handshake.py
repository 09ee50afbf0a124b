"""The first 68 bytes."""

from __future__ import annotations

from peerwire import Have, InfoHashMismatch, Interested, InvalidHandshake, Unknown
from peerwire.handshake import PROTOCOL

from ..case import Case, Ended, Level, Scene
from ..torrent import OUR_ID, greeting, said

__all__ = ["CASES"]

NO_HANDSHAKE = "where a handshake begins with"

REST = said(greeting())[len(PROTOCOL) :]


def invalid(name: str, *script: bytes, says: str, rule: str = "BEP 3, peer protocol") -> Case:
    return Case(id=f"handshake/{name}", script=script, expect=Ended(InvalidHandshake, rule, says))


CASES = (
    invalid("pstrlen-0", bytes(68), says=NO_HANDSHAKE),
    invalid("pstrlen-18", b"\x12" + PROTOCOL[1:-1] + REST, says=NO_HANDSHAKE),
    invalid("pstrlen-255", b"\xff" * 68, says=NO_HANDSHAKE),
    invalid("other-protocol", b"\x13BitTorrent protocoL" + REST, says=NO_HANDSHAKE),
    invalid("http-request", b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 2, says=NO_HANDSHAKE),
    invalid("tls-hello", bytes.fromhex("160301020001") + bytes(100), says=NO_HANDSHAKE),
    invalid("ssh-banner", b"SSH-2.0-OpenSSH_9.2p1\r\n" * 4, says=NO_HANDSHAKE),
    invalid("message-before", said(Interested(), greeting()), says=NO_HANDSHAKE),
    invalid("own-peer-id", said(greeting(peer_id=OUR_ID)), says="a connection to ourselves"),
    invalid("second", said(greeting()), said(greeting()), says="a second handshake"),
    invalid("second-glued", said(greeting(), greeting()), says="a second handshake"),
    invalid("second-later", said(greeting(), Have(1)), said(greeting()), says="second handshake"),
    Case(
        id="handshake/other-torrent",
        script=(said(greeting(info_hash=b"x" * 20)),),
        expect=Ended(InfoHashMismatch, "BEP 3, peer protocol", (b"x" * 20).hex()),
    ),
    Case(
        id="handshake/no-torrent",
        script=(said(greeting(info_hash=bytes(20))),),
        expect=Ended(InfoHashMismatch, "BEP 3, peer protocol", "00" * 20),
    ),
    Case(
        id="handshake/talks-on-before-it-is-answered",
        script=(greeting(), said(Unknown(99, bytes(50_000))) * 30),
        expect=Ended(InvalidHandshake, "Limits.max_undecided", "before its handshake was answer"),
        levels=frozenset({Level.WIRE}),
        scene=Scene(undecided=True),
    ),
)
