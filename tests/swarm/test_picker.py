"""What is asked of whom, while all peers tell the truth."""

import random
from collections import Counter

import pytest

from peerwire.pieces import PieceSet
from peerwire.swarm.picker import RANDOM_FIRST, Block, Picker

from .conftest import BLOCK
from .picking import deliver, finish, make

# What is asked of a peer


def test_a_piece_is_asked_block_by_block_and_the_last_one_is_shorter():
    picker = Picker(1, lambda index: 2 * BLOCK + 100, have=PieceSet(1))
    picker.add_peer("seed", PieceSet.full(1))
    assert picker.pick("seed", 10) == [
        Block(0, 0, BLOCK),
        Block(0, BLOCK, BLOCK),
        Block(0, 2 * BLOCK, 100),
    ]
    assert picker.pick("seed", 10) == []


def test_a_download_from_one_seed():
    picker = make(40)
    picker.add_peer("seed", PieceSet.full())
    assert picker.remaining == 40
    assert sorted(finish(picker, "seed")) == list(range(40))
    assert picker.remaining == 0
    assert picker.done
    assert not picker.interesting("seed")


def test_of_a_piece_that_needs_no_byte_none_is_asked():
    picker = Picker(3, lambda index: BLOCK * (index != 1), have=PieceSet(3))
    picker.add_peer("seed", PieceSet.full(3))
    blocks = picker.pick("seed", 10)
    assert sorted(block.index for block in blocks) == [0, 2]
    assert picker.received("seed", 1, 0) == (False, False, ())
    for block in blocks:
        picker.received("seed", block.index, block.begin)
        picker.verified(block.index)
    assert picker.pick("seed", 10) == []
    assert picker.interesting("seed")
    picker.remove_peer("seed")
    assert picker.remaining == 1
    picker.verified(1)
    assert picker.done


@pytest.mark.parametrize("count", [0, -3])
def test_no_block_is_picked_where_none_is_asked_for(count):
    picker = make(1)
    picker.add_peer("seed", PieceSet.full(1))
    assert picker.pick("seed", count) == []


def test_only_what_is_wanted_and_not_here_is_asked():
    picker = make(10, have=[0, 1, 2], wanted=PieceSet(10, [1, 2, 3, 9]))
    picker.add_peer("seed", PieceSet.full(10))
    picker.add_peer("partial", PieceSet(10, [0, 1, 5]))
    assert picker.remaining == 2
    assert not picker.interesting("partial")
    assert picker.pick("partial", 5) == []
    assert sorted(finish(picker, "seed")) == [3, 9]
    assert picker.done


def test_nothing_to_get():
    picker = make(0)
    picker.add_peer("seed", PieceSet.full(0))
    assert picker.done
    assert picker.pick("seed", 1) == []


def test_a_peer_that_chokes_is_asked_for_what_it_allows_only():
    picker = make(10)
    picker.add_peer("p", PieceSet(10, [1, 2, 3]))
    assert picker.pick("p", 10, only=[]) == []
    assert {block.index for block in picker.pick("p", 10, only={2, 7, 99, 2**31})} == {2}
    picker.failed("p", Block(2, 0, BLOCK))
    allowed = PieceSet(10, [3])
    assert {block.index for block in picker.pick("p", 10, only=allowed)} == {3}
    assert picker.pick("p", 1, only=[2]) == [Block(2, 0, BLOCK)]


def test_ones_own_piece_is_finished_first_then_those_of_others():
    picker = make(10, blocks=4)
    picker.add_peer("a", PieceSet(10, [4]))
    picker.add_peer("b", PieceSet(10, [4, 5, 6]))
    picker.pick("a", 2)
    picker.pick("b", 3, only=[5])
    assert [block.index for block in picker.pick("b", 4)] == [5, 4, 4, 6]


def test_the_rarest_piece_comes_first():
    here = range(5, 5 + RANDOM_FIRST)
    picker = make(20, blocks=1, have=here, wanted=PieceSet(20, range(5)))
    for number, pieces in enumerate([[0, 1, 2, 3, 4], [0, 1, 2, 3], [0, 1, 2], [0, 1], [0, 1]]):
        picker.add_peer(number, PieceSet(20, pieces))
    picker.add_peer("seed", PieceSet.full(20))
    picker.peer_has(4, 2)
    picker.peer_lost(0, 0)
    order = [block.index for block in picker.pick("seed", 5)]
    assert order[:2] == [4, 3]
    assert sorted(order[2:]) == [0, 1, 2]  # four peers each


