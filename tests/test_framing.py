import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerwire.errors import InvalidHandshake, RemoteProtocolError
from peerwire.framing import Framing
from peerwire.handshake import PROTOCOL
from peerwire.messages import (
    Bitfield,
    Cancel,
    Choke,
    Have,
    KeepAlive,
    Message,
    Piece,
    Reject,
    Request,
    Suggest,
    Unknown,
)

from .wires import EXAMPLES, chunked, encoded, messages, of_size, peer_handshake

MAX = 1000


def frame(number, payload=b""):
    return (1 + len(payload)).to_bytes(4) + bytes([number]) + payload


def receive(framing, chunks):
    """What the chunks hold: messages, and the line of the error that ended them."""
    found: list[Message | str] = []
    try:
        for chunk in chunks:
            for message in framing.receive(chunk):
                if isinstance(message, Piece):
                    message.block = bytes(message.block)
                found.append(message)
                assert framing.held == 0
    except RemoteProtocolError as error:
        found.append(f"{type(error).__name__} {error}")
    return found


@pytest.mark.parametrize(("message", "wire", "_line"), EXAMPLES)
@pytest.mark.parametrize("size", [1, 5, 1000])
def test_each_message_is_read_as_it_was_written(message, wire, _line, size):
    assert receive(Framing(MAX), of_size(size, bytes.fromhex(wire))) == [message]


@given(st.lists(messages, max_size=8), st.lists(st.integers(0, 10**6), max_size=20))
def test_messages_come_out_as_they_went_in_whatever_the_chunks(said, cuts):
    framing = Framing(MAX)
    assert receive(framing, chunked(encoded(*said), cuts)) == said
    assert framing.held == 0


@given(st.lists(messages, max_size=4), st.binary(max_size=30), st.lists(st.integers(0, 200)))
def test_what_is_broken_is_refused_alike_whatever_the_chunks(said, noise, cuts):
    data = encoded(*said) + noise
    at_once = receive(Framing(60), [data])
    assert receive(Framing(60), chunked(data, cuts)) == at_once
    assert receive(Framing(60), of_size(1, data)) == at_once


@given(st.binary(max_size=60) | st.lists(messages, max_size=8).map(lambda said: encoded(*said)))
def test_what_is_read_is_what_would_be_written(data):
    framing = Framing(200)
    found = receive(framing, [data])
    broken = found != [] and isinstance(found[-1], str)
    again = encoded(*(found[:-1] if broken else found))
    assert data.startswith(again)
    if not broken:
        assert len(again) + framing.held == len(data)


#: Some of the same kind after each other, some of the same length, some cut short.
kin = st.sampled_from(
    [
        *(Have(3), Suggest(3)),
        *(Request(1, 2, 3), Cancel(1, 2, 3), Reject(1, 2, 3)),
        *(Piece(1, 2, b""), Piece(1, 2, b"abc"), Piece(1, 2, b"abcd"), Unknown(99, bytes(11))),
    ]
)
floods = st.lists(st.tuples(kin, st.integers(1, 12)), max_size=6).map(
    lambda parts: [message for message, count in parts for _ in range(count)]
)


@given(floods, st.lists(st.integers(0, 10**6), max_size=6), st.binary(max_size=16))
def test_floods_are_cut_into_what_was_said(said, cuts, rest):
    data = encoded(*said) + rest
    one_by_one = receive(Framing(20), of_size(1, data))
    assert one_by_one[: len(said)] == said
    assert receive(Framing(20), [data]) == one_by_one
    assert receive(Framing(20), chunked(data, cuts)) == one_by_one


@given(floods)
def test_runs_are_of_one_kind(said):
    runs = [list(run) for run in Framing(20).runs(encoded(*said))]
    assert [message for run in runs for message in run] == said
    assert all(len({type(message) for message in run}) == 1 for run in runs)
    floods = (Have, Request, Cancel, Reject, Piece)
    assert all(type(run[0]) in floods for run in runs if len(run) > 1)


@given(st.lists(st.sampled_from([b"\0\0\0\5\4", b"\0\0\0\5\r", b"\0\0\0\r\6"]), max_size=9))
def test_what_only_looks_like_a_flood_is_none(heads):
    data = b"".join(head + bytes(head[3] - 1) for head in heads)
    kinds = {4: Have(0), 13: Suggest(0), 6: Request(0, 0, 0)}
    assert receive(Framing(20), [data]) == [kinds[head[4]] for head in heads]


