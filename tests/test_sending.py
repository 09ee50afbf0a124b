from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerwire.errors import ConnectionClosed, LocalProtocolError, PeerChoked, RequestCancelled
from peerwire.extensions.base import Extension
from peerwire.hashes import HashRange
from peerwire.limits import Limits
from peerwire.messages import (
    AllowedFast,
    Bitfield,
    Cancel,
    Choke,
    Hashes,
    HashReject,
    HashRequest,
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
)
from peerwire.pieces import PieceSet
from peerwire.requests import RequestEnded

from .wires import (
    HASHES,
    RANGE,
    Trace,
    extended_wire,
    open_wire,
    receive,
    requesting_wire,
    sent,
    serving_wire,
    v2_wire,
    waiting_wire,
)


def refused(wire, say, match, rule):
    """Asserts that the wire refuses to say this, and that nothing came of it."""
    with pytest.raises(LocalProtocolError, match=match) as error:
        say(wire)
    assert error.value.rule.startswith(rule)
    assert wire.data_to_send() == b""


# States


def test_keep_alives_can_be_sent():
    wire = open_wire()
    wire.send_keep_alive()
    assert sent(wire) == [KeepAlive()]


def test_choking_is_said_once():
    wire = open_wire()
    wire.send_choke()
    assert sent(wire) == []
    wire.send_unchoke()
    wire.send_unchoke()
    assert not wire.am_choking
    assert sent(wire) == [Unchoke()]
    wire.send_choke()
    wire.send_choke()
    assert wire.am_choking
    assert sent(wire) == [Choke()]


def test_interest_is_said_once():
    wire = open_wire()
    wire.send_not_interested()
    assert sent(wire) == []
    wire.send_interested()
    wire.send_interested()
    assert wire.am_interested
    assert sent(wire) == [Interested()]
    wire.send_not_interested()
    wire.send_not_interested()
    assert not wire.am_interested
    assert sent(wire) == [NotInterested()]


def test_a_choke_comes_before_the_rejects_it_causes():
    wire = serving_wire()
    wire.send_allowed_fast(5)
    receive(wire, Request(1, 0, 4), Request(5, 0, 4), Request(2, 0, 4))
    sent(wire)
    wire.send_choke()
    assert sent(wire) == [Choke(), Reject(1, 0, 4), Reject(2, 0, 4)]
    assert list(wire.peer_requests) == [Request(5, 0, 4)]
    assert not wire.send_piece(1, 0, b"four")
    assert wire.send_piece(5, 0, b"four")


def test_without_the_fast_extension_a_choke_drops_every_request():
    wire = serving_wire(fast=False)
    receive(wire, Request(1, 0, 4), Request(5, 0, 4))
    wire.send_choke()
    assert sent(wire) == [Choke()]
    assert len(wire.peer_requests) == 0
    assert not wire.send_piece(1, 0, b"four")
    assert wire.uploaded == 0


# Pieces


def test_pieces_are_announced_one_by_one():
    wire = open_wire(num_pieces=10)
    wire.send_have(0)
    wire.send_have(9)
    assert sent(wire) == [Have(0), Have(9)]


@pytest.mark.parametrize(
    "pieces", [PieceSet(10, [0, 9]), b"\x80\x40", bytearray(b"\x80\x40"), memoryview(b"\x80\x40")]
)
def test_a_bitfield_may_be_a_set_or_bits(pieces):
    wire = open_wire(num_pieces=10)
    wire.send_bitfield(pieces)
    assert sent(wire) == [Bitfield(b"\x80\x40")]


def test_bits_can_be_sent_while_the_piece_count_is_not_known():
    wire = open_wire()
    wire.send_bitfield(b"\xff")
    assert sent(wire) == [Bitfield(b"\xff")]


