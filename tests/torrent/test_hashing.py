"""Asking for hashes and answering: what the one lists, the other serves, and it is verified."""

from __future__ import annotations

import dataclasses
import functools
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerwire.errors import LocalProtocolError, MetainfoError, RemoteProtocolError
from peerwire.framing import Framing
from peerwire.hashes import HashRange, check, expected_hashes
from peerwire.torrent.hashing import (
    HASHES_AT_ONCE,
    HashServer,
    layer_requests,
    leaf_requests,
    verified,
)
from peerwire.torrent.merkle import MerkleTree, layer, pad_hash, piece_layer, root

KIB = 1024
BLOCK = 16 * KIB

#: Leaves for files of any content: what they are the hashes of does not matter here.
LEAVES = b"".join(sha256(b"%d" % n).digest() for n in range(2100))

sizes = st.sampled_from([1, 2, 3, 4, 5, 511, 512, 513, 1024, 1025, 2100]) | st.integers(1, 2100)
piece_lengths = st.sampled_from([BLOCK << n for n in range(6)])


@functools.cache
def whole(blocks):
    """The tree of a file of so many blocks, with everything in it."""
    return MerkleTree(LEAVES[: 32 * blocks])


def from_torrent(blocks, piece_length):
    """The same as far as a .torrent has it."""
    tree = whole(blocks)
    held = piece_layer(piece_length)
    pieces = tree.layer(held) if held < tree.height else b""
    return MerkleTree.from_piece_layer(tree.root, pieces, piece_length, blocks * BLOCK)


def leaves_for(server, asked, tree, piece_length):
    """What a seeder hashes to answer a request: the leaves of these pieces."""
    pieces = server.pieces(asked)
    per_piece = 32 * piece_length // BLOCK
    return LEAVES[: 32 * tree.num_leaves][pieces.start * per_piece : pieces.stop * per_piece]


# A whole layer


@given(sizes, st.integers(0, 8))
def test_a_layer_is_asked_for_answered_and_verified(blocks, base_layer):
    tree = whole(blocks)
    server = HashServer([tree])
    length = blocks * BLOCK
    gathered = b""
    for asked in layer_requests(tree.root, base_layer, length):
        check(asked, height=tree.height, max_length=HASHES_AT_ONCE)
        assert len(server.pieces(asked)) == 0
        gathered += verified(asked, server.answer(asked), length)
    assert gathered == (tree.layer(base_layer) if base_layer < tree.height else b"")


def test_a_layer_is_asked_for_in_parts_with_their_proofs():
    length = 1100 * 64 * KIB - 1
    assert list(layer_requests(bytes(32), 2, length)) == [
        HashRange(bytes(32), 2, 0, 512, 10),
        HashRange(bytes(32), 2, 512, 512, 10),
        HashRange(bytes(32), 2, 1024, 128, 10),
    ]


@pytest.mark.parametrize(("blocks", "width"), [(3, 4), (4, 4), (300, 512), (512, 512)])
def test_a_layer_that_fits_one_request_needs_no_proof(blocks, width):
    (asked,) = layer_requests(bytes(32), 0, blocks * BLOCK - 1)
    assert asked == HashRange(bytes(32), 0, 0, width, 0)


@pytest.mark.parametrize(("base_layer", "length"), [(0, 0), (0, 1), (0, BLOCK), (2, 4 * BLOCK)])
def test_of_the_root_there_is_nothing_to_ask(base_layer, length):
    assert list(layer_requests(bytes(32), base_layer, length)) == []


def test_a_file_may_be_larger_than_any_list():
    requests = layer_requests(bytes(32), 0, 1 << 45)
    assert next(requests) == HashRange(bytes(32), 0, 0, 512, 30)


# The blocks of a piece


