"""Pieces that fail their hash: who is blamed, and of whom they are asked next."""

import itertools

import pytest

from peerwire.pieces import PieceSet
from peerwire.swarm.picker import RANDOM_FIRST, Block

from .conftest import BLOCK
from .picking import deliver, finish, make


def spoil(picker, *peers):
    """Have the peers give piece 0 together, a block each in turn, and fail its hash."""
    for peer in itertools.islice(itertools.cycle(peers), 10):
        for block in picker.pick(peer, 1, only=[0]):
            if picker.received(peer, 0, block.begin).whole:
                return picker.corrupt(0)
    return None


def blamed(blame):
    return (blame.index, blame.peers, blame.alone)


def test_who_gave_a_corrupt_piece_alone_is_guilty_and_not_asked_again():
    picker = make(1, blocks=3)
    picker.add_peer("bad", PieceSet.full(1))
    picker.add_peer("good", PieceSet.full(1))
    assert blamed(spoil(picker, "bad")) == (0, ("bad",), True)
    assert picker.suspects(0) == {"bad"}
    assert picker.pick("bad", 3) == []
    assert not picker.interesting("bad")
    assert len(picker.pick("good", 3)) == 3


def test_after_a_shared_failure_one_peer_alone_is_asked():
    picker = make(1, blocks=3)
    for peer in "abc":
        picker.add_peer(peer, PieceSet.full(1))
    blame = spoil(picker, "a", "b")
    assert blamed(blame) == (0, ("a", "b"), False)
    assert blame.senders == {Block(0, 0, BLOCK): "a", Block(0, BLOCK, BLOCK): "b"} | {
        Block(0, 2 * BLOCK, BLOCK): "a"
    }
    blocks = picker.pick("b", 2)
    assert len(blocks) == 2
    assert picker.pick("a", 3) == []
    assert not picker.received("a", 0, 0).new  # a late block of the first attempt
    deliver(picker, "b", blocks)
    assert blamed(spoil(picker, "b")) == (0, ("b",), True)
    assert finish(picker, "a") == [0]
    assert picker.suspects(0) == frozenset()


def test_suspects_are_all_who_had_a_share_in_any_attempt():
    picker = make(1, blocks=3)
    for peer in "abc":
        picker.add_peer(peer, PieceSet.full(1))
    assert picker.suspects(0) == frozenset()
    spoil(picker, "a", "b")
    spoil(picker, "c")
    assert picker.suspects(0) == {"a", "b", "c"}


def test_a_piece_on_parole_is_no_endgame_piece():
    picker = make(2, blocks=2)
    for peer in "abc":
        picker.add_peer(peer, PieceSet(2, [0]))
    picker.add_peer("d", PieceSet(2, [1]))
    picker.add_peer("e", PieceSet(2, [1]))
    spoil(picker, "a", "b")
    assert len(picker.pick("a", 1)) == 1
    assert picker.pick("b", 2) == []
    assert len(picker.pick("d", 2)) == 2
    assert len(picker.pick("e", 2)) == 2  # what is kept for a does not hold up the endgame


def test_a_piece_on_parole_is_taken_over_whole_when_its_peer_stalls():
    picker = make(2, blocks=3)
    for peer in "abc":
        picker.add_peer(peer, PieceSet.full(2))
    spoil(picker, "a", "b")
    first, second = picker.pick("a", 2, only=[0])
    deliver(picker, "a", [first])
    assert [block.index for block in picker.pick("c", 6, only=[0])] == []
    picker.failed("a", second)
    assert [block.index for block in picker.pick("c", 6)] == [1, 1, 1, 0, 0, 0]
    assert picker.pick("a", 3, only=[0]) == []


def test_a_piece_on_parole_starts_anew_when_its_peer_goes():
    picker = make(9, blocks=3, have=range(2, 2 + RANDOM_FIRST), wanted=PieceSet(9, [0, 1]))
    for peer in "abc":
        picker.add_peer(peer, PieceSet(9, [0, 1]))
    picker.add_peer("other", PieceSet(9, [1]))
    spoil(picker, "a", "b")
    deliver(picker, "a", picker.pick("a", 2, only=[0]))
    picker.remove_peer("a")
    assert [block.index for block in picker.pick("c", 4)] == [0, 0, 0, 1]


def test_a_whole_piece_stays_when_its_peer_goes():
    picker = make(1, blocks=3)
    for peer in "abc":
        picker.add_peer(peer, PieceSet.full(1))
    spoil(picker, "a", "b")
    deliver(picker, "a", picker.pick("a", 3))
    picker.remove_peer("a")
    assert picker.pick("c", 3) == []
    assert blamed(picker.corrupt(0)) == (0, ("a",), True)


def test_a_piece_on_parole_has_an_owner_from_whom_it_can_be_taken():
    picker = make(1, blocks=3)
    for peer in "abc":
        picker.add_peer(peer, PieceSet.full(1))
    assert picker.owner(0) is None  # nobody has begun with it
    picker.pick("a", 1)
    assert picker.owner(0) is None  # nor is it on parole
    deliver(picker, "a", [Block(0, 0, BLOCK)])
    spoil(picker, "b", "c")
    deliver(picker, "b", picker.pick("b", 1))
    picker.pick("b", 1)
    assert picker.owner(0) == "b"
    picker.take_away(0)
    assert picker.owner(0) is None
    assert picker.pending("b") == ()
    blocks = picker.pick("c", 3)
    assert len(blocks) == 3  # what the other gave of it is gone
    assert picker.owner(0) == "c"
    deliver(picker, "c", blocks)
    assert picker.owner(0) is None  # it is whole
    picker.verified(0)


def test_what_a_liar_gave_of_other_pieces_is_asked_for_again():
    picker = make(2, blocks=3)
    for peer in ("liar", "good"):
        picker.add_peer(peer, PieceSet.full(2))
    mine, yours = picker.pick("liar", 2), picker.pick("good", 1)
    assert {block.index for block in mine} == {block.index for block in yours}
    deliver(picker, "liar", mine)
    picker.remove_peer("liar")  # it may be gone by then
    picker.disown(lambda peer: peer == "liar")
    assert set(picker.pick("good", 2)) == set(mine)
    result = deliver(picker, "good", [*mine, *yours])
    assert result[-1].whole
    blame = picker.corrupt(yours[0].index)
    assert blame.peers == ("good",)


def test_a_piece_of_which_a_liar_gave_all_there_was_starts_anew():
    picker = make(1, blocks=3)
    for peer in ("liar", "good"):
        picker.add_peer(peer, PieceSet.full(1))
    deliver(picker, "liar", picker.pick("liar", 2))
    picker.disown(lambda peer: peer == "liar")
    assert len(picker.pick("good", 3)) == 3


def test_a_piece_that_is_whole_is_judged_by_its_hash():
    picker = make(1, blocks=3)
    picker.add_peer("liar", PieceSet.full(1))
    deliver(picker, "liar", picker.pick("liar", 3))
    picker.disown(lambda peer: peer == "liar")
    picker.verified(0)
    assert picker.done


def test_only_a_whole_piece_can_be_corrupt():
    picker = make(1)
    picker.add_peer("p", PieceSet.full(1))
    with pytest.raises(ValueError, match="piece 0 is not whole"):
        picker.corrupt(0)
    picker.pick("p", 1)
    with pytest.raises(ValueError, match="piece 0 is not whole"):
        picker.corrupt(0)
