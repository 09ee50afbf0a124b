"""What the targets share: a script read from the input, and wires that are beyond their handshakes.

An input is a script: the target reads from it what to set up, what the peer says, and what happens
meanwhile. Values are read from the front and one after the other, so that a seed can be written by
hand and a mutation changes one step and not all that follow. An input that ends early reads as
zeros.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from peerwire.errors import ConnectionClosed, RemoteProtocolError
from peerwire.handshake import Reserved
from peerwire.state import State
from peerwire.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from peerwire.extensions.base import Extension

__all__ = [
    "INFO_HASH",
    "OUR_ID",
    "PEER_ID",
    "Finding",
    "Script",
    "check_line",
    "check_over",
    "chunks",
    "deliver",
    "expect",
    "meeting",
    "pipe",
]

INFO_HASH = bytes(range(20))
OUR_ID = b"-PW0000-ourselvesxyz"
PEER_ID = b"-LT2110-somebodyelse"

#: Characters of the longest line that a log, or an error, may get out of one message of a peer.
MAX_LINE = 4096


class Finding(Exception):
    """Something that must not happen has happened; no error of the library."""


def expect(holds: bool, what: str) -> None:
    """Raises a `Finding` unless something holds; unlike `assert`, also under ``python -O``."""
    if not holds:
        raise Finding(what)


class Script:
    """Reads values off the front of an input.

    Args:
        data: The input.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def __bool__(self) -> bool:
        return self._at < len(self._data)

    def byte(self) -> int:
        """Reads a byte; 0 at the end."""
        taken = self.take(1)
        return taken[0] if taken else 0

    def below(self, bound: int) -> int:
        """Reads a byte as a number below a bound of at most 256."""
        return self.byte() % bound

    def u16(self) -> int:
        """Reads two bytes, the high one first."""
        return self.byte() << 8 | self.byte()

    def take(self, count: int) -> bytes:
        """Reads so many bytes, fewer at the end."""
        taken = self._data[self._at : self._at + count]
        self._at += len(taken)
        return taken

    def text(self) -> bytes:
        """Reads a length of two bytes, and so many bytes."""
        return self.take(self.u16())

    def rest(self) -> bytes:
        """Reads all that is left."""
        return self.take(len(self._data))


def chunks(data: bytes, size: int) -> Iterator[bytes]:
    """Cuts bytes into chunks of a size; 0 leaves them whole."""
    step = size or max(1, len(data))
    return (data[start : start + step] for start in range(0, len(data), step))


def pipe(a: Wire, b: Wire, now: float = 0.0) -> None:
    """Lets two wires say what they have to say to each other."""
    for _ in range(100):
        to_a, to_b = b.data_to_send(), a.data_to_send()
        if not to_a and not to_b:
            return
        a.receive_data(to_a, now)
        b.receive_data(to_b, now)
    raise Finding("two wires never stop talking")


def meeting(
    ours: Callable[[], Extension],
    theirs: Callable[[], Extension],
    *,
    responder: bool = False,
) -> tuple[Wire, Wire]:
    """Returns our wire and its peer, each with an extension, after both handshakes of both."""
    role, other = ("responder", "initiator") if responder else ("initiator", "responder")
    bits = Reserved.EXTENSION
    wire = Wire(role, INFO_HASH, OUR_ID, reserved=bits, extensions=[ours])
    peer = Wire(other, INFO_HASH, PEER_ID, reserved=bits, extensions=[theirs])
    pipe(wire, peer)
    wire.events_received()
    peer.events_received()
    return wire, peer


def deliver(wire: Wire, data: bytes, now: float = 0.0, size: int = 0) -> list[object]:
    """Gives a wire what its peer says, in chunks; returns the events.

    Nothing but a `RemoteProtocolError` may come of it, and that ends the wire.
    """
    for chunk in chunks(data, size):
        try:
            wire.receive_data(chunk, now)
        except RemoteProtocolError as error:
            check_over(wire, error)
            break
    events = wire.events_received()
    for event in events:
        check_line(event)
    return events


def check_over(wire: Wire, error: RemoteProtocolError) -> None:
    """Holds a wire that a violation has ended to what is promised of it."""
    expect(wire.state is State.CLOSED, "a violation left the wire open")
    expect(isinstance(wire.closed, ConnectionClosed), "the wire does not say that it is closed")
    expect(wire.closed is not None and wire.closed.__cause__ is error, "the cause is not chained")
    expect(bool(error.rule), "an error names no rule")
    expect(not (wire.requests or wire.peer_requests or wire.hash_requests), "requests are left")
    expect(not wire.peer_hash_requests, "hash requests of the peer are left")
    expect(wire.am_choking and wire.peer_choking, "flags are not reset")
    check_line(error)


def check_line(what: object) -> None:
    """Holds the text of an event or an error to one line that is safe to show."""
    text = str(what)
    expect(len(text) <= MAX_LINE, f"{len(text)} characters for a log: {text[:200]!r}...")
    expect(text.isprintable(), f"a peer's control characters in a log: {text[:200]!r}")
