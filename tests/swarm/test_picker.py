import itertools
import random
from collections import Counter

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from peerwire.pieces import PieceSet
from peerwire.swarm.picker import ENDGAME_COPIES, RANDOM_FIRST, Block, Picker

BLOCK = 16 * 1024


def make(num_pieces, blocks=2, *, have=(), seed=1, **options):
    return Picker(
        num_pieces,
        lambda index: blocks * BLOCK,
        have=PieceSet(num_pieces, have),
        rng=random.Random(seed),
        **options,
    )


def deliver(picker, peer, blocks):
    return [picker.received(peer, block.index, block.begin) for block in blocks]


def finish(picker, peer):
    """One peer answers everything and every piece is right; returns the pieces as they came."""
    order = []
    while blocks := picker.pick(peer, 3):
        for block in blocks:
            if picker.received(peer, block.index, block.begin).whole:
                picker.verified(block.index)
                order.append(block.index)
    return order


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


# The endgame


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


# Corrupt pieces


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


# Everything at once

SIZES = [25, 25, 10, 31, 25, 7]
PIECES = len(SIZES)
BLOCKS = {
    index: [Block(index, begin, min(10, size - begin)) for begin in range(0, size, 10)]
    for index, size in enumerate(SIZES)
}

keys = st.integers(0, 4)
indices = st.integers(0, PIECES - 1)
piece_sets = st.sets(indices) | st.just(set(range(PIECES)))
places = st.integers(0, 30)


