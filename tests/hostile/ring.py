"""Sets the scene of a case on loopback and plays it: served, in a seed, or against a download."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
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
from peerwire.swarm.events import DialFailed, PeerJoined, PeerLeft
from peerwire.swarm.swarm import Redial, Swarm
from peerwire.torrent.disk import Disk
from peerwire.torrent.storage import Storage

from .case import Act, Case, Seen, Tolerated
from .neighbour import NEIGHBOUR_ID, Neighbour
from .ours import extensions
from .stranger import Stranger, small_socket, turns, until
from .torrent import INFO_HASH, NUM_PIECES, OUR_ID, TORRENT
from .weight import check_counts

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from peerwire import PeerWireError

    from ..swarm.conftest import Clock

__all__ = ["HOST", "Dialled", "Fetching"]

HOST = "127.0.0.1"

#: Bytes that may wait for a peer beyond the limit above which it is not read from any more: what
#: one read of the socket makes us answer.
SLACK = 512 * 1024


@dataclass
class Record:
    """What our side told of itself.

    Attributes:
        notes: Lines of the trace that are marked as errors or deviations.
        ends: How connections ended that were not ended in good order by us.
    """

    notes: list[str] = field(default_factory=list)
    ends: list[ConnectionClosed] = field(default_factory=list)

    def trace(self, mark: str, what: object, _now: float) -> None:
        """Is given to our side."""
        if mark == "!":
            self.notes.append(str(what))
        if isinstance(what, ConnectionClosed):
            self.ends.append(what)


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
        self._known = set(self._server._connected)

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
        await until(lambda: self._server._connected - self._known)
        (self._peer,) = self._server._connected - self._known
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
        loop = asyncio.get_running_loop()
        stranger = Stranger()
        sock = small_socket() if Act.DEAF in self.case.script else None
        if sock is not None:
            sock.bind((HOST, 0))
        where = {"sock": sock} if sock is not None else {"host": HOST, "port": 0}
        listener = await loop.create_server(lambda: stranger, **where)
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


def fulfilled(case: Case, seen: Seen) -> bool:
    """Whether it is what was expected."""
    try:
        case.expect.check(seen)
    except AssertionError:
        return False
    return True


async def settle(condition: Callable[[], bool]) -> None:
    """Lets the event loop go round until something is true, though not for ever."""
    for _ in range(2000):
        if condition():
            return
        await asyncio.sleep(0)


def check_held(peer: Peer) -> None:
    """Asserts that what is kept of a peer, and for it, is within its limits."""
    limits = peer.wire.limits
    check_counts(peer.wire)
    inbox = peer._inbox
    assert len(inbox) <= limits.max_unread_messages + 1
    assert inbox._bytes <= limits.max_unread_bytes + limits.max_message
    transport = peer._connection._transport
    if transport is not None and not transport.is_closing():
        assert transport.get_write_buffer_size() <= limits.max_write_buffer + SLACK


def _key(request: Request) -> tuple[int, int, int]:
    return request.index, request.begin, request.length
