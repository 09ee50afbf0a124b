import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerwire.errors import LocalProtocolError, RequestTimeout
from peerwire.messages import Request
from peerwire.requests import IncomingRequests, OutgoingRequests, PendingRequest, RequestEnded


def outgoing(*blocks, max_abandoned=10):
    requests = OutgoingRequests(max_abandoned)
    for block in blocks:
        requests.add(PendingRequest(*block))
    return requests


A, B, C = (0, 0, 16), (0, 16, 16), (1, 0, 16)


def test_a_pending_request_names_its_block():
    request = PendingRequest(1, 2, 3, deadline=4.0, context="mine")
    assert request.key == (1, 2, 3)
    assert str(request) == "request 1:2+3"
    assert request.context == "mine"
    assert request != PendingRequest(1, 2, 3, deadline=4.0, context="mine")


def test_a_request_that_ended_says_why():
    request = PendingRequest(1, 2, 3)
    ended = RequestEnded(request, RequestTimeout("no answer", *request.key))
    assert str(ended) == ("request 1:2+3 ended: request for piece 1, bytes 2+3: no answer")


# What we asked for


def test_requests_are_found_by_their_block():
    requests = outgoing(A, B)
    assert len(requests) == 2
    assert [request.key for request in requests] == [A, B]
    assert A in requests
    assert C not in requests
    assert requests.get(B).key == B
    assert requests.get(C) is None


def test_a_block_is_asked_for_once_at_a_time():
    requests = outgoing(A)
    with pytest.raises(LocalProtocolError, match=r"request 0:0\+16 is pending already") as error:
        requests.add(PendingRequest(*A))
    assert error.value.rule.startswith("BEP 3")
    assert requests.answered(A).key == A
    requests.add(PendingRequest(*A))
    assert len(requests) == 1


def test_an_answer_takes_its_request_out():
    requests = outgoing(A, B)
    assert requests.answered(B).key == B
    assert requests.answered(B) is None
    assert [request.key for request in requests] == [A]


def test_a_reject_takes_its_request_out():
    requests = outgoing(A)
    assert requests.rejected(A).key == A
    with pytest.raises(KeyError):
        requests.rejected(A)
    with pytest.raises(KeyError):
        requests.rejected(B)


def test_a_request_that_was_taken_back_is_owed_one_answer():
    requests = outgoing(A)
    assert requests.abandon(A, owed=True).key == A
    assert len(requests) == 0
    assert requests.answered(A) is None
    assert requests.forgive(A)
    assert not requests.forgive(A)


def test_without_the_fast_extension_it_is_owed_none():
    requests = outgoing(A)
    assert requests.abandon(A, owed=False).key == A
    assert not requests.forgive(A)


def test_what_was_not_asked_for_can_not_be_taken_back():
    requests = outgoing(A)
    assert requests.abandon(B, owed=True) is None
    assert not requests.forgive(B)


def test_each_time_it_was_taken_back_is_owed_an_answer():
    requests = outgoing()
    for _ in range(3):
        requests.add(PendingRequest(*A))
        requests.abandon(A, owed=True)
    assert [requests.forgive(A) for _ in range(4)] == [True, True, True, False]


def test_a_reject_is_for_the_older_of_two_requests_and_a_piece_for_the_newer():
    requests = outgoing(A)
    requests.abandon(A, owed=True)
    requests.add(PendingRequest(*A))
    assert requests.rejected(A) is None
    assert A in requests

    requests.abandon(A, owed=True)
    requests.add(PendingRequest(*A))
    assert requests.answered(A).key == A
    assert requests.rejected(A) is None
    with pytest.raises(KeyError):
        requests.rejected(A)


def test_a_request_whose_answer_came_is_no_longer_in_the_way_of_the_next():
    requests = outgoing(A)
    requests.abandon(A, owed=True)
    assert requests.forgive(A)
    requests.add(PendingRequest(*A))
    assert requests.rejected(A).key == A


def test_as_many_are_remembered_as_may_be():
    requests = outgoing(A, max_abandoned=1)
    requests.abandon(A, owed=True)
    requests.add(PendingRequest(*A))
    assert requests.rejected(A) is None
    assert requests.rejected(A).key == A


