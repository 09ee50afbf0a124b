import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerwire.errors import PeerChoked, RemoteProtocolError, RequestRejected, RequestTimeout
from peerwire.extensions.base import Extension
from peerwire.extensions.lt_donthave import DontHave, LtDontHave
from peerwire.limits import Limits
from peerwire.messages import (
    AllowedFast,
    Bitfield,
    Cancel,
    Choke,
    Extended,
    Have,
    HaveAll,
    HaveNone,
    Interested,
    KeepAlive,
    NotInterested,
    Piece,
    Port,
    Reject,
    Request,
    Suggest,
    Unchoke,
    Unknown,
)
from peerwire.pieces import PieceSet
from peerwire.receiving import RECEIVERS
from peerwire.requests import RequestEnded

from .wires import (
    EXAMPLES,
    Trace,
    encoded,
    extended_wire,
    open_wire,
    receive,
    requesting_wire,
    sent,
    serving_wire,
    violation,
)

FAST_ONLY = [Suggest(1), HaveAll(), HaveNone(), Reject(1, 2, 3), AllowedFast(1)]


def broken(make, message, rule, match):
    """Asserts that this message ends the wire with an error of this rule that says so."""
    error = violation(make, encoded(message), RemoteProtocolError, rule)
    assert match in str(error)


def test_there_is_something_to_be_done_with_every_message():
    assert RECEIVERS.keys() >= {type(message) for message, _, _ in EXAMPLES}


# States


def test_the_peer_chokes_and_unchokes():
    wire = open_wire()
    assert receive(wire, Unchoke()) == [Unchoke()]
    assert not wire.peer_choking
    assert receive(wire, Choke()) == [Choke()]
    assert wire.peer_choking


def test_the_peer_is_interested_or_not():
    wire = open_wire()
    assert receive(wire, Interested()) == [Interested()]
    assert wire.peer_interested
    assert receive(wire, NotInterested()) == [NotInterested()]
    assert not wire.peer_interested


def test_a_choke_drops_what_was_asked_for():
    wire = requesting_wire(fast=False)
    asked = [wire.send_request(index, 0, 4) for index in range(3)]
    *ended, choke = receive(wire, Choke())
    assert choke == Choke()
    assert [event.request for event in ended] == asked
    for event in ended:
        assert isinstance(event.error, PeerChoked)
        assert event.error.index == event.request.index
    assert len(wire.requests) == 0


def test_under_the_fast_extension_the_rejects_drop_it():
    wire = requesting_wire()
    asked = [wire.send_request(index, 0, 4) for index in range(2)]
    assert receive(wire, Choke()) == [Choke()]
    assert list(wire.requests) == asked
    event, reject = receive(wire, Reject(0, 0, 4))
    assert isinstance(event.error, RequestRejected)
    assert reject == Reject(0, 0, 4)
    (piece,) = receive(wire, Piece(1, 0, b"four"))
    assert piece.request is asked[1]
    assert len(wire.requests) == 0


def test_keep_alives_ports_and_what_is_not_known_are_handed_out():
    wire = open_wire()
    said = [KeepAlive(), Port(6881), Unknown(18, b"d1:md"), Unknown(255, b""), Unknown(10, b"x")]
    assert receive(wire, *said) == said


# Pieces


def test_a_piece_is_announced_once():
    wire = open_wire(num_pieces=10)
    assert receive(wire, Have(3), Have(3), Have(9), Have(3)) == [Have(3), Have(9)]
    assert wire.peer_pieces == {3, 9}
    assert receive(open_wire(num_pieces=10), HaveAll(), Have(3)) == [HaveAll()]


def test_a_bitfield_tells_what_the_peer_has():
    wire = open_wire(num_pieces=10)
    assert receive(wire, Bitfield(b"\x80\x40")) == [Bitfield(b"\x80\x40")]
    assert wire.peer_pieces == {0, 9}


