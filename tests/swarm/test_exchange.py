"""One peer of a swarm: each message leads to what it should, and the end to an end."""

from __future__ import annotations

import asyncio
import logging

import pytest

from peerwire import (
    AllowedFast,
    Choke,
    ConnectionClosed,
    Have,
    HaveAll,
    HaveNone,
    Interested,
    KeepAlive,
    NotInterested,
    Piece,
    PieceSet,
    Port,
    Reject,
    Request,
    Suggest,
    Unchoke,
    Unknown,
    connect,
)
from peerwire.swarm.events import PeerJoined, PeerLeft
from peerwire.swarm.exchange import exchange

from .conftest import BLOCK, HOST, SlowStorage, everything, make_torrent, some, turns, until


@pytest.mark.parametrize("fast", [True, False])
async def test_who_has_everything_is_of_no_use_to_a_seed(seed, raw, fast):
    torrent = make_torrent(2 * BLOCK)
    giver = await seed(torrent)
    peer = await raw(giver, everything(torrent, fast=fast), fast=fast)
    await peer.hear_until_end()
    peer.close()
    await until(lambda: giver.told(PeerLeft))
    assert giver.told(PeerLeft)[0].closed.reason == "nothing is left to exchange"


async def test_a_peer_that_becomes_complete_is_let_go(seed, raw):
    torrent = make_torrent(2 * BLOCK)
    giver = await seed(torrent)
    peer = await raw(giver, some(torrent, 0))
    await until(lambda: giver.swarm.peers)
    await turns()
    assert giver.peer().closed is None
    peer.say(Have(1), Interested())
    await peer.hear_until_end()
    peer.close()
    await until(lambda: giver.told(PeerLeft))


async def test_interest_is_answered_by_the_choker(seed, raw):
    torrent = make_torrent(BLOCK)
    giver = await seed(torrent)
    peer = await raw(giver, HaveNone())
    await until(lambda: giver.swarm.peers)
    await turns()
    assert giver.peer().am_choking
    peer.say(Interested())
    await peer.hear_only(Unchoke)
    assert not giver.peer().am_choking
    peer.say(NotInterested())
    await until(lambda: not giver.peer().peer_interested)


async def test_interest_that_changes_often_is_looked_at_once(seed, raw, monkeypatch):
    torrent = make_torrent(BLOCK)
    giver = await seed(torrent)
    peer = await raw(giver, HaveNone())
    await until(lambda: giver.swarm.peers)
    rounds = 0
    rechoke = giver.swarm.rechoke

    def count():
        nonlocal rounds
        rounds += 1
        rechoke()

    monkeypatch.setattr(giver.swarm, "rechoke", count)
    peer.say(*[Interested(), NotInterested()] * 20, Interested())
    await peer.hear_only(Unchoke)
    assert rounds == 1


async def test_every_message_of_a_download(join, raw):
    torrent = make_torrent(2 * BLOCK)
    taker = await join(torrent)
    peer = await raw(taker, HaveNone(), Have(1), AllowedFast(1))
    request = await peer.hear_only(Request)
    peer.say(Reject(1, 0, BLOCK), Unchoke())
    assert await peer.hear_only(Request) == request
    peer.say(Choke(), Piece(1, 0, torrent.piece(1)), Have(0), Unchoke())
    assert await peer.hear_only(Request) == Request(0, 0, BLOCK)
    peer.say(Piece(0, 0, torrent.piece(0)))
    await taker.swarm.wait_complete()


async def test_a_peer_that_leaves_before_it_is_answered(seed, raw):
    torrent = make_torrent(BLOCK)
    giver = await seed(torrent, storage=SlowStorage)
    storage = giver.swarm.disk.storage
    peer = await raw(giver, HaveNone(), Interested(), Request(0, 0, BLOCK))
    await peer.hear_only(Unchoke)
    peer.say(Request(0, 0, BLOCK))
    await storage.reading.wait()
    giver.peer().wire.receive_eof()
    (serving,) = (task for task in asyncio.all_tasks() if "_serve" in str(task.get_coro()))
    storage.go_on.set()
    await asyncio.wait([serving])
    peer.close()
    await until(lambda: giver.told(PeerLeft))
    assert giver.told(PeerLeft)[0].peer.uploaded == 0


async def test_what_means_nothing_to_a_swarm_is_passed_over(join, raw):
    torrent = make_torrent(BLOCK)
    taker = await join(torrent)
    peer = await raw(taker, HaveAll(), KeepAlive(), Port(1), Suggest(0), Unknown(99, b"?"))
    assert await peer.hear_only(Interested)
    assert not taker.told(PeerLeft)


async def test_a_peer_that_is_gone_before_it_is_told_anything(join, acting):
    torrent = make_torrent(BLOCK)
    taker = await join(torrent)

    async def handler(peer):
        await peer.close()

    port = await acting(torrent, handler)
    async with connect(HOST, port, torrent.meta.info_hash) as peer:
        await peer.wait_closed()
        with pytest.raises(ConnectionClosed):
            await exchange(
                peer,
                have=PieceSet(1),
                download=taker.swarm.download,
                upload=None,
                rechoke=turns,
            )


async def test_a_mistake_of_ours_in_serving_is_not_hidden(seed, raw, caplog):
    torrent = make_torrent(BLOCK)
    giver = await seed(torrent)
    peer = await raw(giver, HaveNone(), Interested())
    await peer.hear_only(Unchoke)

    async def mistaken(spans):
        raise ZeroDivisionError("ours")

    giver.swarm.disk.read_many = mistaken
    with caplog.at_level(logging.ERROR, "peerwire.server"):
        peer.say(Request(0, 0, BLOCK))
        await peer.hear_until_end()
        peer.close()
        await until(lambda: caplog.records)
    assert "ZeroDivisionError: ours" in caplog.text
    assert giver.told(PeerLeft)[0].closed.reason == "its requests can't be answered"


async def test_an_exchange_that_is_cancelled_leaves_nothing(seed, join):
    torrent = make_torrent(BLOCK)
    giver, taker = await seed(torrent), await join(torrent, redial=None)
    taker.swarm.dial(HOST, giver.port)
    await until(lambda: taker.told(PeerJoined))
    (dialling,) = taker.swarm._dialling._dials
    dialling.cancel()
    await asyncio.wait([dialling])
    assert not taker.swarm.peers
    assert taker.told(PeerLeft)
