"""Two wires that talk to each other over a network that is as slow as it likes."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from peerwire.errors import (
    ConnectionClosed,
    HashRequestFailed,
    LocalProtocolError,
    PeerChoked,
    RequestFailed,
)
from peerwire.hash_requests import HashRequestEnded
from peerwire.hashes import HashRange, expected_hashes
from peerwire.limits import Limits
from peerwire.messages import Hashes, Piece
from peerwire.pieces import PieceSet
from peerwire.requests import RequestEnded
from peerwire.state import State

from .wires import INFO_HASH, Pair

BLOCK = 4
PIECES = 3
#: As many requests at most as there are blocks: the peer remembers of all which were taken back.
SMALL = Limits(
    max_requests=2 * PIECES,
    max_peer_requests=PIECES,
    max_hash_requests=3,
    max_peer_hash_requests=2,
    idle_timeout=1e9,
)

sides = st.sampled_from("ab")
indices = st.integers(0, PIECES - 1)
blocks = st.tuples(indices, st.sampled_from([0, BLOCK]))
#: Hashes of a tree that is large enough, the last of them in a layer that has no such range.
ranges = st.sampled_from(
    [HashRange(bytes(32), 0, index, 2, proof) for index, proof in ((0, 0), (2, 0), (2, 1), (1, 0))]
)
waits = st.floats(0, 40)
#: How it ends: everything is answered, or one side goes at once.
endings = st.sampled_from(["answered", "closed by a", "closed by b", "lost"])


class TwoWires(RuleBasedStateMachine):
    """Two peers that say whatever occurs to them.

    Neither ever breaks a rule of the other, and whatever was asked for comes to an end, once.
    """

    @initialize(
        fast=st.booleans(),
        v2=st.booleans(),
        strict=st.booleans(),
        known=st.booleans(),
        ending=endings,
        first=st.none() | st.lists(blocks, min_size=1, max_size=5),
        wait=waits,
    )
    def connect(self, fast, v2, strict, known, ending, first, wait):
        options = {"info_hash_v2": INFO_HASH} if v2 else {}
        count = PIECES if known else None
        self.pair = Pair(fast=fast, strict=strict, num_pieces=count, limits=SMALL, **options)
        self.fast, self.ending = fast, ending
        self.has = {self.pair.a: set(), self.pair.b: set()}
        self.asked = []
        self.outcomes = Counter()
        for wire in self.has:
            assert wire.v2 is v2
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
            match event:
                case Piece(block=block, request=request):
                    assert len(block) == request.length
                case Hashes(hashes=hashes, request=request):
                    assert len(hashes) == expected_hashes(request.range)
                case RequestEnded(request=request, error=error):
                    assert isinstance(error, RequestFailed | ConnectionClosed)
                case HashRequestEnded(request=request, error=error):
                    assert isinstance(error, HashRequestFailed | ConnectionClosed)
                case _:
                    continue
            self.outcomes[request.context] += 1

    def say(self, side, what, *args, **options):
        """Says something, if it may be said; if not, nothing is sent."""
        wire = self.wire(side)
        before = dict(wire.messages_sent)
        try:
            result = getattr(wire, what)(*args, **options)
        except (LocalProtocolError, PeerChoked):
            assert wire.messages_sent == before
            return None
        self.hear(wire)
        return result or True

    @rule(side=sides, what=st.sampled_from(["choke", "unchoke"]))
    def choke(self, side, what):
        self.say(side, f"send_{what}")

    @rule(side=sides, what=st.sampled_from(["interested", "not_interested", "keep_alive"]))
    def chat(self, side, what):
        self.say(side, f"send_{what}")

    @rule(side=sides, pieces=st.sets(indices))
    def announce(self, side, pieces):
        if self.say(side, "announce", PieceSet(PIECES, pieces)):
            self.has[self.wire(side)] = set(pieces)

    @rule(side=sides, what=st.sampled_from(["have", "suggest", "allowed_fast"]), index=indices)
    def point(self, side, what, index):
        if self.say(side, f"send_{what}", index) and what == "have":
            self.has[self.wire(side)].add(index)

    @rule(side=sides, blocks=st.lists(blocks, min_size=1, max_size=5), wait=waits)
    def ask(self, side, blocks, wait):
        for index, begin in blocks:
            self.request(side, "send_request", index, begin, BLOCK, wait=wait)

    @rule(side=sides, wanted=ranges, wait=waits)
    def ask_for_hashes(self, side, wanted, wait):
        self.request(side, "send_hash_request", wanted, wait=wait)

    def request(self, side, what, *args, wait):
        context = len(self.asked)
        if self.say(side, what, *args, deadline=self.pair.now + wait, context=context):
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

    @rule(side=sides, served=st.lists(st.booleans(), min_size=1, max_size=3))
    def answer_hashes(self, side, served):
        for asked, serve in zip([*self.wire(side).peer_hash_requests], served, strict=False):
            if serve:
                hashes = [bytes(32)] * expected_hashes(asked)
                assert self.say(side, "send_hashes", asked, hashes)
            else:
                assert self.say(side, "send_hash_reject", asked)

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
    @invariant()
    def nothing_is_beyond_its_bounds(self):
        for wire in self.has:
            assert wire.state is State.OPEN
            assert len(wire.requests) <= SMALL.max_requests
            assert len(wire.peer_requests) <= SMALL.max_peer_requests
            assert len(wire.hash_requests) <= SMALL.max_hash_requests
            assert len(wire.peer_hash_requests) <= SMALL.max_peer_hash_requests
            if wire.am_choking:
                assert all(r.index in wire.allowed_fast for r in wire.peer_requests)
            if wire.peer_choking and not self.fast:
                assert len(wire.requests) == 0
            unended = len(wire.requests) + len(wire.hash_requests)
            assert all(request.context < len(self.asked) for request in wire.requests)
            assert self.outcomes.total() + unended <= len(self.asked)

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
            assert wire.peer_allowed_fast == other.allowed_fast
            assert wire.messages_received == other.messages_sent
            assert wire.downloaded + wire.wasted == other.uploaded
            assert {r.range for r in wire.hash_requests} <= other.peer_hash_requests.keys()
            if self.fast:
                # An answer that crosses a cancel also serves a second request for the block, which
                # the other side has then still to answer.
                pending = {(r.index, r.begin, r.length) for r in other.peer_requests}
                assert {request.key for request in wire.requests} <= pending

    def teardown(self):
        if not hasattr(self, "pair"):
            return
        if self.ending == "answered":
            self.answer_everything()
        else:
            self.hang_up()
        assert self.outcomes == Counter(self.asked), "each request ends once"

    def answer_everything(self):
        self.agree()
        for side in "ab":
            self.answer(side, [True] * len(self.wire(side).peer_requests))
            self.answer_hashes(side, [True] * len(self.wire(side).peer_hash_requests))
        self.agree()
        for wire in self.has:
            other = self.pair.other(wire)
            said, heard = wire.messages_sent, other.messages_sent
            answers = [heard.get(name, 0) for name in ("hashes", "hash reject")]
            assert said.get("hash request", 0) == sum(answers)  # BEP 52: each MUST be answered
            assert len(wire.hash_requests) == 0
            if self.fast:  # BEP 6: every request has exactly one answer
                answers = [heard.get(name, 0) for name in ("piece", "reject")]
                assert said.get("request", 0) == sum(answers)
                assert len(wire.requests) == 0
        self.wait(100.0)  # where requests are dropped without a word
        self.agree()

    def hang_up(self):
        """Ends both wires where they are, with whatever is still on its way."""
        a, b = self.has
        if self.ending == "lost":
            a.receive_eof(ConnectionResetError("reset"))
            b.receive_eof()
        else:
            one, other = (a, b) if self.ending == "closed by a" else (b, a)
            one.close("enough")
            self.pair.carry(other)
            other.receive_eof()
        for wire in self.has:
            self.hear(wire)
            assert wire.state is State.CLOSED
            assert len(wire.requests) == len(wire.peer_requests) == 0
            assert len(wire.hash_requests) == len(wire.peer_hash_requests) == 0


TestTwoWires = TwoWires.TestCase
TestTwoWires.settings = settings(
    max_examples=2 * settings.default.max_examples, stateful_step_count=30
)


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