def test_of_those_forgotten_the_number_of_answers_is_kept():
    requests = outgoing(A, B, C, max_abandoned=1)
    for block in (A, B, C):
        requests.abandon(block, owed=True)
    assert requests.rejected(A) is None
    assert requests.forgive(C)
    assert requests.forgive(B)
    assert not requests.forgive(B)
    assert not requests.forgive(A)


def test_a_pending_request_is_rejected_before_one_that_was_forgotten():
    requests = outgoing(A, B, max_abandoned=1)
    requests.abandon(A, owed=True)
    requests.abandon(B, owed=True)
    requests.add(PendingRequest(*A))
    assert requests.rejected(A).key == A
    assert requests.rejected(A) is None


def test_a_block_taken_back_twice_pushes_nothing_out():
    requests = outgoing(A, max_abandoned=1)
    requests.abandon(A, owed=True)
    requests.add(PendingRequest(*A))
    requests.abandon(A, owed=True)
    assert [requests.forgive(A) for _ in range(3)] == [True, True, False]


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from([A, B, C])), max_size=30))
def test_as_many_answers_are_forgiven_as_requests_were_taken_back(steps):
    requests = OutgoingRequests(1)
    owed = 0
    for step, block in steps:
        if step == "a":
            requests.add(PendingRequest(*block))
            requests.abandon(block, owed=True)
            owed += 1
        elif requests.forgive(block):
            owed -= 1
    forgiven = 0
    for block in (A, B, C):
        while requests.forgive(block):
            forgiven += 1
    assert forgiven == owed


# Deadlines


def timed(*deadlines):
    requests = OutgoingRequests(10)
    for n, deadline in enumerate(deadlines):
        requests.add(PendingRequest(n, 0, 1, deadline))
    return requests


def test_without_deadlines_nothing_expires():
    requests = timed(None, None)
    assert requests.next_deadline is None
    assert requests.expire(1e9) == []


def test_those_whose_deadline_has_come_expire_oldest_first():
    requests = timed(5.0, None, 3.0, 7.0)
    assert requests.next_deadline == 3.0
    assert requests.expire(2.9) == []
    assert [request.index for request in requests.expire(5.0)] == [0, 2]
    assert requests.next_deadline == 7.0
    assert len(requests) == 4
    assert [request.index for request in requests.expire(8.0)] == [0, 2, 3]
    assert requests.next_deadline is None


def test_the_deadline_of_one_that_was_answered_is_looked_at_once():
    requests = timed(3.0, 7.0)
    requests.answered((0, 0, 1))
    assert requests.next_deadline == 3.0
    assert requests.expire(3.0) == []
    assert requests.next_deadline == 7.0


@given(
    st.lists(st.none() | st.floats(0, 100), max_size=10),
    st.lists(st.floats(0, 100), max_size=10),
)
def test_the_next_deadline_is_never_too_late_and_always_moves_on(deadlines, times):
    requests = timed(*deadlines)
    for now in sorted(times):
        for request in requests.expire(now):
            assert request.deadline <= now
            requests.abandon(request.key, owed=False)
        waiting = [request.deadline for request in requests if request.deadline is not None]
        assert all(deadline > now for deadline in waiting)
        if requests.next_deadline is not None:
            assert requests.next_deadline > now
            assert requests.next_deadline <= min(waiting)
        else:
            assert waiting == []


def test_everything_can_be_forgotten():
    requests = timed(3.0, 2.0)
    requests.add(PendingRequest(*A))
    requests.abandon(A, owed=True)
    assert [request.index for request in requests.clear()] == [0, 1]
    assert len(requests) == 0
    assert requests.next_deadline is None
    assert not requests.forgive(A)

    forgetful = outgoing(A, B, max_abandoned=1)
    forgetful.abandon(A, owed=True)
    forgetful.abandon(B, owed=True)
    assert forgetful.clear() == []
    assert not forgetful.forgive(A)


# What we were asked for


def test_what_the_peer_asked_for_is_found_by_its_block():
    requests = IncomingRequests()
    for block in (A, B):
        requests.add(Request(*block))
    assert len(requests) == 2
    assert list(requests) == [Request(*A), Request(*B)]
    assert A in requests
    assert C not in requests
    assert requests.get(B) == Request(*B)
    assert requests.get(C) is None
    assert requests.take(A) == Request(*A)
    assert requests.take(A) is None
    assert requests.clear() == [Request(*B)]
    assert len(requests) == 0
