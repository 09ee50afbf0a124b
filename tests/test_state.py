import weakref

import pytest

from peerwire.errors import (
    ConnectionClosed,
    LocalProtocolError,
    RemoteProtocolError,
    RequestTimeout,
)
from peerwire.extensions.base import Extension
from peerwire.handshake import HANDSHAKE_LENGTH, PEER_ID_PREFIX, Handshake, Reserved
from peerwire.hash_requests import HashRequestEnded
from peerwire.limits import Limits
from peerwire.messages import (
    AllowedFast,
    Bitfield,
    Extended,
    HashRequest,
    Have,
    HaveAll,
    Interested,
    Piece,
    Request,
    Unchoke,
    Unknown,
)
from peerwire.requests import RequestEnded
from peerwire.state import DEFAULT_RESERVED, Role, State
from peerwire.wire import Wire

from .wires import (
    HASHES,
    INFO_HASH,
    NO_BITS,
    OUR_ID,
    PEER_ID,
    RANGE,
    Trace,
    extended_wire,
    open_wire,
    peer_handshake,
    receive,
    requesting_wire,
    sent,
    serving_wire,
    v2_wire,
)

# How it begins


def test_an_initiator_speaks_first():
    wire = Wire("initiator", INFO_HASH, OUR_ID)
    assert wire.role is Role.INITIATOR
    assert wire.state is State.HANDSHAKE
    assert wire.data_to_send() == Handshake(INFO_HASH, OUR_ID, DEFAULT_RESERVED).encode()
    assert wire.data_to_send() == b""


def test_a_responder_waits():
    wire = Wire(Role.RESPONDER)
    assert wire.state is State.HANDSHAKE
    assert wire.info_hash is None
    assert wire.data_to_send() == b""


def test_an_initiator_offers_v2_where_it_knows_the_torrent_as_a_hybrid():
    wire = Wire("initiator", INFO_HASH, OUR_ID, info_hash_v2=bytes(32))
    assert wire.info_hash_v2 == bytes(20)
    assert not wire.v2
    offer = DEFAULT_RESERVED | Reserved.V2
    assert wire.data_to_send() == Handshake(INFO_HASH, OUR_ID, offer).encode()


def test_an_initiator_has_to_say_which_torrent():
    with pytest.raises(LocalProtocolError, match="an initiator needs an info-hash") as error:
        Wire("initiator")
    assert error.value.rule == "BEP 3, peer protocol"


def test_ids_may_be_hex_and_a_peer_id_is_made_up():
    wire = Wire("initiator", INFO_HASH.hex())
    assert wire.info_hash == INFO_HASH
    assert wire.peer_id.startswith(PEER_ID_PREFIX)
    assert wire.peer_id != Wire("initiator", INFO_HASH).peer_id
    assert Wire("responder", None, OUR_ID.hex()).peer_id == OUR_ID


def test_an_id_of_another_length_is_named():
    with pytest.raises(LocalProtocolError, match="the info-hash has 20 bytes, not 19"):
        Wire("initiator", bytes(19))
    with pytest.raises(LocalProtocolError, match="the peer id has 20 bytes, not 19"):
        Wire("responder", None, bytes(19))


def test_connections_start_choked_and_not_interested():
    wire = open_wire()
    assert (wire.am_choking, wire.am_interested) == (True, False)
    assert (wire.peer_choking, wire.peer_interested) == (True, False)
    assert not wire.peer_pieces
    assert len(wire.requests) == 0
    assert len(wire.peer_requests) == 0
    assert (wire.uploaded, wire.downloaded, wire.wasted) == (0, 0, 0)
    assert wire.closed is None


def test_the_piece_count_may_be_known_or_not():
    assert open_wire().num_pieces is None
    assert open_wire().peer_pieces.size is None
    assert open_wire(num_pieces=9).num_pieces == 9
    assert open_wire(num_pieces=9).peer_pieces.size == 9
    assert open_wire(num_pieces=0).num_pieces == 0


