"""Any bytes as messages, in any chunks: what is cut out of them makes the same bytes again."""

from __future__ import annotations

from peerwire.errors import RemoteProtocolError
from peerwire.framing import Framing
from peerwire.messages import Message, Piece

from ..harness import Script, check_line, chunks, expect

#: Bounds on a message that the input chooses from.
BOUNDS = (1, 13, 50, 300, 1 << 14, 1 << 20)


def target(data: bytes) -> None:
    """Cuts the same bytes whole, and in chunks."""
    script = Script(data)
    bound = BOUNDS[script.below(len(BOUNDS))]
    size = 1 + script.below(64)
    stream = script.rest()
    whole, error, held = _cut(stream, bound, 0)
    expect((whole, error, held) == _cut(stream, bound, size), "it depends on the chunks")
    again = b"".join(message.encode() for message in whole)
    expect(stream.startswith(again), "a message encodes to other bytes than it came from")
    if error is None:
        expect(len(again) + held == len(stream), "bytes were lost")
    for message in whole:
        check_line(message)


def _cut(stream: bytes, bound: int, size: int) -> tuple[list[Message], str | None, int]:
    """The messages, what was wrong with the one after them, and how much was held of it."""
    framing = Framing(bound)
    found: list[Message] = []
    for chunk in chunks(stream, size):
        memory = bytearray(chunk)
        try:
            for message in framing.receive(memory):
                if isinstance(message, Piece):
                    message.block = bytes(message.block)
                found.append(message)
        except RemoteProtocolError as error:
            check_line(error)
            return found, f"{type(error).__name__}: {error}", 0
        memory[:] = bytes(len(memory))  # the socket's buffer is used again
        expect(framing.held < 4 + bound, f"{framing.held} bytes held of a message of {bound}")
    return found, None, framing.held
