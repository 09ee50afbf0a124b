"""Accepting peers: one task for each, any number of torrents on one port."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import logging
from typing import TYPE_CHECKING

from ..encryption import EncryptedWire, Encryption
from ..errors import ConnectionClosed, HashRequestFailed, RemoteProtocolError, RequestFailed
from ..handshake import generate_peer_id, parse_hash20, truncate_v2
from ..limits import DEFAULT_LIMITS, Limits
from ..mse import SkeyTable
from ..state import DEFAULT_RESERVED, Role
from ..wire import Wire
from .listener import Listener, bind, most_connections
from .peer import Peer

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable, Generator, Iterable, Mapping
    from types import TracebackType
    from typing import Any

    from ..extensions.base import Extension
    from ..handshake import Reserved
    from ..state import Trace

__all__ = ["ServedTorrent", "Server", "serve"]

logger = logging.getLogger("peerwire.server")

#: Seconds that handlers may take to end after their peers were closed, before they are cancelled.
CLOSE_TIMEOUT = 5.0

#: Seconds between warnings that peers are refused: there may be thousands.
WARN_EVERY = 60.0

#: What a handler may raise because of what its peer did.
_PEERS_FAULT = (ConnectionClosed, RemoteProtocolError, RequestFailed, HashRequestFailed)


@dataclasses.dataclass(frozen=True, slots=True)
class ServedTorrent:
    """What a server has to know of a v2 or hybrid torrent, to be asked for under either info-hash.

    Attributes:
        num_pieces: Piece count, or None where it is not known.
        info_hash_v2: The v2 info-hash, as 32 bytes or the 20 that are said (BEP 52). A peer that
            names the v1 info-hash and offers v2 is answered with it.

    Raises:
        LocalProtocolError: The info-hash is none.
    """

    num_pieces: int | None = None
    info_hash_v2: bytes | None = None

    def __post_init__(self) -> None:
        if self.info_hash_v2 is not None:
            truncate_v2(self.info_hash_v2)


class Server:
    """Accepts peers until it is closed. Made by `serve`.

    Attributes:
        peers: The peers that are being handled now.
        peer_id: Our peer id, 20 bytes.
    """

    def __init__(
        self,
        handler: Callable[[Peer], Awaitable[None]],
        torrents: Mapping[bytes, int | ServedTorrent | None] | None,
        max_peers: int,
        make_wire: Callable[..., Wire],
        peer_id: bytes,
        encryption: Encryption,
        trace_for: Callable[[tuple[str, int]], Trace | None],
    ) -> None:
        self.peers: set[Peer] = set()
        self.peer_id = peer_id
        self._handler = handler
        self._torrents = torrents
        self._encryption = encryption
        self._find_torrent = None if torrents is None else SkeyTable(torrents.keys())
        self._max_peers = min(max_peers, most_connections() or max_peers)
        self._make_wire = make_wire
        self._trace_for = trace_for
        # Those in their handshake, too, by what is done when they are gone.
        self._connected: dict[asyncio.Future[None], Peer] = {}
        self._shaking_hands: dict[Peer, None] = {}  # and these alone, the oldest first
        self._starting: set[asyncio.Task[None]] = set()
        self._handling: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._closed: asyncio.Future[None] = self._loop.create_future()
        self._listener: Listener | None = None
        self._next_warning = self._loop.time()

    @property
    def sockets(self) -> tuple[socket.socket, ...]:
        """The sockets it listens on."""
        return () if self._listener is None else self._listener.sockets

    @property
    def port(self) -> int:
        """The TCP port it listens on."""
        return int(self.sockets[0].getsockname()[1])

    async def serve_forever(self) -> None:
        """Accepts peers until the server is closed.

        Raises:
            OSError: A socket that it listens on is lost. Peers that are here can stay.
        """
        if self._listener is not None:
            lost = self._listener.lost
            await asyncio.wait([lost, self._closed], return_when=asyncio.FIRST_COMPLETED)
            if lost.done() and not lost.cancelled():
                lost.result()
        await asyncio.shield(self._closed)

    async def close(self) -> None:
        """Stops accepting, closes every peer, and waits for their handlers to end.

        A handler sees its iteration end. After five seconds it is cancelled. A handler may call
        this, too; its own end is not waited for.
        """
        if self._listener is None:
            if asyncio.current_task() not in self._handling:
                await asyncio.shield(self._closed)
            return
        listener, self._listener = self._listener, None
        try:
            await listener.close()
            await asyncio.gather(*self._starting)
            peers = list(self._connected.values())
            while self._make_room("the server is closing"):
                pass  # nothing was said to these that they would have to read first
            await asyncio.gather(*(peer.close("the server is closing") for peer in peers))
            await self._end_handlers()
        finally:
            self._closed.set_result(None)

    async def __aenter__(self) -> Server:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def _end_handlers(self) -> None:
        handling = self._handling - {asyncio.current_task()}
        if handling:
            _, late = await asyncio.wait(handling, timeout=CLOSE_TIMEOUT)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _listen(self, host: str | None, port: int, backlog: int) -> None:
        sockets = await bind(host, port, backlog)
        self._listener = Listener(sockets, accepted=self._take_in, starved=self._make_room)

    def _take_in(self, connection: socket.socket) -> None:
        """Begins with a connection, if there is room for one more or some can be made."""
        if len(self._connected) >= self._max_peers and not self._make_room():
            connection.close()
            self._warn_of_refusal()
            return
        wire = self._make_wire(now=self._loop.time(), trace=self._trace_for(_whose(connection)))
        peer = Peer(
            EncryptedWire(wire, self._encryption, torrents=self._find_torrent), self._decide
        )
        self._connected[peer._connection.lost] = peer
        self._shaking_hands[peer] = None
        task = self._loop.create_task(self._start(peer, connection))
        self._starting.add(task)
        task.add_done_callback(self._starting.discard)

    async def _start(self, peer: Peer, connection: socket.socket) -> None:
        lost = peer._connection.lost
        lost.add_done_callback(self._forget)
        try:
            await self._loop.connect_accepted_socket(lambda: peer._connection, connection)
        except OSError as error:  # the peer has left already, and the system minds
            logger.info("a peer left before it was taken in: %s", error)
            connection.close()
            self._forget(lost)
        else:
            if lost not in self._connected:
                peer._connection.abort()

    def _forget(self, lost: asyncio.Future[None]) -> None:
        peer = self._connected.pop(lost, None)
        if peer is not None:
            self._shaking_hands.pop(peer, None)

    def _make_room(self, reason: str = "its handshake gave way to another peer") -> bool:
        """Drops the peer that has been in its handshake for longest, if one is.

        An honest one is done in a second. So those that connect and say nothing can't keep others
        out, however many they are.
        """
        oldest = next(iter(self._shaking_hands), None)
        if oldest is None:
            return False
        self._forget(oldest._connection.lost)
        oldest.wire.close(reason)
        oldest._connection.abort()
        return True

    def _warn_of_refusal(self) -> None:
        now = self._loop.time()
        if now >= self._next_warning:
            self._next_warning = now + WARN_EVERY
            logger.warning(
                "refused a peer: %d are connected, the most that max_peers and the limit of open"
                " files allow",
                len(self._connected),
            )

    def _decide(self, peer: Peer) -> None:
        """Takes or refuses the torrent that a peer's handshake names."""
        self._shaking_hands.pop(peer, None)
        wire = peer.wire
        if wire.closed is not None:
            return  # what came with the handshake, or what it was wrapped in, broke a rule
        try:
            torrent = self._find(peer.info_hash)
        except KeyError:
            logger.info("%r asked for %s, which is not served", peer, peer.info_hash.hex())
            wire.refuse()
            return
        try:
            wire.accept(num_pieces=torrent.num_pieces, info_hash_v2=torrent.info_hash_v2)
        except RemoteProtocolError as error:
            logger.info("%r: %s", peer, error)
            return
        task = self._loop.create_task(self._handle(peer))
        self._handling.add(task)
        task.add_done_callback(self._handling.discard)

    def _find(self, info_hash: bytes) -> ServedTorrent:
        if self._torrents is None:  # whatever it is, v2 as well as v1
            return ServedTorrent(info_hash_v2=info_hash)
        found = self._torrents[info_hash]
        return found if isinstance(found, ServedTorrent) else ServedTorrent(found)

    async def _handle(self, peer: Peer) -> None:
        self.peers.add(peer)
        try:
            await self._handler(peer)
        except _PEERS_FAULT as error:
            logger.info("%r: %s", peer, error)  # the rest is the handler's fault
        except Exception:
            logger.exception("the handler of %r failed", peer)
        finally:
            self.peers.discard(peer)
            await peer.close("handled")


