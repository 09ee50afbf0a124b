"""Super-seeding on loopback: what peers hear, what they are served, and how much it takes."""

from __future__ import annotations

import asyncio

import pytest

from peerwire import (
    Bitfield,
    Have,
    HaveNone,
    Interested,
    NotInterested,
    Piece,
    Reject,
    Request,
    Unchoke,
)
from peerwire.swarm.choker import RECHOKE_SECONDS
from peerwire.swarm.events import DiskFailed, PeerJoined, PeerLeft
from peerwire.torrent.storage import Storage

from .conftest import BLOCK, HOST, everything, make_torrent, some, turns, until

IDS = [b"-RW0001-aaaaaaaaaaaa", b"-RW0001-bbbbbbbbbbbb"]


@pytest.fixture
def torrent():
    return make_torrent(4 * BLOCK)


async def shown(peer):
    """The piece that a peer is shown next."""
    return (await peer.hear_only(Have)).index


async def test_only_who_has_everything_super_seeds(join, torrent):
    with pytest.raises(ValueError, match="PieceSet 3/4> is not every piece"):
        await join(torrent, pieces=[0, 1, 2], super_seed=True)


# What is said


async def test_it_passes_for_a_peer_with_nothing_and_shows_one_piece(seed, raw, torrent):
    giver = await seed(torrent, super_seed=True)
    peer = await raw(giver, HaveNone())
    assert await peer.hear() == HaveNone()
    assert isinstance(await peer.hear(), Have)
    await turns()
    assert giver.sent("have").total() == 2
    assert not giver.sent("bitfield")
    assert not giver.sent("allowed fast")


async def test_without_the_fast_extension_a_peer_that_says_nothing_has_nothing(
    seed, raw, torrent, clock
):
    giver = await seed(torrent, super_seed=True)
    peer = await raw(giver, fast=False)
    await until(lambda: giver.swarm.peers)
    await turns()
    assert not giver.sent("have")
    await clock.advance(RECHOKE_SECONDS)
    assert isinstance(await peer.hear(), Have)


async def test_who_says_what_it_has_is_shown_something_else(seed, raw, torrent):
    giver = await seed(torrent, super_seed=True)
    peer = await raw(giver, some(torrent, 0, 1, 3), fast=False)
    assert await peer.hear() == Have(2)


async def test_who_says_it_one_by_one_is_shown_something_else(seed, raw, torrent):
    giver = await seed(torrent, super_seed=True)
    peer = await raw(giver, Have(0), Have(1), Have(3), fast=False)
    assert await peer.hear() == Have(2)


async def test_a_complete_peer_is_parted_from(seed, raw, torrent):
    giver = await seed(torrent, super_seed=True)
    peer = await raw(giver, everything(torrent))
    assert await peer.hear_until_end() == [HaveNone()]


# What is served


async def test_only_what_was_shown_is_served(seed, raw, torrent):
    giver = await seed(torrent, super_seed=True)
    peer = await raw(giver, HaveNone(), Interested())
    index = await shown(peer)
    await peer.hear_only(Unchoke)
    other = (index + 1) % 4
    peer.say(Request(other, 0, BLOCK), Request(index, 0, BLOCK))
    assert await peer.hear() == Reject(other, 0, BLOCK)
    assert await peer.hear() == Piece(index, 0, torrent.piece(index))


async def test_the_next_piece_is_shown_once_another_has_the_last(seed, raw, torrent):
    giver = await seed(torrent, super_seed=True)
    one, other = [await raw(giver, HaveNone(), peer_id=peer_id) for peer_id in IDS]
    first, second = await shown(one), await shown(other)
    one.say(Have(first))
    other.say(Have(second))
    await until(lambda: all(len(peer.peer_pieces) == 1 for peer in giver.swarm.peers))
    await turns()
    assert giver.sent("have ").total() == 2 + 2
    other.say(Have(first))
    assert await shown(one) not in {first, second}


async def test_what_was_shown_before_is_served_still(seed, raw, torrent):
    giver = await seed(torrent, super_seed=True)
    peer = await raw(giver, HaveNone(), Interested())
    first = await shown(peer)
    peer.say(Have(first))
    second = await shown(peer)
    for index in second, first:
        peer.say(Request(index, 0, BLOCK))
        assert await peer.hear_only(Piece) == Piece(index, 0, torrent.piece(index))


