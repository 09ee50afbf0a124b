from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerwire.errors import (
    ConnectionClosed,
    HashRequestTimeout,
    InfoHashMismatch,
    InvalidHandshake,
    LocalProtocolError,
    MessageTooBig,
    PeerTimeout,
    RemoteProtocolError,
    RequestTimeout,
)
from peerwire.extensions.base import Extension
from peerwire.handshake import HANDSHAKE_LENGTH, PROTOCOL, Handshake, Reserved
from peerwire.limits import Limits
from peerwire.messages import (
    Bitfield,
    Cancel,
    Extended,
    Have,
    Interested,
    KeepAlive,
    Piece,
    Unchoke,
)
from peerwire.state import State
from peerwire.wire import Wire

from .wires import (
    BOTH,
    INFO_HASH,
    OUR_ID,
    PEER_ID,
    RANGE,
    Trace,
    decode,
    encoded,
    extended_wire,
    of_size,
    open_wire,
    peer_handshake,
    receive,
    requesting_wire,
    run,
    sent,
    v2_wire,
    violation,
    waiting_wire,
)

OTHER_HASH = bytes(20)


def undecided_wire(**options):
    """A responder that has the peer's handshake and has to say whether it serves the torrent."""
    wire = waiting_wire(info_hash=None, **options)
    wire.receive_data(peer_handshake(), 0.0)
    assert wire.state is State.DECIDING
    wire.events_received()
    return wire


# The handshake


@pytest.mark.parametrize("size", [1, 67, 68, 69, 1000])
@pytest.mark.parametrize("role", ["initiator", "responder"])
def test_a_handshake_opens_the_wire(role, size):
    wire = waiting_wire(role)
    for chunk in of_size(size, peer_handshake() + encoded(Have(3))):
        wire.receive_data(chunk, 0.0)
    handshake = Handshake(INFO_HASH, PEER_ID, Reserved.FAST)
    assert wire.events_received() == [handshake, Have(3)]
    assert wire.peer_handshake == handshake
    assert wire.state is State.OPEN
    assert wire.fast
    answer = b"" if role == "initiator" else Handshake(INFO_HASH, OUR_ID, Reserved.FAST).encode()
    assert wire.data_to_send() == answer


@pytest.mark.parametrize(
    ("stream", "looks_like"),
    [
        (encoded(Interested()), "another protocol or encrypted"),
        (b"GET / HTTP/1.1\r\n", "HTTP"),
        (b"\x13BitTorrent protocoL", "another protocol"),
        (b"\x16\x03\x01\x02", "TLS"),
        (bytes(1000), "another protocol"),
    ],
)
def test_what_comes_before_the_handshake_ends_the_wire(stream, looks_like):
    wire = waiting_wire()
    with pytest.raises(InvalidHandshake, match=looks_like) as error:
        wire.receive_data(stream, 0.0)
    assert error.value.rule == "BEP 3, peer protocol"
    assert wire.closed.__cause__ is error.value
    assert wire.data_to_send() == b""
    for size in (1, 3):
        events, error = run(waiting_wire(), of_size(size, stream))
        assert events == []
        assert type(error) is InvalidHandshake


def test_the_first_wrong_byte_is_enough():
    wire = waiting_wire()
    wire.receive_data(PROTOCOL[:-1], 0.0)
    with pytest.raises(InvalidHandshake):
        wire.receive_data(b"L", 0.0)


@pytest.mark.parametrize("role", ["initiator", "responder"])
def test_another_torrent_ends_the_wire(role):
    error = violation(
        lambda: waiting_wire(role),
        peer_handshake(info_hash=OTHER_HASH),
        InfoHashMismatch,
        "BEP 3, peer protocol: both sides name the same torrent",
    )
    assert f"{OTHER_HASH.hex()} is not served here, this is {INFO_HASH.hex()}" in str(error)


def test_a_responder_does_not_answer_the_handshake_of_another_torrent():
    wire = waiting_wire()
    events, _ = run(wire, [peer_handshake(info_hash=OTHER_HASH)])
    assert events == [wire.peer_handshake]
    assert wire.data_to_send() == b""