def test_all_or_none_is_told_in_a_word():
    wire = open_wire(num_pieces=10)
    assert receive(wire, HaveAll()) == [HaveAll()]
    assert wire.peer_pieces.complete
    wire = open_wire(num_pieces=10)
    assert receive(wire, HaveNone()) == [HaveNone()]
    assert wire.peer_pieces == set()


@pytest.mark.parametrize("message", [Have(10), Have(2**32 - 1), Suggest(10), AllowedFast(10)])
def test_no_piece_beyond_the_last_can_be_spoken_of(message):
    broken(
        lambda: open_wire(num_pieces=10),
        message,
        "BEP 3, peer messages: an index is below the piece count",
        f"{message} in a torrent of 10 pieces",
    )


@pytest.mark.parametrize("served", [True, False])
def test_no_piece_beyond_the_last_can_be_asked_for(served):
    broken(
        lambda: (serving_wire if served else open_wire)(num_pieces=10),
        Request(10, 0, 4),
        "BEP 3, peer messages: an index is below the piece count",
        "request 10:0+4 in a torrent of 10 pieces",
    )


@pytest.mark.parametrize(
    ("bits", "match"),
    [
        (b"", "a bitfield of 0 bytes, where 10 pieces take 2"),
        (b"\xff", "a bitfield of 1 bytes, where 10 pieces take 2"),
        (b"\xff\x00\x00", "a bitfield of 3 bytes, where 10 pieces take 2"),
        (b"\xff\xe0", "the bit of piece 10 is set"),
        (b"\x00\x01", "the bit of piece 15 is set"),
    ],
)
def test_a_bitfield_fits_the_torrent(bits, match):
    broken(
        lambda: open_wire(num_pieces=10), Bitfield(bits), "BEP 3, peer messages: bitfield", match
    )


@pytest.mark.parametrize(
    "message",
    [Have(100), Suggest(100), AllowedFast(100), Request(100, 0, 4), Bitfield(bytes(14))],
)
def test_while_the_piece_count_is_not_known_only_so_many_are_believed(message):
    broken(
        lambda: open_wire(limits=Limits(max_pieces=100)),
        message,
        "Limits.max_pieces",
        "100 pieces are believed in",
    )


def test_the_last_piece_that_is_believed():
    wire = open_wire(limits=Limits(max_pieces=100))
    receive(wire, Bitfield(bytes(13)), Have(99))
    assert wire.peer_pieces == {99}
    with pytest.raises(RemoteProtocolError, match="a bitfield of 13 bytes"):
        receive(open_wire(limits=Limits(max_pieces=96)), Bitfield(bytes(13)))


@pytest.mark.parametrize(
    ("late", "has"),
    [(Bitfield(b"\x01\x00"), [7]), (HaveAll(), range(10)), (HaveNone(), [])],
)
@pytest.mark.parametrize("first", [Bitfield(b"\x80\x00"), HaveAll(), Have(5), Unknown(99, b"")])
def test_a_late_announcement_replaces_what_was_known_and_is_noted(first, late, has):
    trace = Trace()
    wire = open_wire(num_pieces=10, trace=trace)
    assert receive(wire, first, late) == [first, late]
    assert list(wire.peer_pieces) == [*has]
    (note,) = trace.marked("!")
    assert note.startswith(f"deviation: {late} after other messages (BEP 3, peer messages")
    broken(
        lambda: strict_wire_after(first),
        late,
        "BEP 3, peer messages: bitfield is only ever sent as the first message",
        f"{late} after other messages",
    )


def strict_wire_after(*messages):
    wire = open_wire(num_pieces=10, strict=True)
    receive(wire, *messages)
    return wire


def test_keep_alives_do_not_make_an_announcement_late():
    trace = Trace()
    wire = open_wire(num_pieces=10, strict=True, trace=trace)
    receive(wire, KeepAlive(), KeepAlive(), HaveAll())
    assert wire.peer_pieces.complete
    assert trace.marked("!") == []


@pytest.mark.parametrize("message", FAST_ONLY)
def test_the_fast_extension_has_to_be_negotiated(message):
    broken(
        lambda: open_wire(fast=False),
        message,
        "BEP 6",
        f"{message} without the fast extension",
    )


