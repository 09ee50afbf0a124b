"""Any bytes where the 68 of a handshake are due, in both roles, decided on at once or late."""

from __future__ import annotations

from peerwire.errors import (
    ConnectionClosed,
    InfoHashMismatch,
    InvalidHandshake,
    RemoteProtocolError,
)
from peerwire.handshake import HANDSHAKE_LENGTH, Handshake
from peerwire.limits import Limits
from peerwire.state import State
from peerwire.wire import Wire

from ..harness import INFO_HASH, OUR_ID, PEER_ID, Script, check_line, check_over, chunks, expect

LIMITS = Limits(max_undecided=100)
V2_HASH = bytes(range(100, 120))


def target(data: bytes) -> None:
    """Reads a handshake that is as the input has it, or a right one with some of its bytes."""
    script = Script(data)
    choice, size, at = script.byte(), script.byte(), script.byte()
    stream = script.rest()
    if choice & 1:
        right = Handshake(INFO_HASH, PEER_ID).encode()
        stream = right[:at] + stream + right[at + len(stream) :]
    _decode(stream)
    known = (None, INFO_HASH)[choice >> 1 & 1] if choice & 2 else None
    wire = (
        Wire("initiator", INFO_HASH, OUR_ID, info_hash_v2=V2_HASH if choice & 4 else None)
        if choice & 8
        else Wire("responder", known, OUR_ID, limits=LIMITS)
    )
    try:
        for chunk in chunks(stream, size):
            wire.receive_data(chunk, 0.0)
            expect(len(wire._held) <= max(HANDSHAKE_LENGTH, LIMITS.max_undecided), "held")
        if wire.state is State.DECIDING:
            wire.accept(num_pieces=10, info_hash_v2=V2_HASH if choice & 4 else None)
        if wire.state is State.HANDSHAKE:
            wire.handle_timer(wire.limits.handshake_timeout)
            expect(False, "no deadline ends the handshake")
    except RemoteProtocolError as error:
        check_over(wire, error)
    if wire.state is State.OPEN:
        peer = wire.peer_handshake
        expect(peer is not None and peer.encode() == stream[:HANDSHAKE_LENGTH], "another one")
        expect(wire.info_hash in (INFO_HASH, V2_HASH) or known is None, "another torrent")
        check_line(peer)
    wire.receive_eof()
    try:
        wire.send_interested()
        expect(False, "a closed wire talks")
    except ConnectionClosed as error:
        check_line(error)


def _decode(stream: bytes) -> None:
    try:
        found = Handshake.decode(stream)
    except (InvalidHandshake, InfoHashMismatch) as error:
        check_line(error)
        return
    expect(found.encode() == stream, "decode and encode disagree")
    check_line(found)
    check_line(found.client)