@given(sizes, piece_lengths, st.data())
def test_the_blocks_of_a_piece_are_asked_for_answered_and_verified(blocks, piece_length, data):
    tree = from_torrent(blocks, piece_length)
    server = HashServer([tree])
    length = blocks * BLOCK - data.draw(st.integers(0, BLOCK - 1))
    per_piece = piece_length // BLOCK
    index = data.draw(st.integers(0, -(-blocks // per_piece) - 1))
    gathered = b""
    first = None
    for asked in leaf_requests(tree.root, length, piece_length, index):
        check(asked, height=tree.height, max_length=HASHES_AT_ONCE)
        first = asked.index if first is None else first
        leaves = leaves_for(server, asked, tree, piece_length)
        gathered += verified(asked, server.answer(asked, leaves), length)
    expected = LEAVES[: 32 * blocks][index * per_piece * 32 :][: per_piece * 32]
    if tree.height == 0:
        assert gathered == b""  # one block, whose hash is the root
    else:
        assert gathered[(index * per_piece - first) * 32 :][: len(expected)] == expected


def test_the_blocks_of_a_long_piece_are_asked_for_in_parts():
    requests = leaf_requests(bytes(32), 32 * KIB * KIB, 16 * KIB * KIB, 1)
    assert list(requests) == [HashRange(bytes(32), 0, index, 512, 10) for index in (1024, 1536)]


def test_the_last_piece_is_asked_for_as_short_as_it_is():
    requests = leaf_requests(bytes(32), 64 * KIB + 3 * BLOCK, 64 * KIB, 1)
    assert list(requests) == [HashRange(bytes(32), 0, 4, 4, 2)]
    requests = leaf_requests(bytes(32), 64 * KIB + 1, 64 * KIB, 1)
    assert list(requests) == [HashRange(bytes(32), 0, 4, 2, 2)]


@pytest.mark.parametrize("index", [-1, 2])
def test_a_piece_has_to_be_there(index):
    with pytest.raises(IndexError, match=f"piece {index} of 2"):
        leaf_requests(bytes(32), 40 * KIB, 32 * KIB, index)
    with pytest.raises(MetainfoError, match="a v2 piece length"):
        leaf_requests(bytes(32), 40 * KIB, 40 * KIB, 0)


# Wrong answers


@given(sizes.filter(lambda blocks: blocks > 1), st.integers(0, 4), st.data())
def test_one_wrong_bit_is_found(blocks, base_layer, data):
    tree = whole(blocks)
    requests = list(layer_requests(tree.root, min(base_layer, tree.height - 1), blocks * BLOCK))
    asked = data.draw(st.sampled_from(requests))
    hashes = HashServer([tree]).answer(asked)
    which = data.draw(st.integers(0, len(hashes) - 1))
    wrong = bytearray(hashes[which])
    wrong[data.draw(st.integers(0, 31))] ^= 1 << data.draw(st.integers(0, 7))
    hashes[which] = bytes(wrong)
    with pytest.raises(RemoteProtocolError, match="do not lead to the root") as error:
        verified(asked, hashes, blocks * BLOCK)
    assert error.value.rule == "BEP 52, pieces root"


@pytest.mark.parametrize("change", [lambda h: h[:-1], lambda h: [*h, h[0]], lambda h: []])
def test_too_many_or_too_few_hashes(change):
    tree = whole(1025)
    asked = next(layer_requests(tree.root, 0, 1025 * BLOCK))
    with pytest.raises(RemoteProtocolError, match="hashes answer a range of 514"):
        verified(asked, change(HashServer([tree]).answer(asked)), 1025 * BLOCK)


# Rejects


@pytest.mark.parametrize(
    "asked",
    [
        HashRange(bytes(32), 2, 0, 2, 0),  # no file of ours
        HashRange(root(LEAVES[: 32 * 64]), 2, 0, 3, 0),
        HashRange(root(LEAVES[: 32 * 64]), 2, 16, 2, 0),
        HashRange(root(LEAVES[: 32 * 64]), 2, 0, 2, 4),
        HashRange(root(LEAVES[: 32 * 64]), 6, 0, 2, 0),
        HashRange(root(LEAVES[: 32 * 64]), 1, 0, 2, 0),  # neither the leaves nor the pieces
    ],
)
def test_what_is_rejected_costs_nothing(asked):
    server = HashServer([from_torrent(64, 64 * KIB)])
    assert len(server.pieces(asked)) == 0
    assert server.answer(asked) is None


def test_blocks_are_rejected_where_nobody_hashes_the_content():
    tree = from_torrent(64, 64 * KIB)
    (asked,) = leaf_requests(tree.root, 64 * BLOCK, 64 * KIB, 3)
    server = HashServer([tree])
    assert server.pieces(asked) == range(3, 4)
    assert server.answer(asked) is None
    assert server.answer(asked, LEAVES[12 * 32 : 16 * 32]) is not None
    assert server.answer(asked) is None, "the leaves are forgotten"


@pytest.mark.parametrize(
    ("piece_length", "served"), [(BLOCK * 2, 512), (BLOCK * 512, 512), (BLOCK * 1024, 1024)]
)
def test_no_more_is_hashed_than_a_piece_or_some_blocks(piece_length, served):
    tree = from_torrent(2100, piece_length)
    server = HashServer([tree])
    pieces = server.pieces(HashRange(tree.root, 0, 0, served, 0))
    assert len(pieces) * piece_length == served * BLOCK
    assert len(server.pieces(HashRange(tree.root, 0, 0, 2 * served, 0))) == 0


def test_content_that_is_not_the_files_is_not_served():
    tree = from_torrent(64, 64 * KIB)
    (asked,) = leaf_requests(tree.root, 64 * BLOCK, 64 * KIB, 3)
    with pytest.raises(LocalProtocolError, match="the content is not the file's"):
        HashServer([tree]).answer(asked, LEAVES[: 4 * 32])
    with pytest.raises(MetainfoError, match="hashes have 32 bytes each"):
        HashServer([tree]).answer(asked, LEAVES[:33])


def test_padding_is_served_without_content():
    tree = from_torrent(33, 16 * BLOCK)
    asked = HashRange(tree.root, 0, 48, 16, 5)
    server = HashServer([tree])
    assert len(server.pieces(asked)) == 0
    hashes = server.answer(asked)
    assert hashes[:16] == [pad_hash(0)] * 16
    assert hashes[16:] == [layer(LEAVES[32 * 32 : 33 * 32], 4), layer(LEAVES[: 32 * 32], 5)]


def test_each_file_has_its_own_tree():
    trees = [whole(5), whole(6)]
    server = HashServer(trees)
    for tree in trees:
        asked = HashRange(tree.root, 0, 0, 8, 0)
        real = 32 * tree.num_leaves
        assert b"".join(server.answer(asked))[:real] == LEAVES[:real]


# What libtorrent 2.1 asked another for a v2 magnet link, and got: a file of 65,537 bytes in pieces
# of 32 KiB.

CAPTURED_REQUEST = bytes.fromhex(
    "0000003115 06f5e146d30d6f40721ef4260832781e47ad5bf1cafbb4b0b065bf1d56e3bf29"
    "00000001 00000000 00000004 00000001"
)
CAPTURED_HASHES = bytes.fromhex(
    "000000b116 06f5e146d30d6f40721ef4260832781e47ad5bf1cafbb4b0b065bf1d56e3bf29"
    "00000001 00000000 00000004 00000001"
    "1e3f8249c9df523460619b99c0d60e1a952b4a3aa6e3382174fbb24ee444ea81"
    "25a14f7141dc317fcef44dbe36b5d40f5b697d3ece74bc65defbe80530afaec4"
    "3bbd805024cd75f65954d0ada4b5e5c9f13bf196eb8db488228dde1b3fd41cb3"
    "f5a5fd42d16a20302798ef6ed309979b43003d2320d9f0e8ea9831a92759fb4b"
)


def test_what_libtorrent_asked_and_answered():
    request, hashes = Framing(1000).receive(CAPTURED_REQUEST + CAPTURED_HASHES)
    assert request.range == hashes.range == HashRange(request.range.pieces_root, 1, 0, 4, 1)
    assert request.encode() + hashes.encode() == CAPTURED_REQUEST + CAPTURED_HASHES
    pieces = verified(request.range, hashes.hashes, 65_537)
    assert pieces == b"".join(hashes.hashes[:3])
    tree = MerkleTree.from_piece_layer(request.range.pieces_root, pieces, 32 * KIB, 65_537)
    assert HashServer([tree]).answer(request.range) == hashes.hashes


@pytest.mark.parametrize(
    ("payload", "length"),
    [
        ("3daa9532e5d38728fa5efee1bc9e9e294cd95202af68937579add5c38d61c641 20 04", 999_983),
        ("88d94e69cde81f7c2cc099e621234ce0e2c26a53475767dfaf0263524d883fc5 80 06", 3_333_333),
    ],
)
def test_what_libtorrent_asks_is_what_we_ask_but_for_a_proof_that_has_no_hashes(payload, length):
    pieces_root, width, proof_layers = map(bytes.fromhex, payload.split())
    (ours,) = layer_requests(pieces_root, 1, length)
    theirs = HashRange(pieces_root, 1, 0, width[0], proof_layers[0])
    assert ours == dataclasses.replace(theirs, proof_layers=0)
    assert expected_hashes(ours) == expected_hashes(theirs) == width[0]
