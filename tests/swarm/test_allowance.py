"""Allowed fast: what a starting peer may have while it is choked, and how much of it."""

from __future__ import annotations

import types

import pytest

from peerwire import (
    AllowedFast,
    Choke,
    Have,
    HaveAll,
    HaveNone,
    Interested,
    NotInterested,
    Piece,
    PieceSet,
    Reject,
    Request,
    Unchoke,
)
from peerwire.fast import allowed_fast_set
from peerwire.swarm.allowance import MAX_COPIES, Allowance
from peerwire.swarm.choker import Choker

from .conftest import BLOCK, HOST, everything, make_torrent, some, turns, until

PIECES = 16


@pytest.fixture
def stingy(monkeypatch):
    """No swarm unchokes anybody."""
    monkeypatch.setattr(Choker, "rechoke", lambda self, now, peers, seeding: set())


@pytest.fixture
def torrent():
    return make_torrent(PIECES * BLOCK)


@pytest.fixture
def allowed(torrent):
    return allowed_fast_set(PIECES, torrent.meta.info_hash, HOST)


async def hear(peer, count):
    return [await peer.hear() for _ in range(count)]


def others(allowed):
    return sorted(set(range(PIECES)).difference(allowed))


# What is offered


async def test_a_starting_peer_is_told_its_canonical_set(seed, raw, torrent, allowed, stingy):
    giver = await seed(torrent)
    peer = await raw(giver, HaveNone())
    assert await hear(peer, 11) == [HaveAll(), *map(AllowedFast, allowed)]


async def test_of_an_address_in_ipv6_the_set_is_another(torrent, allowed):
    told = []
    peer = types.SimpleNamespace(
        fast=True,
        closed=None,
        am_choking=True,
        address=("2001:db8::1", 6881),
        info_hash=torrent.meta.info_hash,
        peer_pieces=PieceSet(PIECES),
        wire=types.SimpleNamespace(allowed_fast=set()),
        allowed_fast=told.append,
    )
    Allowance(peer, torrent.meta, PieceSet.full(PIECES)).peer_announced()
    assert told == allowed_fast_set(PIECES, torrent.meta.info_hash, "2001:db8::1")
    assert told != allowed


async def test_a_peer_that_was_gone_at_once_is_offered_nothing(torrent):
    peer = types.SimpleNamespace(
        fast=True, closed=None, am_choking=True, address=("", 0), peer_pieces=PieceSet(PIECES)
    )
    Allowance(peer, torrent.meta, PieceSet.full(PIECES)).peer_announced()


async def test_nobody_is_offered_anything_before_it_says_what_it_has(seed, raw, torrent, stingy):
    giver = await seed(torrent)
    peer = await raw(giver)
    assert await peer.hear() == HaveAll()
    giver.swarm.rechoke()
    peer.say(everything(torrent))
    assert await peer.hear_until_end() == []


async def test_without_the_fast_extension_nothing_is_offered(seed, raw, torrent, stingy):
    giver = await seed(torrent)
    peer = await raw(giver, some(torrent, 0), Interested(), fast=False)
    await peer.hear()
    await turns()
    assert not giver.sent("allowed fast")


async def test_who_owns_as_many_pieces_as_the_set_has_is_offered_nothing(
    seed, raw, torrent, stingy
):
    giver = await seed(torrent)
    await raw(giver, some(torrent, *range(10)))
    await until(lambda: giver.swarm.peers and len(giver.peer().peer_pieces) == 10)
    await turns()
    assert not giver.sent("allowed fast")


async def test_only_pieces_that_are_here_and_not_there_are_offered(
    join, raw, torrent, allowed, stingy
):
    giver = await join(torrent, pieces=[*allowed[:3], *others(allowed)])
    peer = await raw(giver, some(torrent, allowed[1]))
    await peer.hear()
    assert await hear(peer, 2) == [AllowedFast(allowed[0]), AllowedFast(allowed[2])]


