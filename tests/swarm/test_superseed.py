"""Super-seeding: what is shown to whom, and when."""

from __future__ import annotations

import random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from peerwire.pieces import PieceSet
from peerwire.swarm.superseed import PATIENCE, SuperSeed


def make(num_pieces, *, seed=1):
    return SuperSeed(num_pieces, random.Random(seed))


def join(plan, peer, *pieces):
    return plan.joined(peer, PieceSet(None, pieces))


def only(reveals, peer):
    """The piece of the one reveal that there is, which is made to this peer."""
    ((whom, index),) = reveals
    assert whom == peer
    return index


# One piece at a time


def test_each_newcomer_is_shown_a_piece_of_its_own():
    plan = make(3)
    assert {only(join(plan, peer), peer) for peer in "abc"} == {0, 1, 2}


def test_the_next_piece_comes_once_another_peer_has_shown_the_last():
    plan = make(4)
    first = only(join(plan, "a"), "a")
    other = only(join(plan, "b"), "b")
    assert plan.peer_has("a", first) == []
    assert plan.peer_has("b", other) == []
    assert only(plan.peer_has("b", first), "a") not in {first, other}


def test_a_piece_that_shows_up_elsewhere_frees_its_peer_although_that_has_not_got_it():
    plan = make(4)
    first = only(join(plan, "a"), "a")
    join(plan, "b")
    only(plan.peer_has("b", first), "a")


def test_a_newcomer_may_bring_the_proof():
    plan = make(3)
    first = only(join(plan, "a"), "a")
    reveals = dict(join(plan, "b", first))
    assert reveals.keys() == {"a", "b"}
    assert {*reveals.values(), first} == {0, 1, 2}


def test_a_bitfield_in_mid_session_may_bring_the_proof():
    plan = make(4)
    first = only(join(plan, "a"), "a")
    join(plan, "b")
    assert [peer for peer, _ in join(plan, "b", first)] == ["a"]


def test_what_is_shown_twice_proves_nothing_new():
    plan = make(4)
    first = only(join(plan, "a"), "a")
    join(plan, "b")
    assert plan.peer_has("a", first) == []
    assert plan.peer_has("a", first) == []
    only(plan.peer_has("b", first), "a")
    assert plan.peer_has("b", first) == []


def test_what_fewest_have_or_were_shown_comes_first():
    plan = make(4)
    shown = only(join(plan, "a", 0, 1), "a")
    last = only(join(plan, "b"), "b")
    assert {0, 1, shown, last} == {0, 1, 2, 3}
    plan.left("a")
    # With it went what it had, and what it was about to have.
    assert only(join(plan, "c"), "c") != last


def test_ties_are_broken_at_random():
    assert {only(join(make(8, seed=seed), "a"), "a") for seed in range(100)} == set(range(8))


def test_who_has_everything_is_shown_nothing():
    plan = make(2)
    assert join(plan, "seed", 0, 1) == []
    assert plan.uninterested("seed") == []
    assert plan.left("seed") == []


@pytest.mark.parametrize("spares_haves", [False, True])
@pytest.mark.parametrize("sharing", [1.0, 0.3, 0.05])
def test_little_more_than_one_copy_serves_three_who_share(sharing, spares_haves):
    """BEP 16 tells of 105 %; those who share slowly are given a little more in the end."""
    count = 100
    plan, rng = make(count), random.Random(1)
    shown, held = {p: set() for p in "abc"}, {p: set() for p in "abc"}
    given = 0

    def tell(reveals):
        for peer, index in reveals:
            shown[peer].add(index)

    def get(peer, pieces):
        if not pieces:
            return False
        index = rng.choice(sorted(pieces))
        held[peer].add(index)
        if not (spares_haves and index in shown[peer]):
            tell(plan.peer_has(peer, index))
        if shown[peer] <= held[peer]:
            tell(plan.uninterested(peer))
        return True

    for peer in "abc":
        tell(join(plan, peer))
    for _ in range(50 * count):
        for peer in rng.sample("abc", 3):
            given += get(peer, shown[peer] - held[peer])
            if rng.random() < sharing:
                get(peer, held[rng.choice("abc")] - held[peer])
    assert all(len(pieces) == count for pieces in held.values())
    assert count <= given <= 1.15 * count


# Nobody waits for ever


def test_a_peer_with_nobody_beside_it_gets_piece_after_piece():
    plan = make(5)
    got = [only(join(plan, "a"), "a")]
    while len(got) < 5:
        got.append(only(plan.peer_has("a", got[-1]), "a"))
    assert sorted(got) == [0, 1, 2, 3, 4]
    assert plan.peer_has("a", got[-1]) == []


def test_a_peer_that_spares_haves_gets_piece_after_piece():
    plan = make(3)
    first = only(join(plan, "a"), "a")
    # It loses its interest because it has the piece; a HAVE of it would be news to nobody.
    second = only(plan.uninterested("a"), "a")
    third = only(plan.uninterested("a"), "a")
    assert {first, second, third} == {0, 1, 2}
    assert plan.uninterested("a") == []


def test_who_is_left_alone_goes_on():
    plan = make(4)
    first = only(join(plan, "a"), "a")
    join(plan, "b")
    assert plan.peer_has("a", first) == []
    only(plan.left("b"), "a")


def test_who_is_left_alone_before_it_is_done_goes_on_once_it_is():
    plan = make(4)
    first = only(join(plan, "a"), "a")
    join(plan, "b")
    assert plan.left("b") == []
    only(plan.peer_has("a", first), "a")