@pytest.mark.parametrize(
    ("kind", "seen"),
    [(Suggest, "peer_suggested"), (AllowedFast, "peer_allowed_fast")],
)
def test_advice_is_remembered_up_to_a_bound(kind, seen):
    wire = open_wire(limits=Limits(max_allowed_fast=3))
    said = [kind(n % 5) for n in range(50)]
    assert receive(wire, *said) == said
    assert getattr(wire, seen) == {0, 1, 2}
    assert len(wire.peer_pieces) == 0


# What the peer asks for


def not_served(wire, request, why):
    """Asserts that a request is neither kept nor handed out; returns the answers."""
    before = list(wire.peer_requests)
    wire.trace = Trace()
    assert receive(wire, request) == []
    assert list(wire.peer_requests) == before
    (note,) = wire.trace.marked("!")
    assert note == f"{request} not served: {why}"
    return sent(wire)


def test_a_request_is_handed_out():
    wire = serving_wire(num_pieces=10)
    requests = [Request(1, 0, 1), Request(9, 2**32 - 1, 16384)]
    assert receive(wire, *requests) == requests
    assert list(wire.peer_requests) == requests
    assert sent(wire) == []


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize(
    ("length", "max_request", "longest"),
    [
        (0, 16384, 16384),
        (16385, 16384, 16384),
        (2**17 + 1, 16384, 16384),
        (2**17 + 1, 2**20, 2**17),
        (2**32 - 1, 16384, 16384),
    ],
)
def test_a_block_too_short_or_too_long_is_not_served(fast, length, max_request, longest):
    wire = serving_wire(fast=fast, limits=Limits(max_request=max_request))
    request = Request(1, 0, length)
    answers = not_served(wire, request, f"blocks of 1 to {longest} bytes are served")
    assert answers == ([Reject(1, 0, length)] if fast else [])


def test_longer_blocks_are_served_where_that_is_wanted():
    wire = serving_wire(limits=Limits(max_request=2**20))
    assert receive(wire, Request(1, 0, 2**17)) == [Request(1, 0, 2**17)]


@pytest.mark.parametrize(("fast", "answers"), [(True, [Reject(1, 0, 4)]), (False, [])])
def test_a_choked_peer_is_not_served(fast, answers):
    assert not_served(open_wire(fast=fast), Request(1, 0, 4), "choked") == answers


def test_a_choked_peer_is_served_what_it_was_allowed():
    wire = open_wire()
    wire.send_allowed_fast(1)
    sent(wire)
    assert receive(wire, Request(1, 0, 4)) == [Request(1, 0, 4)]
    assert not_served(wire, Request(2, 0, 4), "choked") == [Reject(2, 0, 4)]
    assert wire.send_piece(1, 0, b"four")


@pytest.mark.parametrize(("fast", "answers"), [(True, [Reject(1, 0, 4)]), (False, [])])
def test_a_duplicate_is_not_served(fast, answers):
    wire = serving_wire(fast=fast)
    receive(wire, Request(1, 0, 4))
    assert not_served(wire, Request(1, 0, 4), "asked for already") == answers
    assert wire.send_piece(1, 0, b"four")
    assert receive(wire, Request(1, 0, 4)) == [Request(1, 0, 4)]


@pytest.mark.parametrize(("fast", "answers"), [(True, [Reject(2, 0, 4)]), (False, [])])
def test_only_so_many_are_kept(fast, answers):
    wire = serving_wire(fast=fast, limits=Limits(max_peer_requests=2))
    receive(wire, Request(0, 0, 4), Request(1, 0, 4))
    assert not_served(wire, Request(2, 0, 4), "2 requests are pending") == answers
    wire.send_piece(0, 0, b"four")
    assert receive(wire, Request(2, 0, 4)) == [Request(2, 0, 4)]