@pytest.mark.parametrize("info_hash", [None, INFO_HASH])
def test_a_connection_to_ourselves_is_named(info_hash):
    error = violation(
        lambda: waiting_wire(info_hash=info_hash),
        peer_handshake(peer_id=OUR_ID),
        InvalidHandshake,
        "BEP 3, peer protocol: peer id",
    )
    assert "connection to ourselves" in str(error)
    one, other = Wire("initiator", INFO_HASH, OUR_ID), waiting_wire(info_hash=info_hash)
    assert run(other, [one.data_to_send()])[0] == []
    assert other.data_to_send() == b""


@pytest.mark.parametrize("make", [open_wire, requesting_wire])
def test_a_second_handshake_ends_the_wire(make):
    rule = "BEP 3, peer protocol: after the handshake come messages"
    violation(make, peer_handshake(), InvalidHandshake, rule)


# Deciding on the torrent


def test_a_torrent_is_accepted():
    wire = waiting_wire(info_hash=None)
    wire.receive_data(peer_handshake() + encoded(Have(3))[:7], 0.0)
    wire.receive_data(encoded(Have(3))[7:] + encoded(Interested()), 0.0)
    assert wire.events_received() == [wire.peer_handshake]
    assert wire.data_to_send() == b""
    assert wire.next_timer() is None
    wire.handle_timer(1e6)
    wire.accept(num_pieces=10)
    assert wire.state is State.OPEN
    assert wire.info_hash == INFO_HASH
    assert wire.num_pieces == 10
    assert wire.data_to_send() == Handshake(INFO_HASH, OUR_ID, Reserved.FAST).encode()
    assert wire.events_received() == [Have(3), Interested()]


def test_a_torrent_is_accepted_before_its_piece_count_is_known():
    wire = undecided_wire()
    wire.accept()
    assert wire.num_pieces is None
    receive(wire, Have(3))
    wire.set_num_pieces(4)
    assert wire.num_pieces == 4


def test_a_torrent_is_refused():
    wire = undecided_wire()
    wire.receive_data(encoded(Have(3)), 0.0)
    wire.refuse()
    assert wire.closed.by == "us"
    assert isinstance(wire.closed.__cause__, InfoHashMismatch)
    assert wire.closed.reason.startswith(f"info-hash {INFO_HASH.hex()} is not served here (BEP 3")
    assert wire.data_to_send() == b""
    assert wire.events_received() == []
    assert receive(wire, Have(3)) == []


@pytest.mark.parametrize("decide", [Wire.accept, Wire.refuse])
def test_there_has_to_be_something_to_decide(decide):
    for wire in (waiting_wire(), waiting_wire(info_hash=None), open_wire()):
        state = wire.state
        with pytest.raises(LocalProtocolError, match=f"the wire is {state.value}") as error:
            decide(wire)
        assert "Handshake event of a responder" in error.value.rule
        assert wire.state is state


@pytest.mark.parametrize("decide", [Wire.accept, Wire.refuse])
def test_a_peer_may_be_gone_before_it_is_decided(decide):
    wire = undecided_wire()
    wire.receive_eof()
    with pytest.raises(ConnectionClosed, match="closed by the peer: end of stream"):
        decide(wire)


def test_a_violation_is_found_once_the_torrent_is_accepted():
    wire = undecided_wire()
    wire.receive_data(encoded(Interested(), Have(10), Unchoke()), 0.0)
    with pytest.raises(RemoteProtocolError, match="have 10 in a torrent of 10 pieces"):
        wire.accept(num_pieces=10)
    assert wire.events_received() == [Interested()]
    assert wire.state is State.CLOSED


def test_a_piece_count_that_can_not_be_is_refused_before_anything_happens():
    wire = undecided_wire()
    with pytest.raises(LocalProtocolError, match="-1 can't be the piece count"):
        wire.accept(num_pieces=-1)
    assert wire.state is State.DECIDING
    assert wire.data_to_send() == b""


@pytest.mark.parametrize("sizes", [[31], [30, 1], [1] * 31, [10**6]])
def test_only_so_much_is_held_of_a_peer_that_talks_on(sizes):
    wire = undecided_wire(limits=Limits(max_undecided=30))
    at_once = waiting_wire(info_hash=None, limits=Limits(max_undecided=30))
    for size in sizes[:-1]:
        wire.receive_data(bytes(size), 0.0)
    with pytest.raises(InvalidHandshake, match="over 30 bytes before its") as error:
        wire.receive_data(bytes(sizes[-1]), 0.0)
    assert error.value.rule == "Limits.max_undecided"
    assert wire.closed.__cause__ is error.value
    events, same = run(at_once, [peer_handshake() + bytes(sum(sizes))])
    assert events == [at_once.peer_handshake]
    assert str(same) == str(error.value)
    with pytest.raises(ConnectionClosed):
        at_once.accept()


