"""Whatever happens in whatever order, a picker agrees with a slow and simple account of it."""

import random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from peerwire.pieces import PieceSet
from peerwire.swarm.picker import ENDGAME_COPIES, Block, Picker

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
