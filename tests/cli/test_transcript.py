"""What is counted and written of connections, without any."""

from __future__ import annotations

import pytest

from peerwire import Cancel, Handshake, Piece, Reject, Request, Role
from peerwire.cli import transcript as module
from peerwire.cli.transcript import Delays, Tally, Transcript
from peerwire.handshake import Reserved

from .conftest import HOST, Recorder

INITIATOR, RESPONDER = Role
ENDS = ((HOST, 5000), (HOST, 6881))
INFO_HASH = bytes(range(20))


class Clock:
    """A second, each time it is looked at."""

    def __init__(self):
        self.now = 100.0

    def time(self):
        return 1_000_000.0

    def monotonic(self):
        self.now += 1
        return self.now


@pytest.fixture
def conversation(monkeypatch):
    """A connection that was opened, with both handshakes; its transcript is an attribute."""
    monkeypatch.setattr(module, "time", Clock())

    def conversation(out=None, file=None):
        transcript = Transcript(out or Recorder(), {INFO_HASH: 100}, file=file)
        it = transcript.conversation()
        it.opened(*ENDS)
        for role in Role:
            greeting = Handshake(INFO_HASH, role.encode().ljust(20), Reserved.FAST)
            it.said(role, greeting.encode())
        it.transcript = transcript
        return it

    return conversation


async def test_how_long_answers_take(conversation):
    it = conversation()
    it.said(INITIATOR, Request(1, 0, 4).encode() + Request(2, 0, 4).encode())
    it.said(RESPONDER, Piece(1, 0, b"1234").encode())
    it.said(RESPONDER, Piece(2, 0, b"1234").encode())
    delays = it.tally.delays
    assert (delays.count, delays.total, delays.longest) == (2, 3, 2)
    assert str(delays) == "2 blocks 1500.0 ms after the request on average, 2000.0 at most"


async def test_what_is_no_answer(conversation):
    it = conversation()
    it.said(RESPONDER, Piece(1, 0, b"1234").encode())
    it.said(INITIATOR, Request(1, 0, 4).encode() + Request(2, 0, 4).encode())
    it.said(INITIATOR, Cancel(1, 0, 4).encode())
    it.said(RESPONDER, Piece(1, 0, b"1234").encode())
    it.said(RESPONDER, Reject(2, 0, 4).encode())
    it.said(INITIATOR, Piece(2, 0, b"1234").encode())
    assert it.tally.delays.count == 0


async def test_an_answer_to_what_was_asked_twice(conversation):
    it = conversation()
    for _ in range(2):
        it.said(RESPONDER, Request(1, 0, 4).encode())
    it.said(INITIATOR, Piece(1, 0, b"1234").encode())
    it.said(INITIATOR, Piece(1, 0, b"1234").encode())
    assert (it.tally.delays.count, it.tally.delays.total) == (1, 2)


async def test_no_more_requests_are_remembered_than_that(conversation, monkeypatch):
    monkeypatch.setattr(module, "MAX_ASKED", 2)
    it = conversation()
    for index in range(3):
        it.said(INITIATOR, Request(index, 0, 4).encode())
    for index in range(3):
        it.said(RESPONDER, Piece(index, 0, b"1234").encode())
    assert it.tally.delays.count == 2


def test_how_delays_read():
    assert str(Delays()) == "no block"
    assert str(Delays(1, 0.25, 0.25)).startswith("1 block 250.0 ms")


def test_tallies_add_up():
    one = Tally(dict.fromkeys(Role, 10), Delays(1, 2.0, 2.0), 1, 2)
    two = Tally(dict.fromkeys(Role, 5), Delays(3, 1.0, 0.5), 1, 0)
    one.add(two)
    assert one.record == {
        "initiator_bytes": 15,
        "responder_bytes": 15,
        "blocks": 4,
        "mean_delay": 0.75,
        "longest_delay": 2.0,
        "violations": 2,
        "deviations": 2,
    }
    assert Tally().record["mean_delay"] is None


async def test_what_was_not_opened_is_not_over():
    transcript = Transcript(Recorder(), {})
    transcript.conversation().over()
    assert transcript.count == 0
    assert transcript._out.events == []


async def test_a_log_that_can_not_be_written_does_not_get_at_what_is_passed_on(conversation):
    def fail():
        raise OSError(28, "No space left on device")

    it = conversation(Recorder(at_result=fail))
    it.said(INITIATOR, Request(1, 0, 4).encode())
    error = it.transcript.failed.exception()
    assert (error.errno, error.filename) == (28, "standard output")


class Disk:
    """A file on a disk that is soon full."""

    name = "a.pcap"

    def __init__(self, writes):
        self.left = writes

    def write(self, data):
        self.left -= 1
        if self.left < 0:
            raise OSError(28, "No space left on device")


@pytest.mark.parametrize("writes", [0, 1, 4, 5])
async def test_a_capture_that_can_not_be_written_does_neither(conversation, writes):
    out = Recorder()
    it = conversation(out, Disk(writes))
    it.said(INITIATOR, Request(1, 0, 4).encode())
    it.ended(INITIATOR, "closed")
    error = it.transcript.failed.exception()
    assert (error.errno, error.filename) == (28, "a.pcap")
    assert any("request" in text for _, text in out.results)
