"""Any bytes as a peer's extended handshakes (BEP 10), one after the other."""

from __future__ import annotations

from peerwire.bencode import encode
from peerwire.extensions.base import Extension
from peerwire.extensions.handshake import MAX_EXTENSIONS, MAX_UNKNOWN, ExtendedHandshake
from peerwire.messages import Extended, Message
from peerwire.state import State

from ..harness import Script, check_line, deliver, expect, meeting


class Chat(Extension):
    """An extension of the least that one is."""

    name = "xx_chat"

    def receive(self, payload: bytes) -> str:
        """Hands out the payload."""
        return payload.hex()


def target(data: bytes) -> None:
    """Gives a wire handshakes, each followed by a message of an extension."""
    script = Script(data)
    wire, _ = meeting(Chat, Chat, responder=bool(script.byte() & 1))
    size = script.byte()
    for _ in range(20):
        if not script or wire.state is not State.OPEN:
            break
        payload = script.text()
        _decode(payload)
        told = deliver(wire, Extended(0, payload).encode(), size=size)
        expect(all(isinstance(event, ExtendedHandshake) for event in told), "another event")
        heard = deliver(wire, Extended(script.byte(), b"hello").encode())
        expect(all(isinstance(event, str | Message | ExtendedHandshake) for event in heard), "?")
        _check(wire.extensions.peer)
        expect(wire.max_requests <= wire.limits.max_requests, "the peer raises our limit")
        (chat,) = wire.extensions
        if wire.state is State.OPEN and chat.supported:
            chat.send(b"hi")
    check_line(wire.closed)


def _decode(payload: bytes) -> None:
    try:
        found = ExtendedHandshake.decode(payload)
    except ValueError as error:  # BencodeError is one
        check_line(str(error))
        return
    _check(found)
    # Keys that are not UTF-8 become others, and what was refused stays out: but only once.
    once = ExtendedHandshake.decode(found.encode())
    expect(not once.refused, f"what we write, we refuse: {once.refused}")
    expect(ExtendedHandshake.decode(once.encode()) == once, "decode(encode(x)) is not x")


def _check(found: ExtendedHandshake | None) -> None:
    if found is None:
        return
    check_line(found)
    expect(len(found.m) <= MAX_EXTENSIONS, "extensions")
    expect(all(0 <= number <= 255 for number in found.m.values()), "ids are bytes")
    expect(len(encode(found.unknown)) <= max(MAX_UNKNOWN, 64 * 1024), "unknown keys")
    expect(found.reqq is None or found.reqq > 0, "reqq")
