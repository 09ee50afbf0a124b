import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerwire.torrent.padding import Padding, sha1_of_zeros

from .conftest import make_sample


def sizes(files, piece_length=16):
    meta = make_sample(files, piece_length).meta
    padding = Padding(meta)
    return [padding.content_size(index) for index in range(meta.num_pieces)]


def test_without_padding_a_piece_is_all_content():
    assert sizes(40) == [16, 16, 8]


def test_padding_at_the_end_of_a_piece_is_none():
    assert sizes([("a", 20, ""), ("x", 12, "p"), ("b", 5, "")]) == [16, 4, 5]


def test_padding_at_the_very_end():
    assert sizes([("a", 20, ""), ("x", 12, "p")]) == [16, 4]
    assert sizes([("a", 20, ""), ("x", 7, "p")]) == [16, 4]


def test_padding_in_parts_is_one():
    assert sizes([("a", 3, ""), ("x", 6, "p"), ("e", 0, ""), ("y", 0, "p"), ("z", 7, "p")]) == [3]


def test_padding_with_content_behind_it_in_its_piece_counts_as_content():
    assert sizes([("a", 3, ""), ("x", 6, "p"), ("b", 7, ""), ("c", 3, "")]) == [16, 3]


def test_pieces_that_are_all_padding():
    files = [("a", 3, ""), ("x", 45, "p"), ("b", 3, ""), ("y", 30, "p")]
    assert sizes(files) == [3, 0, 0, 3, 0, 0]
    assert list(Padding(make_sample(files).meta).pieces()) == [1, 2, 4, 5]


def test_a_piece_that_does_not_exist():
    with pytest.raises(IndexError):
        Padding(make_sample(10).meta).content_size(1)


@given(
    st.lists(st.tuples(st.integers(0, 40), st.booleans()), min_size=1).filter(
        lambda files: sum(length for length, _ in files)
    )
)
def test_the_content_of_a_piece_ends_with_its_last_byte_that_is_no_padding(files):
    named = [(f"f{n}", length, "p" * pad) for n, (length, pad) in enumerate(files)]
    marks = "".join(("p" if pad else "c") * length for length, pad in files)
    pieces = [marks[start : start + 16] for start in range(0, len(marks), 16)]
    assert sizes(named) == [len(piece.rstrip("p")) for piece in pieces]
    padding = Padding(make_sample(named).meta)
    assert list(padding.pieces()) == [n for n, piece in enumerate(pieces) if "c" not in piece]


@pytest.mark.parametrize("size", [0, 1, 256 * 1024, 256 * 1024 + 1, 1_000_000])
def test_the_hash_of_zeros(size):
    assert sha1_of_zeros(size) == hashlib.sha1(bytes(size)).digest()
