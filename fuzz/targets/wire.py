"""A wire after a real handshake: anything the peer can say, between anything we can do.

It is done twice, and has to come to the same: traced, with what the peer says in one piece, and
untraced, which is faster in ways of its own, with that in chunks.
"""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

from peerwire.errors import (
    ConnectionClosed,
    LocalProtocolError,
    PeerChoked,
    RemoteProtocolError,
    RequestFailed,
)
from peerwire.handshake import Reserved
from peerwire.limits import Limits
from peerwire.messages import Message, Piece
from peerwire.requests import PendingRequest, RequestEnded
from peerwire.state import State
from peerwire.wire import Wire

from ..harness import (
    INFO_HASH,
    OUR_ID,
    PEER_ID,
    Script,
    check_line,
    check_over,
    chunks,
    expect,
    pipe,
)

if TYPE_CHECKING:
    from collections.abc import Callable

SMALL = Limits(
    max_message=200,
    max_pieces=50,
    max_request=32,
    max_request_hard=64,
    max_peer_requests=4,
    max_requests=4,
    max_allowed_fast=2,
    max_extended_handshake=150,
    idle_timeout=40,
    keep_alive=16,
    request_timeout=10,
)

#: Steps of an input; the rest of it is not read. Captured sessions have some hundred messages.
MAX_STEPS = 400


def target(data: bytes) -> None:
    """Runs a script twice."""
    whole = Session(Script(data[1:]), 0, traced=True).run()
    again = Session(Script(data[1:]), Script(data).byte(), traced=False).run()
    expect(again == whole, "it depends on the chunks, or on whether it is traced")


