"""Well-behaved peers: each says and asks what it may, and holds every answer against the truth."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from typing import TYPE_CHECKING

import peerwire
from peerwire import Reserved
from peerwire.extensions.lt_donthave import LtDontHave
from peerwire.extensions.upload_only import UploadOnly
from peerwire.extensions.ut_holepunch import Rendezvous, UtHolepunch
from peerwire.extensions.ut_metadata import MetadataPiece, MetadataReject, UtMetadata
from peerwire.extensions.ut_pex import PexPeer, UtPex
from peerwire.metadata import PIECE_LENGTH as METADATA_PIECE
from peerwire.metadata import piece_count
from peerwire.torrent.hashing import verified

from .plan import HOST, PATIENCE, Plan
from .server import extensions

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from peerwire import Peer
    from peerwire.requests import BlockKey

    from .tally import Tally
    from .torrent import Torrent

__all__ = ["visit_all"]

#: Things said between arriving and leaving, on average.
ACTIONS = 8

#: Handshakes that one process has under way at a time.
ARRIVING = 300


class _Peaceful:
    """A peer that comes and goes.

    Args:
        plan: The run.
        number: Which of them this is.
        port: The server's.
        torrent: What is right.
        tally: Where answers are counted.
        arriving: Lets so many at a time through their handshakes.
    """

    def __init__(
        self,
        plan: Plan,
        number: int,
        port: int,
        torrent: Torrent,
        tally: Tally,
        arriving: asyncio.Semaphore,
    ) -> None:
        self._plan = plan
        self._port = port
        self._torrent = torrent
        self._tally = tally
        self._arriving = arriving
        self._rng = random.Random(f"{plan.seed} peaceful {number}")

    async def run(self, until: float) -> None:
        """Comes and goes until a time of the event loop's clock."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(self._rng.uniform(0, self._plan.arriving))
        while loop.time() < until:
            try:
                await self._visit(until)
            except (peerwire.PeerWireError, TimeoutError) as error:
                self._tally.wrong(f"{type(error).__name__}: {error}")
                await asyncio.sleep(self._plan.pause)

    async def _visit(self, until: float) -> None:
        rng, torrent = self._rng, self._torrent
        reserved = rng.choice(
            (Reserved.FAST | Reserved.EXTENSION,) * 4
            + (Reserved.FAST, Reserved.EXTENSION, Reserved.EXTENSION | Reserved.DHT, Reserved(0))
        )
        async with self._arriving:
            peer = await peerwire.connect(
                HOST,
                self._port,
                torrent.info_hash,
                info_hash_v2=torrent.info_hash_v2 if rng.random() < 0.5 else None,
                num_pieces=torrent.num_pieces,
                reserved=reserved,
                encryption=rng.choice(("off", "off", "prefer", "require")),
                extensions=extensions(torrent, None),
                limits=self._plan.peer_limits,
                timeout=PATIENCE,
            )
        async with peer:
            await _Visit(peer, torrent, rng, self._tally).run(until, self._plan.pause)
        self._tally.counts["visits"] += 1