@pytest.mark.parametrize(("fast", "answers"), [(True, [Reject(1, 0, 4)]), (False, [])])
def test_a_cancel_takes_a_request_back(fast, answers):
    wire = serving_wire(fast=fast)
    receive(wire, Request(1, 0, 4))
    assert receive(wire, Cancel(1, 0, 4)) == [Cancel(1, 0, 4)]
    assert sent(wire) == answers
    assert len(wire.peer_requests) == 0
    assert not wire.send_piece(1, 0, b"four")
    assert sent(wire) == []


def test_a_cancel_that_comes_too_late_is_not_answered_again():
    wire = serving_wire()
    receive(wire, Request(1, 0, 4))
    wire.send_piece(1, 0, b"four")
    sent(wire)
    assert receive(wire, Cancel(1, 0, 4), Cancel(9, 0, 4)) == [Cancel(1, 0, 4), Cancel(9, 0, 4)]
    assert sent(wire) == []


# What the peer answers


def test_a_block_comes_with_the_request_it_answers():
    wire = requesting_wire()
    request = wire.send_request(1, 2, 4, context="mine")
    (piece,) = receive(wire, Piece(1, 2, b"four"))
    assert piece == Piece(1, 2, b"four")
    assert type(piece.block) is bytes
    assert piece.request is request
    assert piece.request.context == "mine"
    assert (wire.downloaded, wire.wasted) == (4, 0)
    assert len(wire.requests) == 0


def test_a_block_is_put_where_it_belongs():
    wire = requesting_wire()
    memory = bytearray(8)
    request = wire.send_request(1, 2, 4, into=memoryview(memory)[2:6])
    (piece,) = receive(wire, Piece(1, 2, b"four"))
    assert memory == b"\0\0four\0\0"
    assert piece.block is request.into
    assert piece.block == b"four"


def test_a_block_outlives_the_buffer_it_came_in():
    wire = requesting_wire()
    wire.send_request(1, 2, 4)
    buffer = bytearray(encoded(Piece(1, 2, b"four"), Bitfield(b"\x80"), Unknown(99, b"abc")))
    wire.receive_data(memoryview(buffer), 0.0)
    buffer[:] = bytes(len(buffer))
    assert wire.events_received() == [
        Piece(1, 2, b"four"),
        Bitfield(b"\x80"),
        Unknown(99, b"abc"),
    ]


@pytest.mark.parametrize(
    "piece",
    [Piece(1, 2, b"four!"), Piece(1, 2, b"fou"), Piece(1, 3, b"four"), Piece(2, 2, b"four")],
)
def test_a_block_that_was_not_asked_for_ends_the_wire(piece):
    def make():
        wire = requesting_wire()
        wire.send_request(1, 2, 4)
        return wire

    broken(make, piece, "BEP 6", f"{piece} was not asked for")
    wire = make()
    with pytest.raises(RemoteProtocolError):
        receive(wire, piece)
    assert (wire.downloaded, wire.wasted) == (0, len(piece.block))
    (ended,) = wire.events_received()
    assert ended.request.key == (1, 2, 4)


def test_without_the_fast_extension_it_is_counted_and_ignored():
    wire = requesting_wire(fast=False)
    wire.send_request(1, 2, 4)
    assert receive(wire, Piece(1, 2, b"four!"), Piece(2, 2, b"four"), Have(1)) == [Have(1)]
    assert (wire.downloaded, wire.wasted) == (0, 9)
    assert (1, 2, 4) in wire.requests


@pytest.mark.parametrize("answer", [Piece(1, 2, b"four"), Reject(1, 2, 4)])
@pytest.mark.parametrize("again", [Piece(1, 2, b"four"), Reject(1, 2, 4)])
def test_a_request_that_was_taken_back_is_answered_once(answer, again):
    def make():
        wire = requesting_wire()
        wire.send_request(1, 2, 4)
        wire.send_cancel(1, 2, 4)
        wire.events_received()
        seen = receive(wire, answer)
        assert not any(isinstance(event, RequestEnded | Piece) for event in seen)
        return wire

    assert make().wasted == (4 if isinstance(answer, Piece) else 0)
    assert make().closed is None
    broken(make, again, "BEP 6", "not asked for")


