import pytest

from peerwire.errors import HashRequestTimeout, LocalProtocolError
from peerwire.hash_requests import HashRequestEnded, OutgoingHashRequests, PendingHashRequest

from .wires import RANGE


def test_a_pending_request_names_its_range():
    request = PendingHashRequest(RANGE, deadline=4.0, context="mine")
    assert request.key == request.range == RANGE
    assert str(request) == "hash request layer 1 4+2 proof 3 of 00010203"
    assert (request.deadline, request.context) == (4.0, "mine")
    assert request != PendingHashRequest(RANGE, deadline=4.0, context="mine")


def test_a_request_that_ended_says_why():
    ended = HashRequestEnded(PendingHashRequest(RANGE), HashRequestTimeout("no answer", RANGE))
    line = "hash request layer 1 4+2 proof 3 of 00010203"
    assert str(ended) == f"{line} ended: {line}: no answer"


def test_hashes_are_asked_for_once_at_a_time():
    requests = OutgoingHashRequests(2)
    requests.add(PendingHashRequest(RANGE))
    with pytest.raises(LocalProtocolError, match="is pending already; wait") as error:
        requests.add(PendingHashRequest(RANGE))
    assert error.value.rule.startswith("BEP 52")
    assert requests.answered(RANGE).range == RANGE
    requests.add(PendingHashRequest(RANGE))
    assert [request.range for request in requests] == [RANGE]
