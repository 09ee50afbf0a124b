"""What a peer and a server need to wait, beside what is generated after those of asyncio."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar, cast

from .portal import Remote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType
    from typing import Self

    from ..asyncio.inbox import Received
    from ..asyncio.peer import Peer as AsyncPeer
    from ..asyncio.server import Server as AsyncServer
    from ..extensions.base import Extension
    from .portal import Portal

__all__ = ["SyncPeer", "SyncServer"]

E = TypeVar("E", bound="Extension")
T = TypeVar("T")


class SyncPeer:
    """A peer of asyncio, behind a portal.

    Args:
        portal: The way to it.
        peer: The peer.
    """

    def __init__(self, portal: Portal, peer: AsyncPeer) -> None:
        self._portal = portal
        self._peer = peer

    def __repr__(self) -> str:
        return repr(self._peer)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SyncPeer) and other._peer is self._peer

    def __hash__(self) -> int:
        return hash(self._peer)

    def __iter__(self) -> Iterator[Received]:
        reader = self._portal.call(aiter, self._peer)
        while True:
            try:
                message = self._portal.call(reader.__anext__)
            except StopAsyncIteration:
                return
            yield message

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._portal.call(self._peer.close)

    def extension(self, kind: type[E]) -> E:
        """Returns this peer's instance of an extension, to be used from any thread.

        Args:
            kind: Its class, one of those given to `connect` or `serve`.

        Raises:
            LocalProtocolError: It was not given.
        """
        return cast("E", Remote(self._portal, self._portal.call(self._peer.extension, kind)))

    def call(self, function: Callable[[AsyncPeer], T]) -> T:
        """Calls a function with the `peerwire.Peer` behind this one, where that may be used.

        Args:
            function: What to call; if it is a coroutine function, it is awaited.
        """
        return self._portal.call(function, self._peer)


class SyncServer:
    """A server of asyncio, behind a portal.

    Args:
        portal: The way to it.
        server: The server.
    """

    def __init__(self, portal: Portal, server: AsyncServer) -> None:
        self._portal = portal
        self._server = server

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._portal.call(self._server.close)