def test_a_torrent_has_no_negative_number_of_pieces():
    with pytest.raises(LocalProtocolError, match="-1 can't be the piece count") as error:
        Wire("responder", num_pieces=-1)
    assert error.value.rule == "BEP 3, metainfo files: pieces"


def test_the_bitfield_of_the_torrent_is_no_message_too_long():
    limits = Limits(max_message=20)
    wire = open_wire(limits=limits, num_pieces=8 * 30)
    assert receive(wire, Bitfield(bytes(30))) == [Bitfield(bytes(30))]
    with pytest.raises(RemoteProtocolError, match="32 bytes is announced, 31 is the most"):
        receive(wire, Unknown(99, bytes(31)))
    with pytest.raises(RemoteProtocolError, match="21 bytes is announced, 20 is the most"):
        receive(open_wire(limits=limits, num_pieces=9), Unknown(99, bytes(20)))


# What it hands out


def test_events_are_handed_out_once():
    wire = open_wire()
    wire.receive_data(Interested().encode() + Have(1).encode(), 0.0)
    assert wire.events_received() == [Interested(), Have(1)]
    assert wire.events_received() == []


@pytest.mark.parametrize("buffer", [bytes, bytearray, memoryview])
def test_a_block_is_sent_from_the_callers_memory(buffer):
    wire = serving_wire()
    receive(wire, Request(1, 2, 4))
    block = buffer(b"four")
    assert wire.send_piece(1, 2, block)
    head, body = wire.buffers_to_send()
    assert body is block
    assert head + body == Piece(1, 2, b"four").encode()
    assert block == b"four"
    assert wire.buffers_to_send() == []


def test_both_ways_to_fetch_bytes_give_the_same():
    wires = [open_wire() for _ in range(2)]
    for wire in wires:
        wire.send_have_all()
        wire.send_unchoke()
    assert b"".join(wires[0].buffers_to_send()) == wires[1].data_to_send() != b""


# What can be said when


@pytest.mark.parametrize(
    "say",
    [
        Wire.send_keep_alive,
        Wire.send_choke,
        Wire.send_unchoke,
        Wire.send_interested,
        Wire.send_not_interested,
        lambda wire: wire.send_have(0),
        lambda wire: wire.send_bitfield(b""),
        Wire.send_have_all,
        Wire.send_have_none,
        lambda wire: wire.announce(wire.peer_pieces),
        lambda wire: wire.send_request(0, 0, 1),
        lambda wire: wire.send_cancel(0, 0, 1),
        lambda wire: wire.send_piece(0, 0, b"1"),
        lambda wire: wire.send_reject(0, 0, 1),
        lambda wire: wire.send_port(1),
        lambda wire: wire.send_suggest(0),
        lambda wire: wire.send_allowed_fast(0),
        lambda wire: wire.send_hash_request(RANGE),
        lambda wire: wire.send_hashes(RANGE, HASHES),
        lambda wire: wire.send_hash_reject(RANGE),
    ],
)
def test_nothing_is_said_before_the_handshakes_or_after_the_end(say):
    wire = Wire("responder")
    with pytest.raises(LocalProtocolError, match="while waiting for the peer's handshake"):
        say(wire)
    wire.receive_data(peer_handshake(), 0.0)
    with pytest.raises(LocalProtocolError, match="while waiting to be told whether") as error:
        say(wire)
    assert error.value.rule == "BEP 3, peer protocol: the handshake comes first"
    assert wire.data_to_send() == b""
    wire.accept()
    wire.data_to_send()
    wire.close("enough")
    with pytest.raises(ConnectionClosed, match="closed by us: enough"):
        say(wire)
    assert wire.data_to_send() == b""
    assert wire.messages_sent == {}