async def test_who_leaves_is_not_waited_for(seed, raw, torrent):
    giver = await seed(torrent, super_seed=True)
    one, other = [await raw(giver, HaveNone(), peer_id=peer_id) for peer_id in IDS]
    first = await shown(one)
    await shown(other)
    one.say(Have(first))
    other.close()
    assert await shown(one) != first
    silent = await raw(giver, fast=False, peer_id=IDS[1])
    await until(lambda: len(giver.swarm.peers) == 2)
    silent.close()
    await until(lambda: len(giver.told(PeerLeft)) == 2)


async def test_two_who_leave_at_the_same_time(seed, raw, torrent):
    giver = await seed(torrent, super_seed=True)
    leaving = [await raw(giver, HaveNone(), peer_id=peer_id) for peer_id in IDS]
    for peer in leaving:
        peer.say(Have(await shown(peer)))
    await until(lambda: all(len(peer.peer_pieces) == 1 for peer in giver.swarm.peers))
    for peer in leaving:
        peer.close()
    await asyncio.gather(*(peer.close() for peer in giver.swarm.peers))
    await until(lambda: len(giver.told(PeerLeft)) == 2)
    assert giver.sent("have ").total() == 2 + 2


@pytest.mark.parametrize("fast", [False, True])
async def test_who_says_only_that_it_has_no_interest_gets_the_next(seed, raw, torrent, fast):
    giver = await seed(torrent, super_seed=True)
    first_words = HaveNone() if fast else Bitfield(bytes(1))
    peer = await raw(giver, first_words, Interested(), fast=fast)
    pieces = {await shown(peer)}
    for _ in range(3):
        peer.say(NotInterested(), Interested())
        pieces.add(await shown(peer))
    assert pieces == {0, 1, 2, 3}


async def test_a_lack_of_interest_before_it_is_known_what_is_lacking(seed, raw, torrent):
    giver = await seed(torrent, super_seed=True)
    peer = await raw(giver, NotInterested(), some(torrent, 0, 1, 2), fast=False)
    assert await peer.hear() == Have(3)


async def test_who_never_takes_an_interest_is_shown_a_piece_each_round(seed, raw, torrent, clock):
    giver = await seed(torrent, super_seed=True)
    peer = await raw(giver, HaveNone())
    pieces = {await shown(peer)}
    for _ in range(3):
        await clock.advance(RECHOKE_SECONDS)
        pieces.add(await shown(peer))
    assert pieces == {0, 1, 2, 3}


async def test_who_is_interested_is_shown_no_more_with_time(seed, raw, torrent, clock):
    giver = await seed(torrent, super_seed=True)
    peer = await raw(giver, HaveNone(), Interested())
    await shown(peer)
    await clock.advance(RECHOKE_SECONDS)
    await turns()
    assert giver.sent("have ").total() == 2  # "have none" is one


class Broken(Storage):
    """Has lost one piece, the first that is asked for."""

    lost = None

    def read(self, index, begin, length):
        self.lost = index if self.lost is None else self.lost
        if index == self.lost:
            (self.content).unlink()
        return super().read(index, begin, length)


async def test_what_can_not_be_read_is_replaced(seed, raw, torrent):
    giver = await seed(torrent, super_seed=True, storage=Broken)
    peer = await raw(giver, HaveNone(), Interested())
    first = await shown(peer)
    peer.say(Request(first, 0, BLOCK))
    assert await shown(peer) != first
    peer.say(Request(first, 0, BLOCK))
    await peer.hear_only(Reject)
    assert len(giver.told(DiskFailed)) == 1


# How much it takes


@pytest.mark.parametrize("leeches", [1, 3])
async def test_leeches_who_exchange_among_themselves(seed, join, leeches):
    torrent = make_torrent(100 * BLOCK + 5)
    giver = await seed(torrent, super_seed=True)
    takers = [await join(torrent, f"leech{number}") for number in range(leeches)]
    for number, taker in enumerate(takers):
        taker.swarm.dial(HOST, giver.port)
        for other in takers[:number]:
            taker.swarm.dial(HOST, other.port)
    for taker in takers:
        await taker.swarm.wait_complete()
    assert all(torrent.is_in(taker.root) for taker in takers)
    uploaded = sum(joined.peer.uploaded for joined in giver.told(PeerJoined))
    assert len(torrent.content) <= uploaded <= 2 * len(torrent.content)
