import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from peerwire.pieces import PieceSet

SIZE = 21

indices = st.integers(0, SIZE - 1)
piece_sets = st.builds(
    lambda size, pieces, full: PieceSet(size, pieces) if not full else PieceSet.full(SIZE),
    st.sampled_from([None, SIZE]),
    st.sets(indices),
    st.booleans(),
)


def unsized_full_without(holes):
    pieces = PieceSet.full()
    for index in holes:
        pieces.discard(index)
    return pieces


# What it holds


def test_a_new_set_is_empty():
    pieces = PieceSet(10)
    assert list(pieces) == []
    assert len(pieces) == 0
    assert not pieces
    assert 0 not in pieces


def test_adding_and_discarding():
    pieces = PieceSet(10, [3, 9, 3])
    pieces.discard(9)
    pieces.discard(9)
    pieces.add(0)
    assert list(pieces) == [0, 3]
    assert pieces == {0, 3}
    assert len(pieces) == 2


@pytest.mark.parametrize("index", [-1, 10, 2**32 - 1])
def test_an_index_outside_can_not_be_added_and_is_never_in(index):
    pieces = PieceSet(10)
    with pytest.raises(IndexError, match=f"piece {index} of <PieceSet 0/10>"):
        pieces.add(index)
    assert index not in pieces
    assert index not in PieceSet.full(10)
    pieces.discard(index)
    assert len(pieces) == 0


def test_what_is_no_index_is_not_in():
    assert "3" not in PieceSet.full(10)
    assert None not in PieceSet(10)


def test_a_torrent_can_not_have_fewer_than_no_pieces():
    with pytest.raises(ValueError, match="-1 pieces"):
        PieceSet(-1)


def test_an_iteration_sees_the_pieces_held_when_it_began():
    pieces = PieceSet(10, [1, 2, 8])
    for index in pieces:
        pieces.discard(index)
    assert list(pieces) == []


class LikeASet(RuleBasedStateMachine):
    """A PieceSet and the set that it is to be, through everything that can be done to both.

    Of unknown size it may be endless: then the model is what is below a horizon that nobody looks
    beyond.
    """

    HORIZON = SIZE + 11

    @initialize(size=st.sampled_from([None, SIZE, 8, 0]), full=st.booleans())
    def begin(self, size, full):
        self.pieces = PieceSet.full(size) if full else PieceSet(size)
        self.size = size
        self.endless = full and size is None
        self.model = set(range(self.bound)) if full else set()
        self.twin, self.before = self.pieces.copy(), set(self.model)

    @property
    def bound(self):
        return self.HORIZON if self.size is None else self.size

    def below(self, indices):
        return [index for index in indices if index < self.bound]

    @rule(index=st.integers(-2, SIZE + 2))
    def add(self, index):
        if 0 <= index < self.bound:
            self.pieces.add(index)
            self.model.add(index)
            return
        with pytest.raises(IndexError):
            self.pieces.add(index)

    @rule(index=st.integers(-2, SIZE + 2))
    def discard(self, index):
        self.pieces.discard(index)
        self.model.discard(index)

    @rule(index=st.integers(-2, SIZE + 2))
    def remove(self, index):
        if index in self.model:
            self.pieces.remove(index)
            self.model.remove(index)
            return
        with pytest.raises(KeyError):
            self.pieces.remove(index)

    @rule(indices=st.lists(st.integers(-1, SIZE + 2) | indices, max_size=SIZE + 5))
    def add_new(self, indices):
        if not all(0 <= index < self.bound for index in indices):
            with pytest.raises(IndexError):
                self.pieces.add_new(indices)
            return
        new = [index for index in dict.fromkeys(indices) if index not in self.model]
        assert self.pieces.add_new(indices) == new
        self.model.update(indices)

    @rule(start=indices, length=st.integers(0, SIZE))
    def add_range(self, start, length):
        stop = min(start + length, self.bound)
        self.pieces.add_range(start, stop)
        self.model.update(range(start, stop))

    @rule(
        indices=st.sets(indices), alike=st.booleans(), how=st.sampled_from(["|=", "&=", "-=", "^="])
    )
    def combine(self, indices, alike, how):
        others = set(self.below(indices))
        given = PieceSet(self.size, others) if alike else others
        if self.endless and how in ("&=", "^="):
            return  # what only a set with an end has
        match how:
            case "|=":
                self.pieces |= given
                self.model |= others
            case "&=":
                self.pieces &= given
                self.model &= others
            case "-=":
                self.pieces -= given
                self.model -= others
            case _:
                self.pieces ^= given
                self.model ^= others

    @rule()
    def clear(self):
        self.pieces.clear()
        self.model.clear()
        self.endless = False

    @rule()
    def invert(self):
        if self.size is not None:
            self.pieces = self.pieces.missing
            self.model = set(range(self.size)) - self.model

    @rule()
    def remember(self):
        self.twin, self.before = self.pieces.copy(), set(self.model)

    @rule()
    def go_through_the_wire(self):
        if self.size is not None:
            self.pieces = PieceSet.from_bitfield(bytes(self.pieces), self.size)

    @rule(size=st.sampled_from([SIZE, SIZE + 3]))
    def learn_the_size(self, size):
        if self.size is not None:
            if self.size != size:
                with pytest.raises(ValueError, match="can't become"):
                    self.pieces.set_size(size)
        elif self.endless or max(self.model, default=0) < size:
            self.pieces.set_size(size)
            self.size, self.endless = size, False
            self.model = {index for index in self.model if index < size}
        else:
            with pytest.raises(ValueError, match="is set, and there are"):
                self.pieces.set_size(size)

    @precondition(lambda self: hasattr(self, "pieces"))
    @invariant()
    def is_alike(self):
        pieces, model = self.pieces, self.model
        assert pieces.size == self.size
        assert [i in pieces for i in range(-1, self.bound)] == [
            i in model for i in range(-1, self.bound)
        ]
        assert bool(pieces) is bool(model)
        assert [i in self.twin for i in range(SIZE)] == [i in self.before for i in range(SIZE)]
        if self.endless:
            assert self.HORIZON + 1000 in pieces
            return
        assert self.bound not in pieces
        assert list(pieces) == sorted(model)
        assert len(pieces) == len(model)
        assert pieces == model
        assert pieces == PieceSet(None, model)
        assert pieces.complete is (self.size is not None and len(model) == self.size)