def test_a_closed_wire_asks_for_nothing_even_if_it_was_allowed_to():
    wire = open_wire()
    receive(wire, AllowedFast(0))
    wire.close()
    with pytest.raises(ConnectionClosed):
        wire.send_request(0, 0, 1)
    assert len(wire.requests) == 0


@pytest.mark.parametrize("index", [-1, 10, 2**32])
def test_no_piece_is_spoken_of_that_does_not_exist(index):
    wire = requesting_wire(num_pieces=10)
    for say in (
        lambda: wire.send_have(index),
        lambda: wire.send_request(index, 0, 1),
        lambda: wire.send_suggest(index),
        lambda: wire.send_allowed_fast(index),
    ):
        with pytest.raises(LocalProtocolError, match=f"{index}.* torrent of 10 pieces") as error:
            say()
        assert error.value.rule == "BEP 3, peer messages: an index is below the piece count"
    assert wire.data_to_send() == b""
    assert wire.allowed_fast == set()
    assert len(wire.requests) == 0


def test_a_torrent_without_pieces_has_none():
    wire = open_wire(num_pieces=0)
    with pytest.raises(LocalProtocolError, match="have 0 in a torrent of 0 pieces"):
        wire.send_have(0)
    with pytest.raises(RemoteProtocolError, match="have 0 in a torrent of 0 pieces"):
        receive(wire, Have(0))


def test_while_the_piece_count_is_not_known_only_so_many_are_believed():
    wire = open_wire(limits=Limits(max_pieces=100))
    wire.send_have(99)
    with pytest.raises(
        LocalProtocolError, match="have 100, where no more than 100 pieces"
    ) as error:
        wire.send_have(100)
    assert error.value.rule == "Limits.max_pieces"
    assert sent(wire) == [Have(99)]


# How it ends


def ended(wire):
    assert wire.state is State.CLOSED
    assert (wire.am_choking, wire.am_interested) == (True, False)
    assert (wire.peer_choking, wire.peer_interested) == (True, False)
    assert len(wire.requests) == 0
    assert len(wire.peer_requests) == 0
    assert wire.next_timer() is None
    return wire.events_received()


def busy_wire():
    """A wire with every flag set, and requests pending both ways."""
    wire = serving_wire()
    wire.send_interested()
    receive(wire, Unchoke(), Interested(), Request(1, 2, 3))
    wire.send_request(4, 5, 6, deadline=10.0)
    wire.send_request(7, 8, 9)
    wire.data_to_send()
    wire.receive_data(b"\0\0\0\5\4", 0.0)
    return wire


def test_closing_ends_everything():
    wire = busy_wire()
    wire.close("enough")
    first, second = ended(wire)
    assert isinstance(first, RequestEnded)
    assert [first.request.key, second.request.key] == [(4, 5, 6), (7, 8, 9)]
    for event in (first, second):
        assert isinstance(event.error, ConnectionClosed)
        assert str(event.error) == str(wire.closed)
        assert event.error is not wire.closed
    assert wire.data_to_send() == b""


def test_closing_ends_what_is_asked_of_hashes_too():
    wire = v2_wire()
    request = wire.send_hash_request(RANGE, deadline=1.0)
    assert list(wire.hash_requests) == [request]
    receive(wire, HashRequest(RANGE))
    wire.close("enough")
    (event,) = ended(wire)
    assert isinstance(event, HashRequestEnded)
    assert event.request is request
    assert str(event.error) == str(wire.closed)
    assert len(wire.hash_requests) == len(wire.peer_hash_requests) == 0


def test_what_was_said_before_the_end_can_still_be_fetched():
    wire = open_wire()
    wire.send_interested()
    wire.receive_data(Have(3).encode(), 0.0)
    wire.close()
    assert sent(wire) == [Interested()]
    assert wire.events_received() == [Have(3)]


