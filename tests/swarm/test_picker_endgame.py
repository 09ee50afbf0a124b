"""When all is asked for, what is still missing is asked of several."""

from peerwire.pieces import PieceSet
from peerwire.swarm.picker import ENDGAME_COPIES

from .picking import make


def test_the_endgame_asks_an_idle_peer_for_what_others_have_not_delivered():
    picker = make(1, blocks=4)
    for peer in "abc":
        picker.add_peer(peer, PieceSet.full(1))
    slow = picker.pick("a", 4)
    assert picker.pick("b", 3) == slow[:3]
    assert picker.pick("b", 3) == []  # it has something to do
    assert picker.pick("c", 2) == [slow[3], slow[0]]  # what fewest were asked for
    assert picker.received("b", 0, 0) == (True, False, ("a", "c"))
    assert picker.pending("a") == tuple(slow[1:])
    assert picker.received("a", 0, 0) == (False, False, ())


def test_the_endgame_asks_each_block_of_a_few_only():
    picker = make(1, blocks=1)
    for peer in range(9):
        picker.add_peer(peer, PieceSet.full(1))
    asked = [peer for peer in range(9) if picker.pick(peer, 1)]
    assert len(asked) == ENDGAME_COPIES
    assert set(picker.received(0, 0, 0).others) == set(asked) - {0}


def test_no_endgame_while_something_can_be_asked_for_once():
    picker = make(3, blocks=2)
    picker.add_peer("a", PieceSet(3, [0]))
    picker.add_peer("b", PieceSet(3, [0]))
    picker.add_peer("c", PieceSet(3, [1]))
    picker.pick("a", 2)
    assert picker.pick("b", 2) == []  # piece 1 is not started
    picker.pick("c", 1)
    assert picker.pick("b", 2) == []  # piece 1 has a free block
    picker.pick("c", 1)
    assert len(picker.pick("b", 2)) == 2  # piece 2 is not to be had
    picker.remove_peer("b")
    picker.add_peer("b", PieceSet(3, [0]))
    picker.add_peer("seed", PieceSet.full(3))
    assert picker.pick("b", 2) == []  # now it is
    picker.remove_peer("seed")
    assert len(picker.pick("b", 2)) == 2


def test_a_failed_copy_leaves_the_other():
    picker = make(1, blocks=1)
    picker.add_peer("a", PieceSet.full(1))
    picker.add_peer("b", PieceSet.full(1))
    (block,) = picker.pick("a", 1)
    picker.pick("b", 1)
    picker.failed("a", block)
    assert picker.pending("b") == (block,)
    assert picker.received("b", 0, 0) == (True, True, ())