TestLikeASet = LikeASet.TestCase
TestLikeASet.settings = settings(stateful_step_count=30)


@given(piece_sets, piece_sets)
def test_the_operators_are_those_of_sets(a, b):
    left, right = set(a), set(b)
    assert a - b == left - right
    assert a & b == left & right
    assert a | b == left | right
    assert a ^ b == left ^ right
    assert a.isdisjoint(b) is left.isdisjoint(right)
    assert (a == b) is (left == right)
    assert (a <= b) is (left <= right)
    assert set(a) == left, "an operand was changed"
    assert (a - b).size == (b.size if a.size is None else a.size)


@given(piece_sets, st.sets(indices))
def test_the_operators_accept_any_set(a, b):
    left = set(a)
    assert a - b == left - b
    assert a & b == left & b
    assert a | b == left | b
    assert b - a == b - left
    assert a.isdisjoint(b) is left.isdisjoint(b)
    assert (a == b) is (left == b)


@given(st.sets(indices), piece_sets)
def test_have_all_of_unknown_size_works_with_sets_of_known_size(holes, other):
    endless = unsized_full_without(holes)
    known = other | PieceSet(SIZE)
    rest = set(range(SIZE)) - holes
    assert endless - known == rest - set(known)
    assert known - endless == set(known) & holes
    assert endless & known == rest & set(known)
    assert endless | known == rest | set(known)
    assert endless.isdisjoint(known) is rest.isdisjoint(set(known))
    known.update(endless)
    assert known == rest | set(other)


def test_updating_in_place():
    pieces = PieceSet(10, [1])
    same = pieces
    same |= PieceSet(None, [2])
    same |= {3}
    assert pieces == {1, 2, 3}
    with pytest.raises(ValueError, match="the bit of piece 12 is set, and there are 10 pieces"):
        pieces.update(PieceSet(None, [4, 12]))
    assert pieces == {1, 2, 3}


def test_a_set_is_not_equal_to_what_is_no_set():
    assert PieceSet(3, [1]) != [1]
    assert PieceSet.full() != {1}


def test_it_changes_so_it_has_no_hash():
    with pytest.raises(TypeError, match="unhashable"):
        hash(PieceSet(3))


def test_a_copy_is_another_set():
    pieces = PieceSet(10, [1])
    twin = pieces.copy()
    twin.add(2)
    assert list(pieces) == [1]
    assert list(twin) == [1, 2]
    assert twin.size == 10


