"""Hostile leechers at a seed: whatever they do, others are served, and little is held for them."""

from __future__ import annotations

import asyncio
import re

import pytest

from peerwire import (
    Bitfield,
    Choke,
    HaveAll,
    HaveNone,
    Interested,
    NotInterested,
    Piece,
    Reject,
    Request,
    Unchoke,
)
from peerwire.swarm import exchange, swarm
from peerwire.swarm.admission import SwarmLimits
from peerwire.swarm.choker import RECHOKE_SECONDS
from peerwire.swarm.download import MIN_PIPELINE
from peerwire.swarm.events import PeerBanned, PeerJoined, PeerLeft
from peerwire.torrent.storage import Storage

from ..asyncio.raw import greeting, small_socket
from .conftest import BLOCK, HOST, RawPeer, everything, make_torrent, turns, until

NAME = b"-EV0001-%012d"


@pytest.fixture
def flooding(stack):
    """Says something again and again until the end of the test, and reads all that comes back."""

    def flooding(raw, *what, times=5):
        data = b"".join(message.encode() for message in what) * times

        async def read():
            while await raw.reader.read(1 << 16):
                pass

        async def write():
            try:
                while True:
                    raw.writer.write(data)
                    await raw.writer.drain()
                    await asyncio.sleep(0)
            except ConnectionError:
                pass

        tasks = [asyncio.create_task(read()), asyncio.create_task(write())]

        async def end():
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            raw.close()

        stack.push_async_callback(end)

    return flooding


async def neighbour(torrent, giver, join):
    """Somebody who wants everything; returns once it has it."""
    taker = await join(torrent)
    taker.swarm.dial(HOST, giver.port)
    await taker.swarm.wait_complete()
    assert torrent.is_in(taker.root)


def held(giver):
    """The bytes that wait for each peer, and the requests of each."""
    transports = [peer._connection._transport for peer in giver.swarm.peers]
    waiting = [t.get_write_buffer_size() for t in transports if t is not None]
    return max(waiting, default=0), max(len(p.peer_requests) for p in giver.swarm.peers)


FLOODS = {
    "interest": [Interested(), NotInterested()],
    "requests of everything": [Request(index, 0, BLOCK) for index in range(40)],
    "requests of nothing": [Request(0, 1, BLOCK), Request(0, 0, BLOCK + 1)],
    "sets of pieces": [HaveAll(), HaveNone(), Bitfield(bytes(5))],
    "chokes": [Choke(), Unchoke()],
}


@pytest.mark.parametrize("kind", FLOODS)
async def test_a_neighbour_is_served_through_a_flood(seed, join, raw, flooding, kind):
    torrent = make_torrent(40 * BLOCK)
    giver = await seed(torrent)
    for number in range(3):
        guest = await raw(giver, HaveNone(), Interested(), peer_id=NAME % number)
        flooding(guest, *FLOODS[kind])
    await until(lambda: len(giver.swarm.peers) == 3)
    await turns()
    await neighbour(torrent, giver, join)
    waiting, requests = held(giver)
    limits = giver.swarm._limits
    assert waiting <= limits.max_write_buffer + 512 * 1024
    assert requests <= limits.max_peer_requests


async def test_who_only_keeps_us_busy_is_banned(seed, join, raw, flooding, clock):
    torrent = make_torrent(8 * BLOCK)
    giver = await seed(torrent, swarm_limits=SwarmLimits(max_chatter=1000))
    nuisance = await raw(giver, HaveNone(), peer_id=NAME % 1)
    flooding(nuisance, Interested(), NotInterested())
    await until(lambda: giver.swarm.peers)
    wire = giver.peer().wire
    await until(lambda: sum(wire.messages_received.values()) > 1001)
    taker = await join(torrent)
    taker.swarm.dial(HOST, giver.port)
    await taker.swarm.wait_complete()
    await clock.advance(RECHOKE_SECONDS)
    (banned,) = giver.told(PeerBanned)
    assert re.fullmatch(r"it sent \d+ messages in 10 s that move nothing", banned.reason)
    await turns()
    await clock.advance(5)  # it does not close its side
    await until(lambda: len(giver.told(PeerLeft)) == 2)
    again = await raw(giver, HaveNone(), peer_id=NAME % 1)
    await again.hear_until_end()
    assert len(giver.told(PeerJoined)) == 2


