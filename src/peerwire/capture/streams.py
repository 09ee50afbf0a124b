"""The TCP connections of a capture, told apart and each in order."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from ..state import Role
from .packets import Flags
from .reassembly import Gap, Reassembly

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .packets import Endpoint, Segment

__all__ = ["End", "Heard", "TcpStream", "TcpStreams"]

#: Connections remembered at a time; the one that was silent the longest is forgotten first.
MAX_STREAMS: Final = 4096

#: Bytes that wait behind holes in all connections together.
MAX_HELD_IN_ALL: Final = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class End:
    """A side says nothing more.

    Attributes:
        how: What it did, as a verb.
    """

    how: str


class TcpStream:
    """One connection.

    Attributes:
        number: Counted from 0 in the order of first packets, as Wireshark does (``tcp.stream``).
        initiator: The side that opened it; if that was not captured, the one seen first.
        responder: The other.
        whole: Whether its beginning was captured.
        directions: What each side says.
    """

    def __init__(self, number: int, initiator: Endpoint, responder: Endpoint) -> None:
        self.number = number
        self.initiator = initiator
        self.responder = responder
        self.whole = False
        self.directions = {role: Reassembly() for role in Role}
        self.ends: dict[Role, int] = {}  # positions of FINs
        self.over: set[Role] = set()

    @property
    def held(self) -> int:
        """What waits behind holes in both directions, in bytes."""
        return sum(direction.held for direction in self.directions.values())

    def role_of(self, endpoint: Endpoint) -> Role:
        """Returns which side is at an endpoint."""
        return Role.INITIATOR if endpoint == self.initiator else Role.RESPONDER


class Heard(NamedTuple):
    """What a side of a connection said: bytes, a gap of some, or its end."""

    stream: TcpStream
    sender: Role
    what: bytes | Gap | End


_Key: TypeAlias = "tuple[Endpoint, Endpoint]"


class TcpStreams:
    """Takes in segments as they were captured, and tells what each connection carried.

    Args:
        max_streams: Connections remembered at a time.
        max_held: Bytes that may wait behind holes in all of them together.
    """

    def __init__(self, max_streams: int = MAX_STREAMS, max_held: int = MAX_HELD_IN_ALL) -> None:
        self.count = 0  #: Connections seen so far.
        self._streams: OrderedDict[_Key, TcpStream] = OrderedDict()
        self._max_streams = max_streams
        self._max_held = max_held
        self._held = 0

    def receive(self, segment: Segment) -> Iterator[Heard]:
        """Yields what can be told now that a segment has come."""
        key = _key(segment)
        stream = self._streams.get(key)
        if stream is not None and _is_another(stream, segment):
            yield from self._forget(key, "was replaced by another connection of the same ports")
            stream = None
        if stream is None:
            while len(self._streams) >= self._max_streams:
                yield from self._forget(next(iter(self._streams)), "was silent for long")
            stream = self._streams[key] = self._open(segment)
        self._streams.move_to_end(key)
        before = stream.held
        yield from _take_in(stream, segment)
        self._held += stream.held - before
        yield from self._hold_less()

    def finish(self) -> Iterator[Heard]:
        """Yields what is left at the end of the capture."""
        while self._streams:
            yield from self._forget(next(iter(self._streams)), "was there when the capture ended")

    def _open(self, segment: Segment) -> TcpStream:
        initiator, responder = segment.source, segment.target
        if segment.flags & Flags.SYN and segment.flags & Flags.ACK:
            initiator, responder = responder, initiator
        stream = TcpStream(self.count, initiator, responder)
        stream.whole = bool(segment.flags & Flags.SYN)
        self.count += 1
        return stream

    def _forget(self, key: _Key, how: str) -> Iterator[Heard]:
        stream = self._streams.pop(key)
        self._held -= stream.held
        for role in Role:
            yield from _end(stream, role, how)

    def _hold_less(self) -> Iterator[Heard]:
        """Gives up the holes of the connections that were silent the longest."""
        while self._held > self._max_held:
            stream = next(stream for stream in self._streams.values() if stream.held)
            self._held -= stream.held
            for role, direction in stream.directions.items():
                yield from _told(stream, role, direction.flush())


def _key(segment: Segment) -> _Key:
    """Names a connection, whichever side speaks."""
    low, high = sorted((segment.source, segment.target))
    return low, high


def _is_another(stream: TcpStream, segment: Segment) -> bool:
    """Whether a segment opens a connection anew between the same ports."""
    if segment.flags & (Flags.SYN | Flags.ACK) != Flags.SYN:
        return False
    origin = stream.directions[stream.role_of(segment.source)].origin
    return origin not in (None, (segment.seq + 1) % (1 << 32))


def _take_in(stream: TcpStream, segment: Segment) -> Iterator[Heard]:
    sender = stream.role_of(segment.source)
    receiver = stream.role_of(segment.target)
    direction, reverse = stream.directions[sender], stream.directions[receiver]
    if segment.flags & Flags.ACK:
        yield from _told(stream, receiver, reverse.acknowledge(segment.ack))
    seq = segment.seq
    if segment.flags & Flags.SYN:
        seq = (seq + 1) % (1 << 32)
        direction.begin(seq)
    if segment.flags & Flags.RST:
        yield from _end(stream, sender, "reset the connection")
        yield from _end(stream, receiver, "was reset")
        return
    yield from _told(stream, sender, direction.receive(seq, segment.data, segment.length))
    if segment.flags & Flags.FIN:
        stream.ends.setdefault(sender, direction.position_of(seq) + segment.length)
    for role in (sender, receiver):
        if role in stream.ends and stream.directions[role].position >= stream.ends[role]:
            yield from _end(stream, role, "closed")


def _told(stream: TcpStream, sender: Role, parts: list[bytes | Gap]) -> Iterator[Heard]:
    if sender not in stream.over:
        for part in parts:
            yield Heard(stream, sender, part)


def _end(stream: TcpStream, sender: Role, how: str) -> Iterator[Heard]:
    yield from _told(stream, sender, stream.directions[sender].flush())
    if sender not in stream.over:
        stream.over.add(sender)
        yield Heard(stream, sender, End(how))
