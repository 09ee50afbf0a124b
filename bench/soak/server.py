"""The server under test, in a process of its own: a seed that also asks its peers for blocks."""

from __future__ import annotations

import asyncio
import collections
import functools
import itertools
import random
import sys
import time
import tracemalloc
from typing import TYPE_CHECKING
from unittest import mock

import peerwire
from peerwire.asyncio import server as server_module
from peerwire.extensions.lt_donthave import LtDontHave
from peerwire.extensions.upload_only import UploadOnly
from peerwire.extensions.ut_holepunch import UtHolepunch
from peerwire.extensions.ut_metadata import UtMetadata
from peerwire.extensions.ut_pex import PexPeer, UtPex

from .plan import HOST, Plan, allow_files, dump
from .torrent import Torrent
from .watch import Complaints, Watch

if TYPE_CHECKING:
    from collections.abc import Callable

    from peerwire import Peer

__all__ = ["SERVER_ID", "Seed", "extensions", "run"]

SERVER_ID = b"-PW0000-soakedserver"

#: Seconds between two turns of the one who talks of the server's own accord.
TURN = 0.05

#: Seconds between two things that the server says of its own accord to a peer, on average.
PAUSE = 10.0

#: One in so many requests waits for that turn, so that cancels and chokes find it pending.
POSTPONED = 16

#: Seconds for the last connections to end.
PATIENCE = 20.0


def extensions(torrent: Torrent, metadata: bytes | None) -> list[Callable[[], peerwire.Extension]]:
    """Returns what makes the extensions that everybody here speaks."""
    return [
        functools.partial(UtPex, time.monotonic, port=6881),
        functools.partial(UtMetadata, metadata),
        functools.partial(LtDontHave, torrent.num_pieces),
        UploadOnly,
        UtHolepunch,
    ]


class Seed:
    """What the server does for its peers, and of its own accord.

    Attributes:
        outcome: How its own requests to well-behaved peers went.
    """

    def __init__(self, torrent: Torrent, rng: random.Random) -> None:
        self.outcome: collections.Counter[str] = collections.Counter()
        self._torrent = torrent
        self._rng = rng
        self._late: list[tuple[Peer, peerwire.Request]] = []
        self._choked: list[Peer] = []

    async def handle(self, peer: Peer) -> None:
        """Serves one peer."""
        torrent = self._torrent
        peer.announce(peerwire.PieceSet.full(torrent.num_pieces))
        if peer.fast:
            peer.allowed_fast(self._rng.randrange(torrent.num_pieces))
        async for message in peer:
            match message:
                case peerwire.Interested():
                    peer.unchoke()
                case peerwire.Bitfield() | peerwire.HaveAll() | peerwire.Have():
                    peer.interested()
                case peerwire.Request() if self._rng.randrange(POSTPONED) == 0:
                    self._late.append((peer, message))
                case peerwire.Request():
                    await self._answer(peer, message)
                case peerwire.HashRequest():
                    hashes = torrent.hashes.answer(message.range)
                    if hashes is None:
                        peer.reject_hashes(message)
                    else:
                        await peer.respond_hashes(message, hashes)

    async def talk(self, server: peerwire.Server) -> None:
        """Says this and that to some of the peers, until cancelled."""
        try:
            await self._talk(server)
        finally:
            self._late.clear()
            self._choked.clear()

    async def _talk(self, server: peerwire.Server) -> None:
        for turn in itertools.count():
            await asyncio.sleep(TURN)
            late, self._late = self._late, []
            for peer, request in late:
                if peer.closed is None:
                    await self._answer(peer, request, wait=False)
            if turn % 10 == 0:
                choked, self._choked = self._choked, []
                for peer in choked:
                    if peer.closed is None:
                        peer.unchoke()
            peers = [peer for peer in server.peers if peer.closed is None]
            some = min(len(peers), self._rng.randint(0, 1 + int(2 * len(peers) * TURN / PAUSE)))
            for peer in self._rng.sample(peers, some):
                self._say_something(peer, server)

    async def _answer(self, peer: Peer, request: peerwire.Request, *, wait: bool = True) -> None:
        block = self._torrent.answer(request)
        if len(block) < request.length:
            peer.reject(request)
            return
        sent = peer.respond(request, block)
        if wait:
            await sent

    def _say_something(self, peer: Peer, server: peerwire.Server) -> None:
        index = self._rng.randrange(self._torrent.num_pieces)
        match self._rng.randrange(8):
            case 0:
                peer.have(index)
            case 1:
                peer.choke()
                self._choked.append(peer)
            case 2 if peer.fast:
                peer.suggest(index)
            case 3 if peer.fast and len(peer.wire.allowed_fast) < 10:
                peer.allowed_fast(index)
            case 4:
                peer.send_keep_alive()
            case 5:
                others = itertools.islice(server.peers, 60)
                contacts = {other.address: PexPeer(*other.address) for other in others}
                contacts.pop(peer.address, None)
                peer.extension(UtPex).update(time.monotonic(), contacts.values())
            case 6 if peer.extension(LtDontHave).supported:
                peer.extension(LtDontHave).dont_have(index)
            case _:
                self._ask(peer)

    def _ask(self, peer: Peer) -> None:
        block = self._torrent.random_block(self._rng)
        if block in peer.requests or block[0] not in peer.peer_pieces or peer.peer_choking:
            return
        answer = peer.request(*block)
        if peer.address[0] == HOST:
            answer.add_done_callback(functools.partial(self._check, block))

    def _check(self, asked: tuple[int, int, int], answer: asyncio.Future[bytes]) -> None:
        match answer.exception():
            case None if answer.result() == self._torrent.block(*asked):
                self.outcome["right"] += 1
            case None:
                self.outcome["wrong"] += 1
            case peerwire.RequestTimeout():
                self.outcome["missing"] += 1
            case _:
                self.outcome["not to be had"] += 1