def test_a_peer_that_was_shown_the_same_piece_is_not_waited_for():
    plan = make(3)
    mine = only(join(plan, "a", 0), "a")
    other = 3 - mine
    assert only(join(plan, "b", 0, other), "b") == mine
    # It may get it, and think that a HAVE of it is no news.
    assert only(plan.peer_has("a", mine), "a") == other


def test_a_peer_is_waited_for_until_it_is_shown_the_same_piece():
    plan = make(3)
    mine = only(join(plan, "a", 0), "a")
    other = only(join(plan, "b", 0), "b")
    assert plan.peer_has("a", mine) == []
    assert join(plan, "c", 0, other) == [("c", mine), ("b", mine), ("a", other)]


@pytest.mark.parametrize("shows", [False, True])
def test_a_peer_that_shows_nothing_new_is_not_waited_for_long(shows):
    plan = make(50)
    mine = only(join(plan, "a"), "a")
    join(plan, "watcher")
    news = iter(set(range(50)) - {mine})
    assert plan.peer_has("a", mine) == []
    for _ in range(PATIENCE):
        assert plan.tick() == []
        if shows:
            plan.peer_has("watcher", next(news))
    assert [peer for peer, _ in plan.tick()] == ([] if shows else ["a"])


def test_what_can_not_be_served_is_replaced_and_never_shown_again():
    plan = make(3)
    first = only(join(plan, "a"), "a")
    join(plan, "b")
    second = only(plan.withdraw(first), "a")
    assert second != first
    assert plan.withdraw(first) == []
    assert plan.left("b") == []
    third = only(plan.peer_has("a", second), "a")
    assert {first, second, third} == {0, 1, 2}
    assert plan.peer_has("a", third) == []


# Whatever happens


class Model:
    """What is known of a peer, in the plainest form."""

    def __init__(self):
        self.pieces = set()
        self.shown = set()
        self.current = set()  # the piece that it is waited for with, if there is one
        self.done = False
        self.passed_on = False
        self.active = 0


class SuperSeedMachine(RuleBasedStateMachine):
    """Peers come, show pieces, lose interest and leave; each reveal is judged naively."""

    @initialize(num_pieces=st.integers(1, 9), seed=st.integers(0, 9))
    def begin(self, num_pieces, seed):
        self.num_pieces = num_pieces
        self.plan = make(num_pieces, seed=seed)
        self.peers = {}
        self.offered = set(range(num_pieces))
        self.round = 0

    def any_peer(self, data):
        return data.draw(st.sampled_from(sorted(self.peers)))

    @rule(peer=st.integers(0, 5), data=st.data())
    def joins_or_announces(self, peer, data):
        pieces = data.draw(st.sets(st.integers(0, self.num_pieces - 1)))
        self.peers.setdefault(peer, Model()).pieces = set(pieces)
        self.showed(peer, pieces)
        self.judge(self.plan.joined(peer, PieceSet(self.num_pieces, pieces)))

    @precondition(lambda self: self.peers)
    @rule(data=st.data(), current=st.booleans())
    def has(self, data, current):
        peer = self.any_peer(data)
        who = self.peers[peer]
        known = who.current if current and who.current else range(self.num_pieces)
        index = data.draw(st.sampled_from(sorted(known)))
        if index not in who.pieces:
            who.pieces.add(index)
            self.showed(peer, {index})
        self.judge(self.plan.peer_has(peer, index))

    @precondition(lambda self: self.peers)
    @rule(data=st.data())
    def loses_interest(self, data):
        peer = self.any_peer(data)
        self.peers[peer].done = True
        self.judge(self.plan.uninterested(peer))

    @precondition(lambda self: self.peers)
    @rule(data=st.data())
    def leaves(self, data):
        peer = self.any_peer(data)
        del self.peers[peer]
        self.judge(self.plan.left(peer))

    @rule(data=st.data())
    def fails_on_disk(self, data):
        index = data.draw(st.integers(0, self.num_pieces - 1))
        self.offered.discard(index)
        for who in self.peers.values():
            who.passed_on = who.passed_on or index in who.current
        self.judge(self.plan.withdraw(index))

    @rule(rounds=st.integers(1, PATIENCE + 1))
    def time_goes_by(self, rounds):
        for _ in range(rounds):
            self.round += 1
            self.judge(self.plan.tick())

    def showed(self, peer, pieces):
        self.peers[peer].active = self.round
        for other, who in self.peers.items():
            if who.current & pieces:
                who.done = who.done or other == peer
                who.passed_on = who.passed_on or other != peer

    def settled(self, peer):
        who = self.peers[peer]
        nobody_could = all(
            other == peer or who.current & (m.pieces | m.shown) or self.round - m.active > PATIENCE
            for other, m in self.peers.items()
        )
        return not who.current or who.passed_on or (who.done and nobody_could)

    def lacking(self, peer):
        who = self.peers[peer]
        return self.offered - who.pieces - who.shown

    def count(self, index):
        return sum(index in who.pieces | who.current for who in self.peers.values())

    def judge(self, reveals):
        for peer, index in reveals:
            who = self.peers[peer]
            assert self.settled(peer), "it was to wait"
            assert index in self.lacking(peer)
            assert self.count(index) == min(map(self.count, self.lacking(peer)))
            who.current = {index}
            who.shown.add(index)
            who.done = who.passed_on = False
        for peer in self.peers:
            assert not self.lacking(peer) or not self.settled(peer), "it waits for nothing"


TestSuperSeed = SuperSeedMachine.TestCase
TestSuperSeed.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