@pytest.mark.parametrize(
    ("pieces", "match"),
    [
        (b"\x80", "a bitfield of 1 bytes, where 10 pieces take 2"),
        (b"\x80\x40\x00", "a bitfield of 3 bytes, where 10 pieces take 2"),
        (b"\x80\x20", "the bit of piece 10 is set, and there are 10 pieces"),
        (PieceSet(20, [0]), "a bitfield of 3 bytes"),
        (PieceSet(12, [11]), "the bit of piece 11 is set"),
        (PieceSet(None, [0]), "piece count is not known"),
        (PieceSet.full(), "piece count is not known"),
    ],
)
def test_a_bitfield_has_to_fit_the_torrent(pieces, match):
    wire = open_wire(num_pieces=10)
    refused(wire, lambda wire: wire.send_bitfield(pieces), match, "BEP 3, peer messages")
    wire.send_bitfield(PieceSet(10))
    assert sent(wire) == [Bitfield(bytes(2))]


@pytest.mark.parametrize(
    "announce",
    [
        lambda wire: wire.send_bitfield(b"\0\0"),
        lambda wire: wire.send_have_all(),
        lambda wire: wire.send_have_none(),
        lambda wire: wire.announce(PieceSet(10)),
    ],
)
@pytest.mark.parametrize("first", [lambda wire: wire.send_have(1), lambda wire: announced(wire)])
def test_what_we_have_is_only_ever_said_first(announce, first):
    wire = open_wire(num_pieces=10)
    first(wire)
    wire.data_to_send()
    refused(wire, announce, "only ever sent as the first", "BEP 3, peer messages, and BEP 6")


def announced(wire):
    wire.announce(PieceSet(10, [1]))


def test_a_bitfield_may_still_come_after_keep_alives_and_rejects():
    wire = open_wire(num_pieces=10)
    wire.send_keep_alive()
    receive(wire, Request(1, 0, 4))
    wire.announce(PieceSet(10, [1]))
    assert sent(wire) == [KeepAlive(), Reject(1, 0, 4), Bitfield(b"\x40\0")]


@pytest.mark.parametrize(
    ("fast", "pieces", "said"),
    [
        (True, PieceSet.full(10), [HaveAll()]),
        (True, PieceSet.full(), [HaveAll()]),
        (True, PieceSet(10), [HaveNone()]),
        (True, PieceSet(), [HaveNone()]),
        (True, PieceSet(10, [0]), [Bitfield(b"\x80\0")]),
        (False, PieceSet.full(10), [Bitfield(b"\xff\xc0")]),
        (False, PieceSet(10), []),
        (False, PieceSet(10, [0]), [Bitfield(b"\x80\0")]),
    ],
)
def test_what_we_have_is_announced_in_the_shortest_way(fast, pieces, said):
    wire = open_wire(fast=fast, num_pieces=10)
    wire.announce(pieces)
    assert sent(wire) == said


def test_all_of_who_knows_how_many_can_not_be_announced_without_the_fast_extension():
    wire = open_wire(fast=False)
    refused(wire, lambda wire: wire.announce(PieceSet.full()), "is not known", "BEP 3")


# Requests


def test_a_block_is_asked_for():
    wire = requesting_wire()
    request = wire.send_request(1, 16384, 100, deadline=7.0, context="mine")
    assert sent(wire) == [Request(1, 16384, 100)]
    assert list(wire.requests) == [request]
    assert (request.key, request.deadline, request.into) == ((1, 16384, 100), 7.0, None)
    assert request.context == "mine"


def test_nothing_is_asked_for_while_the_peer_chokes_us():
    wire = open_wire()
    with pytest.raises(PeerChoked, match="the peer is choking us") as error:
        wire.send_request(1, 2, 3)
    assert (error.value.index, error.value.begin, error.value.length) == (1, 2, 3)
    assert wire.data_to_send() == b""
    assert len(wire.requests) == 0


def test_unless_it_allows_the_piece_meanwhile():
    wire = open_wire()
    receive(wire, AllowedFast(1))
    wire.send_request(1, 2, 3)
    assert sent(wire) == [Request(1, 2, 3)]
    with pytest.raises(PeerChoked):
        wire.send_request(2, 2, 3)


