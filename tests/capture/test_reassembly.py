"""Segments in any order, any number of times, cut in any way, are one stream."""

import sys
import tracemalloc
from itertools import pairwise

import pytest
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


# What a capture can make us do


def again(count):
    """Single bytes behind a hole, then packets of all of them, captured up to their headers."""
    direction = Reassembly()
    direction.begin(0)
    for number in range(count):
        yield direction.receive(1 + number, b"x")
    for _ in range(count):
        yield direction.receive(1, b"", count)
    yield direction.flush()


def with_holes(numbers, *, acknowledged=False, **options):
    """Single bytes, each with a hole before it."""
    direction = Reassembly(**options)
    direction.begin(0)
    for number in numbers:
        yield direction.receive(2 * number + 1, b"x")
        if acknowledged:
            yield direction.acknowledge(2 * number + 2)
    yield direction.flush()


def filled(count):
    """And packets that fill a few of the holes each."""
    direction = Reassembly()
    direction.begin(0)
    for number in range(count):
        yield direction.receive(2 * number + 1, b"x")
    for number in reversed(range(0, count, 5)):
        yield direction.receive(2 * number, b"y" * 10)
    yield direction.flush()


def operations(parts):
    """How many functions are called, and how much is told."""
    count = told = 0

    def profile(_frame, event, _arg):
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(profile)
    try:
        for some in parts:
            told += len(some)
    finally:
        sys.setprofile(None)
    return count, told


@pytest.mark.parametrize(
    "capture",
    [
        lambda count: with_holes(range(count)),
        lambda count: with_holes(reversed(range(count))),
        lambda count: with_holes(range(count), acknowledged=True),
        lambda count: with_holes(range(count), max_held=4000),
        filled,
        again,
    ],
    ids=["holes", "from the end", "acknowledged", "beyond the bound", "filled", "again"],
)
def test_the_cost_is_linear(capture):
    once, told = operations(capture(300))
    tenfold, told_tenfold = operations(capture(3000))
    assert told >= 300
    assert told_tenfold >= 9 * told
    assert tenfold <= 11 * once  # the square would be a hundred times


def test_what_has_been_told_is_forgotten():
    tracemalloc.start()
    try:
        for parts in with_holes(range(20_000), max_held=4000):
            del parts
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < peak < 100_000