def test_a_run_is_no_longer_than_may_be_looked_at_in_vain():
    runs = [len(run) for run in Framing(20).runs(encoded(*map(Have, range(3000))))]
    assert sum(runs) == 3000
    assert max(runs) == 256


@pytest.mark.parametrize(
    "one",
    [Have(3), Request(1, 2, 3), Reject(1, 2, 3), Piece(1, 2, b"abc"), Piece(1, 2, b"a")],
)
@pytest.mark.parametrize(
    "rest", [[], [Suggest(3)], [Cancel(1, 2, 3)], [Choke(), Have(1)], [Unknown(99, bytes(11))]]
)
@pytest.mark.parametrize("count", [4, 30])
def test_a_flood_is_a_run(one, rest, count):
    runs = list(Framing(20).runs(encoded(*[one] * count, *rest)))
    assert [len(run) for run in runs] == [count, *(1 for _ in rest)]


@pytest.mark.parametrize("one", [Have(3), Request(1, 2, 3), Piece(1, 2, b"abc"), Piece(1, 2, b"")])
def test_a_flood_may_be_cut_anywhere(one):
    data = encoded(*[one] * 6, Choke())
    for cut in range(len(data) + 1):
        assert receive(Framing(20), [data[:cut], data[cut:]]) == [*[one] * 6, Choke()]


@given(st.binary(max_size=200), st.integers(1, 20))
def test_no_more_than_one_message_is_held(noise, size):
    framing = Framing(64)
    for chunk in of_size(size, noise):
        try:
            for _ in framing.receive(chunk):
                pass
        except RemoteProtocolError:
            return
        assert framing.held < 64 + 4


# Lengths

#: Ids, payload lengths that are wrong for them, the right one, and where it stands.
WRONG_LENGTHS = [
    ((0, 1, 2, 3), (1, 4), "0", "BEP 3, peer messages"),
    ((4,), (0, 3, 5, 8), "4", "BEP 3, peer messages"),
    ((6, 8), (0, 11, 13, 24), "12", "BEP 3, peer messages"),
    ((7,), (0, 7), "at least 8", "BEP 3, peer messages"),
    ((9,), (0, 1, 3, 4), "2", "BEP 5, BitTorrent protocol extension"),
    ((13, 17), (0, 3, 5), "4", "BEP 6, fast extension"),
    ((14, 15), (1, 4), "0", "BEP 6, fast extension"),
    ((16,), (0, 11, 13), "12", "BEP 6, fast extension"),
    ((21, 23), (0, 47, 49, 80), "48", "BEP 52, peer messages"),
    ((20,), (0,), "at least 1", "BEP 10"),
    ((22,), (0, 47, 49, 79, 81), "48 and a multiple of 32", "BEP 52, peer messages"),
]


@pytest.mark.parametrize(
    ("number", "length", "right", "rule"),
    [
        (number, length, right, rule)
        for numbers, lengths, right, rule in WRONG_LENGTHS
        for number in numbers
        for length in lengths
    ],
)
@pytest.mark.parametrize("size", [1, 1000])
def test_a_payload_has_the_length_that_its_id_demands(number, length, right, rule, size):
    data = encoded(Have(1)) + frame(number, bytes(length)) + encoded(Have(2))
    assert receive(Framing(MAX), of_size(size, data)) == [
        Have(1),
        f"RemoteProtocolError message id {number} with a payload of {length} bytes; "
        f"it has {right} ({rule})",
    ]


def test_a_block_may_be_empty():
    assert receive(Framing(MAX), [frame(7, bytes(8))]) == [Piece(0, 0, b"")]


@pytest.mark.parametrize("number", [10, 11, 12, 18, 19, *range(24, 256)])
def test_a_message_of_an_id_that_is_not_known_is_kept(number):
    data = frame(number) + frame(number, b"payload")
    expected = [Unknown(number, b""), Unknown(number, b"payload")]
    assert receive(Framing(MAX), of_size(3, data)) == expected


def test_keep_alives_are_messages_of_length_zero():
    data = bytes(4) * 3
    assert receive(Framing(MAX), [data]) == [KeepAlive()] * 3
    assert receive(Framing(MAX), of_size(1, data)) == [KeepAlive()] * 3
    assert receive(Framing(MAX), of_size(3, data)) == [KeepAlive()] * 3


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 1000])
@pytest.mark.parametrize("length", [MAX + 1, 2**31, 2**32 - 1])
def test_a_length_over_the_limit_is_refused_from_the_prefix_alone(size, length):
    framing = Framing(MAX)
    chunks = iter(of_size(size, length.to_bytes(4) + bytes(100)))
    assert receive(framing, chunks) == [
        f"MessageTooBig a message of {length} bytes is announced, {MAX} is the most accepted "
        "(Limits.max_message)"
    ]
    assert len(b"".join(chunks)) > 100 - size, "it took more than the prefix to see that"
    assert framing.held <= 4


