"""What a violation is told as, to the letter: what was wrong, and which rule it breaks."""

import pytest

from peerwire.errors import PeerChoked, RemoteProtocolError
from peerwire.extensions.base import Extension
from peerwire.extensions.handshake import ExtendedHandshake
from peerwire.hash_requests import HashRequestEnded
from peerwire.hashes import HashRange
from peerwire.limits import Limits
from peerwire.messages import (
    Bitfield,
    Choke,
    Extended,
    Hashes,
    HashReject,
    HashRequest,
    HaveNone,
    NotInterested,
    Piece,
    Reject,
    Request,
    Suggest,
    Unchoke,
)
from peerwire.requests import RequestEnded

from .wires import (
    RANGE,
    Trace,
    encoded,
    extended_wire,
    open_wire,
    receive,
    requesting_wire,
    v2_wire,
    violation,
)


class Chat(Extension):
    """An extension."""

    name = "xx_chat"


def asking_wire(wanted, **options):
    """A wire that waits for these hashes."""
    wire = v2_wire(**options)
    wire.send_hash_request(wanted)
    return wire


TWO = HashRange(bytes(32), 0, 0, 2, 0)
LOW = Limits(max_pieces=20, max_extended_handshake=30)

VIOLATIONS = [
    (
        lambda: open_wire(limits=LOW),
        Bitfield(bytes(4)),
        "a bitfield of 4 bytes, where no more than 20 pieces are believed in",
        "Limits.max_pieces",
    ),
    (
        lambda: open_wire(num_pieces=20),
        Bitfield(bytes(4)),
        "a bitfield of 4 bytes, where 20 pieces take 3",
        "BEP 3, peer messages: bitfield",
    ),
    (
        lambda: open_wire(num_pieces=20),
        Bitfield(b"\0\0\1"),
        "the bit of piece 23 is set, and there are 20 pieces",
        "BEP 3, peer messages: bitfield",
    ),
    (
        requesting_wire,
        Piece(1, 2, b"abc"),
        "piece 1:2+3 was not asked for",
        "BEP 6: a piece answers a request",
    ),
    (
        open_wire,
        Reject(1, 2, 3),
        "reject 1:2+3, which was not asked for",
        "BEP 6, reject request",
    ),
    (
        lambda: open_wire(fast=False),
        Suggest(1),
        "suggest 1 without the fast extension, which was not negotiated",
        "BEP 6: the connection is closed",
    ),
    (
        lambda: open_wire(fast=False),
        HaveNone(),
        "have none without the fast extension, which was not negotiated",
        "BEP 6: the connection is closed",
    ),
    (
        open_wire,
        Extended(0, b"de"),
        "extended handshake, 2 bytes without the extension protocol, which was not negotiated",
        "BEP 10",
    ),
    (
        lambda: extended_wire(Chat, strict=True),
        Extended(9, b"hello"),
        "extended id 9, 5 bytes, an id we did not give",
        "BEP 10: ids are the receiver's",
    ),
    (
        lambda: extended_wire(Chat, limits=LOW),
        Extended(0, bytes(31)),
        "an extended handshake of 31 bytes, 30 is the most read",
        "Limits.max_extended_handshake",
    ),
    (
        extended_wire,
        Extended(0, b"x"),
        "extended handshake: at byte 0: no value begins with b'x' (BEP 3, bencoding)",
        "BEP 10, handshake message",
    ),
    (
        extended_wire,
        Extended(0, b"le"),
        "extended handshake: it is a dictionary, not list",
        "BEP 10, handshake message",
    ),
    (
        lambda: extended_wire(Chat, strict=True),
        Extended(0, b"d4:reqqi-1ee"),
        "extended handshake: reqq: it is a number from 1 to 4294967295",
        "BEP 10, handshake message",
    ),
    (
        open_wire,
        HashRequest(RANGE),
        "hash request layer 1 4+2 proof 3 of 00010203 on a connection that is not "
        "about a v2 info-hash",
        "BEP 52, upgrade path",
    ),
    (
        v2_wire,
        Hashes(TWO, [bytes(32)] * 2),
        "hashes layer 0 0+2 proof 0 of 00000000, 2 hashes, which were not asked for",
        "BEP 52, peer messages: hashes answer a hash request",
    ),
    (
        lambda: asking_wire(TWO),
        Hashes(TWO, [bytes(32)] * 3),
        "hashes layer 0 0+2 proof 0 of 00000000, 3 hashes, where 2 answer",
        "BEP 52, peer messages: the base layer, then an uncle for each proof layer "
        "above what follows from it",
    ),
    (
        v2_wire,
        HashReject(TWO),
        "hash reject layer 0 0+2 proof 0 of 00000000, which was not asked for",
        "BEP 52, peer messages: hash reject",
    ),
]


