"""Fetching: of whom, how much at once, and what follows from a choke or a close."""

from __future__ import annotations

import pytest

from peerwire import (
    AllowedFast,
    Choke,
    Have,
    Interested,
    Limits,
    NotInterested,
    Reject,
    Request,
    Unchoke,
)
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

# Interest


async def test_interest_is_kept_up_to_date(join, raw, giving):
    torrent = make_torrent(2 * BLOCK)
    taker = await join(torrent)
    peer = await raw(taker, some(torrent), Unchoke())
    await turns()
    assert not taker.peer().am_interested
    peer.say(Have(1))
    assert await peer.hear_only(Interested) == Interested()
    peer.say(answer(torrent, await peer.hear_only(Request)))
    # It has nothing more that we want ...
    assert await peer.hear_only(NotInterested) == NotInterested()
    peer.say(Have(0))
    # ... and now it has again.
    assert await peer.hear_only(Interested) == Interested()
    peer.say(answer(torrent, await peer.hear_only(Request)))
    await taker.swarm.wait_complete()
    assert await peer.hear_only(NotInterested) == NotInterested()


async def test_a_bitfield_in_mid_session_is_taken_for_what_the_peer_has_now(join, raw):
    torrent = make_torrent(3 * BLOCK)
    taker = await join(torrent)
    peer = await raw(taker, some(torrent, 0), Unchoke())
    assert (await peer.hear_only(Request)).index == 0
    peer.say(some(torrent, 0, 2))
    assert (await peer.hear_only(Request)).index == 2


async def test_a_have_and_a_close_in_one_segment(join, raw):
    torrent = make_torrent(2 * BLOCK)
    taker = await join(torrent)
    peer = await raw(taker, some(torrent, 0), Unchoke())
    request = await peer.hear_only(Request)
    # The block counts, although the connection is gone by the time the HAVE is looked at.
    wire = taker.peer().wire
    wire.receive_data(Have(1).encode() + answer(torrent, request).encode(), wire.now)
    wire.receive_eof()
    peer.close()
    await until(lambda: taker.told(PeerLeft))
    await until(lambda: taker.told(PieceVerified))


# Choking


@pytest.mark.parametrize("fast", [True, False])
async def test_a_choke_midway(join, raw, fast):
    torrent = make_torrent(4 * BLOCK, 4 * BLOCK)
    taker = await join(torrent)
    peer = await raw(taker, everything(torrent, fast=fast), Unchoke(), fast=fast)
    first, *rest = await hear_requests(peer, 4)
    peer.say(answer(torrent, first), Choke())
    if fast:
        peer.say(*(Reject(r.index, r.begin, r.length) for r in rest))
    await until(lambda: not len(taker.peer().requests))
    peer.say(Unchoke())
    again = await hear_requests(peer, 3)
    assert sorted(r.begin for r in again) == sorted(r.begin for r in rest)
    peer.say(*(answer(torrent, request) for request in again))
    await taker.swarm.wait_complete()
    assert torrent.is_in(taker.root)


async def test_a_choke_is_answered_for_under_fast(join, raw):
    torrent = make_torrent(4 * BLOCK, 4 * BLOCK)
    taker = await join(torrent)
    peer = await raw(taker, everything(torrent), Unchoke())
    requests = await hear_requests(peer, 4)
    # BEP 6: a choke ends no request; these are answered after it.
    peer.say(Choke(), *(answer(torrent, request) for request in requests))
    await taker.swarm.wait_complete()
    assert taker.sent("request").total() == 4


async def test_pieces_that_are_allowed_while_choked(join, raw):
    torrent = make_torrent(3 * BLOCK)
    taker = await join(torrent)
    peer = await raw(taker, everything(torrent), AllowedFast(1))
    request = await peer.hear_only(Request)
    assert request.index == 1
    peer.say(answer(torrent, request))
    await until(lambda: taker.told(PieceVerified))
    await turns()
    assert taker.sent("request").total() == 1


