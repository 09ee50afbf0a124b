"""Dialling a peer."""

from __future__ import annotations

import asyncio
import functools
from typing import TYPE_CHECKING

from ..errors import ConnectionClosed, RemoteProtocolError
from ..limits import DEFAULT_LIMITS, Limits
from ..state import DEFAULT_RESERVED, Role, State
from ..wire import Wire
from .peer import Peer

if TYPE_CHECKING:
    from collections.abc import Generator
    from types import TracebackType
    from typing import Any

    from ..handshake import Reserved
    from ..state import Trace

__all__ = ["connect"]


class connect:  # noqa: N801 - used as a verb
    """Connects to a peer: ``async with connect(...) as peer`` or ``peer = await connect(...)``.

    Args:
        host: The peer's address or name.
        port: Its TCP port.
        info_hash: The torrent, as 20 bytes or 40 hex digits.
        peer_id: Our peer id, as 20 bytes or hex; made up when left out (BEP 20).
        num_pieces: Piece count of the torrent, when it is known.
        reserved: The extensions to announce.
        limits: The bounds to hold the peer to.
        strict: Whether deviations that deployed clients are known for end the connection, too.
        trace: Called with (mark, what, now) for everything that happens on the wire.
        timeout: Seconds for the TCP connection and both handshakes together.

    Raises:
        ConnectionClosed: There is no connection to be had, or the peer closed it during the
            handshake, as it does when it does not serve the torrent.
        InvalidHandshake: It answered with something else than a handshake, or is ourselves.
        InfoHashMismatch: It answered with another torrent.
    """

    def __init__(
        self,
        host: str,
        port: int,
        info_hash: bytes | str,
        *,
        peer_id: bytes | str | None = None,
        num_pieces: int | None = None,
        reserved: Reserved = DEFAULT_RESERVED,
        limits: Limits = DEFAULT_LIMITS,
        strict: bool = False,
        trace: Trace | None = None,
        timeout: float = 15.0,
    ) -> None:
        self._host = host
        self._port = port
        self._timeout = timeout
        self._make_wire = functools.partial(
            Wire,
            Role.INITIATOR,
            info_hash,
            peer_id,
            num_pieces=num_pieces,
            reserved=reserved,
            limits=limits,
            strict=strict,
            trace=trace,
        )
        self._peer: Peer | None = None

    def __await__(self) -> Generator[Any, None, Peer]:
        return self._connect().__await__()

    async def __aenter__(self) -> Peer:
        self._peer = await self
        return self._peer

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._peer is not None
        await self._peer.close()

    async def _connect(self) -> Peer:
        loop = asyncio.get_running_loop()
        wire = self._make_wire(now=loop.time())
        peer = Peer(wire)
        try:
            async with asyncio.timeout(self._timeout):
                await loop.create_connection(lambda: peer._connection, self._host, self._port)
                await peer.wait_until(lambda: wire.state is State.OPEN)
        except TimeoutError as error:
            peer._connection.abort()
            reason = f"no connection and handshake within {self._timeout:g} s"
            raise ConnectionClosed("us", reason) from error
        except OSError as error:
            raise ConnectionClosed("network", f"{self._host}:{self._port}: {error}") from error
        except ConnectionClosed as error:
            if isinstance(error.__cause__, RemoteProtocolError):
                raise error.__cause__ from None
            raise
        except asyncio.CancelledError:
            peer._connection.abort()
            raise
        return peer
