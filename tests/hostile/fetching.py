"""A case on loopback whose peer we dial, to fetch from it and from one that behaves."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from peerwire import ConnectionClosed, Interested, Peer, PieceSet, Request, serve
from peerwire.swarm.events import DialFailed, PeerJoined, PeerLeft
from peerwire.swarm.swarm import Redial, Swarm
from peerwire.torrent.disk import Disk
from peerwire.torrent.storage import Storage

from .case import Act, Case, Seen, Tolerated
from .neighbour import NEIGHBOUR_ID
from .stranger import Stranger, listen, turns, until
from .torrent import INFO_HASH, NUM_PIECES, OUR_ID, TORRENT
from .watch import HOST, Record, check_held, fulfilled, settle

if TYPE_CHECKING:
    import contextlib
    from pathlib import Path

    from peerwire import PeerWireError

    from ..swarm.conftest import Clock

__all__ = ["Fetching"]


class Fetching:
    """Our side as a download from a good seed and the hostile peer, both of which it dials."""

    def __init__(
        self, case: Case, stack: contextlib.AsyncExitStack, clock: Clock, root: Path
    ) -> None:
        self.case = case
        self.record = Record()
        self.told: list[Any] = []
        self.root = root
        self.swarm: Swarm
        self._stack = stack
        self._clock = clock
        self._gate = asyncio.Semaphore(0)
        self._given = 0  # blocks, by the good seed

    async def start(self) -> None:
        """Starts the download from the good seed alone, which gives a block when it is told to."""
        scene = self.case.scene
        disk = await self._stack.enter_async_context(Disk(Storage(TORRENT.meta, self.root)))
        self.swarm = await self._stack.enter_async_context(
            Swarm(
                TORRENT.meta,
                disk,
                PieceSet(NUM_PIECES),
                peer_id=OUR_ID,
                encryption=scene.encryption,
                limits=scene.limits,
                redial=Redial(attempts=1),
                on_event=self.told.append,
                trace=self.record.trace,
            )
        )
        good = await self._stack.enter_async_context(
            serve(self._give, HOST, 0, torrents={INFO_HASH: NUM_PIECES}, peer_id=NEIGHBOUR_ID)
        )
        self.swarm.dial(HOST, good.port)
        await self._let_give(2)

    async def play(self) -> tuple[Seen, BaseException | None]:
        """Plays the case; returns what came of it, and the error that was reported."""
        stranger, port = await self._be_dialled()
        await stranger.play(
            self.case.script, advance=self._clock.advance, meanwhile=self._meanwhile
        )
        if isinstance(self.case.expect, Tolerated):
            await stranger.mark(next(p for p in self.swarm.peers if p.address[1] == port))
        seen, error = await self._look(stranger, port)
        assert not self.swarm.done, "the download goes on after the case"
        return seen, error

    async def finish(self) -> bool:
        """Lets the download come to its end; returns whether all of it is right."""
        for _ in range(1000):
            self._gate.release()
        await self.swarm.wait_complete()
        return bool(TORRENT.is_in(self.root))

    async def _give(self, peer: Peer) -> None:
        peer.announce(PieceSet.full(NUM_PIECES))
        async for message in peer:
            if isinstance(message, Interested):
                peer.unchoke()
            elif isinstance(message, Request):
                await self._gate.acquire()
                if _key(message) in peer.peer_requests:
                    await peer.respond(message, TORRENT.block(*_key(message)))
                    self._given += 1
                else:  # it was taken back: another one is given a block
                    self._gate.release()

    async def _let_give(self, blocks: int) -> None:
        """Lets the good seed give some blocks, and waits for them to come."""
        expected = self._given + blocks
        for _ in range(blocks):
            self._gate.release()
        await until(lambda: self._given == expected)
        await turns(5)

    async def _be_dialled(self) -> tuple[Stranger, int]:
        stranger = Stranger()
        listener = await listen(stranger, small=Act.DEAF in self.case.script)
        port = int(listener.sockets[0].getsockname()[1])
        self.swarm.dial(HOST, port)
        await stranger.connected
        listener.close()  # it is met once
        self._stack.callback(stranger.close)
        return stranger, port

    async def _meanwhile(self) -> None:
        if self._given < 4 * NUM_PIECES - 8:
            await self._let_give(1)
        for peer in self.swarm.peers:
            check_held(peer)

    def _end_of(self, failed: PeerWireError) -> ConnectionClosed | None:
        """How the connection ended that a failed dial tells of: by an error, or as it tells."""
        ended = [end for end in self.record.ends if end.__cause__ is failed]
        if ended:
            return ended[0]
        return failed if isinstance(failed, ConnectionClosed) else None

    async def _look(self, stranger: Stranger, port: int) -> tuple[Seen, BaseException | None]:
        seen = Seen(b"", self.record.notes, None, None)
        error: BaseException | None = None

        def as_expected() -> bool:
            nonlocal error
            seen.heard = bytes(stranger.heard)
            for event in self.told:
                match event:
                    case PeerJoined(peer) if peer.address[1] == port:
                        seen.wire = peer.wire
                    case PeerLeft(peer, closed) if peer.address[1] == port:
                        seen.closed, error = closed, closed.__cause__
                    case DialFailed((_, dialled), failed) if dialled == port:
                        if seen.closed is None:  # else it was connected, and PeerLeft tells more
                            seen.closed, error = self._end_of(failed), failed
            return fulfilled(self.case, seen)

        await settle(as_expected)
        self.case.expect.check(seen)
        if seen.closed is not None:
            await stranger.hear_end()
        return seen, error


def _key(request: Request) -> tuple[int, int, int]:
    return request.index, request.begin, request.length
