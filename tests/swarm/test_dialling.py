"""Who is dialled, how often, and when no more."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import pytest

from peerwire import (
    ConnectionClosed,
    HaveNone,
    InfoHashMismatch,
    InvalidHandshake,
    Limits,
    Piece,
    Request,
    Unchoke,
)
from peerwire.swarm.events import DialFailed, PeerJoined, PeerLeft
from peerwire.swarm.swarm import LISTED, Redial

from ..asyncio.raw import greeting
from .conftest import BLOCK, HOST, everything, failed, fails, make_torrent, nobody_at, turns, until


async def test_a_port_where_nobody_listens(join, clock):
    torrent = make_torrent(BLOCK)
    taker = await join(torrent, redial=Redial(attempts=3, wait=1.0))
    port = await nobody_at()
    taker.swarm.dial(HOST, port)
    for attempt in range(3):
        await until(lambda attempt=attempt: len(failed(taker)) > attempt)
        await turns()
        assert len(failed(taker)) == attempt + 1
        await clock.advance(2**attempt)
    assert await fails(taker) == (
        f"1 of 1 pieces missing and no peer left: 127.0.0.1:{port}: Connection refused"
    )
    line = f"no connection to 127.0.0.1:{port}: Connection refused"
    assert failed(taker) == [f"{line}; trying again"] * 2 + [f"{line}; giving up"]


async def test_of_many_reasons_a_few_are_told(join):
    torrent = make_torrent(BLOCK)
    taker = await join(torrent, redial=Redial(attempts=1))
    with contextlib.ExitStack() as held:  # else a port might be given twice
        for _ in range(LISTED + 2):
            sock = held.enter_context(socket.socket())
            sock.bind((HOST, 0))
            taker.swarm.dial(*sock.getsockname())
        told = await fails(taker)
    assert told.count("Connection refused") == LISTED
    assert told.endswith("; and 2 more")


async def test_a_peer_that_does_not_serve_the_torrent(join, acting, clock):
    torrent = make_torrent(BLOCK)
    taker = await join(torrent)
    taker.swarm.dial(HOST, await acting(torrent, turns, torrents={}))
    await until(lambda: failed(taker))
    await clock.advance(1)
    assert (await fails(taker)).endswith(
        ": it closed the connection, 0 bytes into its handshake; "
        "perhaps it lacks this torrent, or is this very client"
    )


@pytest.mark.parametrize(
    ("policy", "means"),
    [
        ("off", "perhaps it lacks this torrent, or wants encryption, or is this very client"),
        ("prefer", "perhaps it lacks this torrent, or is this very client"),
        ("require", "perhaps it lacks this torrent, or speaks no encryption, or is this very"),
    ],
)
async def test_a_peer_that_hangs_up(stack, join, policy, means):
    torrent = make_torrent(BLOCK)
    taker = await join(torrent, encryption=policy, redial=Redial(attempts=1))
    server = await asyncio.start_server(lambda _, writer: writer.transport.abort(), HOST, 0)
    stack.callback(server.close)
    taker.swarm.dial(HOST, server.sockets[0].getsockname()[1])
    assert f"; {means}" in await fails(taker)
    (event,) = taker.told(DialFailed)
    assert isinstance(event.error, ConnectionClosed)


async def test_a_peer_that_answers_with_another_torrent(answering, join):
    torrent = make_torrent(BLOCK)
    taker = await join(torrent, encryption="off")
    port, _ = await answering(greeting(bytes(20)))
    taker.swarm.dial(HOST, port)
    assert "info-hash 0000" in await fails(taker)
    (event,) = taker.told(DialFailed)
    assert isinstance(event.error, InfoHashMismatch)
    assert event.gives_up


async def test_ourselves(join, clock):
    torrent = make_torrent(BLOCK)
    taker = await join(torrent)
    taker.swarm.dial(HOST, taker.port)
    await until(lambda: failed(taker))
    await clock.advance(1)
    assert "or is this very client" in await fails(taker)
    assert not taker.told(PeerJoined)


async def test_ourselves_elsewhere(answering, join):
    torrent = make_torrent(BLOCK)
    taker = await join(torrent, encryption="off")
    port, _ = await answering(greeting(torrent.meta.info_hash, peer_id=taker.swarm.peer_id))
    taker.swarm.dial(HOST, port)
    assert "this is a connection to ourselves" in await fails(taker)
    (event,) = taker.told(DialFailed)
    assert isinstance(event.error, InvalidHandshake)
    assert event.gives_up


async def test_a_connection_that_is_lost_is_made_anew(join, acting, clock):
    torrent = make_torrent(8 * BLOCK)
    taker = await join(torrent, redial=Redial(attempts=2, wait=1.0))

    async def one_block(peer):
        peer.have_all()
        peer.unchoke()
        async for message in peer:
            if isinstance(message, Request):
                await peer.respond(message, torrent.piece(message.index))
                return

    taker.swarm.dial(HOST, await acting(torrent, one_block))
    for count in range(1, 8):  # each brings a block, so that none is the last
        await until(lambda count=count: len(taker.told(PeerLeft)) == count)
        await turns()
        await clock.advance(1)
    await taker.swarm.wait_complete()
    assert torrent.is_in(taker.root)
    assert not taker.told(DialFailed)


async def test_a_connection_that_brings_nothing_is_a_failure(join, acting, clock):
    torrent = make_torrent(BLOCK)
    taker = await join(torrent)

    async def leaves(peer):
        peer.have_all()

    port = await acting(torrent, leaves)
    taker.swarm.dial(HOST, port)
    await until(lambda: taker.told(PeerLeft))
    await turns()
    await clock.advance(1)
    told = await fails(taker)
    assert told.endswith(f"127.0.0.1:{port}: it closed the connection, end of stream")
    assert len(taker.told(PeerLeft)) == 2
    assert len(taker.told(DialFailed)) == 1  # PeerLeft has told the other


async def test_silence_is_no_reason_to_give_up(answering, join, clock):
    torrent = make_torrent(BLOCK)
    taker = await join(torrent, encryption="off", limits=Limits(idle_timeout=5))
    port, came = await answering(greeting(torrent.meta.info_hash))
    taker.swarm.dial(HOST, port)
    for count in (1, 2):
        silent = await came.get()
        await until(lambda: taker.swarm.peers)
        await clock.advance(5)
        silent.close()
        await until(lambda count=count: len(taker.told(PeerLeft)) == count)
        await turns()
        await clock.advance(1)
    assert "no message for 5 s" in await fails(taker)


def test_waits_grow_up_to_a_bound():
    redial = Redial(attempts=10_000, wait=0.5, max_wait=10.0)
    assert [redial.pause(failures) for failures in (1, 2, 3, 4, 5, 6)] == [0.5, 1, 2, 4, 8, 10]
    assert redial.pause(9999) == 10.0


async def test_a_download_does_not_fail_while_somebody_is_here(join, raw):
    torrent = make_torrent(BLOCK)
    taker = await join(torrent, redial=Redial(attempts=1))
    guest = await raw(taker, HaveNone())
    await until(lambda: taker.swarm.peers)
    taker.swarm.dial(HOST, await nobody_at())
    waiting = asyncio.create_task(fails(taker))
    await until(lambda: failed(taker))
    await turns()
    assert not waiting.done()
    guest.close()
    assert "Connection refused" in await waiting


async def test_a_download_that_nobody_waits_for_fails_quietly(join):
    torrent = make_torrent(BLOCK)
    taker = await join(torrent, redial=Redial(attempts=1))
    taker.swarm.dial(HOST, await nobody_at())
    await until(lambda: failed(taker))


async def test_a_mistake_of_ours_ends_the_wait(seed, join):
    torrent = make_torrent(BLOCK)
    giver, taker = await seed(torrent), await join(torrent)

    def mistaken(event):
        raise ZeroDivisionError

    taker.swarm._tell = mistaken
    taker.swarm.dial(HOST, giver.port)
    with pytest.raises(ZeroDivisionError):
        await taker.swarm.wait_complete()


async def test_who_is_dialled_is_let_go_at_the_end(join, answering):
    torrent = make_torrent(BLOCK)
    taker = await join(torrent, encryption="off")
    port, came = await answering(b"")  # it says nothing, not even a handshake
    taker.swarm.dial(HOST, port)
    silent = await came.get()
    await taker.swarm.close()
    await silent.hear_end()
    silent.close()
    assert not taker.told(DialFailed)


async def test_who_is_there_once_all_is_here_is_no_failure(join, raw, answering):
    torrent = make_torrent(BLOCK)
    taker = await join(torrent, encryption="off")
    port, came = await answering(greeting(torrent.meta.info_hash))
    giver = await raw(taker, everything(torrent), Unchoke(), peer_id=bytes(20))
    request = await giver.hear_only(Request)
    taker.swarm.dial(HOST, port)
    other = await came.get()
    await until(lambda: len(taker.swarm.peers) == 2)
    giver.say(Piece(request.index, 0, torrent.piece(0)))
    await taker.swarm.wait_complete()
    other.close()
    await until(lambda: not taker.swarm._dialling.addresses)
    assert not taker.told(DialFailed)


async def test_whom_peers_have_told_of_is_dialled_twice_at_most(join, clock):
    torrent = make_torrent(BLOCK)
    taker = await join(torrent, redial=Redial(attempts=5, wait=1.0))
    address = (HOST, await nobody_at())
    taker.swarm._dialling.dial(address, hearsay=True)
    await until(lambda: failed(taker))
    await turns()
    await clock.advance(1)
    await until(lambda: not taker.swarm._dialling.addresses)
    assert [event.gives_up for event in taker.told(DialFailed)] == [False, True]
    assert not taker.swarm._dialling.failures  # it is no news that hearsay leads nowhere


async def test_who_is_banned_is_told_so_and_not_dialled_again(join, acting, clock):
    torrent = make_torrent(BLOCK)
    taker = await join(torrent)

    async def lies(peer):
        peer.have_all()
        peer.unchoke()
        async for message in peer:
            if isinstance(message, Request):
                await peer.respond(message, bytes(message.length))

    ids = {"peer_id": b"-LI0001-aaaaaaaaaaaa"}
    for count in (1, 2):  # at a second port, it is recognised
        taker.swarm.dial(HOST, await acting(torrent, lies, **ids))
        await until(lambda count=count: len(failed(taker)) == count)
    await clock.advance(1000)
    await turns()
    assert [event.gives_up for event in taker.told(DialFailed)] == [True, True]
    assert len(taker.told(PeerJoined)) == 1


async def test_when_all_is_here_nobody_is_dialled(seed):
    torrent = make_torrent(BLOCK)
    giver = await seed(torrent)
    giver.swarm.dial(HOST, await nobody_at())
    await giver.swarm.wait_complete()
    await turns()
    assert not giver.told(DialFailed)