@pytest.mark.parametrize(("start", "stop"), [(-1, 3), (3, 11)])
def test_a_range_has_to_be_inside(start, stop):
    pieces = PieceSet(10)
    with pytest.raises(IndexError, match=f"pieces {start} to {stop - 1} of <PieceSet 0/10>"):
        pieces.add_range(start, stop)
    assert not pieces


@given(
    st.one_of(st.none(), st.integers(1, 60)),
    st.booleans(),
    st.lists(st.integers(0, 59)),
    st.lists(st.integers(0, 59)),
)
def test_what_is_new_is_told_when_many_are_added(size, full, holes, added):
    pieces = PieceSet.full(size) if full else PieceSet(size)
    for hole in holes:
        pieces.discard(hole)
    before = [index for index in range(60) if index in pieces]
    if size is not None and any(index >= size for index in added):
        with pytest.raises(IndexError):
            pieces.add_new(added)
        assert [index for index in range(60) if index in pieces] == before
        return
    new = pieces.add_new(added)
    assert new == [index for index in dict.fromkeys(added) if index not in before]
    assert [index for index in range(60) if index in pieces] == sorted({*before, *added})


def test_of_many_none_is_negative():
    pieces = PieceSet(10)
    with pytest.raises(IndexError, match="pieces -1 to 3"):
        pieces.add_new([3, -1])
    assert not pieces


def test_many_complete_a_set():
    pieces = PieceSet(10)
    assert pieces.add_new(range(9)) == [*range(9)]
    assert pieces.add_new([3, 9, 9]) == [9]
    assert pieces.complete
    assert pieces == PieceSet.full(10)


def test_a_range_grows_a_set_of_unknown_size():
    pieces = PieceSet()
    pieces.add_range(7, 7)
    pieces.add_range(7, 17)
    assert list(pieces) == list(range(7, 17))


# The wire's bitfield


def test_the_high_bit_of_the_first_byte_is_piece_0():
    assert bytes(PieceSet(10, [0, 7, 8])) == b"\x81\x80"
    assert list(PieceSet.from_bitfield(b"\x81\x80", 10)) == [0, 7, 8]


def test_a_full_bitfield_has_no_spare_bits():
    assert bytes(PieceSet.full(10)) == b"\xff\xc0"
    assert PieceSet.from_bitfield(b"\xff\xc0", 10).complete


@pytest.mark.parametrize("data", [b"", b"\x80", b"\x80\0\0"])
def test_a_bitfield_of_another_length_is_refused(data):
    with pytest.raises(ValueError, match=f"bitfield of {len(data)} bytes, where 10 pieces take 2"):
        PieceSet.from_bitfield(data, 10)


@pytest.mark.parametrize(("data", "piece"), [(b"\0\x20", 10), (b"\xff\xff", 15), (b"\0\x11", 15)])
def test_spare_bits_are_refused(data, piece):
    with pytest.raises(ValueError, match=f"the bit of piece {piece} is set, and there are 10"):
        PieceSet.from_bitfield(data, 10)


def test_the_bytes_of_a_bitfield_are_copied():
    data = bytearray(b"\x80")
    pieces = PieceSet.from_bitfield(memoryview(data), 8)
    data[0] = 0
    assert pieces == {0}


def test_no_bitfield_without_the_piece_count():
    with pytest.raises(ValueError, match="piece count is not known"):
        bytes(PieceSet(None, [3]))


# The size becomes known


def test_a_set_of_unknown_size_grows_and_then_settles():
    pieces = PieceSet()
    assert pieces.size is None
    pieces.add(100)
    assert not pieces.complete
    pieces.set_size(101)
    assert pieces.size == 101
    assert bytes(pieces) == bytes(12) + b"\x08"
    pieces.set_size(101)


def test_a_set_that_was_wider_than_its_size_is_cut_to_it():
    pieces = PieceSet(None, [0, 24])
    pieces &= {0}
    pieces.set_size(21)
    assert bytes(pieces) == b"\x80\0\0"
    assert list(pieces) == [0]
    assert list(pieces | {20}) == [0, 20]


def test_a_piece_beyond_the_size_is_found_when_the_size_is():
    pieces = PieceSet(None, [3, 100, 100_000])
    with pytest.raises(ValueError, match="the bit of piece 100000 is set, and there are 50 pieces"):
        pieces.set_size(50)
    assert pieces.size is None
    assert pieces == {3, 100, 100_000}