def test_rarity_follows_peers_as_they_come_and_go():
    rng = random.Random(7)
    picker = make(60, blocks=1, have=range(50, 60), seed=2)
    held = {}
    for number in range(80):
        held[number] = set(rng.sample(range(50), rng.randrange(50)))
        picker.add_peer(number, PieceSet(60, held[number]))
    for number in range(0, 80, 3):
        held[number] = set(rng.sample(range(50), 7))
        picker.replace(number, PieceSet(60, held[number]))
    for number in range(0, 80, 2):
        del held[number]
        picker.remove_peer(number)
    picker.add_peer("seed", PieceSet.full(60))
    count = Counter(index for pieces in held.values() for index in pieces)
    rarities = [count[block.index] for block in picker.pick("seed", 50)]
    assert rarities == sorted(rarities)
    assert len(set(rarities)) > 5


def first_pieces(have, downloads=300):
    """The piece that is picked first when there are 5, and piece 0 is the rarest."""
    firsts = Counter()
    for seed in range(downloads):
        picker = make(20, blocks=1, have=have, wanted=PieceSet(20, range(5)), seed=seed)
        picker.add_peer("leecher", PieceSet(20, range(1, 5)))
        picker.add_peer("seed", PieceSet.full(20))
        firsts[picker.pick("seed", 1)[0].index] += 1
    return firsts


def test_the_first_pieces_are_random_and_each_as_likely():
    firsts = first_pieces(have=range(10, 10 + RANDOM_FIRST - 1))
    assert firsts.keys() == set(range(5))
    assert all(30 < times < 90 for times in firsts.values())
    assert first_pieces(have=range(10, 10 + RANDOM_FIRST)) == {0: 300}


@pytest.mark.parametrize("seed", range(20))
def test_once_there_are_a_few_pieces_the_rarest_is_picked(seed):
    picker = make(20, blocks=1, wanted=PieceSet(20, range(9)), seed=seed)
    picker.add_peer("leecher", PieceSet(20, range(1, 9)))
    picker.add_peer("seed", PieceSet.full(20))
    for _ in range(RANDOM_FIRST):
        (block,) = picker.pick("seed", 1)
        picker.received("seed", block.index, 0)
        picker.verified(block.index)
        if block.index == 0:
            return
    assert picker.pick("seed", 1)[0].index == 0


def test_the_same_generator_gives_the_same_download():
    def download(seed):
        picker = make(200, seed=seed)
        picker.add_peer("seed", PieceSet.full(200))
        return finish(picker, "seed")

    assert download(5) == download(5)
    assert download(5) != download(6)
    assert Picker(1, lambda index: 1, have=PieceSet(1)).remaining == 1


# Peers


def test_a_peer_becomes_interesting_when_it_has_something():
    picker = make(4, have=[0])
    picker.add_peer("p", PieceSet(4, [0]))
    assert not picker.interesting("p")
    picker.peer_has("p", 2)
    picker.peer_has("p", 2)
    assert picker.interesting("p")
    picker.peer_lost("p", 2)
    picker.peer_lost("p", 2)
    assert not picker.interesting("p")
    picker.replace("p", PieceSet.full(4))
    assert picker.interesting("p")
    picker.replace("p", PieceSet(4))
    assert not picker.interesting("p")


def test_a_peer_is_added_once():
    picker = make(4)
    picker.add_peer("p", PieceSet(4))
    with pytest.raises(ValueError, match="'p' was added before"):
        picker.add_peer("p", PieceSet(4))


def test_a_peer_has_no_piece_beyond_the_last():
    picker = make(4)
    picker.add_peer("p", PieceSet(4))
    with pytest.raises(IndexError):
        picker.peer_has("p", 4)


def test_the_pieces_of_a_peer_are_copied():
    picker = make(4)
    pieces = PieceSet(4)
    picker.add_peer("p", pieces)
    pieces.add(1)
    assert not picker.interesting("p")
    picker.peer_has("p", 2)
    assert pieces == {1}


def test_what_a_peer_was_asked_for_is_asked_of_others_when_it_goes():
    picker = make(2)
    picker.add_peer("a", PieceSet.full(2))
    picker.add_peer("b", PieceSet.full(2))
    asked = picker.pick("a", 3)
    assert picker.pending("a") == tuple(asked)
    deliver(picker, "a", asked[:1])
    picker.remove_peer("a")
    assert set(asked[1:]) < set(picker.pick("b", 4))
    with pytest.raises(KeyError):
        picker.pending("a")