class Download(RuleBasedStateMachine):
    """A picker beside a slow and simple account of what it should know.

    Peers 3 and 4 are bad: what they give does not hash.
    """

    @initialize(seed=st.integers(0, 99), have=piece_sets, wanted=piece_sets)
    def begin(self, seed, have, wanted):
        self.picker = Picker(
            PIECES,
            SIZES.__getitem__,
            have=PieceSet(PIECES, have),
            wanted=PieceSet(PIECES, wanted),
            block_length=10,
            rng=random.Random(seed),
        )
        self.needed = wanted - have
        self.peers = {}
        self.asked = {}
        self.got = {index: {} for index in range(PIECES)}
        self.whole = set()
        self.parole = set()

    def owners(self, index):
        """Who was asked for a block of this piece, or gave one."""
        asked = {key for key, blocks in self.asked.items() for b in blocks if b.index == index}
        return asked | set(self.got[index].values())

    @rule(key=keys, pieces=piece_sets)
    def join(self, key, pieces):
        if key in self.peers:
            self.picker.replace(key, PieceSet(PIECES, pieces))
        else:
            self.picker.add_peer(key, PieceSet(PIECES, pieces))
            self.asked[key] = []
        self.peers[key] = set(pieces)

    @rule(key=keys)
    def leave(self, key):
        if key not in self.peers:
            return
        # What it gave alone, on parole, is no use: nobody else may complete the piece.
        for index in self.parole - self.whole:
            if self.owners(index) == {key}:
                self.got[index].clear()
        self.picker.remove_peer(key)
        del self.peers[key], self.asked[key]

    @rule(key=keys, index=indices)
    def has(self, key, index):
        if key in self.peers:
            self.picker.peer_has(key, index)
            self.peers[key].add(index)

    @rule(key=keys, index=indices)
    def lost(self, key, index):
        if key in self.peers:
            self.picker.peer_lost(key, index)
            self.peers[key].discard(index)

    @rule(key=keys, count=st.integers(1, 9), only=st.none() | piece_sets)
    def pick(self, key, count, only):
        if key not in self.peers:
            return
        blocks = self.picker.pick(key, count, only=only)
        assert len(blocks) <= count
        for block in blocks:
            index = block.index
            assert block in BLOCKS[index]
            assert index in self.peers[key]
            assert index in self.needed
            assert only is None or index in only
            assert block not in self.asked[key], "asked twice"
            if index in self.parole and self.owners(index) - {key}:
                assert not any(b.index == index for bs in self.asked.values() for b in bs)
                self.got[index].clear()  # taken over
            assert block.begin not in self.got[index], "asked for what is here"
            askers = [other for other, theirs in self.asked.items() if block in theirs]
            assert len(askers) < ENDGAME_COPIES
            self.asked[key].append(block)

    @rule(key=keys, place=places)
    def answer(self, key, place):
        if self.asked.get(key):
            block = self.asked[key][place % len(self.asked[key])]
            self.take(key, block, new=True)

    @rule(key=keys, index=indices, place=places)
    def answer_unasked(self, key, index, place):
        if key not in self.peers:
            return
        block = BLOCKS[index][place % len(BLOCKS[index])]
        owners = self.owners(index)
        takes_part = key in owners or (index not in self.parole if owners else True)
        known = owners or index in self.peers[key]
        missing = index in self.needed - self.whole and block.begin not in self.got[index]
        self.take(key, block, new=bool(missing and known and takes_part))

    def take(self, key, block, new):
        index = block.index
        result = self.picker.received(key, index, block.begin)
        assert result.new is new
        if not new:
            assert result == (False, False, ())
            return
        askers = {other for other, blocks in self.asked.items() if block in blocks}
        for other in askers:
            self.asked[other].remove(block)
        assert len(result.others) == len(set(result.others))
        assert set(result.others) == askers - {key}
        self.got[index][block.begin] = key
        assert result.whole is (len(self.got[index]) == len(BLOCKS[index]))
        if result.whole:
            self.whole.add(index)

    @rule(key=keys, place=places)
    def fail(self, key, place):
        if self.asked.get(key):
            block = self.asked[key].pop(place % len(self.asked[key]))
            self.picker.failed(key, block)

    @rule(key=keys)
    def disown(self, key):
        self.picker.disown(lambda peer: peer == key)
        for index in set(self.got) - self.whole:
            for begin, giver in list(self.got[index].items()):
                if giver == key:
                    del self.got[index][begin]

    @precondition(lambda self: self.whole)
    @rule(place=places)
    def hash(self, place):
        index = sorted(self.whole)[place % len(self.whole)]
        self.whole.remove(index)
        givers = set(self.got[index].values())
        self.got[index].clear()
        if givers.isdisjoint({3, 4}):
            self.picker.verified(index)
            self.needed.remove(index)
            self.parole.discard(index)
            return
        blame = self.picker.corrupt(index)
        assert blame.index == index
        assert len(blame.peers) == len(givers)
        assert set(blame.peers) == givers
        assert blame.alone is (len(givers) == 1)
        assert blame.alone or index not in self.parole, "on parole, and yet shared"
        assert self.picker.suspects(index) >= givers
        self.parole.add(index)
        for giver in givers if blame.alone else ():
            self.peers.get(giver, set()).discard(index)

    @invariant()
    def agrees(self):
        assert self.picker.remaining == len(self.needed)
        assert self.picker.done is (not self.needed)
        for key, pieces in self.peers.items():
            assert self.picker.pending(key) == tuple(self.asked[key])
            assert self.picker.interesting(key) is bool(pieces & self.needed)

    def teardown(self):
        """Whatever has happened, a seed that answers completes the download."""
        if not hasattr(self, "picker"):
            return
        for key, blocks in self.asked.items():
            while blocks:
                self.picker.failed(key, blocks.pop())
        self.join("seed", set(range(PIECES)))
        for _ in range(10 * PIECES):
            while self.whole:
                self.hash(0)
            self.pick("seed", 4, None)
            while self.asked["seed"]:
                self.answer("seed", 0)
        self.agrees()
        assert self.picker.done


Download.TestCase.settings = settings(max_examples=100, stateful_step_count=60, deadline=None)
TestDownload = Download.TestCase


def test_it_tells_how_many_pieces_a_peer_has():
    picker = Picker(3, lambda _: 16384, have=PieceSet(3))
    picker.add_peer("peer", PieceSet(3, [0, 2]))
    assert picker.count("peer") == 2
    picker.peer_lost("peer", 2)
    assert picker.count("peer") == 1
