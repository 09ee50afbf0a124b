"""Captured frames, and segments in any order: the bytes that TCP carried, and where some lack."""

from __future__ import annotations

from typing import TYPE_CHECKING

from peerwire.capture.packets import Flags, LinkType, Segment, segment_of
from peerwire.capture.reassembly import Gap
from peerwire.capture.streams import End, Heard, TcpStreams

from ..harness import Script, expect

if TYPE_CHECKING:
    from collections.abc import Iterable

    from peerwire.state import Role

LINKS = [link.value for link in LinkType]
HOSTS = (("192.0.2.1", 1), ("192.0.2.2", 2), ("2001:db8::3", 3))
MAX_STREAMS, MAX_HELD = 2, 600
#: What both sides say in full: a byte tells where it stands.
CONTENT = bytes(range(256)) * 2


def target(data: bytes) -> None:
    """Reads a frame, then takes in segments."""
    script = Script(data)
    if script.byte() & 1:
        link, wire_length = LINKS[script.below(len(LINKS))], script.u16()
        _frame(link, script.rest(), wire_length)
        return
    streams = TcpStreams(MAX_STREAMS, MAX_HELD)
    start = 0xFFFFFF00 if script.byte() & 1 else 1000
    listener = Listener(start)
    for _ in range(200):
        if not script:
            break
        listener.hear(streams.receive(_segment(script, start)))
        expect(len(streams._streams) <= MAX_STREAMS, "connections")
        expect(streams._held <= MAX_HELD, "what waits behind holes")
        held = sum(stream.held for stream in streams._streams.values())
        expect(streams._held == held, "what waits is not what is counted")
    listener.hear(streams.finish())
    expect(not streams._streams and streams._held == 0, "something is left")


def _frame(link: int, frame: bytes, wire_length: int) -> None:
    found = segment_of(link, frame, wire_length)
    if found is not None:
        expect(found.data in frame and len(found.data) <= found.length, "another length")
        expect(0 <= found.seq < 1 << 32 and 0 <= found.ack < 1 << 32, "numbers")
        Listener(None).hear(TcpStreams().receive(found))


def _segment(script: Script, start: int) -> Segment:
    """Some of what a side says; its bytes are always the same at the same place."""
    choice = script.byte()
    source, target = HOSTS[choice & 1], HOSTS[2 if choice & 2 else ~choice & 1]
    flags = script.byte() & (Flags.FIN | Flags.SYN | Flags.RST | Flags.ACK)
    at, length, cut = script.byte(), script.below(64), script.below(8)
    data = CONTENT[at : at + length]
    if flags & Flags.SYN:
        at, data, length = -1, b"", 0
    if flags & Flags.FIN:
        at, data, length = 255, b"", 0
    kept = data if cut else data[: len(data) // 2]
    ack = (start + script.byte()) % (1 << 32)
    return Segment(source, target, (start + at) % (1 << 32), ack, flags, kept, length)


class Listener:
    """What was heard so far of each side of each connection."""

    def __init__(self, start: int | None) -> None:
        self.start = start
        self.positions: dict[tuple[int, Role], int] = {}

    def hear(self, heard: Iterable[Heard]) -> None:
        """Holds what is told to what was said, and to where it was said."""
        for stream, sender, what in heard:
            key = (stream.number, sender)
            at = self.positions.get(key, 0)
            expect(at >= 0, "a side that has ended goes on")
            if isinstance(what, End):
                self.positions[key] = -1
                continue
            count = what.count if isinstance(what, Gap) else len(what)
            expect(count > 0, "nothing is told")
            self.positions[key] = at + count
            if isinstance(what, bytes) and stream.directions[sender].origin == self.start:
                expect(CONTENT[at : at + count] == what, "bytes at another place")