def test_it_tells_how_many_pieces_a_peer_has():
    picker = Picker(3, lambda _: 16384, have=PieceSet(3))
    picker.add_peer("peer", PieceSet(3, [0, 2]))
    assert picker.count("peer") == 2
    picker.peer_lost("peer", 2)
    assert picker.count("peer") == 1


# Blocks that come, and blocks that do not


def test_the_last_block_makes_the_piece_whole():
    picker = make(1, blocks=3)
    picker.add_peer("p", PieceSet.full(1))
    results = deliver(picker, "p", picker.pick("p", 3))
    assert [result.new for result in results] == [True, True, True]
    assert [result.whole for result in results] == [False, False, True]
    assert not picker.done
    assert picker.pick("p", 1) == []
    picker.verified(0)
    assert picker.done


def test_a_block_that_failed_is_asked_again_first():
    picker = make(1, blocks=3)
    picker.add_peer("a", PieceSet.full(1))
    picker.add_peer("b", PieceSet.full(1))
    first, _, _ = picker.pick("a", 3)
    picker.failed("a", first)
    picker.failed("a", first)
    picker.failed("b", first)
    assert picker.pending("a") == (Block(0, BLOCK, BLOCK), Block(0, 2 * BLOCK, BLOCK))
    assert picker.pick("b", 1) == [first]


def test_a_piece_of_which_nothing_came_is_no_longer_started():
    picker = make(9, blocks=2, have=range(2, 2 + RANDOM_FIRST), wanted=PieceSet(9, [0, 1]))
    picker.add_peer("a", PieceSet(9, [1]))
    picker.add_peer("b", PieceSet(9, [0, 1]))
    for block in picker.pick("a", 2):
        picker.failed("a", block)
    assert picker.pick("b", 1) == [Block(0, 0, BLOCK)]  # the rarer one


def test_a_block_that_comes_late_still_counts():
    picker = make(1, blocks=2)
    picker.add_peer("slow", PieceSet.full(1))
    picker.add_peer("other", PieceSet.full(1))
    one, two = picker.pick("slow", 2)
    picker.failed("slow", one)
    picker.failed("slow", two)
    assert picker.received("slow", 0, 0) == (True, False, ())
    assert picker.pick("other", 1) == [two]
    assert picker.received("slow", 0, BLOCK) == (True, True, ("other",))
    assert picker.pending("other") == ()


def test_a_late_block_that_was_the_last_to_ask_for():
    picker = make(2, blocks=2)
    picker.add_peer("p", PieceSet(2, [0]))
    picker.add_peer("idle", PieceSet(2, [0]))
    one, two = picker.pick("p", 2)
    picker.failed("p", two)
    assert picker.received("p", *two[:2]).new
    assert picker.pick("p", 2) == []
    assert picker.pick("idle", 2) == [one]  # all is asked: the endgame
    assert picker.received("p", *one[:2]).whole


@pytest.mark.parametrize(("index", "begin"), [(0, 0), (1, 1), (1, 2 * BLOCK), (3, 0), (9, 0)])
def test_what_is_not_missing_is_thrown_away(index, begin):
    picker = make(4, have=[3])
    picker.add_peer("p", PieceSet(4, [0, 1, 3]))
    deliver(picker, "p", picker.pick("p", 2, only=[0]))
    picker.verified(0)
    picker.pick("p", 1, only=[1])
    assert picker.received("p", index, begin) == (False, False, ())


def test_a_piece_that_nobody_asked_for_is_not_taken_from_who_lacks_it():
    picker = make(4)
    picker.add_peer("p", PieceSet(4, [0]))
    assert not picker.received("p", 2, 0).new
    assert picker.received("p", 0, 0).new


def test_a_piece_verified_from_elsewhere_is_not_waited_for():
    picker = make(2)
    picker.add_peer("p", PieceSet.full(2))
    blocks = picker.pick("p", 3)
    picker.verified(blocks[0].index)
    picker.verified(blocks[0].index)
    assert picker.remaining == 1
    assert picker.pending("p") == tuple(blocks[2:])
    assert not picker.received("p", blocks[0].index, 0).new
    untouched = make(1)
    untouched.verified(0)
    assert untouched.done