async def run(plan: Plan) -> None:
    """Serves until the line after the first comes in, and tells what was seen."""
    allow_files(plan.peers + 1000)
    complaints = Complaints()
    complaints.install()
    torrent = Torrent(plan.seed)
    if plan.growth:
        tracemalloc.start()
    # The watch is to see what is there before; the thread that reads is.
    await asyncio.to_thread(sys.stdin.fileno)
    serving = peerwire.serve(
        (seed := Seed(torrent, random.Random(plan.seed))).handle,
        HOST,
        0,
        torrents=torrent.served,
        peer_id=SERVER_ID,
        extensions=extensions(torrent, torrent.metadata),
        limits=plan.server_limits,
        backlog=4096,
    )
    async with serving as server:
        watch = Watch()
        with mock.patch.object(server_module, "Peer", watch.peer_class()):
            await _soak(plan, server, seed, watch, complaints)


async def _soak(
    plan: Plan, server: peerwire.Server, seed: Seed, watch: Watch, complaints: Complaints
) -> None:
    before = watch.in_use()
    dump({"port": server.port})
    await asyncio.to_thread(sys.stdin.readline)
    activities = [
        asyncio.create_task(seed.talk(server)),
        asyncio.create_task(watch.look(plan.seconds / 200)),
    ]
    seen = await _while_it_lasts(plan, watch)
    for activity in activities:
        activity.cancel()
    for ended in await asyncio.gather(*activities, return_exceptions=True):
        if not isinstance(ended, asyncio.CancelledError):
            complaints.add(f"a task of the server has ended: {ended!r}")
    del activities, activity, ended  # and with them what was in their hands
    await watch.everybody_left(PATIENCE)
    dump(
        {
            **seen,
            "connections": watch.connections,
            "ends": [[ip, end, count] for (ip, end), count in watch.ends.items()],
            "samples": watch.samples,
            "lag": watch.lag(),
            "before": before,
            "after": watch.in_use(),
            "outcome": dict(seed.outcome),
            "left": watch.left(),
            "complaints": complaints.kept,
            "complaints in all": complaints.count,
        }
    )


async def _while_it_lasts(plan: Plan, watch: Watch) -> dict[str, object]:
    """Returns what has changed between the warm-up and shortly before the end."""
    await asyncio.sleep(plan.warm_up)
    warm, before = watch.in_use(), watch.moved()
    if plan.growth:
        watch.remember_allocations()
    began = time.monotonic()
    await asyncio.sleep(plan.seconds * 0.95 - plan.warm_up)
    lasted = time.monotonic() - began
    moved = {name: count - before.get(name, 0) for name, count in watch.moved().items()}
    end, growth = watch.in_use(), watch.growth()
    await asyncio.to_thread(sys.stdin.readline)
    return {"moved": moved, "moved in": lasted, "warm": warm, "end": end, "growth": growth}