class _Visit:
    """One connection of a well-behaved peer."""

    def __init__(self, peer: Peer, torrent: Torrent, rng: random.Random, tally: Tally) -> None:
        self._peer = peer
        self._torrent = torrent
        self._rng = rng
        self._tally = tally
        self._metadata: dict[int, asyncio.Future[MetadataPiece | MetadataReject]] = {}

    async def run(self, until: float, pause: float) -> None:
        """Says this and that until it is time to go."""
        loop, rng, peer = asyncio.get_running_loop(), self._rng, self._peer
        peer.announce(self._some_pieces())
        reading = asyncio.create_task(self._read())
        actions, weights = zip(*self._actions(), strict=True)
        try:
            for _ in range(1 + int(rng.expovariate(1 / ACTIONS))):
                await asyncio.sleep(min(rng.expovariate(1 / pause), until - loop.time()))
                if loop.time() >= until:
                    break
                (action,) = rng.choices(actions, weights)
                await action()
            if peer.closed is not None:
                raise peer.closed.again()
        finally:
            await peer.close()
            await reading

    def _actions(self) -> list[tuple[Callable[[], Awaitable[None]], int]]:
        """Returns what may be said on this connection, and how often."""
        actions: list[tuple[Callable[[], Awaitable[None]], int]] = [
            (self._fetch, 12),
            (self._cancel, 3),
            (self._small_talk, 6),
        ]
        if self._peer.v2:
            actions.append((self._fetch_hashes, 2))
        if self._peer.wire.extended:
            actions += [(self._fetch_metadata, 1), (self._extend, 3)]
        return actions

    def _some_pieces(self) -> peerwire.PieceSet:
        rng, count = self._rng, self._torrent.num_pieces
        match rng.randrange(4):
            case 0:
                return peerwire.PieceSet(count)
            case 1:
                return peerwire.PieceSet.full(count)
        return peerwire.PieceSet(count, rng.sample(range(count), rng.randrange(count)))

    # What the server says

    async def _read(self) -> None:
        peer = self._peer
        with contextlib.suppress(peerwire.ConnectionClosed):  # who is talking is told, too
            async for message in peer:
                match message:
                    case peerwire.Request():
                        await peer.respond(message, self._torrent.answer(message))
                    case peerwire.Interested():
                        peer.unchoke()
                    case MetadataPiece(piece) | MetadataReject(piece):
                        self._metadata[piece].set_result(message)

    # What we say

    async def _fetch(self) -> None:
        """Asks for some blocks at once."""
        peer, rng = self._peer, self._rng
        await peer.ready(timeout=PATIENCE)
        asked = {self._torrent.random_block(rng) for _ in range(rng.randint(1, 8))}
        chokes = self._chokes()
        answers = [(block, self._ask(block)) for block in sorted(asked)]
        for block, answer in answers:
            try:
                self._compare("blocks", await answer, self._torrent.block(*block))
            except (peerwire.PeerChoked, peerwire.RequestRejected) as error:
                if self._chokes() == chokes:
                    self._tally.wrong(f"{error}, without being choked")
                self._tally.counts["blocks refused by a choke"] += 1
            except peerwire.RequestTimeout as error:
                self._tally.wrong(f"missing: {error}")

    def _ask(self, block: BlockKey) -> asyncio.Future[bytes] | asyncio.Future[memoryview]:
        if self._rng.random() < 0.3:
            memory = bytearray(block[2])
            return self._peer.request(*block, into=memory, timeout=PATIENCE)
        return self._peer.request(*block, timeout=PATIENCE)

    async def _cancel(self) -> None:
        """Asks for a block, takes that back, and perhaps asks again."""
        peer, rng = self._peer, self._rng
        await peer.ready(timeout=PATIENCE)
        block = self._torrent.random_block(rng)
        answer = peer.request(*block, timeout=PATIENCE)
        if rng.random() < 0.5:
            await asyncio.sleep(0)
        answer.cancel()
        self._tally.counts["requests taken back"] += 1

    async def _small_talk(self) -> None:
        """Says something that has no answer."""
        peer, rng = self._peer, self._rng
        index = rng.randrange(self._torrent.num_pieces)
        match rng.randrange(8):
            case 0:
                peer.have(index)
            case 1:
                peer.not_interested()
            case 2:
                peer.interested()
            case 3:
                peer.choke()
            case 4:
                peer.unchoke()
            case 5:
                peer.port(rng.randint(1, 65535))
            case 6:
                peer.send_keep_alive()
            case 7 if peer.fast:
                (peer.suggest if rng.random() < 0.5 else peer.allowed_fast)(index)

    async def _fetch_hashes(self) -> None:
        wanted = self._torrent.random_hashes(self._rng)
        hashes = await self._peer.request_hashes(wanted, timeout=PATIENCE)
        verified(wanted, hashes, self._torrent.length)
        self._tally.counts["hashes right"] += 1

    async def _fetch_metadata(self) -> None:
        """Asks for a piece of the metadata that was not asked for yet."""
        peer, metadata = self._peer, self._torrent.metadata
        extension = peer.extension(UtMetadata)
        await peer.wait_until(lambda: extension.size is not None, timeout=PATIENCE)
        piece = self._rng.randrange(piece_count(len(metadata)))
        if piece in self._metadata:
            return
        self._metadata[piece] = asyncio.get_running_loop().create_future()
        extension.request(piece)
        async with asyncio.timeout(PATIENCE):
            answer = await self._metadata[piece]
        begin = piece * METADATA_PIECE
        got = answer.data if isinstance(answer, MetadataPiece) else None
        self._compare("metadata", got, metadata[begin : begin + METADATA_PIECE])

    async def _extend(self) -> None:
        """Says something in an extension, once the server has said that it speaks it."""
        peer, rng = self._peer, self._rng
        pex = peer.extension(UtPex)
        await peer.wait_until(lambda: pex.supported, timeout=PATIENCE)
        match rng.randrange(5):
            case 0:
                contacts = [PexPeer(f"10.0.0.{n}", 6881) for n in range(1, rng.randint(2, 60))]
                pex.update(time.monotonic(), contacts)
            case 1:
                peer.extension(UploadOnly).switch(rng.random() < 0.5)
            case 2:
                peer.extension(LtDontHave).dont_have(rng.randrange(self._torrent.num_pieces))
            case 3:
                peer.extension(UtHolepunch).say(Rendezvous("10.0.0.1", 6881))
            case 4:
                peer.send_extended_handshake()

    def _chokes(self) -> int:
        return self._peer.wire.messages_received.get("choke", 0)

    def _compare(self, what: str, got: object, right: object) -> None:
        if got == right:
            self._tally.counts[f"{what} right"] += 1
        else:
            self._tally.wrong(f"wrong {what}")


async def visit_all(
    plan: Plan, process: int, port: int, torrent: Torrent, tally: Tally, until: float
) -> None:
    """Lets the well-behaved peers of one process come and go."""
    arriving = asyncio.Semaphore(ARRIVING)
    first = sum(plan.peaceful_share(other) for other in range(process))
    async with asyncio.TaskGroup() as peers:
        for number in range(plan.peaceful_share(process)):
            peer = _Peaceful(plan, first + number, port, torrent, tally, arriving)
            peers.create_task(peer.run(until))
