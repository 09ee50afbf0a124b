import random
import weakref

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peerwire.swarm.choker import (
    DEFAULT_SLOTS,
    NEWCOMER_WEIGHT,
    OPTIMISTIC_SECONDS,
    RECHOKE_SECONDS,
    Candidate,
    Choker,
)


def peer(
    key,
    rate=0.0,
    *,
    interested=True,
    upload_rate=0.0,
    connected_at=0.0,
    unchoked=False,
    home="",
):
    return Candidate(
        key,
        interested=interested,
        download_rate=rate,
        upload_rate=upload_rate,
        connected_at=connected_at,
        unchoked=unchoked,
        home=home,
    )


def choke(peers, chosen):
    """Do as the choker says."""
    for candidate in peers:
        candidate.unchoked = candidate.key in chosen
    return chosen


def optimistic_at(choker, now, peers):
    """Whom the optimistic slot goes to, where the rates leave only that one."""
    chosen = choke(peers, choker.rechoke(now, peers, seeding=False))
    (key,) = {candidate.key for candidate in peers if not candidate.download_rate} & chosen
    return key


def test_the_defaults_are_those_of_deployed_clients():
    assert (DEFAULT_SLOTS, RECHOKE_SECONDS, OPTIMISTIC_SECONDS) == (10, 10, 30)
    peers = [peer(number) for number in range(30)]
    assert len(Choker().rechoke(0, peers, seeding=False)) == 10


def test_there_is_a_slot():
    with pytest.raises(ValueError, match="0 slots unchoke nobody"):
        Choker(0)


def test_nobody_is_here():
    assert Choker().rechoke(0, [], seeding=True) == set()


def test_while_downloading_those_who_give_most_are_unchoked():
    peers = [peer(rate, rate, upload_rate=-rate) for rate in range(1, 10)]
    chosen = Choker(4, rng=random.Random(1)).rechoke(0, peers, seeding=False)
    assert {7, 8, 9} < chosen
    assert len(chosen) == 4


def test_while_seeding_those_who_take_most_are_unchoked():
    peers = [peer(rate, -rate, upload_rate=rate) for rate in range(1, 10)]
    chosen = Choker(4, rng=random.Random(1)).rechoke(0, peers, seeding=True)
    assert {7, 8, 9} < chosen
    assert len(chosen) == 4


@pytest.mark.parametrize("seeding", [False, True])
def test_many_from_one_address_compete_for_the_place_of_one(seeding):
    crowd = [peer(("crowd", n), 100 + n, upload_rate=100 + n, home="crowd") for n in range(20)]
    others = [peer(("other", n), n, upload_rate=n, home=f"{n}") for n in range(3)]
    chosen = Choker(5, rng=random.Random(1)).rechoke(0, [*crowd, *others], seeding=seeding)
    assert {("other", n) for n in range(3)} < chosen
    assert ("crowd", 19) in chosen  # the fastest of them
    assert len(chosen) == 5


def test_what_others_leave_may_go_to_one_address():
    crowd = [peer(("crowd", n), 100 + n, home="crowd") for n in range(20)]
    chosen = Choker(5).rechoke(0, [*crowd, peer("other", 1, home="other")], seeding=False)
    assert "other" in chosen
    assert {("crowd", 19), ("crowd", 18), ("crowd", 17)} < chosen


def test_as_long_as_there_are_slots_everybody_interested_is_unchoked():
    peers = [peer(number, number) for number in range(4)] + [peer("idle", interested=False)]
    assert Choker(4).rechoke(0, peers, seeding=False) == {0, 1, 2, 3}
    assert Choker(9).rechoke(0, peers, seeding=False) == {0, 1, 2, 3}


def test_the_faster_are_unchoked_though_not_interested_and_take_no_slot():
    peers = [
        peer("fast", 100, interested=False),
        peer("a", 50),
        peer("medium", 40, interested=False),
        peer("b", 30),
        peer("c"),
        peer("slow", 10, interested=False),
    ]
    chosen = Choker(3).rechoke(0, peers, seeding=False)
    assert chosen == {"fast", "a", "medium", "b", "c"}


def test_of_equals_those_unchoked_stay():
    peers = [peer(number, 5) for number in range(20)]
    choker = Choker(10, rng=random.Random(3))
    first = choke(peers, choker.rechoke(0, peers, seeding=False))
    assert choker.rechoke(10, peers, seeding=False) == first


def test_equals_are_chosen_among_at_random():
    peers = [peer(number, 5) for number in range(20)]
    chosen = [Choker(10, rng=random.Random(n)).rechoke(0, peers, seeding=False) for n in range(9)]
    assert set().union(*chosen) == set(range(20))


def test_one_slot_is_the_optimistic_one():
    peers = [peer(number, 10 * number) for number in range(5)]
    choker = Choker(1, rng=random.Random(1))
    seen = [choke(peers, choker.rechoke(now, peers, seeding=False)) for now in range(0, 150, 30)]
    assert all(len(chosen) == 1 for chosen in seen)
    assert set().union(*seen) == set(range(5))


# The optimistic unchoke