def test_the_first_reason_stands():
    wire = busy_wire()
    wire.close("enough")
    wire.receive_eof()
    wire.close("more than enough")
    assert wire.closed.reason == "enough"
    assert len(ended(wire)) == 2


def test_a_violation_is_chained_to_everything_that_ends_with_it():
    wire = busy_wire()
    with pytest.raises(RemoteProtocolError) as error:
        wire.receive_data(b"\xff\xff\xff\xff" + Have(2).encode(), 1.0)
    # The four bytes finish a HAVE of a piece beyond any torrent.
    assert wire.closed.__cause__ is error.value
    assert wire.closed.last_message == "have"
    for event in ended(wire):
        assert event.error.__cause__ is error.value
        assert event.error.by == "us"


def test_a_transport_that_fails_is_chained_as_well():
    wire = busy_wire()
    failure = ConnectionResetError("reset")
    wire.receive_eof(failure)
    assert wire.closed.by == "network"
    assert {event.error.__cause__ for event in ended(wire)} == {failure}


# What can be observed


def test_every_message_is_counted_both_ways():
    wire = serving_wire()
    wire.send_have(1)
    wire.send_have(2)
    receive(wire, Request(1, 2, 4), Request(1, 2, 4), Unknown(77, b""))
    wire.send_piece(1, 2, b"four")
    assert wire.messages_sent == {"unchoke": 1, "have": 2, "reject": 1, "piece": 1}
    assert wire.messages_received == {"request": 2, "unknown": 1}
    assert wire.uploaded == 4


def test_the_trace_sees_everything_with_its_mark_and_time():
    trace = Trace()
    wire = Wire("responder", None, OUR_ID, reserved=Reserved.FAST, trace=trace)
    wire.receive_data(peer_handshake(), 1.0)
    wire.accept(num_pieces=10)
    wire.receive_data(Interested().encode() + Have(7).encode(), 2.0)
    wire.send_unchoke()
    receive(wire, Request(3, 0, 4), Unchoke(), HaveAll(), now=3.0)
    wire.send_piece(3, 0, b"four")
    wire.send_request(4, 0, 4, deadline=5.0)
    wire.handle_timer(5.0)
    with pytest.raises(RemoteProtocolError):
        receive(wire, Have(10), now=6.0)
    handshake = f"handshake {INFO_HASH.hex()}"
    rule = "BEP 3, peer messages: bitfield is only ever sent as the first message"
    broken = "have 10 in a torrent of 10 pieces (BEP 3, peer messages: an index is below the "
    assert trace.lines == [
        f"< {handshake} Transmission 4.0.6 [fast]",
        "= waiting to be told whether the peer's torrent is served",
        f"> {handshake} {Handshake(INFO_HASH, OUR_ID).client} [fast]",
        "= open",
        "< interested",
        "< have 7",
        "> unchoke",
        "< request 3:0+4",
        "< unchoke",
        "< have all",
        f"! deviation: have all after other messages ({rule})",
        "> piece 3:0+4",
        "> request 4:0+4",
        "% request 4:0+4 timed out",
        "> cancel 4:0+4",
        "< have 10",
        f"! connection closed by us: {broken}piece count); its last message was have",
        "= closed",
    ]
    assert trace.times == [*[1.0] * 4, 2.0, 2.0, 2.0, *[3.0] * 6, 5.0, 5.0, 6.0, 6.0, 6.0]


def test_the_trace_sees_a_quiet_end_as_a_state():
    trace = Trace()
    open_wire(trace=trace).close("enough")
    assert trace.lines[-2:] == ["= connection closed by us: enough", "= closed"]
    assert trace.marked("!") == []


def test_an_initiators_handshake_is_traced():
    trace = Trace()
    Wire("initiator", INFO_HASH, PEER_ID, trace=trace, reserved=NO_BITS, now=7.0)
    assert trace.lines == [f"> handshake {INFO_HASH.hex()} Transmission 4.0.6 []"]
    assert trace.times == [7.0]