async def test_an_allowed_piece_that_is_rejected_is_asked_for_after_the_unchoke(join, raw):
    torrent = make_torrent(2 * BLOCK)
    taker = await join(torrent)
    peer = await raw(taker, everything(torrent), AllowedFast(1))
    request = await peer.hear_only(Request)
    peer.say(Reject(request.index, request.begin, request.length))
    await until(lambda: not taker.peer().peer_allowed_fast)
    await turns()
    assert taker.sent("request").total() == 1
    peer.say(Unchoke())
    assert {r.index for r in await hear_requests(peer, 2)} == {0, 1}


# Many peers


async def test_what_was_asked_of_those_who_leave_is_asked_of_who_has_nothing_to_do(join, raw):
    torrent = make_torrent(BLOCK)
    taker = await join(torrent)
    leavers = []
    for number in range(3):  # as many as are asked for the same block in the endgame
        peer_id = b"-RW0001-%012d" % number
        leavers.append(await raw(taker, everything(torrent), Unchoke(), peer_id=peer_id))
        await leavers[-1].hear_only(Request)
    idle = await raw(taker, everything(torrent), Unchoke(), peer_id=SECOND_ID)
    await until(lambda: len(taker.swarm.peers) == 4)
    await turns()
    assert taker.sent("request").total() == 3
    for peer in leavers:
        peer.close()
    idle.say(answer(torrent, await idle.hear_only(Request)))
    await taker.swarm.wait_complete()


async def test_a_peer_that_closes_in_the_middle_of_a_block(join, raw, giving):
    torrent = make_torrent(2 * BLOCK, 2 * BLOCK)
    taker = await join(torrent)
    leaver = await raw(taker, everything(torrent), Unchoke(), peer_id=FIRST_ID)
    block = answer(torrent, await leaver.hear_only(Request)).encode()
    leaver.say(block[:5000])
    leaver.close()
    await until(lambda: taker.told(PeerLeft))
    assert taker.told(PeerLeft)[0].closed.reason == "in the middle of a message"
    giving(torrent, await raw(taker, everything(torrent), Unchoke(), peer_id=SECOND_ID))
    await taker.swarm.wait_complete()
    assert torrent.is_in(taker.root)


# How much at once


async def test_a_pipeline_grows_while_nothing_is_known_and_then_by_the_rate(join, raw, clock):
    torrent = make_torrent(400 * BLOCK, 4 * BLOCK)
    taker = await join(torrent)
    peer = await raw(taker, everything(torrent), Unchoke())
    depth = download.MIN_PIPELINE
    while depth < 64:
        requests = await hear_requests(peer, depth - depth // 2 if depth > 4 else depth)
        assert len(taker.peer().requests) == depth
        waiting = list(taker.peer().requests)[: depth // 2]
        peer.say(*(answer(torrent, request) for request in waiting))
        depth *= 2
        await until(lambda depth=depth: len(taker.peer().requests) == depth)
    assert requests
    # 62 blocks in ten seconds make three seconds of it 18; and what is pending is more.
    await clock.advance(10)
    waiting = list(taker.peer().requests)
    peer.say(*(answer(torrent, request) for request in waiting[:-10]))
    await until(lambda: len(taker.peer().requests) < 32)


async def test_no_more_is_asked_than_the_peer_takes(join, acting):
    torrent = make_torrent(40 * BLOCK)
    most = 0

    async def handler(peer):
        nonlocal most
        peer.have_all()
        peer.unchoke()
        async for message in peer:
            if isinstance(message, Request):
                most = max(most, len(peer.peer_requests))
                await peer.respond(message, torrent.piece(message.index))

    port = await acting(torrent, handler, limits=Limits(max_peer_requests=2))
    taker = await join(torrent)
    taker.swarm.dial(HOST, port)
    await taker.swarm.wait_complete()
    assert most == 2
    assert taker.sent("request").total() == 40
