"""What messages that are received do to a wire, and the rules that they have to keep."""

import pytest

from peerwire.errors import PeerChoked, RemoteProtocolError, RequestRejected
from peerwire.limits import Limits
from peerwire.messages import (
    AllowedFast,
    Bitfield,
    Choke,
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

from .wires import EXAMPLES, Trace, broken, open_wire, receive, requesting_wire, serving_wire

FAST_ONLY = [Suggest(1), HaveAll(), HaveNone(), Reject(1, 2, 3), AllowedFast(1)]


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
