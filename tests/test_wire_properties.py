from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from peerwire.errors import (
    ConnectionClosed,
    LocalProtocolError,
    PeerChoked,
    RemoteProtocolError,
    RequestFailed,
)
from peerwire.handshake import PROTOCOL
from peerwire.limits import Limits
from peerwire.messages import Piece, Unchoke
from peerwire.pieces import PieceSet
from peerwire.requests import RequestEnded
from peerwire.state import State

from .wires import (
    Pair,
    Trace,
    chunked,
    encoded,
    of_size,
    open_wire,
    peer_handshake,
    receive,
    run,
    small_messages,
    waiting_wire,
)

# Whatever the chunks


def outcome(wire, chunks):
    """Everything that can be seen of a wire that was fed these chunks."""
    wire.trace = trace = Trace()
    events, error = run(wire, chunks)
    return {
        "events": [(type(event), str(event)) for event in events],
        "error": (type(error), str(error)),
        "sent": wire.data_to_send(),
        "trace": trace.lines,
        "pieces": (repr(wire.peer_pieces), [index in wire.peer_pieces for index in range(20)]),
        "requests": [str(request) for request in wire.peer_requests],
        "counts": (wire.messages_received, wire.messages_sent, wire.downloaded, wire.wasted),
        "closed": str(wire.closed),
    }


def busy_wire(*, fast=True, **options):
    """An open wire that serves its peer, waits for two blocks, and took a third request back."""
    wire = open_wire(fast=fast, **options)
    receive(wire, Unchoke())
    wire.send_unchoke()
    for index in range(3):
        wire.send_request(index, 0, 4)
    wire.send_cancel(2, 0, 4)
    wire.events_received()
    wire.data_to_send()
    return wire


talk = st.lists(small_messages(3), max_size=8).map(lambda said: encoded(*said))
noise = st.one_of(talk, st.tuples(talk, st.binary(max_size=30)).map(b"".join))
cuts = st.lists(st.integers(0, 10**6), max_size=12)
options = st.fixed_dictionaries(
    {"num_pieces": st.sampled_from([None, 3]), "strict": st.booleans()},
)


@given(st.sampled_from(["initiator", "responder"]), noise, cuts, options)
def test_any_chunks_of_a_connection_come_to_the_same(role, data, cuts, options):
    data = peer_handshake() + data
    at_once = outcome(waiting_wire(role, **options), [data])
    assert outcome(waiting_wire(role, **options), chunked(data, cuts)) == at_once
    assert outcome(waiting_wire(role, **options), of_size(1, data)) == at_once


@given(noise, cuts, options, st.booleans())
def test_any_chunks_of_messages_come_to_the_same(data, cuts, options, fast):
    at_once = outcome(busy_wire(fast=fast, **options), [data])
    assert outcome(busy_wire(fast=fast, **options), chunked(data, cuts)) == at_once
    assert outcome(busy_wire(fast=fast, **options), of_size(1, data)) == at_once


@given(noise, cuts, st.integers(0, 300))
def test_it_does_not_matter_when_a_torrent_is_accepted(data, cuts, moment):
    data = peer_handshake() + data

    def accepted(chunks, moment):
        """What comes of it when the torrent is accepted once `moment` bytes are there."""
        wire = waiting_wire(info_hash=None)
        error, taken = None, 0
        try:
            for chunk in chunks:
                wire.receive_data(chunk, 0.0)
                taken += len(chunk)
                if wire.state is State.DECIDING and taken >= moment:
                    wire.accept(num_pieces=3)
            if wire.state is State.DECIDING:
                wire.accept(num_pieces=3)
        except RemoteProtocolError as violation:
            error = str(violation)
        events = [str(event) for event in wire.events_received()]
        return events, error, wire.data_to_send(), str(wire.closed)

    at_once = accepted([data], 0)
    assert accepted(chunked(data, cuts), moment) == at_once
    assert accepted(of_size(1, data), moment) == at_once


# Whatever the bytes