def test_what_is_within_the_bound_is_held():
    wire = undecided_wire(limits=Limits(max_undecided=30))
    wire.receive_data(bytes(30), 0.0)
    wire.accept()
    assert wire.events_received() == [KeepAlive()] * 7


# The piece count


def test_the_piece_count_is_held_against_what_the_peer_said():
    wire = open_wire()
    receive(wire, Have(10))
    with pytest.raises(RemoteProtocolError, match="the bit of piece 10 is set") as error:
        wire.set_num_pieces(10)
    assert wire.closed.__cause__ is error.value
    assert wire.closed.by == "us"
    assert isinstance(error.value.__cause__, ValueError)


@pytest.mark.parametrize("count", [-1, 9, 11])
def test_the_piece_count_does_not_change(count):
    wire = open_wire(num_pieces=10)
    wire.set_num_pieces(10)
    with pytest.raises(LocalProtocolError, match=f"{count} can't be the piece count, which is 10"):
        wire.set_num_pieces(count)
    assert wire.num_pieces == 10
    assert wire.state is State.OPEN


def test_the_piece_count_may_come_before_the_handshake():
    wire = waiting_wire(info_hash=None)
    wire.set_num_pieces(10)
    wire.receive_data(peer_handshake(), 0.0)
    wire.accept(num_pieces=10)
    with pytest.raises(RemoteProtocolError, match="10 pieces"):
        receive(wire, Have(10))


def test_the_bitfield_of_many_pieces_is_taken_once_they_are_known():
    wire = open_wire(limits=Limits(max_message=20))
    wire.set_num_pieces(800)
    assert receive(wire, Bitfield(b"\xff" * 100)) == [Bitfield(b"\xff" * 100)]
    assert wire.peer_pieces.complete


# The end of the stream


def test_where_the_stream_ended_is_told():
    for wire, reason in (
        (waiting_wire(), "0 bytes into its handshake"),
        (undecided_wire(), "end of stream"),
        (open_wire(), "end of stream"),
    ):
        wire.receive_eof()
        assert (wire.closed.by, wire.closed.reason) == ("peer", reason)
        assert wire.closed.__cause__ is None
    wire = waiting_wire()
    wire.receive_data(peer_handshake()[:40], 0.0)
    wire.receive_eof()
    assert wire.closed.reason == "40 bytes into its handshake"
    wire = open_wire()
    wire.receive_data(encoded(Have(1), Have(2))[:-1], 0.0)
    wire.receive_eof()
    assert wire.closed.reason == "in the middle of a message"
    assert wire.closed.last_message == "have"


@pytest.mark.parametrize(
    ("failure", "reason"),
    [(ConnectionResetError("reset by peer"), "reset by peer"), (TimeoutError(), "TimeoutError")],
)
def test_a_transport_may_fail(failure, reason):
    wire = open_wire()
    wire.receive_eof(failure)
    assert (wire.closed.by, wire.closed.reason) == ("network", reason)
    assert wire.closed.__cause__ is failure


# Time


@pytest.mark.parametrize("role", ["initiator", "responder"])
def test_a_handshake_that_trickles_does_not_put_off_its_deadline(role):
    wire = waiting_wire(role, now=100.0)
    for second, byte in enumerate(of_size(1, peer_handshake()[:9])):
        wire.receive_data(byte, 101.0 + second)
        wire.handle_timer(101.0 + second)
        assert wire.next_timer() == 110.0
    with pytest.raises(PeerTimeout, match="within 10 s, 9 bytes of it came") as error:
        wire.handle_timer(110.0)
    assert error.value.rule == "Limits.handshake_timeout"
    assert wire.closed.__cause__ is error.value
    assert wire.next_timer() is None
    wire.handle_timer(200.0)


def test_a_message_that_trickles_does_not_put_off_the_end_of_patience():
    wire = open_wire(now=0.0)
    wire.keep_alive = False
    trickle = encoded(Have(1), Bitfield(bytes(100)))
    for step, byte in enumerate(of_size(1, trickle)):
        now = 9.0 * (step + 1)
        wire.receive_data(byte, now)
        wire.handle_timer(now)
        assert wire.next_timer() == (201.0 if step >= 8 else 120.0)
        if step == 12:
            break
    with pytest.raises(PeerTimeout, match="no message for 120 s") as error:
        wire.handle_timer(201.0)
    assert error.value.rule == "BEP 3, keepalives, and Limits.idle_timeout"
    assert wire.closed.__cause__ is error.value


