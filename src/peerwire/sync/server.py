"""Accepting peers, a thread for each."""

# Written after asyncio/server.py by scripts/generate_sync.py: `make generate`.

from __future__ import annotations

from typing import TYPE_CHECKING

from ..asyncio import server
from ..encryption import Encryption
from ..limits import DEFAULT_LIMITS, Limits
from ..state import DEFAULT_RESERVED
from .base import SyncServer
from .peer import Peer
from .portal import shared_portal
from .threads import in_threads

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterable, Mapping

    from ..asyncio.server import ServedTorrent
    from ..extensions.base import Extension
    from ..handshake import Reserved
    from ..state import Trace

__all__ = ["Server", "serve"]


class Server(SyncServer):
    """Accepts peers until it is closed. Made by `serve`."""

    @property
    def peers(self) -> set[Peer]:
        """The peers that are being handled now."""
        return self._portal.call(lambda: {Peer(self._portal, each) for each in self._server.peers})

    @property
    def peer_id(self) -> bytes:
        """Our peer id, 20 bytes."""
        return self._server.peer_id

    @property
    def sockets(self) -> tuple[socket.socket, ...]:
        """The sockets it listens on."""
        return self._portal.call(lambda: self._server.sockets)

    @property
    def port(self) -> int:
        """The TCP port it listens on."""
        return self._portal.call(lambda: self._server.port)

    def serve_forever(self) -> None:
        """Accepts peers until the server is closed.

        Raises:
            OSError: A socket that it listens on is lost. Peers that are here can stay.
        """
        return self._portal.call(self._server.serve_forever)

    def close(self) -> None:
        """Stops accepting, closes every peer, and waits for their handlers to end.

        A handler sees its iteration end. After five seconds its end is no longer waited for.
        """
        return self._portal.call(self._server.close)


def serve(
    handler: Callable[[Peer], None],
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
    max_peers: int = 10000,
    backlog: int = 1000,
) -> Server:
    """Listens for peers, to be used in a ``with`` statement or closed in the end.

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
    portal = shared_portal()
    return Server(
        portal,
        portal.call(
            server.serve,
            in_threads(portal, handler),
            host,
            port,
            torrents=torrents,
            peer_id=peer_id,
            reserved=reserved,
            encryption=encryption,
            extensions=extensions,
            limits=limits,
            strict=strict,
            trace=trace,
            trace_for=trace_for,
            max_peers=max_peers,
            backlog=backlog,
        ),
    )