async def test_what_was_said_before_counts_no_second_time(seed, raw, clock):
    torrent = make_torrent(8 * BLOCK)
    giver = await seed(torrent, swarm_limits=SwarmLimits(max_chatter=100))
    guest = await raw(giver, HaveNone())
    await until(lambda: giver.swarm.peers)
    for count in range(1, 5):
        guest.say(*[Interested()] * 90)
        received = giver.peer().wire.messages_received
        await until(lambda received=received, count=count: received.get("interested") == 90 * count)
        await clock.advance(RECHOKE_SECONDS)
    assert not giver.told(PeerBanned)


async def test_blocks_are_no_chatter(seed, join, clock):
    torrent = make_torrent(300 * BLOCK)
    limits = SwarmLimits(max_chatter=100)
    giver = await seed(torrent, swarm_limits=limits)
    taker = await join(torrent, swarm_limits=limits)
    taker.swarm.dial(HOST, giver.port)
    await taker.swarm.wait_complete()
    await clock.advance(RECHOKE_SECONDS)
    assert not giver.told(PeerBanned)
    assert not taker.told(PeerBanned)


async def test_one_peers_messages_do_not_keep_others_waiting(seed, raw, monkeypatch):
    torrent = make_torrent(8 * BLOCK)
    giver = await seed(torrent)
    guest = await raw(giver, HaveNone())
    await until(lambda: giver.swarm.peers)
    looked = []
    monkeypatch.setattr(giver.swarm, "_heard", lambda peer, message: looked.append(message))
    other = await raw(giver, HaveNone(), peer_id=NAME % 1)
    await until(lambda: len(giver.swarm.peers) == 2)
    del looked[:]
    (peer,) = [p for p in giver.swarm.peers if p.peer_id == NAME % 1]
    wire = peer.wire
    wire.receive_data((HaveAll().encode() + HaveNone().encode()) * 500, wire.now)
    peer.send_keep_alive()  # so that it looks
    most = 0
    while len(looked) < 1000:
        before = len(looked)
        await asyncio.sleep(0)
        most = max(most, len(looked) - before)
    assert most <= exchange.TURN
    guest.close()
    other.close()


async def test_who_changes_its_mind_all_the_time_waits_for_the_next_round(
    seed, raw, clock, monkeypatch
):
    monkeypatch.setattr(swarm, "MAX_CHANGES", 4)
    torrent = make_torrent(BLOCK)
    giver = await seed(torrent)
    guest = await raw(giver, HaveNone())
    await until(lambda: giver.swarm.peers)
    for _ in range(5):
        guest.say(Interested())
        await until(lambda: giver.peer().peer_interested)
        guest.say(NotInterested())
        await until(lambda: not giver.peer().peer_interested)
    giver.peer().choke()
    guest.say(Interested())
    await until(lambda: giver.peer().peer_interested)
    await turns()
    assert giver.peer().am_choking
    await clock.advance(RECHOKE_SECONDS)
    assert not giver.peer().am_choking


async def test_a_flood_of_chokes_costs_few_requests(join, raw):
    torrent = make_torrent(400 * BLOCK, 4 * BLOCK)
    taker = await join(torrent)
    peer = await raw(taker, everything(torrent, fast=False), Unchoke(), fast=False)
    for _ in range(60):  # until it is known to be fast
        request = await peer.hear_only(Request)
        peer.say(Piece(*request_key(request), torrent.block(*request_key(request, BLOCK))))
    await turns()
    depth = len(taker.peer().requests)
    assert depth > 10
    before = taker.sent("request").total()
    for count in range(1, 21):
        peer.say(Choke(), Unchoke())
        received = taker.peer().wire.messages_received
        await until(lambda received=received, count=count: received.get("choke") == count)
        await turns(10)
    assert len(taker.peer().requests) == MIN_PIPELINE
    assert taker.sent("request").total() <= before + 2 * depth + 20 * 2 * MIN_PIPELINE


