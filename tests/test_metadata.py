import hashlib
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerwire.errors import LocalProtocolError
from peerwire.metadata import PIECE_LENGTH, Metadata, Verdict, piece_count, piece_size

DATA = random.Random(3).randbytes(2 * PIECE_LENGTH + 100)
SIZE = len(DATA)
SHA1 = hashlib.sha1(DATA).digest()
SHA256 = hashlib.sha256(DATA).digest()
MANY = 1000


def cut(data, piece):
    return data[piece * PIECE_LENGTH : (piece + 1) * PIECE_LENGTH]


def forged(data=DATA):
    return bytes(len(data))


def give(metadata, peer, *pieces, data=DATA):
    """The peer gives these pieces; returns the last verdict."""
    verdict = None
    for piece in pieces:
        verdict = metadata.received(peer, piece, cut(data, piece))
    return verdict


def test_pieces_are_16_kib_but_the_last():
    assert piece_count(SIZE) == 3
    assert [piece_size(SIZE, piece) for piece in range(3)] == [16384, 16384, 100]
    assert piece_count(PIECE_LENGTH) == 1
    assert piece_size(PIECE_LENGTH, 0) == PIECE_LENGTH


@pytest.mark.parametrize(
    "hashes", [(SHA1,), (SHA256,), (SHA256[:20],), (SHA1, SHA256), (SHA256[:20], SHA256)]
)
def test_it_is_verified_by_all_its_info_hashes(hashes):
    metadata = Metadata(*hashes)
    metadata.add("a", SIZE)
    assert give(metadata, "a", 0, 1) is Verdict.MORE
    assert metadata.verified is None
    assert give(metadata, "a", 2) is Verdict.VERIFIED
    assert metadata.verified == DATA


@pytest.mark.parametrize(
    "hashes", [(bytes(20),), (bytes(32),), (SHA1, bytes(32)), (bytes(20), SHA256)]
)
def test_it_needs_each_of_its_info_hashes(hashes):
    metadata = Metadata(*hashes)
    metadata.add("a", SIZE)
    assert give(metadata, "a", 0, 1, 2) is Verdict.LIAR
    assert metadata.verified is None


@pytest.mark.parametrize("hashes", [(), (b"",), (SHA1, SHA256[:31])])
def test_an_info_hash_has_20_or_32_bytes(hashes):
    with pytest.raises(LocalProtocolError, match="20 or 32"):
        Metadata(*hashes)


def test_peers_share_the_work():
    metadata = Metadata(SHA1)
    metadata.add("a", SIZE)
    metadata.add("b", SIZE)
    assert metadata.pick("a", 2) == [0, 1]
    assert metadata.pick("b", 1) == [2]
    give(metadata, "a", 0, 1)
    assert give(metadata, "b", 2) is Verdict.VERIFIED
    assert metadata.verified == DATA


def test_who_has_nothing_else_to_do_is_asked_for_what_others_are():
    metadata = Metadata(SHA1)
    for peer in "abc":
        metadata.add(peer, SIZE)
    metadata.pick("a", 3)
    assert metadata.pick("b", 1) == [0]
    assert metadata.pick("c", MANY) == [1, 2, 0]  # those asked of the fewest come first
    assert metadata.pick("c", MANY) == []


def test_a_peer_is_asked_for_so_many_at_once():
    metadata = Metadata(SHA1)
    metadata.add("a", SIZE)
    assert metadata.pick("a", 1) == [0]
    assert metadata.pick("a", 1) == []
    give(metadata, "a", 0)
    assert metadata.pick("a", 1) == [1]


def test_of_a_piece_that_two_give_the_first_counts():
    metadata = Metadata(SHA1)
    metadata.add("a", SIZE)
    metadata.add("b", SIZE)
    metadata.pick("a", MANY)
    metadata.pick("b", MANY)
    give(metadata, "a", 0)
    assert give(metadata, "b", 0, data=forged()) is Verdict.MORE
    assert give(metadata, "a", 1, 2) is Verdict.VERIFIED


def test_what_is_asked_of_one_who_leaves_is_asked_of_others():
    metadata = Metadata(SHA1)
    metadata.add("a", SIZE)
    metadata.add("b", SIZE)
    metadata.pick("a", 1)
    metadata.remove("a")
    assert metadata.pick("b", 1) == [0]


def test_what_one_gave_who_leaves_stays_while_others_are_here():
    metadata = Metadata(SHA1)
    metadata.add("a", SIZE)
    metadata.add("b", SIZE)
    give(metadata, "a", 0, 1)
    metadata.remove("a")
    assert metadata.pick("b", MANY) == [2]
    assert give(metadata, "b", 2) is Verdict.VERIFIED


