"""Floods of HAVE, REQUEST and PIECE come to the same at once as one by one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerwire.errors import RemoteProtocolError
from peerwire.limits import Limits
from peerwire.messages import Bitfield, Have, Interested, Piece, Reject, Request, Unchoke
from peerwire.receiving import receive_run
from peerwire.requests import RequestEnded

from .wires import (
    Trace,
    encoded,
    of_size,
    open_wire,
    receive,
    requesting_wire,
    run,
    sent,
    serving_wire,
)

PIECES = 20
LOW = Limits(max_peer_requests=6, max_request=16, max_pieces=40)


def listener(*, choking=False, known=True, **options):
    wire = open_wire(num_pieces=PIECES if known else None, **{"limits": LOW, **options})
    if not choking:
        wire.send_unchoke()
        wire.data_to_send()
    return wire


def after(messages, *, trace=None, size=1 << 20, **options):
    """All that can be seen of a wire that heard these messages."""
    wire = listener(trace=trace, **options)
    events, error = run(wire, of_size(size, encoded(*messages)))
    return {
        "events": events,
        "error": str(error),
        "sent": wire.data_to_send(),
        "pieces": [index for index in range(64) if index in wire.peer_pieces],
        "requests": list(wire.peer_requests),
        "counts": (dict(wire.messages_received), wire.last_message),
        "next": str(run(wire, [Bitfield(bytes((PIECES + 7) // 8)).encode()])),
    }


def comes_to_the_same(messages, **options):
    """Whether traced, in one segment or byte by byte; returns what it comes to."""
    at_once = after(messages, **options)
    assert after(messages, trace=Trace(), **options) == at_once
    assert after(messages, size=1, **options) == at_once
    return at_once


def asking(fast, known=True, **options):
    """A wire that waits for blocks of two lengths, two of them to be put into memory of ours."""
    wire = listener(fast=fast, known=known, **options)
    receive(wire, Unchoke())
    for begin in range(6):
        into = bytearray(3) if begin in (1, 4) else None
        wire.send_request(0, begin, 3, into=into, context=begin)
    wire.send_request(1, 0, 5, context=6)
    for begin in (2, 5):
        wire.send_cancel(0, begin, 3)
    wire.events_received()
    wire.data_to_send()
    return wire


def after_blocks(messages, fast, *, traced=False, size=1 << 20):
    """All that can be seen of a wire that got these blocks."""
    wire = asking(fast, trace=Trace() if traced else None)
    events, error = run(wire, of_size(size, encoded(*messages)))
    ended = [event for event in events if isinstance(event, RequestEnded)]
    blocks = [event for event in events if isinstance(event, Piece)]
    return {
        "blocks": [(p.index, p.begin, bytes(p.block), p.request.context) for p in blocks],
        "in place": [p.request.into is not None and p.block is p.request.into for p in blocks],
        "others": [str(event) for event in events if event not in blocks and event not in ended],
        "ended": [(str(event), event.request.context) for event in ended],
        "error": str(error),
        "counts": (wire.downloaded, wire.wasted, dict(wire.messages_received), wire.last_message),
        "waiting": [request.key for request in wire.requests],
    }


def requests(count, *, index=0, begin=0, length=16):
    return [Request(index, begin + n, length) for n in range(count)]


haves = st.builds(Have, st.integers(0, PIECES) | st.integers(0, 50))
asked = st.builds(
    Request, st.integers(0, PIECES), st.integers(0, 9), st.sampled_from([16, 16, 16, 0, 17])
)
floods = st.one_of(
    st.lists(haves, max_size=30),
    st.lists(asked, max_size=12),
    st.lists(haves | asked, max_size=20),
    st.tuples(st.lists(haves, max_size=9), st.lists(asked, max_size=9)).map(
        lambda two: [*two[0], *two[1]]
    ),
)
settings_of_wires = st.fixed_dictionaries(
    {"choking": st.booleans(), "known": st.booleans(), "fast": st.booleans()}
)


@given(floods, settings_of_wires)
def test_a_flood_comes_to_the_same_as_its_messages(messages, options):
    comes_to_the_same(messages, **options)


def test_pieces_that_are_new_are_told_once_and_in_order():
    said = [Have(index) for index in (7, 3, 7, 19, 3, 0)]
    told = comes_to_the_same(said)
    assert told["events"] == [Have(7), Have(3), Have(19), Have(0)]
    assert told["counts"] == ({"have": 6}, "have")
    assert "after other messages" in comes_to_the_same(said, strict=True)["next"]


@pytest.mark.parametrize(("known", "last"), [(True, PIECES - 1), (False, LOW.max_pieces - 1)])
def test_the_last_piece_that_can_be_announced_in_a_flood(known, last):
    fits = [Have(index) for index in range(last - 5, last + 1)]
    assert comes_to_the_same(fits, known=known)["events"] == fits
    beyond = comes_to_the_same([*fits, Have(last + 1), Have(0)], known=known)
    assert beyond["events"] == fits
    assert f"have {last + 1}" in beyond["error"]


def test_a_flood_of_requests_is_handed_out_up_to_the_bound():
    most = LOW.max_peer_requests
    told = comes_to_the_same(requests(most))
    assert told["events"] == told["requests"] == requests(most)
    assert told["sent"] == b""
    assert told["counts"] == ({"request": most}, "request")
    told = comes_to_the_same(requests(most + 2))
    assert told["events"] == told["requests"] == requests(most)
    assert told["sent"] == encoded(*(Reject(0, most + n, 16) for n in range(2)))


def test_what_waits_already_counts():
    wire = listener()
    receive(wire, *requests(4))
    receive(wire, *requests(4, begin=100))
    assert list(wire.peer_requests) == [*requests(4), *requests(2, begin=100)]
    assert sent(wire) == [Reject(0, 102, 16), Reject(0, 103, 16)]


@pytest.mark.parametrize(
    "bad",
    [
        Request(0, 0, 17),
        Request(0, 9, 0),
        Request(0, 2, 16),
    ],
    ids=["too long", "empty", "a duplicate"],
)
def test_one_that_is_not_served_spoils_none_of_the_others(bad):
    told = comes_to_the_same([*requests(4), bad, Request(1, 0, 16)])
    assert told["events"] == told["requests"] == [*requests(4), Request(1, 0, 16)]
    assert told["sent"] == Reject(bad.index, bad.begin, bad.length).encode()


def test_a_flood_of_what_was_asked_for_before_is_rejected():
    wire = listener()
    receive(wire, *requests(5))
    assert receive(wire, *requests(5)) == []
    assert sent(wire) == [Reject(0, n, 16) for n in range(5)]


def test_a_request_for_a_piece_beyond_the_last_ends_the_wire_where_it_stands():
    told = comes_to_the_same([*requests(3), Request(PIECES, 0, 16), *requests(2, begin=50)])
    assert told["events"] == requests(3)
    assert f"request {PIECES}:0+16 in a torrent of {PIECES} pieces" in told["error"]
    last = requests(4, index=PIECES - 1)
    assert comes_to_the_same(last)["events"] == last


def test_a_flood_of_a_choked_peer_is_rejected():
    told = comes_to_the_same(requests(5), choking=True)
    assert told["events"] == told["requests"] == []
    assert told["sent"] == encoded(*(Reject(0, n, 16) for n in range(5)))


def test_the_hard_limit_on_a_request_holds_in_a_flood():
    limits = Limits(max_request=32, max_request_hard=20)
    assert comes_to_the_same(requests(5, length=20), limits=limits)["events"] != []
    assert comes_to_the_same(requests(5, length=21), limits=limits)["events"] == []


def test_what_is_no_flood_is_left_to_the_functions_for_one():
    wire = listener()
    assert not receive_run(wire, [Reject(0, 0, 16)] * 5)
    assert wire.messages_received == {}


@pytest.mark.parametrize(
    "flood",
    [
        [Have(index) for index in (3, 3, 4, 5, PIECES - 1)],
        requests(LOW.max_peer_requests),
        requests(4, length=1),
        requests(4, index=PIECES - 1, length=LOW.max_request),
    ],
)
def test_what_is_plain_is_taken_at_once(flood):
    wire = listener()
    assert receive_run(wire, flood)
    assert wire.messages_received == {flood[0].name: len(flood)}


@pytest.mark.parametrize("flood", [[Have(index) for index in range(5)], requests(3)])
def test_a_flood_comes_after_what_came_before_it(flood):
    again = (
        [Have(index) for index in range(10, 15)] if flood[0] == Have(0) else requests(3, index=1)
    )
    told = comes_to_the_same([Interested(), *flood, Interested(), *again])
    assert told["events"] == [Interested(), *flood, Interested(), *again]
    assert told["counts"][0] == {"interested": 2, flood[0].name: 2 * len(flood)}


given_blocks = st.one_of(
    st.builds(Piece, st.just(0), st.integers(0, 6), st.sampled_from([b"abc", b"xyz"])),
    st.just(Piece(1, 0, b"12345")),
    st.sampled_from([Have(3), Piece(0, 1, b""), Piece(0, 2, b"ab"), Unchoke()]),
)


@given(st.lists(given_blocks, max_size=10), st.booleans())
def test_blocks_come_to_the_same_at_once_as_one_by_one(messages, fast):
    at_once = after_blocks(messages, fast)
    assert after_blocks(messages, fast, traced=True) == at_once
    assert after_blocks(messages, fast, size=1) == at_once


def test_blocks_are_taken_at_once_up_to_the_first_that_nobody_waits_for():
    said = [Piece(0, begin, b"%03d" % begin) for begin in (3, 0, 1, 2, 4)]
    wire = asking(fast=True)
    assert receive_run(wire, [*said]) == 3
    events = wire.events_received()
    assert [(p.begin, bytes(p.block), p.request.context) for p in events] == [
        (3, b"003", 3),
        (0, b"000", 0),
        (1, b"001", 1),
    ]
    assert events[2].block is events[2].request.into
    assert wire.downloaded == 9
    assert wire.messages_received["piece"] == 3
    told = after_blocks(said, fast=True)
    assert [block[1] for block in told["blocks"]] == [3, 0, 1, 4]
    assert told["counts"][:2] == (12, 3)
    assert told["waiting"] == [(1, 0, 5)]


def test_a_block_that_is_given_twice_in_a_run_was_asked_for_once():
    wire = asking(fast=True)
    same = Piece(0, 0, b"abc")
    events, error = run(wire, [encoded(same, same, Piece(0, 3, b"abc"))])
    assert [event.request.context for event in events if isinstance(event, Piece)] == [0]
    assert "piece 0:0+3 was not asked for" in str(error)


HAVES = st.lists(st.integers(0, 110).map(Have), min_size=4)
REQUESTS = st.lists(
    st.builds(Request, st.integers(0, 101), st.just(0), st.sampled_from([0, 1, 16384, 16385])),
    min_size=4,
)


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("known", [100, None])
@given(st.one_of(HAVES, REQUESTS), st.booleans())
def test_a_run_comes_to_the_same_as_its_messages(known, fast, run, choked):
    """Whether they come in one piece or one by one; the trace of the second sees each."""

    def hear(*chunks, trace=None):
        limits = Limits(max_pieces=105, max_peer_requests=6)
        wire = open_wire(num_pieces=known, limits=limits, fast=fast, trace=trace)
        if not choked:
            wire.send_unchoke()
        try:
            for chunk in chunks:
                wire.receive_data(chunk, 1.0)
        except RemoteProtocolError as error:
            ended = str(error)
        else:
            ended = None
        return (
            wire.events_received(),
            ended,
            wire.messages_received,
            wire.last_message,
            list(wire.peer_requests),
            [index for index in range(120) if index in wire.peer_pieces],
            wire.data_to_send(),
        )

    together = hear(encoded(*run))
    assert together == hear(*[encoded(message) for message in run])
    assert together == hear(encoded(*run), trace=Trace())


@pytest.mark.parametrize("fast", [True, False])
@given(
    st.lists(st.tuples(st.integers(0, 3), st.booleans()), unique_by=lambda asked: asked[0]),
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from([3, 3, 3, 4])), min_size=2),
)
def test_blocks_that_come_in_a_run_go_where_each_of_them_would(fast, asked, came):
    """Some were not asked for, or come twice: under the fast extension that ends the wire."""
    run = [Piece(index, 0, bytes([number]) * length) for number, (index, length) in enumerate(came)]

    def hear(*chunks, trace=None):
        wire = requesting_wire(num_pieces=4, fast=fast, trace=trace)
        room = [bytearray(3) for _ in asked]
        for (index, into), memory in zip(asked, room, strict=True):
            wire.send_request(index, 0, 3, into=memory if into else None)
        wire.data_to_send()
        ended = None
        try:
            for chunk in chunks:
                wire.receive_data(bytearray(chunk), 1.0)
        except RemoteProtocolError as error:
            ended = str(error)
        told = [(type(e), e.block if type(e) is Piece else None) for e in wire.events_received()]
        return (
            [(kind, None if block is None else bytes(block)) for kind, block in told],
            ended,
            room,
            wire.downloaded,
            wire.wasted,
            wire.messages_received,
            wire.last_message,
            [request.key for request in wire.requests],
        )

    together = hear(encoded(*run))
    assert together == hear(*[encoded(message) for message in run])
    assert together == hear(encoded(*run), trace=Trace())


def test_requests_that_come_in_a_run_are_pending_in_their_order():
    run = [Request(index, 0, 16384) for index in (5, 3, 9, 4, 0)]
    wire = serving_wire(num_pieces=10)
    assert receive(wire, *run) == run
    assert list(wire.peer_requests) == run
    assert wire.messages_received["request"] == 5


def test_of_a_run_of_requests_each_is_judged_where_not_all_can_be_served():
    run = [Request(index, 0, 16384) for index in (5, 3, 5, 4, 0, 1)]
    wire = serving_wire(num_pieces=10, limits=Limits(max_peer_requests=4), fast=True)
    taken = [run[n] for n in (0, 1, 3, 4)]
    assert receive(wire, *run) == taken
    assert sent(wire) == [Reject(5, 0, 16384), Reject(1, 0, 16384)]


def test_a_bitfield_after_a_run_is_late():
    wire = open_wire(num_pieces=10, strict=True)
    receive(wire, *map(Have, range(5)))
    with pytest.raises(RemoteProtocolError, match="after other messages"):
        receive(wire, Bitfield(b"\xff\xc0"))
