"""Fetching from peers that reject what they are asked for, or do not answer."""

from __future__ import annotations

import asyncio
import functools

from peerwire import Cancel, Choke, Limits, Reject, Request, Reserved, Unchoke
from peerwire.extensions.lt_donthave import LtDontHave
from peerwire.swarm import download
from peerwire.swarm.events import PeerLeft, PieceVerified

from .conftest import (
    BLOCK,
    FIRST_ID,
    HOST,
    SECOND_ID,
    answer,
    everything,
    hear_requests,
    make_torrent,
    some,
    turns,
    until,
)

# Rejects


async def test_a_peer_that_rejects_everything_is_let_go(join, raw):
    torrent = make_torrent(10 * BLOCK)
    taker = await join(torrent)
    peer = await raw(taker, everything(torrent), Unchoke())
    rejected = 0
    try:
        while True:
            request = await peer.hear_only(Request)
            peer.say(Reject(request.index, request.begin, request.length))
            rejected += 1
    except asyncio.IncompleteReadError:
        peer.close()
    await until(lambda: taker.told(PeerLeft))
    assert rejected == 10
    assert taker.told(PeerLeft)[0].closed.reason == (
        "it rejects the requests for all that it has of use"
    )


async def test_a_piece_that_is_rejected_comes_from_another(join, raw, giving):
    torrent = make_torrent(2 * BLOCK)
    taker = await join(torrent)
    peer = await raw(taker, everything(torrent), Unchoke(), peer_id=FIRST_ID)
    for request in await hear_requests(peer, 2):
        refused = request.index == 1
        peer.say(Reject(1, request.begin, request.length) if refused else answer(torrent, request))
    other = await raw(taker, some(torrent, 1), Unchoke(), peer_id=SECOND_ID)
    giving(torrent, other)
    await taker.swarm.wait_complete()
    assert torrent.is_in(taker.root)
    # That it refused a piece is nothing against it once the piece is here.
    await turns()
    assert not [left for left in taker.told(PeerLeft) if left.peer.peer_id == FIRST_ID]


async def test_rejects_right_before_a_choke_are_forgotten(join, raw):
    torrent = make_torrent(4 * BLOCK)
    taker = await join(torrent)
    peer = await raw(taker, everything(torrent), Unchoke())
    requests = await hear_requests(peer, 4)
    # Transmission says it in this order, and in one segment.
    peer.say(*(Reject(r.index, r.begin, r.length) for r in requests), Choke())
    await until(lambda: taker.peer().peer_choking)
    await turns()
    assert taker.peer().am_interested
    peer.say(Unchoke())
    assert len(await hear_requests(peer, 4)) == 4


async def test_choke_rejects_and_unchoke_at_once(join, raw):
    torrent = make_torrent(4 * BLOCK)
    taker = await join(torrent)
    peer = await raw(taker, everything(torrent), Unchoke())
    requests = await hear_requests(peer, 4)
    peer.say(Choke(), *(Reject(r.index, r.begin, r.length) for r in requests), Unchoke())
    assert len(await hear_requests(peer, 4)) == 4


async def test_a_peer_that_rejects_what_is_too_much_for_it(join, acting):
    torrent = make_torrent(64 * BLOCK, 4 * BLOCK)

    async def handler(peer):
        peer.have_all()
        peer.unchoke()
        async for message in peer:
            if isinstance(message, Request):
                block = torrent.block(message.index, message.begin, message.length)
                await peer.respond(message, block)

    # It rejects what is beyond, and does not say so before (BEP 10: reqq).
    limits = Limits(max_peer_requests=download.MIN_PIPELINE)
    port = await acting(torrent, handler, limits=limits, reserved=Reserved.FAST)
    taker = await join(torrent)
    taker.swarm.dial(HOST, port)
    await taker.swarm.wait_complete()
    assert ("<", "reject") in {(mark, what.split()[0]) for mark, what in taker.log}
    assert not taker.told(PeerLeft)


