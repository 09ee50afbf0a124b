"""Peers that bring nothing, or hardly anything: the others finish, and alone they are given up."""

from __future__ import annotations

import asyncio
import re

import pytest

from peerwire import (
    Choke,
    Have,
    HaveNone,
    KeepAlive,
    Piece,
    Reject,
    Request,
    Suggest,
    Unchoke,
)
from peerwire.extensions.lt_donthave import LtDontHave
from peerwire.swarm.choker import RECHOKE_SECONDS
from peerwire.swarm.events import PeerBanned, PeerJoined, PieceCorrupt, PieceVerified
from peerwire.swarm.swarm import Redial

from .conftest import (
    BLOCK,
    HOST,
    everything,
    fails,
    make_torrent,
    nobody_at,
    some,
    turns,
    until,
)

BAD = b"-BD0001-%012d"
GOOD = b"-GO0001-aaaaaaaaaaaa"


def answer(torrent, request, *, wrong=False):
    block = torrent.block(request.index, request.begin, request.length)
    return Piece(request.index, request.begin, bytes(len(block)) if wrong else block)


async def hear_requests(raw, count):
    return [await raw.hear_only(Request) for _ in range(count)]


@pytest.fixture
def playing(stack):
    """Plays a peer in the background: what it says to each request, if anything."""

    def playing(raw, reply=lambda request: ()):
        async def play():
            try:
                while True:
                    raw.say(*reply(await raw.hear_only(Request)))
            except asyncio.IncompleteReadError:
                raw.close()

        task = asyncio.create_task(play())
        stack.push_async_callback(asyncio.wait, [task])
        stack.callback(raw.close)

    return playing


async def pass_time(clock, seconds, *raws):
    """Lets time pass, in steps in which everybody says that it is still there."""
    for _ in range(int(seconds / 10)):
        for raw in raws:
            raw.say(KeepAlive())
        await turns(10)
        await clock.advance(10)
        await turns(10)


# Bad company


def nothing(request):
    return ()


def reject(request):
    return (Reject(request.index, request.begin, request.length),)


#: What they say first, and to each request.
DAWDLERS = {
    "chokes for ever": ([], nothing),
    "never says what it has": ([Unchoke()], nothing),
    "has nothing": ([HaveNone(), Unchoke()], nothing),
    "never answers": ([Unchoke()], nothing),
    "rejects everything": ([Unchoke()], reject),
    "chokes and unchokes": ([Unchoke(), Choke(), Unchoke(), Choke()], nothing),
    "suggests": ([Unchoke(), *[Suggest(0)] * 2000], nothing),
    "says what it has again and again": ([Unchoke(), *[Have(0), Have(1)] * 2000], nothing),
}


@pytest.mark.parametrize("kind", DAWDLERS)
async def test_others_finish_whatever_one_does(join, seed, raw, playing, clock, kind):
    torrent = make_torrent(24 * BLOCK, 2 * BLOCK)
    giver, taker = await seed(torrent), await join(torrent)
    first, reply = DAWDLERS[kind]
    if kind not in ("never says what it has", "has nothing"):
        first = [everything(torrent), *first]
    for number in range(3):
        playing(await raw(taker, *first, peer_id=BAD % number), reply)
    await until(lambda: taker.swarm.peers)
    taker.swarm.dial(HOST, giver.port)
    finished = asyncio.create_task(taker.swarm.wait_complete())
    for _ in range(4):  # what they hold up is asked of others when it is late, if not before
        await turns(200)
        await clock.advance(0 if finished.done() else RECHOKE_SECONDS)
    await finished
    assert torrent.is_in(taker.root)


async def test_a_block_that_three_hold_up_is_asked_of_a_fourth(join, raw, playing, clock):
    torrent = make_torrent(BLOCK)
    taker = await join(torrent)
    for number in range(3):
        dawdler = await raw(taker, everything(torrent), Unchoke(), peer_id=BAD % number)
        await dawdler.hear_only(Request)
        playing(dawdler)
    good = await raw(taker, everything(torrent), Unchoke(), peer_id=GOOD)
    await until(lambda: len(taker.swarm.peers) == 4)
    await turns()
    assert taker.sent("request").total() == 3
    await clock.advance(30)  # Limits.request_timeout
    good.say(answer(torrent, await good.hear_only(Request)))
    await taker.swarm.wait_complete()