@pytest.mark.parametrize(("make", "message", "what", "rule"), VIOLATIONS)
def test_a_violation_names_what_was_wrong_and_the_rule(make, message, what, rule):
    error = violation(make, encoded(message), RemoteProtocolError, rule)
    assert str(error) == f"{what} ({rule})"


def test_a_deviation_is_noted_with_its_rule():
    trace = Trace()
    receive(extended_wire(Chat, trace=trace), Extended(9, b"hello"))
    assert trace.marked("!") == [
        "deviation: extended id 9, 5 bytes, an id we did not give (BEP 10: ids are the receiver's)"
    ]


@pytest.mark.parametrize(
    ("before", "message"), [([], Request(1, 0, 16)), ([HashRequest(TWO)], HashRequest(TWO))]
)
def test_what_is_not_served_is_noted_with_its_time(before, message):
    trace = Trace()
    wire = v2_wire(trace=trace)
    receive(wire, *before)
    receive(wire, message, now=7.0)
    (note,) = trace.marked("!")
    assert note.startswith(f"{message} not served: ")
    assert trace.times[trace.lines.index(f"! {note}")] == 7.0


def test_what_a_choke_ends_is_told():
    wire = requesting_wire(fast=False)
    wire.send_request(1, 2, 3)
    (ended, _) = receive(wire, Choke())
    assert isinstance(ended, RequestEnded)
    assert str(ended.error) == str(PeerChoked("choked", 1, 2, 3))


def test_what_a_hash_reject_ends_is_told():
    (ended, _) = receive(asking_wire(TWO), HashReject(TWO))
    assert isinstance(ended, HashRequestEnded)
    assert str(ended.error) == f"{ended.request}: the peer rejected it"


def test_a_state_is_true_or_false():
    wire = open_wire()
    receive(wire, Unchoke(), NotInterested())
    assert wire.peer_choking is False
    assert wire.peer_interested is False


def test_a_peer_that_has_none_has_none_of_the_torrent_s_pieces():
    wire = open_wire(num_pieces=7)
    receive(wire, HaveNone())
    assert wire.peer_pieces.size == 7
    assert not wire.peer_pieces


def test_what_is_downloaded_and_what_is_wasted_adds_up():
    kept = []
    wire = requesting_wire(fast=False, trace=lambda _mark, what, _now: kept.append(what))
    for index in range(3):
        wire.send_request(index, 0, 5)
        receive(wire, Piece(index, 0, b"block"), Piece(index, 0, b"block"))
    assert (wire.downloaded, wire.wasted) == (15, 15)
    # Memory that is used again for what comes next: nobody is to keep a view of it.
    assert [piece.block for piece in kept if isinstance(piece, Piece)] == [b"block", b""] * 3


def test_a_hash_request_of_the_peer_is_kept_as_it_came():
    wire = v2_wire()
    receive(wire, HashRequest(TWO))
    assert wire.peer_hash_requests == {TWO: HashRequest(TWO)}


@pytest.mark.parametrize(("reqq", "most"), [(None, 500), (1, 1), (499, 499), (501, 500)])
def test_the_peer_s_reqq_bounds_what_it_is_asked_for(reqq, most):
    wire = extended_wire(Chat)
    told = {} if reqq is None else {"reqq": reqq}
    receive(wire, Extended(0, ExtendedHandshake(**told).encode()))
    assert wire.max_requests == most
