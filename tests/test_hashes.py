from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerwire.errors import LocalProtocolError, RemoteProtocolError
from peerwire.hashes import (
    MAX_HASHES,
    RANGE_LENGTH,
    HashRange,
    broken_rule,
    check,
    expected_hashes,
    tree_height,
)

ROOT = bytes(range(32))

numbers = st.integers(0, 2**32 - 1)
small = st.integers(0, 40)
roots = st.binary(min_size=32, max_size=32)
ranges = st.builds(HashRange, roots, numbers, numbers, numbers, numbers)
likely_ranges = st.builds(
    HashRange, roots, small, small, small | st.sampled_from([64, 512, 8192, 16384]), small
)


def asked(base_layer=0, index=0, length=2, proof_layers=0):
    return HashRange(ROOT, base_layer, index, length, proof_layers)


@st.composite
def valid_ranges(draw):
    """A tree's height, and a range of it that the text allows."""
    height = draw(st.integers(1, 36))
    base = draw(st.integers(0, height - 1))
    log_length = draw(st.integers(1, min(height - base, 13)))
    index = draw(st.integers(0, (1 << height - base - log_length) - 1)) << log_length
    # An index that does not fit the message belongs to a file of more than 64 TiB.
    proof_layers = draw(st.integers(0, height - base - 1))
    return height, HashRange(ROOT, base, index % 2**32, 1 << log_length, proof_layers)


# On the wire


def test_the_layout():
    data = asked(1, 0x20, 0x10, 4).encode()
    assert data == ROOT + bytes.fromhex("00000001 00000020 00000010 00000004")
    assert len(data) == RANGE_LENGTH == 48


@given(ranges)
def test_what_is_encoded_is_decoded(request_):
    assert HashRange.decode(request_.encode()) == request_
    assert HashRange.decode(memoryview(request_.encode())) == request_


@given(st.binary(min_size=48, max_size=48))
def test_any_48_bytes_are_a_range(data):
    assert HashRange.decode(data).encode() == data


@pytest.mark.parametrize("size", [0, 47, 49, 80])
def test_other_lengths_are_none(size):
    with pytest.raises(RemoteProtocolError, match=f"has 48 bytes, not {size} .*BEP 52"):
        HashRange.decode(bytes(size))


@pytest.mark.parametrize("root", [b"", bytes(20), bytes(33)])
def test_a_root_has_32_bytes(root):
    with pytest.raises(LocalProtocolError, match=f"has 32 bytes, not {len(root)}"):
        HashRange(root, 0, 0, 2, 0)


@pytest.mark.parametrize("number", [-1, 2**32])
@pytest.mark.parametrize("field", ["base_layer", "index", "length", "proof_layers"])
def test_numbers_have_32_bits(field, number):
    with pytest.raises(LocalProtocolError, match=f"{number} does not fit 32 bits"):
        asked(**{field: number})


def test_a_range_is_a_few_words():
    assert str(asked(1, 0x20, 0x10, 4)) == "layer 1 32+16 proof 4 of 00010203"


# The tree


@pytest.mark.parametrize(
    ("num_leaves", "height"),
    [(0, 0), (1, 0), (2, 1), (3, 2), (4, 2), (5, 3), (512, 9), (513, 10), (2**36, 36)],
)
def test_a_tree_is_filled_up_to_a_power_of_two(num_leaves, height):
    assert tree_height(num_leaves) == height


# The rules


@pytest.mark.parametrize("length", [0, 1, 3, 6, 48, 511, 2**32 - 1])
def test_the_length_is_a_power_of_two_from_2_on(length):
    with pytest.raises(RemoteProtocolError, match=f"length {length} is not a power of two"):
        check(asked(length=length), height=20)


def test_the_length_is_bounded():
    check(asked(length=MAX_HASHES), height=20)
    with pytest.raises(RemoteProtocolError, match="length 16384 is above 8192"):
        check(asked(length=2 * MAX_HASHES), height=20)
    check(asked(length=512), height=20, max_length=512)
    with pytest.raises(RemoteProtocolError, match="length 1024 is above 512"):
        check(asked(length=1024), height=20, max_length=512)


@pytest.mark.parametrize("index", [1, 2, 4, 12])
def test_the_index_is_a_multiple_of_the_length(index):
    with pytest.raises(RemoteProtocolError, match=f"index {index} is not a multiple of"):
        check(asked(index=index, length=8), height=10)


@pytest.mark.parametrize(("base_layer", "height"), [(3, 3), (4, 3), (2**32 - 1, 3), (0, 0)])
def test_the_base_layer_has_two_hashes(base_layer, height):
    with pytest.raises(RemoteProtocolError, match=f"layer {base_layer} has no two hashes"):
        check(asked(base_layer), height=height)


@pytest.mark.parametrize(("index", "length"), [(0, 16), (8, 8), (8, 2), (2**32 - 2, 2)])
def test_the_hashes_are_in_the_layer(index, length):
    with pytest.raises(RemoteProtocolError, match=f"hashes {index}\\+{length} of a layer of 8"):
        check(asked(2, index, length), height=5)


@pytest.mark.parametrize("proof_layers", [3, 4, 2**32 - 1])
def test_the_proof_ends_below_the_root(proof_layers):
    check(asked(2, proof_layers=2), height=5)
    with pytest.raises(RemoteProtocolError, match=f"{proof_layers} proof layers above layer 2"):
        check(asked(2, proof_layers=proof_layers), height=5)


@given(valid_ranges())
def test_what_the_text_allows_is_accepted(valid):
    height, request_ = valid
    check(request_, height=height)
    assert broken_rule(request_, height=height) is None
    assert broken_rule(request_) is None


def test_where_the_file_is_not_known_its_tree_may_be_the_highest():
    assert broken_rule(asked(61, proof_layers=1)) is None
    assert broken_rule(asked(61, proof_layers=2)) == (
        "2 proof layers above layer 61 reach the root of a tree of height 63"
    )
    assert broken_rule(asked(length=2 * MAX_HASHES)) == "the length 16384 is above 8192"


@given(likely_ranges, small)
def test_what_is_accepted_is_what_the_text_allows(request_, height):
    allowed = (
        request_.length in [2**n for n in range(1, 14)]
        and request_.index % request_.length == 0
        and request_.base_layer + request_.proof_layers <= height - 1
        and request_.index + request_.length <= 2 ** max(height - request_.base_layer, 0)
    )
    try:
        check(request_, height=height)
    except RemoteProtocolError:
        assert not allowed
    else:
        assert allowed


# The answer


@pytest.mark.parametrize(
    ("length", "proof_layers", "hashes"),
    [
        # As libtorrent answers: 1024, 4096 and 128 bytes of hashes.
        (32, 4, 32),
        (128, 6, 128),
        (4, 1, 4),
        (2, 0, 2),
        (2, 1, 3),
        (2, 5, 7),
        (4, 2, 5),
        (8, 1, 8),
        (512, 8, 512),
        (512, 9, 513),
    ],
)
def test_as_many_hashes_answer(length, proof_layers, hashes):
    assert expected_hashes(asked(length=length, proof_layers=proof_layers)) == hashes


@given(valid_ranges())
def test_a_proof_layer_whose_children_are_all_there_is_left_out(valid):
    _, request_ = valid
    inside, uncles = request_.length, 0
    for _ in range(request_.proof_layers):
        inside //= 2  # hashes of this layer that follow from those asked for
        uncles += inside <= 1
    assert expected_hashes(request_) == request_.length + uncles