@pytest.mark.parametrize(
    ("begin", "length"),
    [(-1, 1), (2**32, 1), (0, 0), (0, -1), (0, 131073), (0, 2**32)],
)
def test_a_block_has_an_offset_and_a_length(begin, length):
    wire = requesting_wire()
    match = f"a request for {length} bytes from {begin}; 1 to 131072"
    refused(wire, lambda wire: wire.send_request(0, begin, length), match, "BEP 3, peer messages")
    assert len(wire.requests) == 0


def test_the_longest_block_at_the_highest_offset_can_be_asked_for():
    wire = requesting_wire()
    wire.send_request(0, 2**32 - 1, 131072)
    assert sent(wire) == [Request(0, 2**32 - 1, 131072)]


@pytest.mark.parametrize("index", [-1, 3])
def test_no_block_of_a_piece_that_does_not_exist_is_asked_for(index):
    refused(
        requesting_wire(num_pieces=3),
        lambda wire: wire.send_request(index, 0, 1),
        "in a torrent of 3 pieces",
        "BEP 3, peer messages",
    )


def test_a_block_is_asked_for_once():
    wire = requesting_wire()
    first = wire.send_request(1, 2, 3)
    sent(wire)
    again = "request 1:2.3 is pending already; cancel it first"
    refused(wire, lambda wire: wire.send_request(1, 2, 3), again, "BEP 3, peer messages")
    assert list(wire.requests) == [first]


def test_only_so_many_are_asked_for():
    wire = requesting_wire(limits=Limits(max_requests=2))
    wire.send_request(0, 0, 1)
    wire.send_request(1, 0, 1)
    sent(wire)
    refused(
        wire,
        lambda wire: wire.send_request(2, 0, 1),
        "2 requests are pending; wait for one",
        "Limits.max_requests",
    )
    receive(wire, Piece(0, 0, b"1"))
    wire.send_request(2, 0, 1)


def numbers():
    return array("I", [0] * 3)


@pytest.mark.parametrize(
    "memory", [bytearray(12), memoryview(bytearray(30))[9:21], numbers(), memoryview(numbers())]
)
def test_a_block_may_be_put_where_it_belongs(memory):
    wire = requesting_wire()
    request = wire.send_request(1, 0, 12, into=memory)
    (piece,) = receive(wire, Piece(1, 0, b"twelve bytes"))
    assert bytes(memory) == b"twelve bytes"
    assert piece.block is request.into
    assert piece.block == b"twelve bytes"
    assert piece.request is request


@pytest.mark.parametrize(
    ("memory", "match"),
    [
        (bytes(12), "into= is read-only; it must be 12 bytes"),
        (memoryview(bytes(12)), "into= is read-only"),
        (bytearray(11), "into= is 11 bytes; it must be 12 bytes"),
        (bytearray(13), "into= is 13 bytes"),
        (array("I", [0] * 12), "into= is 48 bytes"),
        (memoryview(bytearray(24))[::2], "it must be 12 bytes of contiguous writable memory"),
    ],
)
def test_memory_for_a_block_is_writable_and_of_its_length(memory, match):
    wire = requesting_wire()
    refused(wire, lambda wire: wire.send_request(1, 0, 12, into=memory), match, "the block is")
    assert len(wire.requests) == 0


def test_a_request_can_be_taken_back():
    wire = requesting_wire()
    request = wire.send_request(1, 2, 3)
    sent(wire)
    assert wire.send_cancel(1, 2, 3)
    assert sent(wire) == [Cancel(1, 2, 3)]
    (event,) = wire.events_received()
    assert isinstance(event, RequestEnded)
    assert event.request is request
    assert isinstance(event.error, RequestCancelled)
    assert event.error.reason == "cancelled by us"
    assert len(wire.requests) == 0


def test_what_is_not_pending_can_not_be_taken_back():
    wire = requesting_wire()
    wire.send_request(1, 2, 3)
    receive(wire, Piece(1, 2, b"abc"))
    sent(wire)
    assert not wire.send_cancel(1, 2, 3)
    assert not wire.send_cancel(1, 2, 4)
    assert sent(wire) == []


# Answers