def _whose(connection: socket.socket) -> tuple[str, int]:
    """Returns the peer's address, as `Peer.address` tells it."""
    try:
        host, port, *_ = connection.getpeername()
    except OSError:  # it has left already
        return "", 0
    return host, port


class serve:  # noqa: N801 - used as a verb
    """Listens for peers: ``async with serve(...) as server`` or ``server = await serve(...)``.

    Args:
        handler: Called with each `Peer` once both handshakes are done, in a task of its own. The
            connection is closed when it returns. What it raises is logged and ends only that peer.
        host: Address to listen on; None for every address of the machine.
        port: TCP port; 0 for any free one, see `Server.port`.
        torrents: Info-hash (20 bytes) to piece count, or to None where it is not known; for a v2
            or hybrid torrent to a `ServedTorrent`, under the first 20 bytes of its v2 info-hash
            and, of a hybrid, under that of v1 too. Looked at anew at each handshake, so torrents
            may come and go. None serves any torrent.
        peer_id: Our peer id, as 20 bytes or hex; made up when left out (BEP 20).
        reserved: The extension bits to announce.
        encryption: ``"prefer"`` takes encrypted and plain peers, ``"require"`` those that speak
            RC4 throughout, ``"off"`` plain ones. An encrypted handshake does not say its torrent
            in clear, so without `torrents` it can't be understood.
        extensions: What makes the extensions to speak, their classes most often (BEP 10).
        limits: The bounds to hold each peer to.
        strict: Whether deviations that deployed clients are known for end a connection, too.
        trace: Called with (mark, what, now) for everything that happens on any of the wires.
        trace_for: In place of `trace`, where peers are to be told apart: called with the address of
            each that connects, returns the trace of its wire, or None for none.
        max_peers: Connections at a time, or 70 % of the files that the process may have open,
            where that is fewer. One more takes the place of whoever has been in its handshake for
            longest; where all are past theirs, it is refused.
        backlog: Connections that may wait to be accepted.

    Raises:
        OSError: The address can't be listened on.
        ValueError: At once: both `trace` and `trace_for` are given.
    """

    def __init__(
        self,
        handler: Callable[[Peer], Awaitable[None]],
        host: str | None = None,
        port: int = 6881,
        *,
        torrents: Mapping[bytes, int | ServedTorrent | None] | None = None,
        peer_id: bytes | str | None = None,
        reserved: Reserved = DEFAULT_RESERVED,
        encryption: Encryption | str = Encryption.PREFER,
        extensions: Iterable[Callable[[], Extension]] = (),
        limits: Limits = DEFAULT_LIMITS,
        strict: bool = False,
        trace: Trace | None = None,
        trace_for: Callable[[tuple[str, int]], Trace | None] | None = None,
        max_peers: int = 10_000,
        backlog: int = 1000,
    ) -> None:
        if trace is not None and trace_for is not None:
            raise ValueError("trace is for all peers, trace_for for each: give one of them")
        our_id = generate_peer_id() if peer_id is None else parse_hash20(peer_id, "peer id")
        make_wire = functools.partial(
            Wire,
            Role.RESPONDER,
            None,
            our_id,
            reserved=reserved,
            extensions=tuple(extensions),
            limits=limits,
            strict=strict,
        )
        self._make_server = functools.partial(
            Server,
            handler,
            torrents,
            max_peers,
            make_wire,
            our_id,
            Encryption(encryption),
            trace_for or (lambda _: trace),
        )
        self._listen_on = (host, port, backlog)
        self._server: Server | None = None

    def __await__(self) -> Generator[Any, None, Server]:
        return self._serve().__await__()

    async def __aenter__(self) -> Server:
        self._server = await self
        return self._server

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._server is not None
        await self._server.close()

    async def _serve(self) -> Server:
        server = self._make_server()
        await server._listen(*self._listen_on)
        return server