class Session:
    """One run of a script: our wire, what the peer said, and what came of it."""

    def __init__(self, script: Script, size: int, *, traced: bool) -> None:
        self.script = script
        self.size = size
        options = script.byte()
        self.block = 4 if options & 1 else 16384
        self.limits = SMALL if options & 1 else Limits()
        bits = Reserved.FAST if options & 2 else Reserved(0)
        bits |= Reserved.EXTENSION if options & 4 else Reserved(0)
        self.now = 0.0
        self.wire = Wire(
            "responder" if options & 8 else "initiator",
            INFO_HASH,
            OUR_ID,
            num_pieces=script.byte() % 20 or None,
            reserved=bits,
            strict=bool(options & 16),
            limits=self.limits,
            trace=(lambda _mark, what, _now: check_line(what)) if traced else None,
        )
        peer = Wire("initiator" if options & 8 else "responder", INFO_HASH, PEER_ID, reserved=bits)
        pipe(self.wire, peer)
        expect(self.wire.state is State.OPEN, "two wires of ours do not come together")
        self.wire.events_received()
        self.said = self.sent = self.owed = self.blocks = 0
        self.asked: list[PendingRequest] = []
        self.ended: Counter[object] = Counter()
        self.log: list[str] = []
        self.gathering = 0  # so many times that it speaks come together
        self.gathered = bytearray()
        self.last = b""  # what it said last, where that began with a message

    def run(self) -> tuple[list[str], bytes, str]:
        """Does what the script says; returns all that could be seen of it."""
        out = bytearray()
        for _ in range(MAX_STEPS):
            if not self.script:
                break
            STEPS[self.script.below(len(STEPS))](self)
            self.look()
            out += self.wire.data_to_send()
            # What we answer by ourselves is no longer than what it answers.
            expect(len(out) <= self.said + self.owed, "the peer makes us say more than it said")
        self.wire.receive_eof()
        self.look()
        expect(all(self.ended[n] == 1 for n in range(len(self.asked))), "a request has not ended")
        return self.log, bytes(out), str(self.wire.closed)

    # What the peer does

    def hear(self, data: bytes) -> None:
        """The peer says these bytes, at once or along with some that follow."""
        self.said += len(data)
        self.gathered += data
        self.gathering -= 1
        if self.gathering > 0:
            return
        data, self.gathered = bytes(self.gathered), bytearray()
        self.last = b"" if self.wire._framing.held else data
        for chunk in chunks(data, self.size):
            self.guarded(partial(self.wire.receive_data, bytearray(chunk), self.now))

    def gather(self) -> None:
        """What it says next comes all at once."""
        self.gathering = self.script.below(16)

    def noise(self) -> None:
        """It says anything."""
        self.hear(self.script.text())

    def message(self) -> None:
        """It says a message of any id and payload."""
        kind, payload = self.script.byte(), self.script.take(self.script.byte())
        self.hear((len(payload) + 1).to_bytes(4) + bytes((kind,)) + payload)

    def indexed(self) -> None:
        """It says a message about a piece, or about a block that lies where blocks do."""
        kind, index = self.script.byte(), self.script.byte()
        payload = index.to_bytes(4)
        if kind in (6, 8, 16):
            payload += self.position() + self.block.to_bytes(4)
        elif kind == 7:
            payload += self.position() + bytes(self.block)
        self.hear((len(payload) + 1).to_bytes(4) + bytes((kind,)) + payload)

    def position(self) -> bytes:
        """Where a block begins."""
        return (self.script.below(4) * self.block).to_bytes(4)

    def answer(self) -> None:
        """It sends a block that we asked for, perhaps too little or too much of it."""
        if request := self.pick():
            length = request.length + (self.script.byte() + 1) % 3 - 1
            block = bytes((1 + len(self.asked) % 255,)) * length
            self.hear(Piece(request.index, request.begin, block).encode())

    def reject(self) -> None:
        """It rejects a request of ours, perhaps one that has ended."""
        if self.asked:
            key = self.asked[self.script.byte() % len(self.asked)].key
            self.hear(b"\0\0\0\x0d\x10" + b"".join(number.to_bytes(4) for number in key))

    def pick(self) -> PendingRequest | None:
        """One of the requests that are pending."""
        pending = list(self.wire.requests)
        return pending[self.script.byte() % len(pending)] if pending else None

    # What we do

    def speak(self) -> None:
        """We say something without a payload."""
        before = self.wire.messages_sent.copy()
        name = SPOKEN[self.script.below(len(SPOKEN))]
        self.guarded(getattr(self.wire, name))
        told = sum((Counter(self.wire.messages_sent) - Counter(before)).values())
        self.owed += 17 * told + 300 * (name == "send_extended_handshake")

    def ask(self) -> None:
        """We ask for a block."""
        index, begin = self.script.byte(), self.script.below(4) * self.block
        into = bytearray(self.block) if self.script.byte() & 1 else None
        deadline = self.now + self.limits.request_timeout if self.script.byte() & 1 else None
        self.guarded(
            lambda: self.remember(
                self.wire.send_request(index, begin, self.block, deadline=deadline, into=into)
            )
        )

    def remember(self, request: PendingRequest) -> None:
        """Keeps account of a request that was made."""
        request.context = len(self.asked)
        self.asked.append(request)
        self.owed += 17 + 17  # and one to take it back

    def cancel(self) -> None:
        """We take a request back."""
        if request := self.pick():
            self.guarded(lambda: self.wire.send_cancel(*request.key))

    def serve(self) -> None:
        """We answer a request of the peer, or say no."""
        request = next(iter(self.wire.peer_requests), None)
        if request is not None:
            expect(not self.wire.am_choking or request.index in self.wire.allowed_fast, "served")
            block = bytes(request.length)
            index, begin, length = request.index, request.begin, request.length
            self.owed += 13 + len(block)
            if self.script.byte() & 1:
                self.guarded(lambda: self.wire.send_piece(index, begin, block))
            else:
                self.guarded(lambda: self.wire.send_reject(index, begin, length))

    def tell(self) -> None:
        """We say something about a piece."""
        name, index = TOLD[self.script.below(len(TOLD))], self.script.byte()
        self.owed += 9
        self.guarded(lambda: getattr(self.wire, name)(index))

    def wait(self) -> None:
        """Time passes."""
        self.now += self.script.byte() / 4
        self.owed += 4
        self.guarded(lambda: self.wire.handle_timer(self.now))
        due = self.wire.next_timer()
        expect(due is None or due > self.now, "a timer is due at once, again and again")

    def learn(self) -> None:
        """The metadata has come: the piece count is known."""
        count = self.script.byte() % 20
        self.guarded(lambda: self.wire.set_num_pieces(count))

    # What must hold

    def guarded(self, action: Callable[[], object]) -> None:
        """Does something, which may fail in the ways that are documented."""
        before = self.wire.closed
        try:
            action()
        except RemoteProtocolError as error:
            if before is None:
                check_over(self.wire, error)
            expect(before in (None, self.wire.closed), "it ended twice")
            self.log.append(f"{type(error).__name__}: {error}")
        except (LocalProtocolError, PeerChoked, ConnectionClosed) as error:
            check_line(error)
            self.log.append(str(error))

    def look(self) -> None:
        """Takes what has happened, and holds the wire to its limits."""
        for event in self.wire.events_received():
            self.log.append(f"{type(event).__name__} {event}")
            check_line(event)
            match event:
                case Piece(index, begin, block, request=request):
                    expect(request is not None, "a block that nobody asked for")
                    assert request is not None
                    expect(request.key == (index, begin, len(block)), "another block than asked")
                    expect(not self.last or bytes(block) in self.last, "other bytes than it said")
                    self.end(request)
                    self.blocks += len(block)
                case RequestEnded(request, error):
                    expect(isinstance(error, RequestFailed | ConnectionClosed), "its error")
                    self.end(request)
                case Message():
                    pass
        wire, limits = self.wire, self.limits
        expect(wire.downloaded == self.blocks, "bytes that count as downloaded and are none")
        expect(len(wire.requests) <= limits.max_requests, "requests")
        expect(len(wire.peer_requests) <= limits.max_peer_requests, "the peer's requests")
        expect(len(wire.peer_allowed_fast) <= limits.max_allowed_fast, "allowed-fast pieces")
        expect(len(wire.peer_suggested) <= limits.max_allowed_fast, "suggested pieces")
        expect(wire._framing.held < 4 + wire._framing.max_message, "an incomplete message")
        most = limits.max_pieces
        if wire.num_pieces is not None and wire.state is State.OPEN:
            most = wire.num_pieces
        expect(len(wire.peer_pieces._bits) <= (most + 7) // 8, "pieces of the peer")
        expect(len(wire.requests._abandoned) <= limits.max_requests, "requests taken back")

    def end(self, request: PendingRequest) -> None:
        """Keeps account of a request that has ended."""
        self.ended[request.context] += 1
        expect(self.ended[request.context] == 1, f"{request} ended twice")
        expect(self.wire.requests.get(request.key) is not request, "it ended and is pending")


STEPS = (
    Session.noise,
    Session.message,
    Session.indexed,
    Session.answer,
    Session.reject,
    Session.speak,
    Session.ask,
    Session.cancel,
    Session.serve,
    Session.tell,
    Session.wait,
    Session.learn,
    Session.gather,
)
SPOKEN = (
    "send_choke",
    "send_unchoke",
    "send_interested",
    "send_not_interested",
    "send_keep_alive",
    "send_have_all",
    "send_have_none",
    "send_extended_handshake",
)
TOLD = ("send_have", "send_suggest", "send_allowed_fast", "send_port")
