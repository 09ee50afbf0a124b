from __future__ import annotations

import functools
import random
from hashlib import sha256

import libtorrent as lt
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from peerwire.bencode import decode
from peerwire.errors import LocalProtocolError, MetainfoError, RemoteProtocolError
from peerwire.torrent.merkle import (
    MAX_HEIGHT,
    MerkleTree,
    block_hashes,
    layer,
    pad_hash,
    piece_layer,
    root,
    verify,
)

KIB = 1024
BLOCK = 16 * KIB

#: What every file here begins with. No two blocks are the same.
POOL = random.Random(52).randbytes(129 * BLOCK + 1)

PIECE_LENGTHS = [BLOCK << n for n in range(7)]  # 16 KiB to 1 MiB
EDGES = sorted(
    {1, BLOCK - 1, BLOCK, BLOCK + 1}
    | {
        ((1 << n) + blocks) * BLOCK + odd
        for n in (2, 3, 6)
        for blocks in (-1, 0, 1)
        for odd in (0, 1)
    }
    | {128 * BLOCK - 1, 128 * BLOCK, 128 * BLOCK + 1}
)

lengths = st.sampled_from(EDGES) | st.integers(1, len(POOL))
piece_lengths = st.sampled_from(PIECE_LENGTHS)


@functools.cache
def leaves_of(length):
    return block_hashes(POOL[:length])


def split(hashes):
    return [hashes[at : at + 32] for at in range(0, len(hashes), 32)]


def full_tree(leaves):
    """All layers with all of their padding, the plain way."""
    layers = [split(leaves)]
    while len(layers[0]).bit_count() != 1:
        layers[0].append(bytes(32))
    while len(layers[-1]) > 1:
        pairs = zip(layers[-1][::2], layers[-1][1::2], strict=True)
        layers.append([sha256(left + right).digest() for left, right in pairs])
    return layers


def plain_proof(layers, base_layer, index, length, proof_layers):
    """The text, word for word: leave out a layer if its children are all there."""
    hashes = layers[base_layer][index : index + length]
    start, there = index, length
    for above in layers[base_layer + 1 : base_layer + 1 + proof_layers]:
        omitted = there > 2
        start, there = start // 2, there // 2
        if not omitted:
            hashes.append(above[start ^ 1])
            start, there = start // 2 * 2, 2  # with its sibling, a pair again
    return hashes


def plain_ranges(height):
    """Every range of a tree that the text allows."""
    for base in range(height):
        for log_length in range(1, height - base + 1):
            for index in range(0, 1 << height - base, 1 << log_length):
                for proof_layers in range(height - base):
                    yield base, index, 1 << log_length, proof_layers


@st.composite
def proven(draw, least=BLOCK + 1):
    """A tree and a range of it whose proof leads to the root."""
    tree = MerkleTree(leaves_of(draw(lengths.filter(lambda length: length >= least))))
    base = draw(st.integers(0, tree.height - 1))
    log_length = draw(st.integers(1, tree.height - base))
    index = draw(st.integers(0, (1 << tree.height - base - log_length) - 1)) << log_length
    return tree, (base, index, 1 << log_length, tree.height - base - 1)


def refuse(tree, span, hashes, match):
    with pytest.raises(RemoteProtocolError, match=match) as caught:
        verify(tree.root, *span, hashes, height=tree.height)
    assert len(str(caught.value)) < 300


# Hashes, layers, roots


def test_the_hash_of_each_block():
    data = POOL[: 2 * BLOCK + 5]
    expected = [sha256(part).digest() for part in (data[:BLOCK], data[BLOCK:-5], data[-5:])]
    for form in (data, bytearray(data), memoryview(data)):
        assert block_hashes(form) == b"".join(expected)
    assert block_hashes(b"") == b""


def test_padding():
    assert pad_hash(0) == bytes(32)
    assert pad_hash(1).hex() == "f5a5fd42d16a20302798ef6ed309979b43003d2320d9f0e8ea9831a92759fb4b"
    for height in range(MAX_HEIGHT):
        assert pad_hash(height + 1) == sha256(pad_hash(height) * 2).digest()


@pytest.mark.parametrize("height", [-1, 64, 2**32])
def test_no_tree_is_that_high(height):
    for call in (pad_hash, lambda height: layer(bytes(32), height)):
        with pytest.raises(IndexError, match=f"layers 0 to 63, not {height}"):
            call(height)


