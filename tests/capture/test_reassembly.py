"""Segments in any order, any number of times, cut in any way, are one stream."""

from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from peerwire.capture import reassembly
from peerwire.capture.reassembly import Gap, Reassembly

STREAM = bytes(range(97, 97 + 26)) * 2


@st.composite
def captured(draw, complete=True):
    """Segments (start, end) of STREAM: every byte at least once, or perhaps not."""
    cuts = draw(st.lists(st.integers(0, len(STREAM)), max_size=8))
    edges = sorted({0, len(STREAM), *cuts})
    pieces = list(pairwise(edges))
    if not complete:
        pieces = draw(st.lists(st.sampled_from(pieces), max_size=8))
    again = draw(st.lists(st.tuples(st.integers(0, len(STREAM)), st.integers(0, 20)), max_size=6))
    pieces += [(start, min(start + size, len(STREAM))) for start, size in again]
    return draw(st.permutations(pieces))


def joined(parts):
    """What was told, with a dot for each byte of a gap."""
    return b"".join(b"." * part.count if isinstance(part, Gap) else part for part in parts)


@given(captured(), st.sampled_from([0, 1, 2**31 - 7, 2**32 - 30, 2**32 - 1]))
@example([(26, 52), (0, 26)], 2**32 - 13)
def test_any_order_gives_the_stream(segments, isn):
    direction = Reassembly()
    direction.begin(isn)
    told = []
    for start, end in segments:
        told += direction.receive((isn + start) % 2**32, STREAM[start:end])
        assert joined(told) == STREAM[: direction.position]
    assert joined(told) == STREAM
    assert direction.held == 0
    assert not direction.behind


@given(captured(complete=False), st.integers(0, 2**32 - 1))
def test_what_is_missing_is_a_gap_and_nothing_else_is(segments, isn):
    direction = Reassembly()
    direction.begin(isn)
    told = []
    there = set()
    for start, end in segments:
        told += direction.receive((isn + start) % 2**32, STREAM[start:end])
        there |= {*range(start, end)}
    told += direction.flush()
    expected = bytes(
        byte if place in there else ord(".")
        for place, byte in enumerate(STREAM[: max(there, default=-1) + 1])
    )
    assert joined(told) == expected
    assert direction.held == 0


@given(captured(), st.integers(0, 300))
def test_what_waits_is_bounded(segments, bound):
    direction = Reassembly(max_held=bound)
    direction.begin(0)
    told = []
    for start, end in segments:
        told += direction.receive(start, STREAM[start:end])
        assert direction.held <= bound
    told += direction.flush()
    assert all(a in (b, ord(".")) for a, b in zip(joined(told), STREAM, strict=True))


def test_what_came_first_stays():
    direction = Reassembly()
    direction.begin(0)
    assert direction.receive(0, b"abc") == [b"abc"]
    assert direction.receive(6, b"ghi") == []
    assert direction.receive(1, b"XXdefXXXjk") == [b"def", b"ghi", b"jk"]


def test_a_beginning_that_was_not_captured():
    direction = Reassembly()
    assert direction.acknowledge(77) == []
    assert direction.receive(1000, b"later") == [b"later"]
    assert direction.receive(995, b"sooner") == []  # it was told from 1000 on
    direction.begin(5)  # and no SYN changes that
    assert direction.receive(1005, b"!") == [b"!"]


def test_a_segment_that_was_cut_off_leaves_a_gap():
    direction = Reassembly()
    direction.begin(0)
    assert direction.receive(0, b"abc", 5) == [b"abc", Gap(2)]
    assert direction.receive(9, b"jk", 4) == []
    assert direction.receive(5, b"fghi") == [b"fghi", b"jk", Gap(2)]


def test_a_hole_that_was_acknowledged_is_waited_for_a_little():
    direction = Reassembly()
    direction.begin(0)
    for number in range(1, reassembly.PATIENCE + 1):
        assert direction.receive(10 * number, b"x" * 10) == []
    assert direction.acknowledge(5) == []
    told = direction.acknowledge(10)
    assert told[0] == Gap(10)
    assert joined(told[1:]) == b"x" * 10 * reassembly.PATIENCE


def test_a_hole_that_was_not_acknowledged_is_waited_for():
    direction = Reassembly()
    direction.begin(0)
    for number in range(1, 100):
        assert direction.receive(10 * number, b"x" * 10) == []
    assert direction.receive(0, b"y" * 10)[0] == b"y" * 10
