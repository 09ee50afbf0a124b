import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerwire.pieces import PieceSet
from peerwire.swarm.rarity import PieceBits, Rarity

sizes = st.integers(1, 40)


@given(sizes, st.data())
def test_a_set_as_bits_is_the_sum_of_its_pieces(size, data):
    pieces = data.draw(st.sets(st.integers(0, size - 1)))
    bits = PieceBits(size)
    assert bits.of(PieceSet(size, pieces)) == sum(bits.bit(index) for index in pieces)
    assert bits.all == bits.of(PieceSet.full())


@given(sizes, st.data())
def test_any_piece_of_a_set_may_be_drawn_and_no_other(size, data):
    pieces = data.draw(st.sets(st.integers(0, size - 1), min_size=1))
    bits = PieceBits(size)
    rng = data.draw(st.randoms(use_true_random=False))
    assert bits.any_of(bits.of(PieceSet(size, pieces)), rng) in pieces


@pytest.mark.parametrize("size", [1, 7, 8, 9, 33])
def test_every_piece_is_drawn_about_as_often(size):
    rng, bits = random.Random(1), PieceBits(size)
    drawn = Counter(bits.any_of(bits.all, rng) for _ in range(500 * size))
    assert sorted(drawn) == list(range(size))
    assert max(drawn.values()) < 650


@given(sizes, st.data())
def test_pieces_are_counted(size, data):
    """Against a counter a piece: what is added, what is taken out again, and what is rarest."""
    indices = st.integers(0, size - 1)
    rarity, bits, counts, added = Rarity(), PieceBits(size), Counter(), []
    for _ in range(data.draw(st.integers(0, 12))):
        if added and data.draw(st.booleans()):
            pieces = added.pop(data.draw(st.integers(0, len(added) - 1)))
            rarity.subtract(bits.of(PieceSet(size, pieces)))
            counts.subtract(pieces)
        else:
            pieces = data.draw(st.sets(indices))
            added.append(pieces)
            rarity.add(bits.of(PieceSet(size, pieces)))
            counts.update(pieces)
    candidates = data.draw(st.sets(indices))
    least = min((counts[index] for index in candidates), default=0)
    rarest = {index for index in candidates if counts[index] == least}
    assert rarity.rarest(bits.of(PieceSet(size, candidates))) == bits.of(PieceSet(size, rarest))
    assert rarity.any() == bits.of(PieceSet(size, (i for i in counts if counts[i] > 0)))
