"""What hash requests, hashes and hash rejects that are received do to a wire (BEP 52)."""

import pytest

from peerwire.errors import HashRequestRejected, RemoteProtocolError
from peerwire.hash_requests import HashRequestEnded
from peerwire.hashes import HashRange
from peerwire.limits import Limits
from peerwire.messages import Hashes, HashReject, HashRequest
from peerwire.pieces import PieceSet

from .wires import HASHES, RANGE, Trace, broken, open_wire, receive, sent, v2_wire


@pytest.mark.parametrize("message", [HashRequest(RANGE), Hashes(RANGE, []), HashReject(RANGE)])
def test_hashes_are_of_v2_torrents(message):
    rule = "BEP 52, upgrade path"
    broken(open_wire, message, rule, f"{message} on a connection that is not about a v2 info-hash")


def test_a_hash_request_is_handed_out_choked_or_not():
    wire = v2_wire()
    assert wire.am_choking
    assert receive(wire, HashRequest(RANGE)) == [HashRequest(RANGE)]
    assert list(wire.peer_hash_requests) == [RANGE]
    assert sent(wire) == []


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        (HashRange(bytes(32), 0, 0, 3, 0), "the length 3 is not a power of two from 2 on"),
        (HashRange(bytes(32), 0, 0, 16384, 0), "the length 16384 is above 8192"),
        (HashRange(bytes(32), 0, 1, 2, 0), "the index 1 is not a multiple of the length 2"),
        (HashRange(bytes(32), 2**32 - 1, 0, 2, 0), "layer 4294967295 has no two hashes"),
        (RANGE, "asked for already"),
        (HashRange(bytes(32), 0, 0, 2, 0), "1 hash requests are pending"),
    ],
)
def test_a_hash_request_that_is_not_served_is_rejected(asked, why):
    limit = 1 if "pending" in why else 2
    wire = v2_wire(limits=Limits(max_peer_hash_requests=limit), trace=Trace())
    receive(wire, HashRequest(RANGE))
    assert receive(wire, HashRequest(asked)) == []
    assert sent(wire) == [HashReject(asked)]
    (line,) = wire.trace.marked("!")
    assert line.startswith(f"{HashRequest(asked)} not served: {why}")
    assert list(wire.peer_hash_requests) == [RANGE]
    wire.announce(PieceSet(8, [1]))  # which is still the first message but for the answer


def test_hashes_come_with_the_request_they_answer():
    wire = v2_wire()
    request = wire.send_hash_request(RANGE, deadline=9.0)
    (hashes,) = receive(wire, Hashes(RANGE, HASHES))
    assert (hashes.range, hashes.hashes) == (RANGE, HASHES)
    assert hashes.request is request
    assert len(wire.hash_requests) == 0


@pytest.mark.parametrize("hashes", [[], HASHES[:4], [*HASHES, HASHES[0]]])
@pytest.mark.parametrize("late", [False, True])
def test_too_many_or_too_few_hashes_end_the_wire(hashes, late):
    def make():
        wire = v2_wire()
        wire.send_hash_request(RANGE, deadline=0.5)
        if late:
            wire.handle_timer(1.0)
        return wire

    match = f"{len(hashes)} hashes, where 5 answer"
    broken(make, Hashes(RANGE, hashes), "BEP 52, peer messages: the base layer", match)


def test_a_violation_ends_the_hash_requests_too():
    wire = v2_wire()
    request = wire.send_hash_request(RANGE)
    with pytest.raises(RemoteProtocolError) as error:
        receive(wire, Hashes(RANGE, []))
    (ended,) = wire.events_received()
    assert (ended.request, ended.error.__cause__) == (request, error.value)


@pytest.mark.parametrize(
    ("answer", "match"),
    [
        (Hashes(RANGE, HASHES), "5 hashes, which were not asked for"),
        (HashReject(RANGE), "which was not asked for"),
    ],
)
def test_hashes_that_were_not_asked_for_end_the_wire(answer, match):
    def make():
        wire = v2_wire()
        wire.send_hash_request(HashRange(bytes(32), 0, 0, 2, 0))
        return wire

    broken(make, answer, "BEP 52, peer messages", match)


def test_a_hash_reject_ends_its_request():
    wire = v2_wire()
    request = wire.send_hash_request(RANGE)
    ended, reject = receive(wire, HashReject(RANGE))
    assert isinstance(ended, HashRequestEnded)
    assert ended.request is request
    assert isinstance(ended.error, HashRequestRejected)
    assert ended.error.range == RANGE
    assert reject == HashReject(RANGE)
    assert len(wire.hash_requests) == 0


@pytest.mark.parametrize("answer", [Hashes(RANGE, HASHES), HashReject(RANGE)])
def test_hashes_that_come_after_their_deadline_are_no_violation(answer):
    wire = v2_wire()
    wire.send_hash_request(RANGE, deadline=5.0)
    wire.handle_timer(5.0)
    wire.events_received()
    kept = [answer] if isinstance(answer, HashReject) else []
    assert receive(wire, answer) == kept
    with pytest.raises(RemoteProtocolError, match="not asked for"):
        receive(wire, answer)