async def test_a_piece_that_comes_later_is_offered_then(join, raw, torrent, allowed, stingy):
    taker = await join(torrent)
    peer = await raw(taker, some(torrent, allowed[0]), Unchoke())
    starting = await raw(taker, HaveNone(), peer_id=b"-RW0001-bbbbbbbbbbbb")
    await peer.hear_only(Request)
    await until(lambda: len(taker.swarm.peers) == 2)
    peer.say(Piece(allowed[0], 0, torrent.piece(allowed[0])))
    assert await starting.hear_only(Have) == Have(allowed[0])
    assert await starting.hear() == AllowedFast(allowed[0])


async def test_the_set_is_offered_with_a_choke_to_who_was_unchoked_before(
    seed, raw, torrent, allowed, clock
):
    giver = await seed(torrent)
    peer = await raw(giver, Interested())
    assert await hear(peer, 2) == [HaveAll(), Unchoke()]
    # A late announcement, to which nothing is said while it is unchoked.
    peer.say(HaveNone())
    await turns()
    peer.say(NotInterested())
    await turns()
    await clock.advance(10)
    assert await hear(peer, 11) == [Choke(), *map(AllowedFast, allowed)]


# What is served


async def test_what_is_allowed_is_served_and_the_rest_rejected(seed, raw, torrent, allowed, stingy):
    giver = await seed(torrent)
    peer = await raw(giver, HaveNone(), Interested())
    await hear(peer, 11)
    other = others(allowed)[0]
    peer.say(Request(other, 0, BLOCK), *(Request(index, 0, BLOCK) for index in allowed))
    assert await peer.hear() == Reject(other, 0, BLOCK)
    assert await hear(peer, 10) == [Piece(index, 0, torrent.piece(index)) for index in allowed]


async def test_a_choke_does_not_end_requests_that_are_allowed(seed, raw, torrent, allowed):
    giver = await seed(torrent)
    peer = await raw(giver, HaveNone(), Interested())
    await peer.hear_only(Unchoke)
    wire = giver.peer().wire
    # Both are here before the swarm looks.
    for index in others(allowed)[0], allowed[0]:
        wire.receive_data(Request(index, 0, BLOCK).encode(), wire.now)
    giver.peer().choke()
    assert await hear(peer, 2) == [Choke(), Reject(others(allowed)[0], 0, BLOCK)]
    peer.say(Request(allowed[1], 0, BLOCK))
    assert [(await peer.hear()).index for _ in range(2)] == allowed[:2]


async def test_it_ends_once_the_peer_has_enough(seed, raw, torrent, allowed, stingy):
    giver = await seed(torrent)
    peer = await raw(giver, HaveNone())
    await hear(peer, 11)
    peer.say(*map(Have, others(allowed)), *map(Have, allowed[:3]), Request(allowed[9], 0, BLOCK))
    await peer.hear()
    peer.say(Have(allowed[4]), Request(allowed[5], 0, BLOCK))
    assert await peer.hear() == Reject(allowed[5], 0, BLOCK)


async def test_a_piece_is_given_some_times_and_no_more(seed, raw, torrent, allowed, stingy):
    giver = await seed(torrent)
    peer = await raw(giver, HaveNone())
    await hear(peer, 11)
    for _ in range(MAX_COPIES):
        peer.say(Request(allowed[0], 0, BLOCK))
        assert isinstance(await peer.hear(), Piece)
    peer.say(Request(allowed[0], 0, 1), Request(allowed[1], 0, BLOCK))
    assert await peer.hear() == Reject(allowed[0], 0, 1)
    assert isinstance(await peer.hear(), Piece)


async def test_what_is_given_to_an_unchoked_peer_does_not_count(seed, raw, torrent, allowed):
    giver = await seed(torrent)
    peer = await raw(giver, HaveNone(), Interested())
    await peer.hear_only(Unchoke)
    for _ in range(MAX_COPIES + 1):
        peer.say(Request(allowed[0], 0, BLOCK))
        assert isinstance(await peer.hear(), Piece)


async def test_two_swarms_of_which_one_never_unchokes(seed, join, torrent, allowed, stingy):
    giver, taker = await seed(torrent), await join(torrent)
    taker.swarm.dial(HOST, giver.port)
    await until(lambda: set(taker.swarm.have) == set(allowed))
    await turns()
    assert giver.peer().am_choking
    assert set(taker.swarm.have) == set(allowed)
