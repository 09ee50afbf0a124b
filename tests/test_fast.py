from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerwire.errors import LocalProtocolError
from peerwire.fast import allowed_fast_set

HASH = b"\xaa" * 20
#: BEP 6, example implementation: 1313 pieces, 80.4.4.200
EXAMPLE = [1059, 431, 808, 1217, 287, 376, 1188, 353, 508]

info_hashes = st.binary(min_size=20, max_size=20)
addresses = st.ip_addresses().map(str)


@pytest.mark.parametrize("count", [7, 9])
def test_the_example_of_the_specification(count):
    assert allowed_fast_set(1313, HASH, "80.4.4.200", count) == EXAMPLE[:count]
    assert allowed_fast_set(1313, HASH, bytes([80, 4, 4, 200]), count) == EXAMPLE[:count]


def test_ten_by_default():
    pieces = allowed_fast_set(1313, HASH, "80.4.4.200")
    assert len(pieces) == 10
    assert pieces[:9] == EXAMPLE


@given(st.integers(0, 40), info_hashes, addresses, st.integers(-1, 40))
def test_as_many_different_pieces_as_there_are(num_pieces, info_hash, ip, count):
    pieces = allowed_fast_set(num_pieces, info_hash, ip, count)
    assert len(pieces) == len(set(pieces)) == max(0, min(count, num_pieces))
    assert set(pieces) <= set(range(num_pieces))
    assert allowed_fast_set(num_pieces, info_hash, ip, 40)[: len(pieces)] == pieces


@pytest.mark.parametrize("num_pieces", [-1, 0])
def test_no_pieces_no_set(num_pieces):
    assert allowed_fast_set(num_pieces, HASH, "80.4.4.200") == []


def test_one_network_has_one_set():
    assert allowed_fast_set(1313, HASH, "80.4.4.1", 9) == EXAMPLE
    assert allowed_fast_set(1313, HASH, "80.4.5.200", 9) != EXAMPLE
    line = allowed_fast_set(1313, HASH, "2001:db8:7:1::1")
    assert allowed_fast_set(1313, HASH, "2001:db8:7:ffff::2") == line
    assert allowed_fast_set(1313, HASH, "2001:db8:8:1::1") != line


def test_an_ipv6_address_is_hashed_as_16_bytes_with_the_first_48_bits_kept():
    digest = hashlib.sha1(bytes.fromhex("20010db80007") + bytes(10) + HASH).digest()
    first = [int.from_bytes(digest[at : at + 4]) % 10**6 for at in range(0, 20, 4)]
    assert allowed_fast_set(10**6, HASH, "2001:db8:7:1::1", 5) == first


def test_an_ipv4_mapped_address_is_the_ipv4_address():
    assert allowed_fast_set(1313, HASH, "::ffff:80.4.4.200", 9) == EXAMPLE


def test_what_is_no_address_or_info_hash_is_refused():
    with pytest.raises(LocalProtocolError, match="is no IP address"):
        allowed_fast_set(1313, HASH, "peer.example")
    with pytest.raises(LocalProtocolError, match="20 bytes, not 32"):
        allowed_fast_set(1313, b"\xaa" * 32, "80.4.4.200")