def test_a_keep_alive_is_a_message_as_well():
    wire = open_wire(now=0.0)
    receive(wire, KeepAlive(), now=100.0)
    wire.handle_timer(219.9)
    with pytest.raises(RemoteProtocolError):
        wire.handle_timer(220.0)


def test_patience_begins_when_the_wire_opens():
    wire = waiting_wire(now=0.0)
    wire.receive_data(peer_handshake(), 9.0)
    assert wire.next_timer() == 39.0
    wire.keep_alive = False
    assert wire.next_timer() == 129.0


def test_who_has_nothing_to_say_sends_keep_alives():
    wire = open_wire(now=0.0)
    assert wire.next_timer() == 30.0
    wire.handle_timer(29.9)
    assert sent(wire) == []
    wire.handle_timer(30.0)
    assert sent(wire) == [KeepAlive()]
    wire.send_interested()
    wire.handle_timer(60.0)
    assert sent(wire) == [Interested()]
    wire.handle_timer(90.0)
    assert sent(wire) == [KeepAlive()]


def test_silence_is_not_the_peer_s_while_it_is_held_back():
    wire = open_wire(now=0.0)
    wire.keep_alive = False
    assert wire.next_timer() == 120.0
    wire.hold_back(True, 100.0)
    assert wire.next_timer() is None
    wire.handle_timer(1000.0)
    wire.hold_back(False, 1000.0)
    assert wire.next_timer() == 1120.0
    wire.hold_back(False, 1001.0)
    assert wire.next_timer() == 1120.0
    with pytest.raises(PeerTimeout, match="no message for 120 s"):
        wire.handle_timer(1120.0)


def test_keep_alives_can_be_switched_off():
    wire = open_wire(now=0.0)
    wire.keep_alive = False
    assert wire.next_timer() == 120.0
    wire.handle_timer(100.0)
    assert sent(wire) == []
    wire.keep_alive = True
    assert wire.next_timer() == 30.0
    wire.handle_timer(100.0)
    assert sent(wire) == [KeepAlive()]


@given(
    st.lists(
        st.tuples(st.floats(0, 50), st.sampled_from(["say", "hear", "nothing", "ask"])), max_size=40
    )
)
def test_whoever_follows_the_timers_is_never_silent_for_long_and_never_stuck(steps):
    wire = requesting_wire(now=0.0)
    said = [0.0]
    now = 0.0

    def look():
        if wire.data_to_send():
            said.append(now)

    for index, (pause, what) in enumerate(steps):
        until = now + pause
        while wire.next_timer() <= until:
            now = wire.next_timer()
            receive(wire, KeepAlive(), now=now)  # a peer that is there
            wire.handle_timer(now)
            look()
            assert wire.next_timer() > now
        now = until
        if what == "say":
            wire.send_have(index)
        elif what == "hear":
            receive(wire, Have(index), now=now)
        elif what == "ask":
            wire.send_request(index, 0, 1, deadline=now + pause)
        look()
    said.append(now)
    longest = max(b - a for a, b in pairwise(said))
    assert longest <= wire.limits.keep_alive + 1e-6


def test_each_request_has_its_own_deadline():
    wire = requesting_wire(now=0.0)
    for index, deadline in enumerate([20.0, 10.0, None, 10.0]):
        wire.send_request(index, 0, 4, deadline=deadline)
    sent(wire)
    assert wire.next_timer() == 10.0
    wire.handle_timer(10.0)
    ended = wire.events_received()
    assert [event.request.index for event in ended] == [1, 3]
    assert all(isinstance(event.error, RequestTimeout) for event in ended)
    assert sent(wire) == [Cancel(1, 0, 4), Cancel(3, 0, 4)]
    assert wire.next_timer() == 20.0
    receive(wire, Piece(0, 0, b"four"))
    wire.handle_timer(20.0)
    assert wire.events_received() == []
    assert wire.next_timer() == 30.0
    assert [request.index for request in wire.requests] == [2]


# What it does with a message