async def test_who_is_slow_is_asked_last(join, raw, clock):
    torrent = make_torrent(2 * BLOCK)
    taker = await join(torrent)
    slow = await raw(taker, some(torrent, 0), Unchoke(), peer_id=BAD % 0)
    (request,) = await hear_requests(slow, 1)
    quick = await raw(taker, everything(torrent), Unchoke(), peer_id=GOOD)
    one, two = await hear_requests(quick, 1), request
    assert (one[0].index, two.index) == (1, 0)
    quick.say(answer(torrent, one[0]))
    # Both are free now, the slow one was here first: of the block that is late, who is quick is
    # asked first, and the slow one as well, as this is the endgame.
    await until(lambda: taker.told(PieceVerified))
    again = await quick.hear_only(Request)
    assert again.index == 0
    quick.say(answer(torrent, again))
    await taker.swarm.wait_complete()


# On parole


@pytest.fixture
def paroled(join, raw):
    """A piece of eight blocks that has failed, and is asked of the liar alone; a good peer is free.

    Returns who takes, the liar, what it is asked for, and the good one.
    """

    async def paroled(torrent):
        taker = await join(torrent)
        liar = await raw(taker, everything(torrent), Unchoke(), peer_id=BAD % 0)
        requests = await hear_requests(liar, 4)
        good = await raw(taker, everything(torrent), Unchoke(), peer_id=GOOD)
        others = await hear_requests(good, 4)
        good.say(*(answer(torrent, request) for request in others))
        liar.say(*(answer(torrent, request, wrong=True) for request in requests))
        await until(lambda: taker.told(PieceCorrupt))
        return taker, liar, await hear_requests(liar, 4), good

    return paroled


async def test_who_dawdles_on_parole_loses_the_piece(paroled, clock, playing):
    torrent = make_torrent(8 * BLOCK, 8 * BLOCK)
    taker, liar, requests, good = await paroled(torrent)
    before = taker.sent("cancel").total()
    await clock.advance(RECHOKE_SECONDS)
    liar.say(answer(torrent, requests[0], wrong=True))  # it is not late, and yet too slow
    await turns()
    assert taker.sent("cancel").total() == before
    playing(good, lambda request: (answer(torrent, request),))
    await clock.advance(RECHOKE_SECONDS)
    liar.say(*(answer(torrent, request, wrong=True) for request in requests[1:]))  # too late
    await taker.swarm.wait_complete()
    assert torrent.is_in(taker.root)
    (banned,) = taker.told(PeerBanned)
    (joined,) = [event for event in taker.told(PeerJoined) if event.peer.peer_id == BAD % 0]
    assert banned.address == joined.peer.address
    assert len(taker.told(PieceCorrupt)) == 1


async def test_who_has_it_next_has_more_time(paroled, clock, raw):
    torrent = make_torrent(8 * BLOCK, 8 * BLOCK)
    taker, _, _, good = await paroled(torrent)
    await clock.advance(2 * RECHOKE_SECONDS)
    before = taker.sent("cancel").total()
    await raw(taker, everything(torrent), Unchoke(), peer_id=BAD % 1)
    await until(lambda: len(taker.swarm.peers) == 3)
    for _ in range(2):
        good.say(KeepAlive())
        await clock.advance(RECHOKE_SECONDS)
        await turns()
    assert taker.swarm.picker.owner(0).peer_id == GOOD
    assert taker.sent("cancel").total() == before


async def test_nobody_loses_a_piece_that_nobody_else_wants(paroled, clock):
    torrent = make_torrent(8 * BLOCK, 8 * BLOCK)
    taker, liar, requests, good = await paroled(torrent)
    before = taker.sent("cancel").total()
    good.say(Choke())
    await until(lambda: any(peer.peer_choking for peer in taker.swarm.peers))
    await clock.advance(2 * RECHOKE_SECONDS)
    await turns()
    assert taker.sent("cancel").total() == before
    liar.say(*(answer(torrent, request) for request in requests))
    liar.say(*(answer(torrent, request) for request in await hear_requests(liar, 4)))
    await taker.swarm.wait_complete()
    assert torrent.is_in(taker.root)


async def test_a_piece_on_parole_of_who_is_just_leaving(paroled, clock, playing):
    torrent = make_torrent(8 * BLOCK, 8 * BLOCK)
    taker, liar, _, good = await paroled(torrent)
    (leaving,) = [peer for peer in taker.swarm.peers if peer.peer_id == BAD % 0]
    clock.now += 2 * RECHOKE_SECONDS
    leaving.wire.receive_eof()
    taker.swarm.download.tick()  # there is nothing to be taken back from it
    liar.close()
    playing(good, lambda request: (answer(torrent, request),))
    await taker.swarm.wait_complete()
    assert torrent.is_in(taker.root)


# Nobody else is there