def test_the_optimistic_unchoke_stays_thirty_seconds_and_goes_round():
    peers = [peer("fast", 100), *(peer(number) for number in range(4))]
    choker = Choker(2, rng=random.Random(1))
    turns = [optimistic_at(choker, now, peers) for now in range(0, 240, 10)]
    by_turn = [turns[start : start + 3] for start in range(0, 24, 3)]
    assert all(len(set(turn)) == 1 for turn in by_turn)
    order = [turn[0] for turn in by_turn]
    assert set(order[:4]) == set(range(4))
    assert order[4:] == order[:4]


def test_a_timer_may_ring_a_little_early():
    peers = [peer("fast", 100), *(peer(number) for number in range(4))]
    choker = Choker(2, rng=random.Random(1))
    turns = [optimistic_at(choker, 9.99 * ring, peers) for ring in range(6)]
    assert turns[0] == turns[1] == turns[2] != turns[3]


@pytest.mark.parametrize("leaves", [True, False])
def test_whoever_has_no_use_for_the_optimistic_unchoke_passes_it_on(leaves):
    peers = [peer("fast", 100), *(peer(number) for number in range(4))]
    choker = Choker(2, rng=random.Random(1))
    key = optimistic_at(choker, 0, peers)
    (holder,) = (candidate for candidate in peers if candidate.key == key)
    if leaves:
        peers.remove(holder)
    else:
        holder.interested = False
    assert optimistic_at(choker, 10, peers) != key


def test_newcomers_are_three_times_as_likely_to_be_next():
    next_is_new = 0
    for seed in range(400):
        peers = [peer("fast", 100), *(peer(number) for number in range(5))]
        choker = Choker(2, rng=random.Random(seed))
        optimistic_at(choker, 0, peers)
        peers.append(peer("new", connected_at=20.0))
        next_is_new += optimistic_at(choker, 30, peers) == "new"
    # six stand in the rotation before it comes: places 0 to 6, the first with thrice the weight
    expected = 400 * NEWCOMER_WEIGHT / (6 + NEWCOMER_WEIGHT)
    assert expected * 0.8 < next_is_new < expected * 1.2


def test_those_who_leave_are_forgotten():
    class Key:
        pass

    choker = Choker(2)
    peers = [peer(Key()) for _ in range(5)]
    keys = [weakref.ref(candidate.key) for candidate in peers]
    choker.rechoke(0, peers, seeding=False)
    del peers
    choker.rechoke(10, [], seeding=False)
    assert not any(key() for key in keys)


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(1, 14),
    slots=st.integers(1, 5),
    seed=st.integers(0, 2**32),
    seeding=st.booleans(),
)
def test_nobody_starves(count, slots, seed, seeding):
    rng = random.Random(seed)
    peers = [peer(number, connected_at=rng.random()) for number in range(count)]
    fickle = set(rng.sample(range(count), count // 3))
    choker = Choker(slots, rng=rng)
    served = set()
    for now in range(0, 30 * count, 10):
        for candidate in peers:
            candidate.download_rate = rng.choice([0.0, rng.random(), 100.0 * candidate.key])
            candidate.upload_rate = rng.choice([0.0, rng.random(), 100.0 * candidate.key])
            candidate.interested = candidate.key not in fickle or rng.random() < 0.5
        chosen = choke(peers, choker.rechoke(float(now), peers, seeding=seeding))
        interested = {candidate.key for candidate in peers if candidate.interested}
        assert len(interested & chosen) == min(slots, len(interested))
        served |= chosen
    assert served >= set(range(count)) - fickle


# Between the rounds


def test_a_newcomer_gets_a_free_slot_at_once():
    peers = [peer("a", 10)]
    choker = Choker(2)
    choke(peers, choker.rechoke(0, peers, seeding=False))
    peers.append(peer("b", connected_at=1.0))
    assert choke(peers, choker.rechoke(1, peers, seeding=False)) == {"a", "b"}
    peers.append(peer("c", connected_at=2.0))
    assert choker.rechoke(2, peers, seeding=False) == {"a", "b"}


def test_the_slot_of_one_who_lost_interest_goes_to_the_fastest_left_out():
    peers = [peer(rate, rate) for rate in range(1, 6)]
    choker = Choker(3, rng=random.Random(1))
    chosen = choke(peers, choker.rechoke(0, peers, seeding=False))
    left_out = {1, 2, 3, 4, 5} - chosen
    peers[4].interested = False
    assert choker.rechoke(5, peers, seeding=False) == chosen | {max(left_out)}


def test_the_choked_do_not_change_between_the_rounds():
    peers = [peer(rate, rate) for rate in range(1, 6)]
    choker = Choker(3, rng=random.Random(1))
    chosen = choke(peers, choker.rechoke(0, peers, seeding=False))
    for candidate in peers:
        candidate.download_rate = 100 - candidate.key
    assert choker.rechoke(9, peers, seeding=False) == chosen
    assert {1, 2} < choker.rechoke(10, peers, seeding=False)


def test_when_a_faster_one_becomes_interested_the_slowest_goes():
    peers = [peer("fast", 100, interested=False), *(peer(rate, rate) for rate in range(1, 6))]
    choker = Choker(3, rng=random.Random(1))
    chosen = choke(peers, choker.rechoke(0, peers, seeding=False))
    assert {"fast", 5, 4} < chosen
    assert len(chosen) == 4
    peers[0].interested = True
    after = choke(peers, choker.rechoke(5, peers, seeding=False))
    assert after == chosen - {4}  # the optimistic one stays
    assert choker.rechoke(6, peers, seeding=False) == after