def test_the_longest_message_allowed_is_taken():
    data = frame(99, bytes(MAX - 1))
    assert receive(Framing(MAX), [data]) == [Unknown(99, bytes(MAX - 1))]
    assert receive(Framing(MAX), of_size(3, data)) == [Unknown(99, bytes(MAX - 1))]


def test_the_limit_holds_for_the_next_length_prefix():
    framing = Framing(10)
    assert receive(framing, [frame(5, bytes(9))[:6]]) == []
    framing.max_message = 5
    assert receive(framing, [frame(5, bytes(9))[6:]]) == [Bitfield(bytes(9))]
    assert receive(framing, [frame(5, bytes(9))]) == [
        "MessageTooBig a message of 10 bytes is announced, 5 is the most accepted "
        "(Limits.max_message)"
    ]


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_a_second_handshake_is_named(size):
    (line,) = receive(Framing(MAX), of_size(size, peer_handshake()))
    assert line == (
        "InvalidHandshake a second handshake, where a message is due "
        "(BEP 3, peer protocol: after the handshake come messages)"
    )
    with pytest.raises(InvalidHandshake):
        list(Framing(MAX).receive(PROTOCOL[:4]))


# Cost


def test_a_block_that_is_there_as_a_whole_is_not_copied():
    data = bytearray(encoded(Choke(), Piece(1, 2, b"abcd"), Choke()))
    framing = Framing(MAX)
    blocks = [m.block for m in framing.receive(data) if isinstance(m, Piece)]
    data[5 + 13 : 5 + 17] = b"ABCD"
    assert blocks == [b"ABCD"]


def test_a_block_that_came_in_parts_is_its_own():
    data = bytearray(encoded(Piece(1, 2, b"abcd")))
    framing = Framing(MAX)
    assert list(framing.receive(data[:15])) == []
    rest = data[15:]
    (message,) = framing.receive(rest)
    rest[:] = bytes(2)
    data[:] = bytes(17)
    assert message == Piece(1, 2, b"abcd")
    assert list(framing.receive(encoded(Have(1)))) == [Have(1)]
    assert message == Piece(1, 2, b"abcd")


def test_a_part_that_is_held_is_not_the_callers_memory():
    data = bytearray(encoded(Have(1)))
    framing = Framing(MAX)
    assert list(framing.receive(memoryview(data)[:7])) == []
    data[:7] = bytes(7)
    assert list(framing.receive(memoryview(data)[7:])) == [Have(1)]


def operations(chunks, max_message):
    """How many functions are called to take these chunks in."""
    framing = Framing(max_message)
    count = 0

    def profile(_frame, event, _arg):
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(profile)
    try:
        for chunk in chunks:
            for _ in framing.receive(chunk):
                pass
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("size", [1, 7, 100, 10**6])
def test_the_cost_is_linear_in_many_messages(size):
    data = encoded(*[Have(n) for n in range(100)], Piece(0, 0, bytes(1000)))
    once = operations(of_size(size, data), 2000)
    tenfold = operations(of_size(size, data * 10), 2000)
    assert tenfold <= 11 * once  # the square would be a hundred times


@pytest.mark.parametrize("size", [1, 7, 100])
def test_the_cost_is_linear_in_one_long_message(size):
    once = operations(of_size(size, frame(99, bytes(2000))), 10**6)
    tenfold = operations(of_size(size, frame(99, bytes(20000))), 10**6)
    assert tenfold <= 11 * once  # the square would be a hundred times


def test_what_is_held_grows_in_place():
    framing = Framing(10**6)
    data = frame(99, bytes(10**5))
    list(framing.receive(data[:1]))
    held = framing._partial
    for n, chunk in enumerate(of_size(1000, data[1:-1])):
        assert list(framing.receive(chunk)) == []
        assert framing._partial is held, "copied from one buffer into another"
        assert framing.held == min(1000 * (n + 1) + 1, len(data) - 1)
    assert list(framing.receive(data[-1:])) == [Unknown(99, bytes(10**5))]