def test_a_message_is_traced_counted_and_handed_out():
    trace = Trace()
    wire = open_wire(trace=trace)
    assert receive(wire, Have(1), Have(1), KeepAlive(), now=7.0) == [Have(1), KeepAlive()]
    assert trace.lines[-3:] == ["< have 1", "< have 1", "< keep-alive"]
    assert trace.times[-3:] == [7.0] * 3
    assert wire.messages_received == {"have": 2, "keep-alive": 1}
    assert wire.last_message == "keep-alive"
    assert wire.now == 7.0


# Extensions


def test_an_extended_handshake_is_sent_by_itself_where_there_are_extensions():
    wire = waiting_wire(reserved=BOTH)
    wire.receive_data(peer_handshake(bits=Reserved.EXTENSION), 0.0)
    assert wire.extended
    (told,) = decode(wire.data_to_send()[HANDSHAKE_LENGTH:])
    assert told.extended_id == 0
    assert b"reqq" in told.payload
    wire = waiting_wire(reserved=BOTH)
    wire.receive_data(peer_handshake(), 0.0)
    assert not wire.extended
    assert len(wire.data_to_send()) == HANDSHAKE_LENGTH


def test_the_log_names_the_extension_of_a_message():
    trace = Trace()
    wire = extended_wire(trace=trace)
    receive(wire, Extended(0, b"de"), Extended(9, b"abc"))
    assert "< extended handshake, 2 bytes" in trace.lines
    assert "< extended id 9, 3 bytes" in trace.lines


def test_hybrid_torrents_are_upgraded():
    wire = waiting_wire(info_hash_v2=bytes(20))
    wire.receive_data(peer_handshake(bits=Reserved.V2), 0.0)
    assert wire.v2
    assert wire.info_hash == bytes(20)
    assert Handshake.decode(wire.data_to_send()).info_hash == bytes(20)


def test_each_hash_request_has_its_own_deadline():
    wire = v2_wire(now=0.0)
    request = wire.send_hash_request(RANGE, deadline=10.0)
    sent(wire)
    assert wire.next_timer() == 10.0
    wire.handle_timer(10.0)
    (ended,) = wire.events_received()
    assert ended.request is request
    assert isinstance(ended.error, HashRequestTimeout)
    assert wire.next_timer() == 30.0


# What else ends it


class Clumsy(Extension):
    name = "xx_clumsy"

    def receive(self, payload):
        raise KeyError(payload)


def clumsy_trace(mark, what, now):
    if mark == "<" and isinstance(what, Unchoke):
        raise KeyError(b"x")


def test_who_fails_while_bytes_are_taken_in_ends_the_wire():
    for wire in (extended_wire(Clumsy), extended_wire(trace=clumsy_trace)):
        data = encoded(Have(1), Extended(1, b"x") if wire.trace is None else Unchoke(), Have(2))
        with pytest.raises(KeyError) as error:
            wire.receive_data(data, 0.0)
        assert wire.state is State.CLOSED
        assert (wire.closed.by, wire.closed.reason) == ("us", "KeyError: b'x'")
        assert wire.closed.__cause__ is error.value
        assert wire.events_received() == [Have(1)]
        assert receive(wire, Have(3)) == []


@pytest.mark.parametrize("length", [1001, 2**20 + 2, 2**32 - 1])
def test_a_length_over_the_limit_ends_the_wire(length):
    def make():
        return open_wire(limits=Limits(max_message=1000), num_pieces=10)

    error = violation(make, length.to_bytes(4), MessageTooBig, "Limits.max_message")
    assert f"{length} bytes" in str(error)


@pytest.mark.parametrize(
    "data",
    [b"\0\0\0\x02\x00\x00", b"\0\0\0\x03\x04\0\0", b"\0\0\0\x05\x09\0\0\0\0", b"\0\0\0\x01\x07"],
)
def test_a_payload_of_the_wrong_length_ends_the_wire(data):
    violation(open_wire, data, RemoteProtocolError, "BEP ")


@pytest.mark.parametrize(
    "data",
    [
        encoded(Have(1), Piece(1, 2, b"four")),
        encoded(Have(10)),
        encoded(Have(1))[:-1],
        b"\xff" * 20,
        encoded(Bitfield(b"\xff" * 9)),
    ],
)
def test_what_was_received_is_not_needed_after_the_call(data):
    buffer = bytearray(data)
    wire = open_wire(num_pieces=10)
    run(wire, [buffer])
    buffer.clear()  # a BufferError would say that something holds on to it
    assert wire.now == 0.0