@given(st.lists(st.one_of(talk, st.binary(max_size=40)), max_size=10), options, st.booleans())
def test_no_bytes_raise_anything_else_or_make_it_hold_more_than_the_limits(chunks, options, fast):
    limits = Limits(max_message=50, max_peer_requests=3, max_allowed_fast=1, max_pieces=20)
    wire = busy_wire(fast=fast, limits=limits, **options)
    for chunk in chunks:
        _, error = run(wire, [chunk])
        if error is not None:
            assert error is wire.closed.__cause__
            assert error.rule in str(error)
            assert wire.state is State.CLOSED
            assert wire._framing.held == 0
        assert wire._framing.held < 50 + 4
        assert len(wire.peer_requests) <= 3
        assert len(wire.peer_suggested) <= 1
        assert len(wire.peer_allowed_fast) <= 1
        assert (
            not any(index in wire.peer_pieces for index in range(24, 100))
            or wire.peer_pieces.complete
        )
        assert len(wire.requests) <= 2
    wire.receive_eof()
    assert wire.state is State.CLOSED


@given(st.binary(max_size=200))
def test_no_bytes_where_a_handshake_is_due_raise_anything_else(data):
    for make in (
        waiting_wire,
        lambda: waiting_wire(info_hash=None),
        lambda: waiting_wire("initiator"),
    ):
        for stream in (data, PROTOCOL + data, peer_handshake()[:48] + data):
            wire = make()
            run(wire, of_size(7, stream))
            assert len(wire._held) <= len(stream)


# Two wires


BLOCK = 4
PIECES = 3
#: As many requests at most as there are blocks: the peer remembers of all which were taken back.
SMALL = Limits(max_requests=2 * PIECES, max_peer_requests=PIECES, idle_timeout=1e9)

sides = st.sampled_from("ab")
indices = st.integers(0, PIECES - 1)
blocks = st.tuples(indices, st.sampled_from([0, BLOCK]))


