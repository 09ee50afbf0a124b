"""A case on loopback whose peer dials us: an application's server, or a seed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from peerwire import (
    ConnectionClosed,
    Interested,
    Peer,
    PieceSet,
    Request,
    ServedTorrent,
    Server,
    connect,
    serve,
)
from peerwire.swarm.events import PeerJoined, PeerLeft
from peerwire.swarm.swarm import Swarm
from peerwire.torrent.disk import Disk
from peerwire.torrent.storage import Storage

from .case import Act, Case, Seen, Tolerated
from .neighbour import NEIGHBOUR_ID, Neighbour
from .ours import extensions
from .stranger import Stranger, small_socket, until
from .torrent import INFO_HASH, NUM_PIECES, OUR_ID, TORRENT
from .watch import HOST, Record, check_held, fulfilled, settle

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from ..swarm.conftest import Clock

__all__ = ["Dialled"]


class Dialled:
    """Our side as a server, with a neighbour, and the hostile peer dials it."""

    def __init__(self, case: Case, stack: contextlib.AsyncExitStack, clock: Clock) -> None:
        self.case = case
        self.record = Record()
        self.told: list[Any] = []
        self._stack = stack
        self._clock = clock
        self._server: Server
        self._neighbour: Neighbour
        self._known: set[Peer] = set()
        self._peer: Peer | None = None

    async def serve(self) -> None:
        """Starts a server, as an application has it."""
        scene = self.case.scene
        torrent = ServedTorrent(
            NUM_PIECES if scene.knows_pieces else None, INFO_HASH if scene.v2 else None
        )
        await self._listen(
            self._handle, {INFO_HASH: torrent}, extensions(asyncio.get_running_loop().time)
        )

    async def seed(self, root: Path) -> None:
        """Starts a swarm that has everything, as `peerwire seed` does."""
        TORRENT.put(root)
        disk = await self._stack.enter_async_context(Disk(Storage(TORRENT.meta, root)))
        swarm = await self._stack.enter_async_context(
            Swarm(
                TORRENT.meta,
                disk,
                PieceSet.full(NUM_PIECES),
                wanted=PieceSet(NUM_PIECES),
                peer_id=OUR_ID,
                limits=self.case.scene.limits,
                on_event=self.told.append,
            )
        )
        await self._listen(swarm.welcome, {INFO_HASH: NUM_PIECES}, swarm.extensions)

    async def play(self) -> Seen:
        """Plays the case, the neighbour being served throughout; returns what came of it."""
        await self._invite_neighbour()
        stranger = await self._let_in()
        await stranger.play(
            self.case.script, advance=self._clock.advance, meanwhile=self._meanwhile
        )
        if isinstance(self.case.expect, Tolerated):
            assert self._peer is not None, "it was let in"
            await stranger.mark(self._peer)
        seen = await self._look(stranger)
        await self._neighbour.fetch()
        return seen

    @property
    def joined(self) -> bool:
        """Whether the seed took the hostile peer in."""
        return any(
            isinstance(event, PeerJoined) and event.peer is self._peer for event in self.told
        )

    async def expect_report(self, seen: Seen) -> None:
        """Asserts that the seed has told why it let go of the hostile peer."""

        def left() -> list[ConnectionClosed]:
            return [e.closed for e in self.told if isinstance(e, PeerLeft) and e.peer is self._peer]

        await until(left)
        assert left() == [seen.closed]

    async def _listen(
        self, handler: Callable[[Peer], Awaitable[None]], torrents: Any, extensions: Any
    ) -> None:
        scene = self.case.scene
        self._server = await self._stack.enter_async_context(
            serve(
                handler,
                HOST,
                0,
                torrents=torrents,
                peer_id=OUR_ID,
                encryption=scene.encryption,
                extensions=extensions,
                limits=scene.limits,
                strict=scene.strict,
                trace=self.record.trace,
            )
        )

    async def _handle(self, peer: Peer) -> None:
        """Does what an application does: has everything, and serves it."""
        peer.announce(PieceSet.full(NUM_PIECES))
        async for message in peer:
            match message:
                case Interested():
                    peer.unchoke()
                case Request(index, begin, length):
                    if self.case.scene.slow and peer.peer_id != NEIGHBOUR_ID:
                        continue
                    block = TORRENT.block(index, begin, length) if index < NUM_PIECES else b""
                    if len(block) == length:
                        await peer.respond(message, block)
                    else:
                        peer.reject(message)

    async def _invite_neighbour(self) -> None:
        peer = await self._stack.enter_async_context(
            connect(
                HOST,
                self._server.port,
                INFO_HASH,
                peer_id=NEIGHBOUR_ID,
                num_pieces=NUM_PIECES,
                encryption=self.case.scene.encryption,
            )
        )
        await peer.ready()
        self._neighbour = Neighbour(peer)
        await self._neighbour.fetch()
        self._known = set(self._server._connected.values())

    async def _let_in(self) -> Stranger:
        loop = asyncio.get_running_loop()
        stranger = Stranger()
        if Act.DEAF in self.case.script:
            sock = small_socket()
            await loop.sock_connect(sock, (HOST, self._server.port))
            await loop.create_connection(lambda: stranger, sock=sock)
        else:
            await loop.create_connection(lambda: stranger, HOST, self._server.port)
        self._stack.callback(stranger.close)
        await until(lambda: set(self._server._connected.values()) - self._known)
        (self._peer,) = set(self._server._connected.values()) - self._known
        return stranger

    async def _meanwhile(self) -> None:
        await self._neighbour.fetch()
        assert self._peer is not None
        check_held(self._peer)

    async def _look(self, stranger: Stranger) -> Seen:
        assert self._peer is not None
        wire = self._peer.wire
        seen = Seen(b"", self.record.notes, None, None)

        def as_expected() -> bool:
            seen.heard, seen.closed, seen.wire = bytes(stranger.heard), wire.closed, wire
            return fulfilled(self.case, seen)

        await settle(as_expected)
        self.case.expect.check(seen)
        if wire.closed is not None:
            await stranger.hear_end()
        return seen