@pytest.mark.parametrize("answer", [Piece(1, 2, b"four"), Reject(1, 2, 4)])
def test_an_answer_after_the_deadline_is_no_violation(answer):
    wire = requesting_wire()
    wire.send_request(1, 2, 4, deadline=5.0)
    wire.handle_timer(5.0)
    (ended,) = wire.events_received()
    assert isinstance(ended.error, RequestTimeout)
    seen = receive(wire, answer)
    assert not any(isinstance(event, RequestEnded | Piece) for event in seen)
    assert wire.closed is None
    assert wire.downloaded == 0
    with pytest.raises(RemoteProtocolError, match="not asked for"):
        receive(wire, answer)


@pytest.mark.parametrize("answers", ["rp", "pr", "pp", "rr"])
def test_a_block_that_is_asked_for_again_is_told_from_its_first_answer(answers):
    wire = requesting_wire()
    wire.send_request(1, 2, 4)
    wire.send_cancel(1, 2, 4)
    second = wire.send_request(1, 2, 4)
    wire.events_received()
    piece, reject = Piece(1, 2, b"four"), Reject(1, 2, 4)
    seen = receive(wire, *[piece if letter == "p" else reject for letter in answers])
    assert len(wire.requests) == 0
    if "p" in answers:
        assert [event.request for event in seen if isinstance(event, Piece)] == [second]
        assert not any(isinstance(event, RequestEnded) for event in seen)
    else:
        assert [event.request for event in seen if isinstance(event, RequestEnded)] == [second]
    with pytest.raises(RemoteProtocolError, match="not asked for"):
        receive(wire, reject)


def test_however_many_were_taken_back_their_answers_are_no_violation():
    wire = requesting_wire(limits=Limits(max_requests=2))
    for index in range(10):
        wire.send_request(index, 0, 4)
        wire.send_cancel(index, 0, 4)
    receive(wire, *[Piece(index, 0, b"four") for index in range(10)])
    assert wire.wasted == 40
    with pytest.raises(RemoteProtocolError, match="not asked for"):
        receive(wire, Piece(0, 0, b"four"))


def test_a_reject_ends_its_request():
    wire = requesting_wire()
    request = wire.send_request(1, 2, 4)
    ended, reject = receive(wire, Reject(1, 2, 4))
    assert ended.request is request
    assert isinstance(ended.error, RequestRejected)
    assert ended.error.reason == "the peer rejected it"
    assert reject == Reject(1, 2, 4)


@pytest.mark.parametrize("reject", [Reject(1, 2, 5), Reject(0, 2, 4)])
def test_a_reject_of_what_was_not_asked_for_ends_the_wire(reject):
    def make():
        wire = requesting_wire()
        wire.send_request(1, 2, 4)
        return wire

    broken(make, reject, "BEP 6, reject request", f"{reject}, which was not asked for")


# Runs


HAVES = st.lists(st.integers(0, 110).map(Have), min_size=4)
REQUESTS = st.lists(
    st.builds(Request, st.integers(0, 101), st.just(0), st.sampled_from([0, 1, 16384, 16385])),
    min_size=4,
)


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("known", [100, None])
@given(st.one_of(HAVES, REQUESTS), st.booleans())
def test_a_run_comes_to_the_same_as_its_messages(known, fast, run, choked):
    """Whether they come in one piece or one by one; the trace of the second sees each."""

    def hear(*chunks, trace=None):
        limits = Limits(max_pieces=105, max_peer_requests=6)
        wire = open_wire(num_pieces=known, limits=limits, fast=fast, trace=trace)
        if not choked:
            wire.send_unchoke()
        try:
            for chunk in chunks:
                wire.receive_data(chunk, 1.0)
        except RemoteProtocolError as error:
            ended = str(error)
        else:
            ended = None
        return (
            wire.events_received(),
            ended,
            wire.messages_received,
            wire.last_message,
            list(wire.peer_requests),
            [index for index in range(120) if index in wire.peer_pieces],
            wire.data_to_send(),
        )

    together = hear(encoded(*run))
    assert together == hear(*[encoded(message) for message in run])
    assert together == hear(encoded(*run), trace=Trace())