@given(lengths)
def test_layers_and_root_are_those_of_the_padded_tree(length):
    leaves = leaves_of(length)
    tree = full_tree(leaves)
    for height, hashes in enumerate(tree):
        real = -(-len(leaves) // 32 >> height)
        assert split(layer(leaves, height)) == hashes[:real]
        assert set(hashes[real:]) <= {pad_hash(height)}
    assert root(leaves) == root(leaves, len(tree) - 1) == tree[-1][0]


def test_a_root_can_be_that_of_a_higher_tree():
    leaves = leaves_of(BLOCK)
    assert root(leaves) == leaves
    assert root(leaves, 2) == sha256(sha256(leaves + pad_hash(0)).digest() + pad_hash(1)).digest()


@pytest.mark.parametrize(("length", "height"), [(0, None), (0, 3), (3 * BLOCK, 1), (BLOCK, -1)])
def test_without_leaves_or_room_there_is_no_root(length, height):
    with pytest.raises(MetainfoError, match="leaves have no tree of height"):
        root(leaves_of(length), height)


@pytest.mark.parametrize("call", [root, MerkleTree, lambda leaves: layer(leaves, 1)])
def test_hashes_have_32_bytes(call):
    with pytest.raises(MetainfoError, match="32 bytes each; 65 are no multiple"):
        call(bytes(65))


def test_the_layer_of_the_pieces():
    # The example of BEP 52: 128 KiB are the third layer above the leaves.
    assert [piece_layer(n * KIB) for n in (16, 32, 64, 128)] == [0, 1, 2, 3]


@pytest.mark.parametrize("piece_length", [-1, 0, 1, 8 * KIB, BLOCK + 1, 48 * KIB])
def test_a_piece_length_is_a_power_of_two_from_16_kib_on(piece_length):
    with pytest.raises(MetainfoError, match=f"16384 on, not {piece_length} "):
        piece_layer(piece_length)
    with pytest.raises(MetainfoError, match="piece length"):
        MerkleTree.from_piece_layer(bytes(32), b"", piece_length, 5)


# Trees


@given(lengths)
def test_a_tree_of_leaves(length):
    leaves = leaves_of(length)
    tree = MerkleTree(bytearray(leaves))
    assert tree.root == root(leaves)
    assert (tree.base_layer, tree.num_leaves) == (0, -(-length // BLOCK))
    assert 2**tree.height >= tree.num_leaves > 2**tree.height // 2
    for height in range(tree.height + 1):
        assert tree.layer(height) == layer(leaves, height)


@given(lengths, piece_lengths)
def test_a_tree_of_a_piece_layer(length, piece_length):
    whole = MerkleTree(leaves_of(length))
    base = piece_layer(piece_length)
    pieces = layer(leaves_of(length), base) if length > piece_length else b""
    tree = MerkleTree.from_piece_layer(whole.root, pieces, piece_length, length)
    assert (tree.root, tree.num_leaves, tree.height) == (whole.root, whole.num_leaves, whole.height)
    assert tree.base_layer == (base if pieces else tree.height)
    for height in range(tree.base_layer, tree.height + 1):
        assert tree.layer(height) == whole.layer(height)


@given(lengths, piece_lengths, st.data())
def test_a_piece_layer_with_a_flipped_bit_is_refused(length, piece_length, data):
    assume(length > piece_length)
    pieces = bytearray(layer(leaves_of(length), piece_layer(piece_length)))
    bit = data.draw(st.integers(0, 8 * len(pieces) - 1))
    pieces[bit // 8] ^= 1 << bit % 8
    with pytest.raises(MetainfoError, match="a piece layer leads to the root"):
        MerkleTree.from_piece_layer(root(leaves_of(length)), pieces, piece_length, length)


@pytest.mark.parametrize("change", [-32, 32, 64])
def test_a_piece_layer_has_a_hash_for_each_piece(change):
    leaves = leaves_of(5 * BLOCK)
    pieces = (leaves + bytes(64))[: len(leaves) + change]  # with padding it has the same root
    with pytest.raises(MetainfoError, match=f"{5 + change // 32} hashes are not layer 0 of"):
        MerkleTree.from_piece_layer(root(leaves), pieces, BLOCK, 5 * BLOCK)


def test_a_piece_layer_of_another_layer_is_refused():
    leaves = leaves_of(8 * BLOCK)
    with pytest.raises(MetainfoError, match="4 hashes are not layer 2 of a file of 8 blocks"):
        MerkleTree.from_piece_layer(root(leaves), layer(leaves, 1), 4 * BLOCK, 8 * BLOCK)


def test_a_file_no_longer_than_a_piece_has_no_piece_layer():
    leaves = leaves_of(2 * BLOCK)
    with pytest.raises(MetainfoError, match="not longer than a piece, so it has no piece layer"):
        MerkleTree.from_piece_layer(root(leaves), root(leaves), 2 * BLOCK, 2 * BLOCK)


@pytest.mark.parametrize("bad_root", [b"", bytes(20), bytes(33), bytes(64)])
def test_a_root_has_32_bytes(bad_root):
    with pytest.raises(MetainfoError, match=r"bytes each|hashes are not layer"):
        MerkleTree.from_piece_layer(bad_root, b"", BLOCK, 5)
    with pytest.raises(MetainfoError, match="not to the file's"):
        MerkleTree.from_piece_layer(bad_root, leaves_of(2 * BLOCK), BLOCK, 2 * BLOCK)


@pytest.mark.parametrize("length", [0, -1, -BLOCK])
def test_an_empty_file_has_no_tree(length):
    with pytest.raises(MetainfoError, match="hashes are not layer"):
        MerkleTree.from_piece_layer(bytes(32), b"", BLOCK, length)
    with pytest.raises(MetainfoError, match="0 hashes are not layer 0 of a file of 0 blocks"):
        MerkleTree(b"")


@pytest.mark.parametrize("base_layer", [-1, 2])
def test_a_base_layer_is_in_the_tree(base_layer):
    with pytest.raises(MetainfoError, match=f"1 hashes are not layer {base_layer} of"):
        MerkleTree(bytes(32), base_layer=base_layer, num_leaves=2)


@pytest.mark.parametrize("height", [-1, 0, 1, 4])
def test_a_layer_that_is_not_held(height):
    tree = MerkleTree(layer(leaves_of(8 * BLOCK), 2), base_layer=2, num_leaves=8)
    with pytest.raises(IndexError, match=f"layer {height} of a tree that holds 2 to 3"):
        tree.layer(height)


# Proofs


@pytest.mark.parametrize("blocks", [1, 2, 3, 5, 8, 9, 16])
def test_every_range_has_the_proof_of_the_text(blocks):
    tree = MerkleTree(leaves_of(blocks * BLOCK))
    layers = full_tree(leaves_of(blocks * BLOCK))
    for span in plain_ranges(tree.height):
        hashes = tree.proof(*span)
        assert hashes == plain_proof(layers, *span)
        base_layer, _, length, proof_layers = span
        if proof_layers == tree.height - base_layer - 1 or length == len(layers[base_layer]):
            verify(tree.root, *span, hashes, height=tree.height)
        else:
            with pytest.raises(LocalProtocolError, match="prove nothing; ask for"):
                verify(tree.root, *span, hashes, height=tree.height)


@given(proven())
def test_every_proof_verifies(case):
    tree, span = case
    hashes = tree.proof(*span)
    assert hashes == plain_proof(full_tree(tree.layer(0)), *span)
    verify(tree.root, *span, hashes, height=tree.height)


@given(proven(), st.data())
def test_a_flipped_bit_does_not_verify(case, data):
    tree, span = case
    hashes = tree.proof(*span)
    at, bit = data.draw(st.integers(0, len(hashes) - 1)), data.draw(st.integers(0, 255))
    hashes[at] = (int.from_bytes(hashes[at]) ^ 1 << bit).to_bytes(32)
    refuse(tree, span, hashes, "do not lead to the root")


def test_no_flipped_bit_of_a_proof_verifies():
    tree = MerkleTree(leaves_of(9 * BLOCK))
    hashes = tree.proof(0, 4, 2, 3)
    for at, honest in enumerate(hashes):
        for bit in range(256):
            forged = (int.from_bytes(honest) ^ 1 << bit).to_bytes(32)
            refuse(tree, (0, 4, 2, 3), [*hashes[:at], forged, *hashes[at + 1 :]], "do not lead")


@settings(suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(proven(), st.data())
def test_another_index_does_not_verify(case, data):
    tree, (base, index, length, proof_layers) = case
    last = (1 << tree.height - base) // length - 1
    other = data.draw(st.integers(0, last)) * length
    hashes = tree.proof(base, index, length, proof_layers)
    # Deep in the padding all is the same.
    assume(hashes != tree.proof(base, other, length, proof_layers))
    refuse(tree, (base, other, length, proof_layers), hashes, "do not lead to the root")


@given(proven(), st.data())
def test_another_length_or_layer_does_not_verify(case, data):
    tree, span = case
    other = data.draw(st.sampled_from(list(plain_ranges(tree.height))))
    hashes = tree.proof(*span)
    assume(tree.proof(*other) != hashes)
    with pytest.raises((RemoteProtocolError, LocalProtocolError)):
        verify(tree.root, *other, hashes, height=tree.height)


@given(proven(), st.integers(-3, 3))
def test_too_many_or_too_few_hashes_do_not_verify(case, change):
    tree, span = case
    hashes = tree.proof(*span)
    changed = hashes[:change] if change < 0 else hashes + hashes[:1] * (change + 1)
    refuse(tree, span, changed, f"{len(changed)} hashes answer a range of {len(hashes)}")


def test_hashes_of_other_lengths_do_not_verify():
    tree = MerkleTree(leaves_of(4 * BLOCK))
    a, b, uncle = tree.proof(0, 0, 2, 1)
    refuse(tree, (0, 0, 2, 1), [a + b[:1], b[1:], uncle], "32 bytes each")


@given(proven())
def test_another_file_does_not_verify(case):
    tree, span = case
    with pytest.raises(RemoteProtocolError, match="do not lead to the root"):
        verify(bytes(32), *span, tree.proof(*span), height=tree.height)


@pytest.mark.parametrize(
    "span",
    [
        (0, 0, 1, 2),
        (0, 0, 3, 2),
        (0, 2, 4, 2),
        (0, 8, 2, 2),
        (3, 0, 2, 0),
        (0, 0, 2, 3),
        (0, 0, 16, 2),
    ],
)
def test_a_range_against_the_text_is_refused(span):
    tree = MerkleTree(leaves_of(8 * BLOCK))
    with pytest.raises(RemoteProtocolError, match="not a range of hashes"):
        tree.proof(*span)
    with pytest.raises(RemoteProtocolError, match="not a range of hashes"):
        verify(tree.root, *span, [bytes(32)], height=3)


def test_a_root_to_verify_against_has_32_bytes():
    with pytest.raises(LocalProtocolError, match="pieces root has 32 bytes, not 20"):
        verify(bytes(20), 0, 0, 2, 0, [bytes(32)] * 2, height=1)


def test_the_answer_of_a_libtorrent_seeder():
    """The piece layer of a file of 65537 bytes in pieces of 32 KiB, recorded on the wire."""
    file_root = bytes.fromhex("06f5e146d30d6f40721ef4260832781e47ad5bf1cafbb4b0b065bf1d56e3bf29")
    hashes = split(
        bytes.fromhex(
            "1e3f8249c9df523460619b99c0d60e1a952b4a3aa6e3382174fbb24ee444ea81"
            "25a14f7141dc317fcef44dbe36b5d40f5b697d3ece74bc65defbe80530afaec4"
            "3bbd805024cd75f65954d0ada4b5e5c9f13bf196eb8db488228dde1b3fd41cb3"
            "f5a5fd42d16a20302798ef6ed309979b43003d2320d9f0e8ea9831a92759fb4b"
        )
    )
    verify(file_root, 1, 0, 4, 1, hashes, height=3)
    tree = MerkleTree.from_piece_layer(file_root, b"".join(hashes[:3]), 32 * KIB, 65537)
    assert tree.proof(1, 0, 4, 1) == hashes


@pytest.mark.parametrize(
    ("span", "count", "digest"),
    [
        ((0, 64, 16, 6), 19, "f0ef3630fea2136b772ed53b7d19234506472d555456722501a8450885df9f41"),
        ((1, 40, 2, 5), 7, "47c97c09eef6fc81e0defb961d70b0b31b56a4d58ddb4b138835fb553ae9758b"),
        ((2, 16, 4, 4), 7, "58414061b98cba231a461f5ca97dfa6048a1ef1e4cdab16336d9003996aecb50"),
        ((3, 0, 2, 3), 5, "08815a4f096a2dc53f3f8a2db1489324fb60ec077aea1ce2f63b0864d3a13761"),
    ],
)
def test_the_proofs_of_a_libtorrent_seeder(span, count, digest):
    """Uncles and padding among them: the SHA-256 of what libtorrent 2.1.1 sent for such a file."""
    hashes = MerkleTree(leaves_of(83 * BLOCK + 7)).proof(*span)
    assert len(hashes) == count
    assert sha256(b"".join(hashes)).hexdigest() == digest


# Pieces


@given(st.integers(2, len(POOL)), piece_lengths, st.data())
def test_a_piece_has_the_root_that_the_piece_layer_has_for_it(length, piece_length, data):
    assume(length > piece_length)
    height = piece_layer(piece_length)
    pieces = split(layer(leaves_of(length), height))
    at = data.draw(st.integers(0, len(pieces) - 1))
    piece = POOL[:length][at * piece_length : (at + 1) * piece_length]
    assert root(block_hashes(piece), height) == pieces[at]


def test_blocks_can_be_verified_against_the_piece_they_are_in():
    tree = MerkleTree(leaves_of(16 * BLOCK))
    piece = split(tree.layer(2))[3]
    verify(piece, 0, 2, 2, 1, tree.proof(0, 14, 2, 1), height=2)


@given(lengths, piece_lengths, st.data())
def test_the_blocks_of_a_piece_can_be_told_from_the_piece_layer(length, piece_length, data):
    whole = MerkleTree(leaves_of(length))
    base = min(piece_layer(piece_length), whole.height)
    pieces = whole.layer(base) if length > piece_length else b""
    lean = MerkleTree.from_piece_layer(whole.root, pieces, piece_length, length)

    first = data.draw(st.integers(0, -(-length // piece_length) - 1))
    last = data.draw(st.integers(first, min(first + 2, -(-length // piece_length) - 1)))
    held = range(first << base, min((last + 1) << base, whole.num_leaves))
    tree = lean.with_leaves(first, whole.layer(0)[32 * held.start : 32 * held.stop])
    assert (tree.base_layer, tree.root, tree.height) == (0, whole.root, whole.height)
    assert lean.base_layer == base

    for height in range(whole.height):
        index = held.start >> height & ~1
        span = (height, index, 2, whole.height - height - 1)
        asked = range(index << height, min(index + 2 << height, whole.num_leaves))
        if height >= base or (asked[0] in held and asked[-1] in held):
            assert tree.proof(*span) == whole.proof(*span)
        else:
            with pytest.raises(LocalProtocolError, match="is not held"):
                tree.proof(*span)


def test_what_a_tree_does_not_hold_it_can_not_prove():
    tree = MerkleTree(layer(leaves_of(16 * BLOCK), 2), base_layer=2, num_leaves=16)
    with pytest.raises(LocalProtocolError, match="hash 4 of layer 0 is not held, layer 2 is the"):
        tree.proof(0, 4, 4, 3)
    piece = tree.with_leaves(1, leaves_of(8 * BLOCK)[4 * 32 :])
    verify(tree.root, 0, 4, 4, 3, piece.proof(0, 4, 4, 3), height=4)
    for index in (0, 8):
        with pytest.raises(LocalProtocolError, match=f"hash {index} of layer 0 is not held"):
            piece.proof(0, index, 4, 3)
    assert piece.layer(2) == tree.layer(2)
    with pytest.raises(IndexError, match="layer 0 of a tree"):
        piece.layer(0)


@pytest.mark.parametrize(
    ("first", "start", "stop"),
    [
        (0, 4, 8),
        (1, 0, 4),
        (1, 4, 7),
        (1, 4, 4),
        (3, 12, 16),
        (2, 8, 12),
        (-1, 4, 8),
        (-1, 0, 4),
        (2**40, 4, 8),
    ],
)
def test_other_leaves_are_refused(first, start, stop):
    tree = MerkleTree(layer(leaves_of(11 * BLOCK), 2), base_layer=2, num_leaves=11)
    leaves = leaves_of(16 * BLOCK)[32 * start : 32 * stop]
    with pytest.raises(LocalProtocolError, match=f"{stop - start} leaves do not lead to the hash"):
        tree.with_leaves(first, leaves)


def test_leaves_have_32_bytes():
    with pytest.raises(MetainfoError, match="32 bytes each; 31 are no multiple"):
        MerkleTree(leaves_of(BLOCK)).with_leaves(0, bytes(31))


# Another's trees


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the form libtorrent 2.0 knows
@pytest.mark.parametrize("piece_length", [BLOCK, 64 * KIB, 256 * KIB, KIB * KIB])
def test_libtorrent_makes_the_same_trees(tmp_path, piece_length):
    folder = tmp_path / "files"
    folder.mkdir()
    for length in [0, *EDGES]:
        (folder / str(length)).write_bytes(POOL[:length])
    files = lt.file_storage()
    lt.add_files(files, str(folder))
    maker = lt.create_torrent(files, piece_length, lt.create_torrent.v2_only)
    lt.set_piece_hashes(maker, str(tmp_path))
    torrent = decode(lt.bencode(maker.generate()))

    layers = dict(torrent[b"piece layers"])
    for name, entry in torrent[b"info"][b"file tree"].items():
        length = int(name)
        assert entry[b""][b"length"] == length
        if length == 0:
            assert b"pieces root" not in entry[b""]
            continue
        file_root = entry[b""][b"pieces root"]
        pieces = layers.pop(file_root, b"")
        tree = MerkleTree.from_piece_layer(file_root, pieces, piece_length, length)
        assert tree.root == root(block_hashes(POOL[:length]))
    assert layers == {}