COMPLAINTS = {
    "it has told of no piece that it has": lambda torrent: [Unchoke()],
    "it has 1 pieces, and none of the missing": lambda torrent: [some(torrent, 0), Unchoke()],
    "it has never unchoked us": lambda torrent: [everything(torrent)],
    "it has answered no request": lambda torrent: [everything(torrent), Unchoke(), Choke()],
}


@pytest.mark.parametrize("complaint", COMPLAINTS)
async def test_what_brings_nothing_is_given_up(join, raw, playing, clock, complaint):
    torrent = make_torrent(4 * BLOCK)
    taker = await join(torrent, pieces=[0], timeout=100)
    peer = await raw(taker, *COMPLAINTS[complaint](torrent))
    playing(peer)
    await until(lambda: taker.swarm.peers)
    (address,) = [f"127.0.0.1:{peer.address[1]}" for peer in taker.swarm.peers]
    waiting = asyncio.create_task(fails(taker))
    await pass_time(clock, 90, peer)
    assert not waiting.done()
    await pass_time(clock, 10, peer)
    assert await waiting == (
        f"3 of 4 pieces missing and none has come for 100 s: {address}: {complaint}"
    )


@pytest.mark.parametrize("chokes", [False, True])
async def test_who_trickles_is_given_up(join, raw, clock, chokes):
    torrent = make_torrent(64 * BLOCK, 64 * BLOCK)
    taker = await join(torrent, timeout=100)
    peer = await raw(taker, everything(torrent), Unchoke())
    waiting = asyncio.create_task(fails(taker))
    for _ in range(10):
        assert not waiting.done()
        peer.say(answer(torrent, await peer.hear_only(Request)), *[Choke(), Unchoke()] * chokes)
        await turns()
        await clock.advance(10)
        await turns()
    told = await waiting
    # What it was too late with does not count.
    assert 1 < int(re.search(r": it has sent (\d+) bytes and no more$", told)[1]) / BLOCK <= 10


async def test_a_piece_begins_the_count_anew(join, raw, clock, playing):
    torrent = make_torrent(2 * BLOCK)
    taker = await join(torrent, timeout=100)
    peer = await raw(taker, everything(torrent), Unchoke())
    one, _ = await hear_requests(peer, 2)
    playing(peer)
    waiting = asyncio.create_task(fails(taker))
    await pass_time(clock, 20, peer)
    peer.say(answer(torrent, one), Choke())
    await until(lambda: taker.told(PieceVerified))
    await pass_time(clock, 90, peer)
    assert not waiting.done()
    await pass_time(clock, 10, peer)
    assert f"it has sent {BLOCK} bytes and no more, and chokes us now" in await waiting


async def test_those_who_are_not_there_are_told_as_well(join, raw, playing, clock):
    torrent = make_torrent(BLOCK)
    redial = Redial(attempts=100, wait=1000.0, max_wait=1000.0)
    taker = await join(torrent, timeout=100, redial=redial)
    port = await nobody_at()
    taker.swarm.dial(HOST, port)
    peer = await raw(taker, everything(torrent))
    playing(peer)
    await until(lambda: taker.swarm.peers)
    waiting = asyncio.create_task(fails(taker))
    await pass_time(clock, 100, peer)
    told = await waiting
    assert f"127.0.0.1:{port}: Connection refused; " in told
    assert "it has never unchoked us" in told


async def test_nobody_was_ever_there(join, clock):
    torrent = make_torrent(BLOCK)
    taker = await join(torrent, timeout=5)
    waiting = asyncio.create_task(fails(taker))
    await turns()
    await clock.advance(5)
    assert (await waiting).endswith("none has come for 5 s: nobody was there")


async def test_a_seed_waits_for_ever(seed, clock):
    torrent = make_torrent(BLOCK)
    giver = await seed(torrent, timeout=5)
    await clock.advance(500)
    await giver.swarm.wait_complete()


async def test_who_takes_back_what_it_has_is_given_up(join, acting, clock):
    torrent = make_torrent(2 * BLOCK)
    taker = await join(torrent, timeout=50)

    async def fickle(peer):
        peer.have_all()
        peer.unchoke()
        await peer.wait_until(lambda: peer.extended_handshake is not None)
        for index in range(2):
            peer.extension(LtDontHave).dont_have(index)
        async for _ in peer:
            pass

    make = [lambda: LtDontHave(2)]
    taker.swarm.dial(HOST, await acting(torrent, fickle, extensions=make))
    await until(lambda: taker.swarm.peers and not taker.swarm.picker.count(taker.peer()))
    waiting = asyncio.create_task(fails(taker))
    await turns()
    for _ in range(5):
        await clock.advance(10)
        await turns()
    assert "it has told of no piece that it has" in await waiting