@pytest.mark.parametrize("fast", [True, False])
@given(
    st.lists(st.tuples(st.integers(0, 3), st.booleans()), unique_by=lambda asked: asked[0]),
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from([3, 3, 3, 4])), min_size=2),
)
def test_blocks_that_come_in_a_run_go_where_each_of_them_would(fast, asked, came):
    """Some were not asked for, or come twice: under the fast extension that ends the wire."""
    run = [Piece(index, 0, bytes([number]) * length) for number, (index, length) in enumerate(came)]

    def hear(*chunks, trace=None):
        wire = requesting_wire(num_pieces=4, fast=fast, trace=trace)
        room = [bytearray(3) for _ in asked]
        for (index, into), memory in zip(asked, room, strict=True):
            wire.send_request(index, 0, 3, into=memory if into else None)
        wire.data_to_send()
        ended = None
        try:
            for chunk in chunks:
                wire.receive_data(bytearray(chunk), 1.0)
        except RemoteProtocolError as error:
            ended = str(error)
        told = [(type(e), e.block if type(e) is Piece else None) for e in wire.events_received()]
        return (
            [(kind, None if block is None else bytes(block)) for kind, block in told],
            ended,
            room,
            wire.downloaded,
            wire.wasted,
            wire.messages_received,
            wire.last_message,
            [request.key for request in wire.requests],
        )

    together = hear(encoded(*run))
    assert together == hear(*[encoded(message) for message in run])
    assert together == hear(encoded(*run), trace=Trace())


def test_requests_that_come_in_a_run_are_pending_in_their_order():
    run = [Request(index, 0, 16384) for index in (5, 3, 9, 4, 0)]
    wire = serving_wire(num_pieces=10)
    assert receive(wire, *run) == run
    assert list(wire.peer_requests) == run
    assert wire.messages_received["request"] == 5


def test_of_a_run_of_requests_each_is_judged_where_not_all_can_be_served():
    run = [Request(index, 0, 16384) for index in (5, 3, 5, 4, 0, 1)]
    wire = serving_wire(num_pieces=10, limits=Limits(max_peer_requests=4), fast=True)
    taken = [run[n] for n in (0, 1, 3, 4)]
    assert receive(wire, *run) == taken
    assert sent(wire) == [Reject(5, 0, 16384), Reject(1, 0, 16384)]


def test_a_bitfield_after_a_run_is_late():
    wire = open_wire(num_pieces=10, strict=True)
    receive(wire, *map(Have, range(5)))
    with pytest.raises(RemoteProtocolError, match="after other messages"):
        receive(wire, Bitfield(b"\xff\xc0"))


# Extensions


class Chat(Extension):
    name = "xx_chat"

    def receive(self, payload):
        return payload.decode() or None


def test_an_extended_handshake_is_an_event_of_its_own():
    wire = extended_wire()
    (told,) = receive(wire, Extended(0, b"d4:reqqi30ee"))
    assert told.reqq == 30


def test_a_message_of_an_extension_is_what_the_extension_makes_of_it():
    assert receive(extended_wire(Chat), Extended(1, b"hello"), Extended(1, b"")) == ["hello"]


@pytest.mark.parametrize("known", [10, None])
def test_a_piece_may_be_gone_again(known):
    wire = extended_wire(LtDontHave, num_pieces=known)
    events = receive(wire, HaveAll(), Extended(1, b"\0\0\0\7"))
    assert events == [HaveAll(), DontHave(7)]
    assert 7 not in wire.peer_pieces
    assert 8 in wire.peer_pieces
    assert receive(wire, Have(7)) == [Have(7)]


@pytest.mark.parametrize(
    ("known", "rule"), [(10, "BEP 3, peer messages"), (None, "Limits.max_pieces")]
)
def test_a_piece_that_does_not_exist_is_not_gone(known, rule):
    """Not to have one of 2^32 would take 512 MiB to remember."""
    gone = Extended(1, b"\xff\xff\xff\xff")
    broken(lambda: extended_wire(LtDontHave, num_pieces=known), gone, rule, "don't have 4294967295")


