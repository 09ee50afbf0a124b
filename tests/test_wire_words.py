"""What a wire tells of itself: its log, its errors to the letter, and the time it was told."""

import traceback

import pytest

from peerwire.errors import InvalidHandshake, LocalProtocolError, RemoteProtocolError
from peerwire.extensions.base import Extension
from peerwire.handshake import Handshake, Reserved
from peerwire.hashes import HashRange
from peerwire.limits import Limits
from peerwire.messages import Bitfield, Extended, Have, Interested, KeepAlive, Unchoke
from peerwire.wire import Wire

from .wires import (
    INFO_HASH,
    NO_BITS,
    OUR_ID,
    PEER_ID,
    Trace,
    encoded,
    extended_wire,
    open_wire,
    peer_handshake,
    receive,
    requesting_wire,
    v2_wire,
    violation,
    waiting_wire,
)


class Picky(Extension):
    """An extension that reads text only."""

    name = "xx_picky"

    def receive(self, payload):
        return payload.decode("ascii")


def test_the_log_of_a_handshake():
    trace = Trace()
    waiting_wire(trace=trace).receive_data(peer_handshake(), 3.0)
    theirs = Handshake(INFO_HASH, PEER_ID, Reserved.FAST)
    ours = Handshake(INFO_HASH, OUR_ID, Reserved.FAST)
    assert trace.lines == [f"< {theirs}", f"> {ours}", "= open"]
    assert trace.times == [3.0] * 3


def test_the_log_of_requests_that_time_out():
    trace = Trace()
    wire = requesting_wire(trace=trace)
    wire.send_request(1, 2, 3, deadline=5.0)
    wire.handle_timer(5.0)
    assert trace.marked("%") == ["request 1:2+3 timed out"]
    (ended,) = wire.events_received()
    assert str(ended.error) == "request for piece 1, bytes 2+3: no answer by its deadline"


def test_the_log_of_hash_requests_that_time_out():
    trace = Trace()
    wire = v2_wire(trace=trace)
    request = wire.send_hash_request(HashRange(bytes(32), 0, 0, 2, 0), deadline=5.0)
    wire.handle_timer(5.0)
    assert trace.marked("%") == [f"{request} timed out"]
    (ended,) = wire.events_received()
    assert str(ended.error) == f"{request}: no answer by its deadline"


def test_a_connection_to_ourselves_is_told_as_one():
    error = violation(waiting_wire, peer_handshake(peer_id=OUR_ID), InvalidHandshake, "BEP 3")
    assert str(error) == (
        "its peer id is our own: this is a connection to ourselves (BEP 3, peer protocol: peer id)"
    )


@pytest.mark.parametrize("decide", [Wire.accept, Wire.refuse])
def test_what_there_is_to_decide_is_told(decide):
    with pytest.raises(LocalProtocolError) as error:
        decide(open_wire())
    assert str(error.value) == (
        "there is no handshake to decide on, the wire is open "
        "(accept and refuse answer the Handshake event of a responder)"
    )


def test_the_time_is_the_latest_that_was_told():
    wire = waiting_wire(info_hash=None)
    wire.receive_data(peer_handshake() + Have(1).encode(), 4.0)
    wire.accept()
    assert wire.now == 4.0
    wire.hold_back(True, 6.0)
    assert wire.now == 6.0
    wire.handle_timer(7.0)
    assert wire.now == 7.0


def test_a_wire_that_is_not_about_v2_holds_no_table_for_it():
    """There may be thousands of them, idle, that never need one."""
    wire = open_wire()
    wire.next_timer()
    wire.handle_timer(1.0)
    assert wire._hash_requests is None


@pytest.mark.parametrize("ours", [NO_BITS, Reserved.FAST])
@pytest.mark.parametrize("theirs", [NO_BITS, Reserved.FAST])
def test_the_fast_extension_takes_two(ours, theirs):
    wire = waiting_wire(reserved=ours)
    wire.receive_data(Handshake(INFO_HASH, PEER_ID, theirs).encode(), 0.0)
    assert wire.fast is (ours == theirs == Reserved.FAST)


@pytest.mark.parametrize(
    ("before", "late"),
    [
        ([], False),
        ([KeepAlive()], False),
        ([Extended(0, b"de")], False),
        ([Interested()], True),
        ([Interested(), KeepAlive()], True),
        ([Have(1)] * 2, True),
        ([Have(1)] * 9, True),
    ],
)
@pytest.mark.parametrize("traced", [False, True])
def test_a_bitfield_is_late_after_any_message_that_says_something(before, late, traced):
    wire = extended_wire(strict=True, trace=Trace() if traced else None)
    wire.receive_data(encoded(*before), 0.0)
    if not late:
        assert receive(wire, Bitfield(b"\x80"))[-1] == Bitfield(b"\x80")
        return
    with pytest.raises(RemoteProtocolError, match="after other messages"):
        receive(wire, Bitfield(b"\x80"))


@pytest.mark.parametrize(
    "message",
    [Bitfield(bytes(50_000)), Extended(0, b"d1:v" + b"9" * 50_000), Extended(1, b"\xff" * 50_000)],
)
def test_the_frames_of_a_violation_let_go_of_what_was_received(message):
    wire = extended_wire(Picky, num_pieces=10, limits=Limits(max_extended_handshake=60_000))
    with pytest.raises(RemoteProtocolError) as caught:
        receive(wire, message)
    behind, frames, errors = caught.value.__context__, 0, 0
    while behind is not None:
        errors += 1
        for frame, _ in traceback.walk_tb(behind.__traceback__):
            frames += 1
            assert not [value for value in frame.f_locals.values() if len(str(value)) > 10_000]
        behind = behind.__context__
    assert frames >= errors > 0


def test_an_error_behind_the_error_behind_a_violation_lets_go_as_well():
    def read(payload):
        kept = payload * 2
        return kept.decode("ascii")

    class Indirect(Picky):
        def receive(self, payload):
            try:
                return read(payload)
            except ValueError:
                raise ValueError("no text")  # noqa: B904 - what is tested

    wire = extended_wire(Indirect, num_pieces=10)
    with pytest.raises(RemoteProtocolError) as caught:
        receive(wire, Unchoke(), Extended(1, b"\xff" * 50_000))
    first = caught.value.__context__
    for behind in (first, first.__context__):
        frames = [frame for frame, _ in traceback.walk_tb(behind.__traceback__)]
        assert frames
        assert all(len(str(v)) < 10_000 for frame in frames for v in frame.f_locals.values())
