"""Connections about v2 and hybrid torrents (BEP 52): the upgrade, and hash requests in time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerwire.errors import (
    ConnectionClosed,
    HashRequestTimeout,
    InfoHashMismatch,
    LocalProtocolError,
)
from peerwire.handshake import Handshake, Reserved
from peerwire.hash_requests import HashRequestEnded
from peerwire.hashes import HashRange, expected_hashes
from peerwire.limits import Limits
from peerwire.messages import Hashes, HashReject, HashRequest, Interested
from peerwire.state import State
from peerwire.wire import Wire

from .wires import (
    INFO_HASH,
    NO_BITS,
    OUR_ID,
    PEER_ID,
    RANGE,
    Trace,
    chunked,
    encoded,
    of_size,
    receive,
    run,
    v2_wire,
    violation,
)

V1 = INFO_HASH
V2 = bytes(range(100, 132))
SAID = V2[:20]  # what a handshake says of it
OTHER = bytes(20)


def hears(info_hash, reserved=NO_BITS):
    return Handshake(info_hash, PEER_ID, reserved).encode()


def says(wire):
    return Handshake.decode(wire.data_to_send())


# The initiator


@pytest.mark.parametrize("info_hash_v2", [V2, V2.hex(), SAID, SAID.hex()])
def test_a_hybrid_is_begun_with_v1_and_the_offer_of_v2(info_hash_v2):
    wire = Wire("initiator", V1, OUR_ID, reserved=Reserved.FAST, info_hash_v2=info_hash_v2)
    assert says(wire) == Handshake(V1, OUR_ID, Reserved.FAST | Reserved.V2)
    assert wire.reserved == Reserved.FAST | Reserved.V2


@pytest.mark.parametrize("hashes", [(V2, None), (V2.hex(), None), (None, V2), (SAID, SAID)])
def test_a_v2_torrent_is_begun_with_its_one_info_hash(hashes):
    info_hash, info_hash_v2 = hashes
    wire = Wire("initiator", info_hash, OUR_ID, reserved=NO_BITS, info_hash_v2=info_hash_v2)
    assert says(wire) == Handshake(SAID, OUR_ID)
    assert not wire.v2
    wire.receive_data(hears(SAID), 0.0)
    assert wire.state is State.OPEN
    assert wire.v2
    assert wire.info_hash == SAID


@pytest.mark.parametrize(("answer", "v2"), [(V1, False), (SAID, True)])
@pytest.mark.parametrize("bits", [NO_BITS, Reserved.V2])
def test_either_info_hash_of_a_hybrid_is_an_answer(answer, v2, bits):
    wire = Wire("initiator", V1, OUR_ID, info_hash_v2=V2)
    wire.receive_data(hears(answer, bits), 0.0)
    assert wire.state is State.OPEN
    assert wire.v2 is v2
    assert wire.info_hash == answer


@pytest.mark.parametrize(
    ("info_hash", "info_hash_v2", "answer"),
    [(V1, V2, OTHER), (V1, None, SAID), (V2, None, V1), (V2, None, OTHER)],
)
def test_any_other_info_hash_is_a_mismatch(info_hash, info_hash_v2, answer):
    def make():
        return Wire("initiator", info_hash, OUR_ID, info_hash_v2=info_hash_v2)

    error = violation(make, hears(answer), InfoHashMismatch, "BEP 3, peer protocol")
    assert f"info-hash {answer.hex()} is not served here" in str(error)


# The responder


def responder(**known):
    return Wire("responder", V1, OUR_ID, reserved=Reserved.FAST, **known)


def responding(data, **known):
    """A responder that knew before how its torrent is known, and heard this."""
    wire = responder(**known)
    wire.receive_data(data, 0.0)
    return wire


def deciding(data, **known):
    """A responder that is told once it heard this."""
    wire = Wire("responder", None, OUR_ID, reserved=Reserved.FAST)
    wire.receive_data(data, 0.0)
    wire.accept(**known)
    return wire


@pytest.mark.parametrize("make", [responding, deciding])
@pytest.mark.parametrize(
    ("asked", "bits", "answered"),
    [
        (V1, NO_BITS, V1),
        (V1, Reserved.V2, SAID),
        (SAID, NO_BITS, SAID),
        (SAID, Reserved.V2, SAID),
    ],
)
def test_a_hybrid_is_upgraded_where_that_is_offered(make, asked, bits, answered):
    wire = make(hears(asked, bits), info_hash_v2=V2)
    assert says(wire) == Handshake(answered, OUR_ID, Reserved.FAST)
    assert wire.info_hash == answered
    assert wire.v2 is (answered == SAID)


@pytest.mark.parametrize("make", [responding, deciding])
def test_a_v1_torrent_is_not_upgraded(make):
    wire = make(hears(V1, Reserved.V2))
    assert says(wire).info_hash == V1
    assert not wire.v2


@pytest.mark.parametrize(("info_hash_v2", "asked"), [(V2, OTHER), (None, SAID)])
def test_a_responder_is_asked_for_no_other_torrent(info_hash_v2, asked):
    error = violation(
        lambda: responder(info_hash_v2=info_hash_v2),
        hears(asked, Reserved.V2),
        InfoHashMismatch,
        "BEP 3, peer protocol",
    )
    assert f"info-hash {asked.hex()} is not served here" in str(error)


def test_what_is_no_info_hash_is_not_accepted():
    wire = Wire("responder", None, OUR_ID)
    wire.receive_data(hears(V1), 0.0)
    with pytest.raises(LocalProtocolError, match="the v2 info-hash has 20 bytes, not 5"):
        wire.accept(info_hash_v2=bytes(5))
    assert wire.state is State.DECIDING
    wire.accept(info_hash_v2=V2)
    assert wire.state is State.OPEN


@given(st.booleans(), st.booleans(), st.booleans())
def test_both_sides_come_to_the_same(initiator_knows, responder_knows, decides):
    a = Wire("initiator", V1, OUR_ID, info_hash_v2=V2 if initiator_knows else None)
    known = {"info_hash_v2": V2 if responder_knows else None}
    b = Wire("responder", None if decides else V1, PEER_ID, **({} if decides else known))
    b.receive_data(a.data_to_send(), 0.0)
    if decides:
        b.accept(**known)
    a.receive_data(b.data_to_send(), 0.0)
    assert a.state is b.state is State.OPEN
    assert a.v2 is b.v2 is (initiator_knows and responder_knows)
    assert a.info_hash == b.info_hash == (SAID if a.v2 else V1)


# Time


def other(index):
    return HashRange(bytes(32), 0, index, 2, 0)


def test_each_hash_request_has_its_own_deadline():
    wire = v2_wire(trace=Trace())
    first = wire.send_hash_request(RANGE, deadline=7.0)
    second = wire.send_hash_request(other(0), deadline=5.0)
    third = wire.send_hash_request(other(2))
    assert wire.next_timer() == 5.0
    wire.handle_timer(4.9)
    assert wire.events_received() == []
    wire.handle_timer(5.0)
    (ended,) = wire.events_received()
    assert isinstance(ended, HashRequestEnded)
    assert ended.request is second
    assert isinstance(ended.error, HashRequestTimeout)
    assert ended.error.range == other(0)
    assert wire.trace.marked("%") == [f"{second} timed out"]
    assert wire.next_timer() == 7.0
    assert list(wire.hash_requests) == [first, third]
    wire.handle_timer(8.0)
    (ended,) = wire.events_received()
    assert ended.request is first
    assert wire.next_timer() == 30.0  # the next look at keep-alives
    assert list(wire.hash_requests) == [third]


def test_the_earlier_of_a_block_and_of_hashes_is_waited_for():
    wire = v2_wire()
    wire.peer_choking = False
    wire.send_hash_request(RANGE, deadline=6.0)
    wire.send_request(0, 0, 4, deadline=5.0)
    assert wire.next_timer() == 5.0
    wire.send_cancel(0, 0, 4)
    wire.handle_timer(5.0)
    assert wire.next_timer() == 6.0


def test_at_the_end_all_hash_requests_end():
    wire = v2_wire()
    request = wire.send_hash_request(RANGE)
    receive(wire, HashRequest(other(0)))
    wire.close("enough")
    (ended,) = wire.events_received()
    assert ended.request is request
    assert isinstance(ended.error, ConnectionClosed)
    assert len(wire.hash_requests) == len(wire.peer_hash_requests) == 0


# Whatever comes

small_ranges = st.builds(
    HashRange,
    st.just(bytes(32)),
    st.integers(0, 1),
    st.integers(0, 4),
    st.integers(1, 3),
    st.integers(0, 1),
)
hash_messages = st.one_of(
    st.builds(HashRequest, small_ranges),
    st.builds(HashReject, small_ranges),
    st.builds(Hashes, small_ranges, st.lists(st.just(bytes(32)), min_size=2, max_size=3)),
    st.just(Interested()),
)
talk = st.lists(hash_messages, max_size=8)
asking = st.lists(
    st.sampled_from([other(0), other(2), HashRange(bytes(32), 1, 0, 2, 1)]), max_size=3, unique=True
)


def outcome(asked, late, chunks):
    """Everything that can be seen of a wire that asked for these ranges and got these chunks."""
    wire = v2_wire(limits=Limits(max_peer_hash_requests=2), trace=Trace())
    for wanted in asked:
        wire.send_hash_request(wanted, deadline=1.0)
    if late:
        wire.handle_timer(1.0)
    events, error = run(wire, chunks)
    assert len(wire.peer_hash_requests) <= 2
    assert len(wire.hash_requests) <= len(asked)
    return {
        "events": [str(event) for event in events],
        "error": (type(error), str(error)),
        "sent": wire.data_to_send(),
        "trace": wire.trace.lines,
        "pending": [str(request) for request in wire.hash_requests],
        "peer": list(wire.peer_hash_requests),
    }


@given(asking, st.booleans(), talk, st.lists(st.integers(0, 10**6), max_size=10))
def test_any_chunks_come_to_the_same(asked, late, said, cuts):
    data = encoded(*said)
    at_once = outcome(asked, late, [data])
    assert outcome(asked, late, chunked(data, cuts)) == at_once
    assert outcome(asked, late, of_size(1, data)) == at_once


@given(asking, talk)
def test_every_hash_request_ends_once(asked, said):
    wire = v2_wire()
    requests = [wire.send_hash_request(wanted, deadline=1.0) for wanted in asked]
    events, _ = run(wire, [encoded(*said)])
    if wire.state is State.OPEN:
        wire.handle_timer(1.0)
    wire.close()
    events += wire.events_received()
    ended = [event.request for event in events if isinstance(event, HashRequestEnded | Hashes)]
    assert sorted(map(id, ended)) == sorted(map(id, requests))


@given(talk)
def test_every_hash_request_of_the_peer_is_answered_once(said):
    asked = [message for message in said if isinstance(message, HashRequest)]
    wire = v2_wire(limits=Limits(max_peer_hash_requests=2))
    wire.receive_data(encoded(*asked), 0.0)
    for event in wire.events_received():
        assert wire.send_hashes(event.range, [bytes(32)] * expected_hashes(event.range))
    counts = wire.messages_sent
    assert counts.get("hashes", 0) + counts.get("hash reject", 0) == len(asked)