def test_a_request_is_answered_once():
    wire = serving_wire()
    receive(wire, Request(1, 2, 4))
    assert wire.send_piece(1, 2, b"four")
    assert sent(wire) == [Piece(1, 2, b"four")]
    assert wire.uploaded == 4
    assert len(wire.peer_requests) == 0
    assert not wire.send_piece(1, 2, b"four")
    assert sent(wire) == []
    assert wire.uploaded == 4


def test_a_block_that_is_sent_is_traced():
    trace = Trace()
    wire = serving_wire(trace=trace)
    receive(wire, Request(1, 2, 4))
    wire.send_piece(1, 2, b"four")
    assert trace.lines[-2:] == ["< request 1:2+4", "> piece 1:2+4"]


@pytest.mark.parametrize("block", [b"", b"abc", b"abcde"])
def test_a_piece_of_another_length_answers_nothing(block):
    wire = serving_wire()
    receive(wire, Request(1, 2, 4))
    assert not wire.send_piece(1, 2, block)
    assert sent(wire) == []
    assert len(wire.peer_requests) == 1


@given(st.lists(st.binary(min_size=1, max_size=20), max_size=5))
def test_sending_never_changes_the_callers_buffers(blocks):
    wire = serving_wire()
    buffers = [bytearray(block) for block in blocks]
    for index, buffer in enumerate(buffers):
        receive(wire, Request(index, 0, len(buffer)))
        assert wire.send_piece(index, 0, memoryview(buffer))
    assert sent(wire) == [Piece(index, 0, block) for index, block in enumerate(blocks)]
    assert buffers == blocks


@pytest.mark.parametrize(("fast", "answers"), [(True, [Reject(1, 2, 4)]), (False, [])])
def test_a_request_can_be_refused(fast, answers):
    wire = serving_wire(fast=fast)
    receive(wire, Request(1, 2, 4))
    assert wire.send_reject(1, 2, 4)
    assert sent(wire) == answers
    assert not wire.send_reject(1, 2, 4)
    assert sent(wire) == []
    assert not wire.send_piece(1, 2, b"four")


# The rest


def test_the_port_of_the_dht_node_is_told():
    wire = open_wire()
    wire.send_port(1)
    wire.send_port(65535)
    assert sent(wire) == [Port(1), Port(65535)]


@pytest.mark.parametrize("port", [-1, 0, 65536])
def test_a_port_has_16_bits(port):
    refused(open_wire(), lambda wire: wire.send_port(port), f"port {port}; it is 1 to", "BEP 5")


def test_advice_is_given():
    wire = open_wire(num_pieces=10)
    wire.send_suggest(3)
    wire.send_allowed_fast(4)
    assert sent(wire) == [Suggest(3), AllowedFast(4)]
    assert wire.allowed_fast == {4}


@pytest.mark.parametrize(
    "say",
    [
        lambda wire: wire.send_have_all(),
        lambda wire: wire.send_have_none(),
        lambda wire: wire.send_suggest(1),
        lambda wire: wire.send_allowed_fast(1),
    ],
)
def test_the_messages_of_the_fast_extension_need_it(say):
    wire = open_wire(fast=False)
    refused(wire, say, "needs the fast extension, which was not negotiated", "BEP 6")
    assert wire.allowed_fast == set()


# Extensions


class Chat(Extension):
    name = "xx_chat"


def test_an_extension_is_switched_off():
    wire = extended_wire(Chat)
    wire.switch_extension(Chat, False)
    wire.switch_extension(Chat, True)
    off, on = sent(wire)
    assert off.extended_id == on.extended_id == 0
    assert b"7:xx_chati0e" in off.payload
    assert b"7:xx_chati1e" in on.payload


def test_an_extended_handshake_needs_the_extension_protocol():
    match = "the peer does not speak the extension protocol"
    refused(open_wire(), lambda wire: wire.send_extended_handshake(), match, "BEP 10")


# Hashes