def test_the_extension_protocol_has_to_be_negotiated():
    match = "extended handshake, 2 bytes without the extension protocol"
    broken(open_wire, Extended(0, b"de"), "BEP 10", match)


@pytest.mark.parametrize(
    ("message", "rule", "match"),
    [
        (Extended(0, b"d"), "BEP 10, handshake message", "extended handshake: "),
        (Extended(0, bytes(101)), "Limits.max_extended_handshake", "101 bytes, 100 is the most"),
        (Extended(1, b"\xff"), "extension xx_chat", "codec can't decode"),
    ],
)
def test_an_extension_has_its_rules(message, rule, match):
    limits = Limits(max_extended_handshake=100)
    broken(lambda: extended_wire(Chat, limits=limits), message, rule, match)


def test_an_extended_handshake_may_be_as_long_as_the_limit():
    handshake = b"d1:v94:" + bytes(94) + b"e"
    wire = extended_wire(limits=Limits(max_extended_handshake=len(handshake)))
    (told,) = receive(wire, Extended(0, handshake))
    assert len(told.v) == 94


def test_a_message_with_an_id_that_we_did_not_give_is_handed_out_as_it_is():
    assert receive(extended_wire(Chat), Extended(9, b"hello")) == [Extended(9, b"hello")]


@pytest.mark.parametrize(
    ("message", "match"),
    [
        (Extended(9, b"hello"), "extended id 9, 5 bytes, an id we did not give"),
        (Extended(0, b"d4:reqqi-1ee"), "extended handshake: reqq"),
    ],
)
def test_what_others_let_pass_of_an_extension_is_a_deviation(message, match):
    trace = Trace()
    wire = extended_wire(trace=trace)
    receive(wire, message)
    (note,) = trace.marked("!")
    assert note.startswith(f"deviation: {match}")
    broken(lambda: extended_wire(strict=True), message, "BEP 10", match)


# What was said before the piece count was known


def test_what_was_said_is_kept_when_it_fits():
    wire = serving_wire()
    receive(wire, Bitfield(b"\x80\x00"), Have(9), Suggest(9), AllowedFast(9), Request(9, 0, 4))
    wire.set_num_pieces(10)
    assert wire.peer_pieces == {0, 9}
    assert wire.peer_pieces.size == 10
    assert list(wire.peer_requests) == [Request(9, 0, 4)]
    wire = open_wire()
    receive(wire, HaveAll())
    wire.set_num_pieces(10)
    assert wire.peer_pieces == PieceSet.full(10)
    wire = open_wire()
    wire.set_num_pieces(10)
    assert wire.peer_pieces == PieceSet(10), "nothing was said"
    assert wire.peer_pieces.size == 10


@pytest.mark.parametrize(
    ("message", "rule", "match"),
    [
        (Have(10), "BEP 3, peer messages: bitfield and have", "the bit of piece 10 is set"),
        (Bitfield(b"\x00\x20"), "BEP 3, peer messages: bitfield and have", "the bit of piece 10"),
        (Bitfield(b"\x00"), "BEP 3, peer messages: bitfield and have", "a bitfield of 1 bytes"),
        (Request(10, 0, 4), "BEP 3, peer messages: an index", "request 10:0+4 in a torrent of 10"),
        (Suggest(10), "BEP 3, peer messages: an index", "suggest 10 in a torrent of 10"),
        (AllowedFast(10), "BEP 3, peer messages: an index", "allowed fast 10 in a torrent of 10"),
    ],
)
def test_what_does_not_fit_ends_the_wire(message, rule, match):
    wire = serving_wire()
    assert receive(wire, message) == [message]
    with pytest.raises(RemoteProtocolError, match=match.replace("+", r"\+")) as error:
        wire.set_num_pieces(10)
    assert error.value.rule.startswith(rule)
    assert wire.closed.__cause__ is error.value
    assert receive(wire, Interested()) == []