def test_nothing_is_held_of_a_size_that_nobody_announces():
    metadata = Metadata(SHA1)
    metadata.add("a", SIZE)
    give(metadata, "a", 0, 1)
    metadata.remove("a")
    metadata.add("b", SIZE)
    assert metadata.pick("b", MANY) == [0, 1, 2]


def test_sizes_do_not_mix():
    metadata = Metadata(SHA1)
    metadata.add("a", SIZE)
    metadata.add("b", SIZE + 1)
    metadata.pick("a", MANY)
    assert metadata.pick("b", 1) == [0]
    metadata.received("b", 0, forged()[:PIECE_LENGTH])
    metadata.remove("b")
    assert give(metadata, "a", 0, 1, 2) is Verdict.VERIFIED


def test_who_gave_all_of_it_is_the_liar():
    metadata = Metadata(SHA1)
    metadata.add("a", SIZE)
    metadata.add("b", SIZE)
    metadata.pick("b", 1)
    assert give(metadata, "a", 0, 1, 2, data=forged()) is Verdict.LIAR
    metadata.remove("a")
    assert metadata.verified is None
    assert metadata.pick("b", MANY) == [1, 2]  # 0 is still to come
    assert give(metadata, "b", 0, 1, 2) is Verdict.VERIFIED


def test_of_several_who_gave_it_the_liar_is_found():
    metadata = Metadata(SHA1)
    for peer in "abc":
        metadata.add(peer, SIZE)
    metadata.pick("c", 1)
    give(metadata, "a", 0)
    give(metadata, "b", 1, data=forged())
    assert give(metadata, "a", 2) is Verdict.CORRUPT
    assert metadata.verified is None
    assert metadata.pick("a", MANY) == [0, 1, 2]
    assert metadata.pick("b", MANY) == [0, 1, 2]
    assert metadata.pick("c", MANY) == [1, 2]  # what it was asked for before counts for it alone
    assert give(metadata, "b", 0, 1, 2, data=forged()) is Verdict.LIAR
    metadata.remove("b")
    give(metadata, "a", 0)
    give(metadata, "c", 0, 1)
    assert give(metadata, "a", 1, 2) is Verdict.VERIFIED


def test_who_comes_after_a_lie_works_alone():
    metadata = Metadata(SHA1)
    metadata.add("a", SIZE)
    metadata.add("b", SIZE)
    give(metadata, "a", 0, 1, data=forged())
    assert give(metadata, "b", 2) is Verdict.CORRUPT
    give(metadata, "a", 0, data=forged())
    metadata.add("c", SIZE)
    assert metadata.pick("c", MANY) == [0, 1, 2]
    assert give(metadata, "c", 0, 1, 2) is Verdict.VERIFIED


def test_other_sizes_go_on_after_a_lie():
    metadata = Metadata(SHA1)
    for peer in "abc":
        metadata.add(peer, 2 * PIECE_LENGTH)
    metadata.add("d", SIZE)
    give(metadata, "d", 0)
    give(metadata, "a", 0)
    assert give(metadata, "b", 1) is Verdict.CORRUPT
    assert metadata.pick("d", MANY) == [1, 2]
    assert give(metadata, "d", 1, 2) is Verdict.VERIFIED


def test_a_lie_is_forgotten_with_the_last_peer_of_its_size():
    metadata = Metadata(SHA1)
    metadata.add("a", SIZE)
    metadata.add("b", SIZE)
    give(metadata, "a", 0, 1, data=forged())
    give(metadata, "b", 2)
    metadata.remove("a")
    metadata.remove("b")
    metadata.add("c", SIZE)
    metadata.add("d", SIZE)
    metadata.pick("c", 2)
    assert metadata.pick("d", 1) == [2]  # they share again


@given(
    st.lists(st.sampled_from(["honest", "liar", "other size"]), min_size=1, max_size=6),
    st.randoms(use_true_random=False),
    st.integers(1, 4),
)
def test_one_honest_peer_is_enough_and_no_other_is_blamed(kinds, rng, outstanding):
    peers = dict(enumerate([*kinds, "honest"]))
    data = {"honest": DATA, "liar": forged(), "other size": forged() + b"x"}
    metadata = Metadata(SHA1)
    asked = {peer: [] for peer in peers}
    for peer, kind in peers.items():
        metadata.add(peer, len(data[kind]))
    for _ in range(MANY):
        for peer in asked:
            asked[peer] += metadata.pick(peer, outstanding)
            assert len(asked[peer]) <= outstanding
        peer = rng.choice([peer for peer in asked if asked[peer]])
        piece = asked[peer].pop(rng.randrange(len(asked[peer])))
        verdict = metadata.received(peer, piece, cut(data[peers[peer]], piece))
        if verdict is Verdict.VERIFIED:
            break
        if verdict is Verdict.LIAR:
            assert peers[peer] != "honest"
            metadata.remove(peer)
            del asked[peer]
    assert metadata.verified == DATA