def test_a_bitfield_is_judged_when_the_size_is_known():
    assert PieceSet.from_bitfield(b"\x80\0", None) == {0}
    with pytest.raises(ValueError, match="bitfield of 2 bytes, where 17 pieces take 3"):
        PieceSet.from_bitfield(b"\x80\0", None).set_size(17)
    with pytest.raises(ValueError, match="bitfield of 2 bytes"):
        PieceSet.from_bitfield(b"\x80\0", None).copy().set_size(17)
    with pytest.raises(ValueError, match="the bit of piece 9"):
        PieceSet.from_bitfield(b"\x80\x40", None).set_size(9)
    late = PieceSet.from_bitfield(b"\x80\0", None)
    late.add(8)
    late.set_size(9)
    assert bytes(late) == b"\x80\x80"


def test_only_the_set_of_a_bitfield_remembers_its_length():
    pieces = PieceSet.from_bitfield(b"\x80\0", None)
    pieces.missing.set_size(3)
    pieces.clear()
    pieces.set_size(3)
    assert pieces.size == 3


@pytest.mark.parametrize("size", [11, 0, -1])
def test_a_known_size_does_not_change(size):
    with pytest.raises(ValueError, match=f"<PieceSet 0/10> can't become {size}"):
        PieceSet(10).set_size(size)


def test_an_unknown_size_does_not_become_negative():
    with pytest.raises(ValueError, match="can't become -1"):
        PieceSet().set_size(-1)


def test_have_all_before_the_size_is_known():
    pieces = PieceSet.full()
    assert pieces
    assert pieces.complete
    assert 2**40 in pieces
    pieces.add(3)
    with pytest.raises(ValueError, match="not known yet"):
        len(pieces)
    with pytest.raises(ValueError, match="not known yet"):
        list(pieces)
    pieces.set_size(10)
    assert list(pieces) == list(range(10))
    assert pieces.complete


def test_have_all_but_one_before_the_size_is_known():
    pieces = PieceSet.full()
    pieces.discard(3)
    pieces.discard(30)
    assert not pieces.complete
    assert 3 not in pieces
    assert list(pieces.missing) == [3, 30]
    pieces.add(30)
    pieces.add(30)
    pieces.set_size(5)
    assert list(pieces) == [0, 1, 2, 4]


def test_have_all_stays_without_end_until_the_size_is_known():
    pieces = unsized_full_without([3, 4, 5])
    pieces.add_range(4, 5)
    union = pieces | PieceSet(None, [5])
    assert repr(union) == "<PieceSet all but 1/?>"
    assert pieces != union
    union.set_size(6)
    assert list(union) == [0, 1, 2, 4, 5]


def test_a_hole_beyond_the_size_is_none():
    pieces = PieceSet.full()
    pieces.discard(30)
    pieces.set_size(5)
    assert pieces.complete
    assert len(pieces) == 5


def test_have_all_of_nothing():
    pieces = PieceSet.full(0)
    assert not pieces
    assert pieces.complete
    assert list(pieces) == []
    assert bytes(pieces) == b""
    assert pieces == PieceSet(0) == set()
    assert PieceSet(0).complete
    assert not pieces.missing


# What it costs


@pytest.mark.parametrize("pieces", [PieceSet(), PieceSet(2**20), PieceSet.full(2**20)])
def test_an_empty_or_complete_set_holds_no_bits(pieces):
    slots = [getattr(pieces, slot) for slot in PieceSet.__slots__]
    assert sum(sys.getsizeof(value) for value in slots) < 256


def test_a_set_that_completes_gives_its_bits_back():
    pieces = PieceSet(4096)
    for index in range(4096):
        pieces.add(index)
    assert pieces.complete
    assert sum(sys.getsizeof(getattr(pieces, slot)) for slot in PieceSet.__slots__) < 256
    pieces.discard(7)
    assert pieces == set(range(4096)) - {7}


@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        (PieceSet(1313, range(12)), "<PieceSet 12/1313>"),
        (PieceSet.full(5), "<PieceSet 5/5>"),
        (PieceSet(None, [1]), "<PieceSet 1/?>"),
        (PieceSet.full(), "<PieceSet all/?>"),
        (unsized_full_without([4]), "<PieceSet all but 1/?>"),
    ],
)
def test_its_repr_is_short(pieces, text):
    assert repr(pieces) == text
