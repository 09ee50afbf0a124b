"""One torrent and the peers it is exchanged with."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..asyncio.client import connect
from ..errors import (
    ConnectionClosed,
    DownloadFailed,
    PeerWireError,
    RemoteProtocolError,
    StorageError,
)
from ..handshake import generate_peer_id
from ..limits import DEFAULT_LIMITS, Limits
from .choker import RECHOKE_SECONDS, Candidate, Choker
from .download import Download
from .events import (
    DialFailed,
    DiskFailed,
    PeerJoined,
    PeerLeft,
    PieceCorrupt,
    PieceVerified,
    SwarmEvent,
    written,
)
from .exchange import exchange
from .picker import Picker
from .upload import Upload

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from types import TracebackType

    from ..asyncio.peer import Peer
    from ..pieces import PieceSet
    from ..state import Trace
    from ..torrent.disk import Disk
    from ..torrent.metainfo import Metainfo

__all__ = ["Redial", "Swarm"]

_CORRUPT = RemoteProtocolError(
    "it sent a piece with the wrong hash", rule="BEP 3: a piece is checked against its hash"
)


@dataclass(frozen=True, slots=True)
class Redial:
    """How often an address is dialled that gives no connection, or loses it.

    Attributes:
        attempts: Failures in a row before it is given up. A connection that brought at least one
            block begins the count anew.
        wait: Seconds before the second attempt; doubled for each further one.
        max_wait: The most of them.
    """

    attempts: int = 5
    wait: float = 1.0
    max_wait: float = 30.0

    def pause(self, failures: int) -> float:
        """Returns the seconds to wait after so many failures in a row."""
        return float(min(self.wait * 2 ** (failures - 1), self.max_wait))


class Swarm:
    """Exchanges one torrent with any number of peers, those dialled and those that come.

    Used as an async context manager; peers that come are given to `welcome`, which is a handler
    for `serve`. A seed is a swarm that has everything.

    Args:
        metainfo: The torrent.
        disk: Its content.
        have: The pieces that are on disk and verified. It is kept up to date.
        peer_id: Our peer id; made up when left out.
        limits: The bounds to hold each peer to.
        redial: How often to dial an address.
        on_event: Told of what happens.
        trace: Called with (mark, what, now) for everything that happens on any wire we dial.
    """

    def __init__(
        self,
        metainfo: Metainfo,
        disk: Disk,
        have: PieceSet,
        *,
        peer_id: bytes | None = None,
        limits: Limits = DEFAULT_LIMITS,
        redial: Redial | None = None,
        on_event: Callable[[SwarmEvent], None] = lambda event: None,
        trace: Trace | None = None,
    ) -> None:
        self.metainfo = metainfo
        self.disk = disk
        self.have = have
        self.peer_id = generate_peer_id() if peer_id is None else peer_id
        self.peers: dict[Peer, float] = {}  #: Those connected, and since when.
        self.picker: Picker[Peer] = Picker(metainfo.num_pieces, metainfo.piece_size, have=have)
        self.download = Download(
            metainfo,
            disk,
            self.picker,
            on_verified=self._verified,
            on_corrupt=self._corrupt,
            on_failure=self._fail,
        )
        self._limits = limits
        self._redial = redial or Redial()
        self._tell = on_event
        self._trace = trace
        self._choker: Choker[Peer] = Choker()
        self._banned: set[bytes] = set()  # peer ids
        self._dials: set[asyncio.Task[None]] = set()
        self._failures: dict[tuple[str, int], PeerWireError] = {}
        self._chores: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._complete: asyncio.Future[None] = self._loop.create_future()
        if self.done:
            self._complete.set_result(None)

    @property
    def done(self) -> bool:
        """Whether every piece is on disk and verified."""
        return self.have.complete

    def dial(self, host: str, port: int) -> None:
        """Connects to a peer, again and again while it is worth it."""
        task = self._loop.create_task(self._dial((host, port)))
        self._dials.add(task)
        task.add_done_callback(self._dials.discard)

    async def welcome(self, peer: Peer) -> None:
        """Takes in a peer that came to us: a handler for `serve`."""
        await self._exchange(peer, dialled=False)

    async def wait_complete(self) -> None:
        """Waits until every piece is on disk and verified.

        Raises:
            DownloadFailed: Every address that was dialled has been given up.
            StorageError: The disk does not do what it should.
        """
        await asyncio.shield(self._complete)
        await self.download.settle()

    def rechoke(self) -> None:
        """Decides anew whom to unchoke."""
        candidates = [
            Candidate(
                peer,
                interested=peer.peer_interested,
                download_rate=peer.download_rate,
                upload_rate=peer.upload_rate,
                connected_at=joined,
                unchoked=not peer.am_choking,
            )
            for peer, joined in self.peers.items()
            if peer.closed is None
        ]
        chosen = self._choker.rechoke(self._loop.time(), candidates, seeding=self.done)
        for candidate in candidates:
            peer = candidate.key
            if peer in chosen:
                peer.unchoke()
            else:
                peer.choke()

    async def __aenter__(self) -> Swarm:
        self._do(self._rechoke_forever())
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Stops dialling, closes every peer, and waits for the last pieces to be written."""
        tasks = self._dials | self._chores
        for task in tasks:
            task.cancel()
        await asyncio.gather(*(peer.close() for peer in list(self.peers)))
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.download.settle()
        if not self._complete.done():
            self._complete.cancel()

    # Inside

    async def _dial(self, address: tuple[str, int]) -> None:
        failures = 0
        while not self.done:
            error, brought = await self._dial_once(address)
            failures = 1 if brought else failures + 1
            gives_up = failures >= self._redial.attempts or isinstance(error, RemoteProtocolError)
            if self.done:
                return
            self._tell(DialFailed(address, error, gives_up))
            if gives_up:
                self._failures[address] = error
                break
            await asyncio.sleep(self._redial.pause(failures))
        if not self.done and self._dials == {asyncio.current_task()} and not self.peers:
            self._fail(self._give_up())

    async def _dial_once(self, address: tuple[str, int]) -> tuple[PeerWireError, bool]:
        """Returns what ended the connection, and whether it brought a block before that."""
        try:
            peer = await connect(
                *address,
                self.metainfo.info_hash,
                peer_id=self.peer_id,
                num_pieces=self.metainfo.num_pieces,
                limits=self._limits,
                trace=self._trace,
            )
        except PeerWireError as error:
            return error, False
        await self._exchange(peer, dialled=True)
        if peer.peer_id in self._banned:
            return _CORRUPT, False
        assert peer.closed is not None
        cause = peer.closed.__cause__
        return cause if isinstance(cause, RemoteProtocolError) else peer.closed, peer.downloaded > 0

    async def _exchange(self, peer: Peer, *, dialled: bool) -> None:
        if peer.peer_id in self._banned:
            await peer.close(str(_CORRUPT))
            return
        self.peers[peer] = self._loop.time()
        self._tell(PeerJoined(peer, dialled))
        try:
            await exchange(
                peer,
                have=self.have,
                download=self.download,
                upload=Upload(peer, self.metainfo, self.disk, self.have),
                rechoke=self.rechoke,
            )
        except ConnectionClosed:
            pass  # PeerLeft tells it
        except StorageError as error:
            self._tell(DiskFailed(error))
            self._fail(error)
        finally:
            del self.peers[peer]
            self.rechoke()
            await peer.close()
            assert peer.closed is not None
            self._tell(PeerLeft(peer, peer.closed))

    def _verified(self, event: PieceVerified) -> None:
        self.have.add(event.index)
        self._tell(event)
        for peer in self.peers:
            if peer.closed is not None:
                continue
            if event.index not in peer.peer_pieces:
                peer.have(event.index)
            self.download.update_interest(peer)
        if self.done and not self._complete.done():
            self._complete.set_result(None)

    def _corrupt(self, event: PieceCorrupt) -> None:
        self._tell(event)
        if event.guilty is not None:
            self._banned.add(event.guilty.peer_id)
            self._do(event.guilty.close(f"it sent piece {event.index} corrupt"))

    def _fail(self, error: PeerWireError) -> None:
        if not self._complete.done():
            self._complete.set_exception(error)

    def _give_up(self) -> DownloadFailed:
        missing = self.metainfo.num_pieces - len(self.have)
        reasons = "; ".join(f"{written(a)}: {error}" for a, error in self._failures.items())
        return DownloadFailed(f"{missing} pieces are missing and no peer is left: {reasons}")

    async def _rechoke_forever(self) -> None:
        while True:
            self.rechoke()
            await asyncio.sleep(RECHOKE_SECONDS)

    def _do(self, chore: Coroutine[None, None, None]) -> None:
        task = self._loop.create_task(chore)
        self._chores.add(task)
        task.add_done_callback(self._chores.discard)
