"""Who lied is known once a piece is right, and nobody is suspected without proof."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from peerwire.swarm.evidence import Evidence
from peerwire.swarm.picker import Block

SIZE = 10


def cut(index, count):
    return [Block(index, number * SIZE, SIZE) for number in range(count)]


def piece(*blocks):
    return memoryview(b"".join(bytes([byte]) * SIZE for byte in blocks))


def test_who_sent_the_wrong_block_is_named_and_nobody_else():
    evidence = Evidence()
    evidence.corrupt(3, piece(1, 9, 3), dict(zip(cut(3, 3), "abc", strict=True)))
    assert evidence.verified(3, piece(1, 2, 3)) == ["b"]


def test_each_is_named_once_and_from_every_attempt():
    evidence = Evidence()
    evidence.corrupt(0, piece(9, 2, 9), dict(zip(cut(0, 3), "aba", strict=True)))
    evidence.corrupt(0, piece(1, 2, 8), dict(zip(cut(0, 3), "bbc", strict=True)))
    assert evidence.verified(0, piece(1, 2, 3)) == ["a", "c"]


def test_of_a_piece_that_never_failed_nothing_is_known():
    evidence = Evidence()
    evidence.corrupt(0, piece(9), {Block(0, 0, SIZE): "a"})
    assert evidence.verified(1, piece(1)) == []
    assert len(evidence) == 1


def test_a_verdict_is_given_once():
    evidence = Evidence()
    evidence.corrupt(0, piece(9), {Block(0, 0, SIZE): "a"})
    assert evidence.verified(0, piece(1)) == ["a"]
    assert evidence.verified(0, piece(1)) == []
    assert len(evidence) == 0


def test_the_last_block_may_be_shorter():
    evidence = Evidence()
    blocks = {Block(0, 0, SIZE): "a", Block(0, SIZE, 3): "b"}
    evidence.corrupt(0, memoryview(bytes(SIZE) + b"bad"), blocks)
    assert evidence.verified(0, memoryview(bytes(SIZE) + b"ok!")) == ["b"]


def test_no_more_is_remembered_than_the_bound():
    evidence = Evidence(max_blocks=4)
    for index in range(100):
        evidence.corrupt(index, piece(9, 9), dict.fromkeys(cut(index, 2), "a"))
        assert len(evidence) <= 4
    assert evidence.verified(97, piece(1, 1)) == []  # forgotten
    assert evidence.verified(98, piece(1, 1)) == ["a"]
    assert evidence.verified(99, piece(1, 1)) == ["a"]


def test_a_piece_larger_than_the_bound_is_remembered_alone():
    evidence = Evidence(max_blocks=4)
    evidence.corrupt(0, piece(9, 9), dict.fromkeys(cut(0, 2), "a"))
    evidence.corrupt(1, piece(*range(8)), dict.fromkeys(cut(1, 8), "b"))
    assert len(evidence) == 8
    assert evidence.verified(0, piece(1, 1)) == []
    assert evidence.verified(1, piece(*[9] * 8)) == ["b"]


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.booleans()), min_size=1, max_size=20))
def test_the_guilty_are_exactly_those_who_lied(sent):
    evidence = Evidence()
    right = range(len(sent))
    came = [byte + 100 if lie else byte for byte, (_, lie) in zip(right, sent, strict=True)]
    senders = dict(zip(cut(0, len(sent)), (who for who, _ in sent), strict=True))
    evidence.corrupt(0, piece(*came), senders)
    assert set(evidence.verified(0, piece(*right))) == {who for who, lie in sent if lie}
