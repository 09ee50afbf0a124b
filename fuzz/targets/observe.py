"""Both sides of a connection as a third hears them: nothing they say is an error to it."""

from __future__ import annotations

import re

from peerwire.handshake import Handshake, Reserved
from peerwire.limits import Limits
from peerwire.observe import Finding, Observer
from peerwire.state import Role

from ..harness import INFO_HASH, OUR_ID, PEER_ID, Script, check_line, chunks, expect

LIMITS = Limits(max_message=300, max_peer_requests=4, max_requests=4, max_allowed_fast=2)
#: Of each side: an incomplete message, or what comes before a handshake at the latest.
MOST_HELD = 2 * (96 + 512 + 20 + 20 + 8 + 4 + 2 + 512 + 2 + 68 + 68)
BITS = Reserved.FAST | Reserved.EXTENSION
PEERS = {Role.INITIATOR: PEER_ID, Role.RESPONDER: OUR_ID}


def target(data: bytes) -> None:
    """Hears a script whole and in chunks."""
    size = Script(data).byte()
    whole = _hear(Script(data[1:]), 0)
    if size:
        expect(_hear(Script(data[1:]), size) == whole, "it depends on the chunks")


def _hear(script: Script, size: int) -> list[str]:
    told: list[str] = []
    said = 0
    options = script.byte()
    now = 0.0

    def trace(mark: str, what: object, at: float) -> None:
        check_line(what)
        expect(at == now, "another time")
        expect(mark != "!" or not isinstance(what, Finding) or bool(str(what)), "no reason")
        # What can't be read is counted, and shown, from what has come by then.
        told.append(re.split("; at least |it begins with ", f"{mark} {what}")[0])

    torrents = {INFO_HASH: options % 20 or None}
    observer = Observer(trace, torrents=torrents if options & 64 else {}, limits=LIMITS)
    if options & 128:
        for role, peer_id in PEERS.items():
            bits = BITS if options & 32 else Reserved(0)
            observer.receive_data(role, Handshake(INFO_HASH, peer_id, bits).encode(), now)
    for _ in range(200):
        if not script:
            break
        step = script.byte()
        role = Role.INITIATOR if step & 1 else Role.RESPONDER
        stream = b""
        match step >> 1 & 7:
            case 0:
                stream = script.text()
            case 1:
                now += script.byte()
            case 2:
                observer.receive_gap(role, script.byte(), now)
            case 3:
                observer.receive_eof(role, now)
            case 4:
                observer.set_behind(role, bool(script.byte() & 1))
            case 5:
                stream = Handshake(INFO_HASH, PEERS[role], BITS).encode()
            case _:
                kind, payload = script.byte(), script.take(script.byte())
                stream = (len(payload) + 1).to_bytes(4) + bytes((kind,)) + payload
        said += len(stream)
        for chunk in chunks(stream, size):
            memory = bytearray(chunk)
            observer.receive_data(role, memory, now)
            memory[:] = bytes(len(memory))
            expect(observer.held <= MOST_HELD, f"{observer.held} bytes are held")
    expect(len(told) <= 20 + 3 * said + 8 * 200, "it tells more than it heard")
    return told