class TwoWires(RuleBasedStateMachine):
    """Two peers that say whatever occurs to them, over a network that is as slow as it likes.

    Neither ever breaks a rule of the other, and whatever was asked for comes to an end.
    """

    @initialize(
        fast=st.booleans(),
        strict=st.booleans(),
        known=st.booleans(),
        first=st.none() | st.lists(blocks, min_size=1, max_size=5),
        wait=st.floats(0, 40),
    )
    def connect(self, fast, strict, known, first, wait):
        count = PIECES if known else None
        self.pair = Pair(fast=fast, strict=strict, num_pieces=count, limits=SMALL)
        self.fast = fast
        self.has = {self.pair.a: set(), self.pair.b: set()}
        self.asked = []
        self.outcomes = Counter()
        for wire in self.has:
            self.pair.take(wire)
        if first is not None:  # two that are at it already
            for side in "ab":
                self.announce(side, {*range(PIECES)})
                self.choke(side, "unchoke")
            self.pair.deliver()
            self.ask("a", first, wait)

    def wire(self, side):
        return self.pair.a if side == "a" else self.pair.b

    def hear(self, wire):
        """Looks at the events of a wire, keeping count of how its requests ended."""
        self.pair.events[wire] += wire.events_received()
        for event in self.pair.take(wire):
            if isinstance(event, Piece):
                assert len(event.block) == event.request.length
                self.outcomes[event.request.context] += 1
            elif isinstance(event, RequestEnded):
                assert isinstance(event.error, RequestFailed | ConnectionClosed)
                self.outcomes[event.request.context] += 1

    def say(self, side, what, *args, **options):
        """Says something, if it may be said."""
        wire = self.wire(side)
        try:
            result = getattr(wire, what)(*args, **options)
        except (LocalProtocolError, PeerChoked):
            return None
        self.hear(wire)
        return result or True

    @rule(side=sides, what=st.sampled_from(["choke", "unchoke"]))
    def choke(self, side, what):
        self.say(side, f"send_{what}")

    @rule(side=sides, what=st.sampled_from(["interested", "not_interested", "keep_alive"]))
    def chat(self, side, what):
        self.say(side, f"send_{what}")

    @rule(side=sides, pieces=st.sets(st.integers(0, PIECES - 1)))
    def announce(self, side, pieces):
        if self.say(side, "announce", PieceSet(PIECES, pieces)):
            self.has[self.wire(side)] = set(pieces)

    @rule(side=sides, what=st.sampled_from(["have", "suggest", "allowed_fast"]), index=indices)
    def point(self, side, what, index):
        if self.say(side, f"send_{what}", index) and what == "have":
            self.has[self.wire(side)].add(index)

    @rule(side=sides, blocks=st.lists(blocks, min_size=1, max_size=5), wait=st.floats(0, 40))
    def ask(self, side, blocks, wait):
        deadline = self.pair.now + wait
        for index, begin in blocks:
            context = len(self.asked)
            options = {"deadline": deadline, "context": context}
            if self.say(side, "send_request", index, begin, BLOCK, **options):
                self.asked.append(context)

    @rule(side=sides, count=st.integers(1, 6))
    def cancel(self, side, count):
        for request in [*self.wire(side).requests][:count]:
            assert self.say(side, "send_cancel", *request.key)

    @rule(side=sides, served=st.lists(st.booleans(), min_size=1, max_size=6))
    def answer(self, side, served):
        for request, serve in zip([*self.wire(side).peer_requests], served, strict=False):
            if serve:
                assert self.say(side, "send_piece", request.index, request.begin, bytes(BLOCK))
            else:
                assert self.say(side, "send_reject", request.index, request.begin, BLOCK)

    @rule(side=sides, size=st.none() | st.integers(1, 60))
    def carry(self, side, size):
        self.pair.carry(self.wire(side), size)
        self.hear(self.wire(side))

    @rule(pause=st.floats(0, 20))
    def wait(self, pause):
        self.pair.now += pause
        for wire in self.has:
            for _ in range(1000):
                due = wire.next_timer()
                if due > self.pair.now:
                    break
                wire.handle_timer(due)
                assert wire.next_timer() > due
                self.hear(wire)
            else:
                pytest.fail("the timers never stop")

    @precondition(lambda self: hasattr(self, "pair"))
    @rule()
    def agree(self):
        """Once everything has arrived, each side knows what the other said."""
        self.pair.deliver()
        for wire in self.has:
            self.hear(wire)
            other = self.pair.other(wire)
            assert wire.peer_choking == other.am_choking
            assert wire.peer_interested == other.am_interested
            assert {index for index in range(PIECES) if index in wire.peer_pieces} == (
                self.has[other]
            )
            assert wire.messages_received == other.messages_sent
            assert wire.downloaded + wire.wasted == other.uploaded
            if self.fast:
                # An answer that crosses a cancel also serves a second request for the block, which
                # the other side has then still to answer.
                pending = {(r.index, r.begin, r.length) for r in other.peer_requests}
                assert {request.key for request in wire.requests} <= pending
            elif wire.peer_choking:
                assert len(wire.requests) == 0

    def teardown(self):
        if not hasattr(self, "pair"):
            return
        self.agree()
        for side in "ab":
            self.answer(side, [True] * len(self.wire(side).peer_requests))
        self.agree()
        for wire in self.has:
            other = self.pair.other(wire)
            if self.fast:  # BEP 6: every request has exactly one answer
                assert len(wire.requests) == 0
                answers = [other.messages_sent.get(name, 0) for name in ("piece", "reject")]
                assert wire.messages_sent.get("request", 0) == sum(answers)
        self.wait(100.0)
        self.agree()
        assert self.outcomes == Counter(self.asked), "each request ends once"


TestTwoWires = TwoWires.TestCase
TestTwoWires.settings = settings(max_examples=200, stateful_step_count=30, deadline=None)


@given(
    fast=st.booleans(),
    requests=st.sets(st.integers(0, PIECES - 1), max_size=4),
    size=st.integers(1, 200),
)
def test_whoever_closes_every_request_of_both_ends(fast, requests, size):
    pair = Pair(fast=fast, num_pieces=PIECES)
    for wire in (pair.a, pair.b):
        wire.send_unchoke()
    pair.deliver()
    for wire in (pair.a, pair.b):
        for index in requests:
            wire.send_request(index, 0, BLOCK)
    pair.carry(pair.b, size)
    pair.a.close("enough")
    pair.b.receive_eof()
    for wire, by in ((pair.a, "us"), (pair.b, "peer")):
        ended = [
            event
            for event in [*pair.take(wire), *wire.events_received()]
            if isinstance(event, RequestEnded)
        ]
        assert {event.request.index for event in ended} == requests
        assert len(ended) == len(requests)
        assert {event.error.by for event in ended} <= {by}
