"""ut_metadata (BEP 9) after a real extended handshake: we ask and are asked, and anything comes."""

from __future__ import annotations

import functools

from peerwire.bencode import encode
from peerwire.errors import LocalProtocolError
from peerwire.extensions.handshake import ExtendedHandshake
from peerwire.extensions.ut_metadata import MetadataPiece, MetadataReject, UtMetadata
from peerwire.framing import Framing
from peerwire.messages import Extended
from peerwire.metadata import piece_count, piece_size
from peerwire.state import State

from ..harness import Finding, Script, deliver, expect, meeting

OURS = bytes(range(256)) * 100  # two pieces
THEIRS = bytes(40_000)
#: Our data messages at most: what the limit on copies allows.
MOST_SERVED = 3 * piece_count(len(OURS))


def target(data: bytes) -> None:
    """Runs a script of messages and of requests of ours."""
    script = Script(data)
    serving, size = script.byte() & 1, script.byte() * 64
    wire, _ = meeting(
        functools.partial(UtMetadata, OURS if serving else None),
        functools.partial(UtMetadata, THEIRS),
    )
    (extension,) = wire.extensions
    assert isinstance(extension, UtMetadata)
    served = 0
    for _ in range(60):
        if not script or wire.state is not State.OPEN:
            break
        asked = set(extension.pending)
        match script.below(6):
            case 0:
                payload = script.text()
            case 1:  # a piece, whose length and total may be one off
                payload = _piece(script.below(4), script.below(3) - 1, script.below(3) - 1)
            case 2:  # any message that has the three keys
                numbers = (script.byte() - 1, script.byte() - 1, script.u16())
                keys = (b"msg_type", b"piece", b"total_size")
                payload = encode(dict(zip(keys, numbers, strict=True))) + script.text()
            case 3:
                payload = encode({"msg_type": 0, "piece": script.below(4)})
            case 4:
                told = ExtendedHandshake(
                    m={"ut_metadata": script.byte()}, metadata_size=script.u16() or None
                )
                deliver(wire, Extended(0, told.encode()).encode())
                continue
            case _:
                _ask(extension, script.byte())
                wire.data_to_send()
                continue
        for event in deliver(wire, Extended(1, payload).encode(), size=size):
            match event:
                case MetadataPiece(piece, total, block):
                    expect(piece in asked, "a piece that was not asked for")
                    expect(len(block) == piece_size(total, piece), "a piece of another length")
                    expect(total == extension.size, "metadata of another size")
                case MetadataReject(piece):
                    expect(piece in asked, "a reject of what was not asked for")
                case _:
                    raise Finding(f"another event: {event!r:.100}")
        for message in Framing(1 << 20).receive(wire.data_to_send()):
            assert isinstance(message, Extended)
            served += len(message.payload) > 100
            expect(message.payload[-100:] in OURS or len(message.payload) < 100, "served what?")
        expect(served <= MOST_SERVED * serving, "served more often than allowed")
        expect(extension.size is None or extension.size <= 4 << 20 or bool(serving), "its size")


def _piece(piece: int, longer: int, larger: int) -> bytes:
    header = {"msg_type": 1, "piece": piece, "total_size": len(THEIRS) + larger}
    length = piece_size(len(THEIRS), piece) if piece < piece_count(len(THEIRS)) else 5
    return encode(header) + bytes(length + longer)


def _ask(extension: UtMetadata, piece: int) -> None:
    try:
        extension.request(piece)
    except LocalProtocolError:
        return
    expect(extension.size is not None and piece < piece_count(extension.size), "no such piece")