async def test_a_reject_of_a_piece_that_the_peer_has_no_more(join, raw):
    torrent = make_torrent(2 * BLOCK)
    taker = await join(torrent)
    peer = await raw(taker, some(torrent, 1), Unchoke())
    request = await peer.hear_only(Request)
    peer.say(some(torrent, 0), Reject(request.index, request.begin, request.length))
    peer.say(answer(torrent, await peer.hear_only(Request)))
    await until(lambda: taker.told(PieceVerified))
    await turns()
    assert not taker.told(PeerLeft)  # it has nothing for us, but refuses nothing either


async def test_a_piece_that_was_rejected_and_is_gone_is_not_asked_for_again(join, acting):
    torrent = make_torrent(4 * BLOCK)
    asked = []

    async def handler(peer):
        peer.have_all()
        peer.unchoke()
        async for message in peer:
            if not isinstance(message, Request):
                continue
            asked.append(message.index)
            if message.index != 2:
                await peer.respond(message, torrent.piece(message.index))
                continue
            peer.reject(message)
            peer.extension(LtDontHave).dont_have(2)
            peer.choke()  # which makes good for other rejects
            peer.unchoke()

    make = functools.partial(LtDontHave, torrent.meta.num_pieces)
    port = await acting(torrent, handler, extensions=[make])
    taker = await join(torrent)
    taker.swarm.dial(HOST, port)
    await until(lambda: len(taker.swarm.have) == 3)
    await turns()
    assert asked.count(2) == 1


# Silence


async def test_what_a_silent_peer_holds_up_comes_from_another(join, raw, giving, clock):
    torrent = make_torrent(8 * BLOCK, 4 * BLOCK)
    taker = await join(torrent)
    silent = await raw(taker, everything(torrent), Unchoke(), peer_id=FIRST_ID)
    held_up = await hear_requests(silent, 4)
    await clock.advance(20)
    other = await raw(taker, everything(torrent), Unchoke(), peer_id=SECOND_ID)
    asked = await hear_requests(other, 4)
    other.say(answer(torrent, asked[0]), answer(torrent, asked[1]))
    await turns()
    assert taker.sent("request").total() == 8  # all is asked for, and the other has work to do
    await clock.advance(11)  # now the silent one is late, the other is not
    offered = await hear_requests(other, 4)
    assert {request.begin for request in offered} == {request.begin for request in held_up}
    assert [await silent.hear_only(Cancel) for _ in held_up]
    other.say(*(answer(torrent, request) for request in [*asked[2:], *held_up]))
    await taker.swarm.wait_complete()
    assert torrent.is_in(taker.root)


async def test_a_peer_that_never_answers_is_let_go(join, raw, clock):
    torrent = make_torrent(8 * BLOCK, 4 * BLOCK)
    taker = await join(torrent)
    silent = await raw(taker, everything(torrent), Unchoke())
    for _ in range(download.MAX_STALLS):
        assert not taker.told(PeerLeft)
        await hear_requests(silent, 4)
        await clock.advance(30)
    await silent.hear_until_end()
    silent.close()
    await until(lambda: taker.told(PeerLeft))
    (left,) = taker.told(PeerLeft)
    assert left.closed.reason == "it let all requests time out, 3 times in a row"


async def test_a_block_makes_good_for_earlier_silence(join, raw, clock):
    torrent = make_torrent(8 * BLOCK, 4 * BLOCK)
    taker = await join(torrent)
    slow = await raw(taker, everything(torrent), Unchoke())
    for _ in range(2):
        for _ in range(download.MAX_STALLS - 1):
            requests = await hear_requests(slow, 4)
            await clock.advance(30)
        requests = await hear_requests(slow, 4)
        slow.say(*(answer(torrent, request) for request in requests))
    await taker.swarm.wait_complete()
    assert not taker.told(PeerLeft)