def test_hashes_are_asked_for():
    wire = v2_wire()
    assert wire.peer_choking  # BEP 52: regardless of its choke state
    request = wire.send_hash_request(RANGE, deadline=5.0, context="mine")
    assert (request.range, request.deadline, request.context) == (RANGE, 5.0, "mine")
    assert list(wire.hash_requests) == [request]
    assert sent(wire) == [HashRequest(RANGE)]


@pytest.mark.parametrize(
    ("wanted", "match"),
    [
        (HashRange(bytes(32), 0, 0, 1, 0), "the length 1 is not a power of two"),
        (HashRange(bytes(32), 0, 2, 4, 0), "the index 2 is not a multiple"),
        (HashRange(bytes(32), 0, 0, 16384, 0), "the length 16384 is above 8192"),
        (HashRange(bytes(32), 63, 0, 2, 0), "layer 63 has no two hashes"),
        (HashRange(bytes(32), 60, 0, 2, 3), "3 proof layers above layer 60"),
    ],
)
def test_what_is_asked_for_keeps_the_rules(wanted, match):
    refused(v2_wire(), lambda wire: wire.send_hash_request(wanted), match, "BEP 52")


def test_hashes_are_asked_for_once():
    wire = v2_wire()
    wire.send_hash_request(RANGE)
    wire.data_to_send()
    refused(wire, lambda wire: wire.send_hash_request(RANGE), "is pending already", "BEP 52")
    assert len(wire.hash_requests) == 1


def test_only_so_many_hashes_are_asked_for():
    wire = v2_wire(limits=Limits(max_hash_requests=2))
    for index in (0, 2):
        wire.send_hash_request(HashRange(bytes(32), 0, index, 2, 0))
    wire.data_to_send()
    limit = "Limits.max_hash_requests"
    refused(wire, lambda wire: wire.send_hash_request(RANGE), "2 hash requests are pending", limit)


def asked_wire():
    wire = v2_wire()
    assert receive(wire, HashRequest(RANGE)) == [HashRequest(RANGE)]
    return wire


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda wire: wire.send_hashes(RANGE, HASHES), Hashes(RANGE, HASHES)),
        (lambda wire: wire.send_hash_reject(RANGE), HashReject(RANGE)),
    ],
)
def test_a_hash_request_is_answered_once(answer, said):
    wire = asked_wire()
    assert list(wire.peer_hash_requests) == [RANGE]
    assert answer(wire)
    assert sent(wire) == [said]
    assert list(wire.peer_hash_requests) == []
    assert not wire.send_hashes(RANGE, HASHES)
    assert not wire.send_hash_reject(RANGE)
    assert sent(wire) == []


@pytest.mark.parametrize("hashes", [[], HASHES[:4], [*HASHES, HASHES[0]], [*HASHES[:4], b""]])
def test_as_many_hashes_as_the_range_takes(hashes):
    wire = asked_wire()
    refused(wire, lambda wire: wire.send_hashes(RANGE, hashes), "takes 5 of 32 bytes", "BEP 52")
    assert wire.send_hashes(RANGE, HASHES)


@pytest.mark.parametrize(
    "say",
    [
        lambda wire: wire.send_hash_request(RANGE),
        lambda wire: wire.send_hashes(RANGE, HASHES),
        lambda wire: wire.send_hash_reject(RANGE),
    ],
)
def test_hashes_are_of_v2_torrents(say):
    refused(open_wire(), say, "not about a v2 info-hash", "BEP 52")
    with pytest.raises(LocalProtocolError, match="while waiting for the peer's handshake"):
        say(waiting_wire(info_hash_v2=RANGE.pieces_root))


@pytest.mark.parametrize(
    "say",
    [lambda wire: wire.send_request(0, 0, 16), lambda wire: wire.send_piece(0, 0, bytes(16))],
    ids=["request", "piece"],
)
def test_no_block_is_asked_for_or_sent_on_a_wire_that_is_not_open(say):
    refused(waiting_wire(), say, "while waiting for the peer's handshake", "BEP 3")
    wire = serving_wire()
    wire.close("enough")
    with pytest.raises(ConnectionClosed, match="enough"):
        say(wire)
    assert wire.data_to_send() == b""
