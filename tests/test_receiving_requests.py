"""What the peer asks for, and what it answers to what we asked for."""

import pytest

from peerwire.errors import RemoteProtocolError, RequestRejected, RequestTimeout
from peerwire.limits import Limits
from peerwire.messages import Bitfield, Cancel, Have, Piece, Reject, Request, Unknown
from peerwire.requests import RequestEnded

from .wires import Trace, broken, encoded, open_wire, receive, requesting_wire, sent, serving_wire

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
