"""A hostile teller: addresses by the thousand, made up, next door, port 0, or our own."""

from __future__ import annotations

import asyncio

import pytest

from peerwire import Extension, connect, serve
from peerwire.bencode import encode
from peerwire.swarm import pex
from peerwire.swarm.events import DialFailed, PeerLeft

from .conftest import BLOCK, HOST, make_torrent, until


class Teller(Extension):
    """Says whatever a test wants in the name of ut_pex."""

    name = "ut_pex"

    def receive(self, payload):
        return None


def packed(*endpoints):
    return b"".join(
        bytes(map(int, ip.split("."))) + port.to_bytes(2, "big") for ip, port in endpoints
    )


#: Of the ports that nobody of this machine is likely to listen at.
NOBODY = [(f"127.9.{n // 200}.{n % 200 + 1}", 1) for n in range(10_000)]

NEXT_DOOR = [("192.168.0.1", 80), ("10.0.0.1", 80), ("169.254.1.1", 80), ("100.64.0.1", 80)]
NOWHERE = [("224.0.0.1", 6881), ("255.255.255.255", 6881), ("0.0.0.0", 6881), (HOST, 0)]
FAR_AWAY = [("8.8.8.8", 6881), ("1.1.1.1", 53)]


@pytest.fixture
def told(stack, join):
    """A download that a teller has come to; returns the member, the teller, and its extension."""

    async def told(torrent):
        taker = await join(torrent)
        meta = torrent.meta
        server = await stack.enter_async_context(
            serve(
                taker.swarm.welcome,
                HOST,
                0,
                torrents={meta.info_hash: meta.num_pieces},
                peer_id=taker.swarm.peer_id,
                extensions=taker.swarm.extensions,
            )
        )
        taker.swarm.port = server.port
        teller = await stack.enter_async_context(
            connect(HOST, server.port, meta.info_hash, extensions=[Teller])
        )
        teller.have_none()
        extension = teller.extension(Teller)
        await teller.wait_until(lambda: extension.supported)
        await until(lambda: taker.swarm.peers and taker.peer().extended_handshake)
        return taker, teller, extension

    return told


async def finish(taker, giver, torrent):
    taker.swarm.dial(HOST, giver.port)
    await taker.swarm.wait_complete()
    assert torrent.is_in(taker.root)


def dialled(taker):
    """All addresses that are or were dialled."""
    return {event.address for event in taker.told(DialFailed)} | set(
        taker.swarm._dialling.addresses
    )


async def test_of_ten_thousand_made_up_addresses_few_are_dialled(told, seed):
    torrent = make_torrent(8 * BLOCK)
    giver = await seed(torrent)
    taker, _, extension = await told(torrent)
    extension.send(encode({"added": packed(*NOBODY)}))
    await until(lambda: taker.told(DialFailed))
    assert len(dialled(taker)) <= pex.MAX_OF_ONE
    assert len(taker.swarm._pex._book) <= pex.MAX_KNOWN
    await finish(taker, giver, torrent)
    assert not [event for event in taker.told(PeerLeft) if event.closed.by == "network"]


async def test_nobody_next_door_nowhere_or_far_away_is_dialled_for_a_neighbour(told, seed):
    torrent = make_torrent(8 * BLOCK)
    giver = await seed(torrent)
    taker, _, extension = await told(torrent)
    witness = (HOST, giver.port)
    extension.send(encode({"added": packed(*NEXT_DOOR, *NOWHERE, *FAR_AWAY, witness)}))
    await taker.swarm.wait_complete()
    assert torrent.is_in(taker.root)
    assert dialled(taker) <= {witness}


async def test_we_are_not_dialled_by_ourselves(told, seed):
    torrent = make_torrent(8 * BLOCK)
    giver = await seed(torrent)
    taker, _, extension = await told(torrent)
    extension.send(encode({"added": packed((HOST, taker.swarm.port), (HOST, giver.port))}))
    await taker.swarm.wait_complete()
    assert dialled(taker) <= {(HOST, giver.port)}


async def test_the_same_address_told_again_and_again_is_dialled_once(told, seed, clock):
    torrent = make_torrent(8 * BLOCK)
    giver = await seed(torrent)
    taker, _, extension = await told(torrent)
    victim, came = await asyncio.start_server(lambda _, w: came.append(w.close()), HOST, 0), []
    port = victim.sockets[0].getsockname()[1]
    for _ in range(3):
        extension.send(encode({"added": packed((HOST, port))}))
        await until(lambda: taker.told(DialFailed))
        await clock.advance(1)
    await until(lambda: not taker.swarm._dialling.addresses)
    assert [event.gives_up for event in taker.told(DialFailed)] == [False, True]
    assert len(came) <= 4  # twice, each with and without encryption
    victim.close()
    await finish(taker, giver, torrent)


@pytest.mark.parametrize(
    "rumour",
    [b"", b"le", b"i1e", encode({"added": b"12345"}), encode({"added": 1}), b"d" * 100_000],
    ids=["nothing", "a list's end", "a number", "a piece of one", "no string", "nested"],
)
async def test_who_tells_nonsense_is_let_go_and_the_others_deliver(told, seed, rumour):
    torrent = make_torrent(8 * BLOCK)
    giver = await seed(torrent)
    taker, _, extension = await told(torrent)
    extension.send(rumour)
    await until(lambda: taker.told(PeerLeft))
    assert "ut_pex" in str(taker.told(PeerLeft)[0].closed)
    await finish(taker, giver, torrent)