def request_key(request, *more):
    return (request.index, request.begin, *more)


async def test_those_who_come_and_go_leave_nothing(seed, join, raw):
    torrent = make_torrent(8 * BLOCK)
    giver = await seed(torrent)
    for number in range(100):
        guest = await raw(giver, HaveNone(), Interested(), peer_id=NAME % number)
        guest.reset()
    await neighbour(torrent, giver, join)
    await until(lambda: len(giver.told(PeerLeft)) == len(giver.told(PeerJoined)))
    assert not giver.swarm.peers
    assert not giver.swarm._uploads
    assert len(asyncio.all_tasks()) < 10


async def test_one_address_has_so_many_places_and_no_more(seed, join, raw):
    torrent = make_torrent(8 * BLOCK)
    giver = await seed(torrent, swarm_limits=SwarmLimits(max_per_address=5))
    guests = [
        await raw(giver, HaveNone(), Interested(), peer_id=NAME % number) for number in range(5)
    ]
    await until(lambda: len(giver.swarm.peers) == 5)
    await until(lambda: all(peer.peer_interested for peer in giver.swarm.peers))
    late = await raw(giver, HaveNone(), Interested(), peer_id=NAME % 9)
    assert not await late.hear_until_end()
    assert len(giver.swarm.peers) == 5
    guests[0].close()
    await until(lambda: len(giver.swarm.peers) == 4)
    await neighbour(torrent, giver, join)


async def test_those_who_say_nothing_make_room(seed, join, raw, clock):
    torrent = make_torrent(8 * BLOCK)
    giver = await seed(torrent, swarm_limits=SwarmLimits(max_peers=3, grace=10))
    for number in range(3):
        await raw(giver, peer_id=NAME % number)
    await until(lambda: len(giver.swarm.peers) == 3)
    refused = await raw(giver, peer_id=NAME % 3)
    await refused.hear_until_end()
    await clock.advance(10)
    await neighbour(torrent, giver, join)
    assert len(giver.told(PeerJoined)) == 4


async def test_who_asks_and_never_reads_holds_little(stack, seed, join, clock):
    torrent = make_torrent(200 * BLOCK, 4 * BLOCK)
    giver = await seed(torrent)
    sock = small_socket()
    await asyncio.get_running_loop().sock_connect(sock, (HOST, giver.port))
    deaf = RawPeer(*await asyncio.open_connection(sock=sock, limit=1))
    stack.callback(deaf.close)
    deaf.say(greeting(torrent.meta.info_hash), HaveNone(), Interested())
    await until(lambda: giver.swarm.peers and not giver.peer().am_choking)
    deaf.say(*(Request(index, b * BLOCK, BLOCK) for index in range(50) for b in range(4)))
    await turns(300)
    waiting, requests = held(giver)
    assert requests <= 200
    assert giver.peer().uploaded <= 200 * BLOCK
    assert waiting <= giver.swarm._limits.write_buffer + 2 * 32 * BLOCK
    await neighbour(torrent, giver, join)


async def test_a_disk_that_is_slow_holds_no_more_than_what_was_asked_for(seed, raw):
    torrent = make_torrent(4 * BLOCK)

    class Counting(Storage):
        reads = 0

        def read(self, index, begin, length):
            Counting.reads += 1
            return super().read(index, begin, length)

    giver = await seed(torrent, storage=Counting)
    guest = await raw(giver, HaveNone(), Interested())
    await guest.hear_only(Unchoke)
    guest.say(*[Request(0, 0, BLOCK)] * 500)  # the same: one is answered, and not the others
    heard = [await guest.hear() for _ in range(500)]
    pieces = sum(isinstance(message, Piece) for message in heard)
    assert pieces + sum(isinstance(message, Reject) for message in heard) == 500
    assert Counting.reads == pieces < 500