def test_a_deviation_is_let_pass_unless_the_wire_is_strict():
    late = (Have(1), HaveAll())
    assert receive(open_wire(), *late) == [*late]
    strict = open_wire(strict=True)
    with pytest.raises(RemoteProtocolError, match="have all after other messages"):
        receive(strict, *late)
    assert strict.events_received() == [Have(1)]


def test_the_fast_extension_takes_two():
    for ours, theirs in ((True, False), (False, True), (False, False), (True, True)):
        reserved = Reserved.FAST if ours else NO_BITS
        wire = Wire("responder", INFO_HASH, OUR_ID, reserved=reserved)
        wire.receive_data(peer_handshake(fast=theirs), 0.0)
        assert wire.fast == (ours and theirs)
        answer = Handshake.decode(wire.data_to_send()[:HANDSHAKE_LENGTH])
        assert answer.reserved == reserved


# Extensions


def test_the_peer_may_want_fewer_requests():
    wire = extended_wire(limits=Limits(max_requests=100))
    assert wire.max_requests == 100
    receive(wire, Extended(0, b"d1:v4:teste"))
    assert wire.max_requests == 100
    receive(wire, Extended(0, b"d4:reqqi30ee"))
    assert wire.max_requests == 30
    receive(wire, Extended(0, b"d4:reqqi300ee"))
    assert wire.max_requests == 100


class Chat(Extension):
    name = "xx_chat"


def test_a_message_of_an_extension_goes_out_with_the_peers_id():
    wire = extended_wire(Chat)
    (chat,) = wire.extensions
    with pytest.raises(LocalProtocolError, match="the peer does not speak xx_chat") as error:
        wire.send_extended(chat, b"hello")
    assert error.value.rule.startswith("BEP 10")
    assert wire.data_to_send() == b""
    receive(wire, Extended(0, b"d1:md7:xx_chati9eee"))
    wire.send_extended(chat, b"hello")
    assert sent(wire) == [Extended(9, b"hello")]


# Requests


def test_a_request_that_is_given_up_is_taken_back():
    wire = requesting_wire(fast=False)
    request = wire.send_request(1, 2, 3, deadline=5.0)
    sent(wire)
    wire.handle_timer(5.0)
    (event,) = wire.events_received()
    assert event.request is request
    assert isinstance(event.error, RequestTimeout)
    assert list(wire.requests) == []
    assert [str(message) for message in sent(wire)] == ["cancel 1:2+3"]


def test_a_request_that_is_refused_is_rejected_where_there_are_rejects():
    for fast, answer in ((True, ["reject 1:2+3"]), (False, [])):
        wire = serving_wire(fast=fast)
        receive(wire, Request(1, 2, 3))
        assert wire.send_reject(1, 2, 3)
        assert [str(message) for message in sent(wire)] == answer
        assert list(wire.peer_requests) == []


def test_what_few_wires_need_is_kept_once_it_was_made():
    wire = open_wire()
    wire.allowed_fast.add(1)
    wire.peer_allowed_fast.add(2)
    wire.peer_suggested.add(3)
    assert (wire.allowed_fast, wire.peer_allowed_fast, wire.peer_suggested) == ({1}, {2}, {3})
    assert wire.hash_requests is wire.hash_requests
    assert wire.peer_hash_requests is wire.peer_hash_requests


def test_a_wire_can_be_referred_to_weakly_and_has_no_other_attributes():
    wire = open_wire()
    assert weakref.ref(wire)() is wire
    with pytest.raises(AttributeError):
        wire.pieces = 1


def test_an_extension_that_speaks_too_late_is_told_why():
    wire = extended_wire(Chat)
    (chat,) = wire.extensions
    receive(wire, Extended(0, b"d1:md7:xx_chati9eee"))
    wire.close("enough")
    with pytest.raises(ConnectionClosed, match="enough"):
        chat.send(b"hello")
