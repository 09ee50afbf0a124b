"""Dialling a peer."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from typing import TYPE_CHECKING

from ..encryption import EncryptedWire, Encryption
from ..errors import ConnectionClosed, PeerTimeout, RemoteProtocolError
from ..handshake import parse_hash20, parse_info_hashes
from ..limits import DEFAULT_LIMITS, Limits
from ..state import DEFAULT_RESERVED, Role
from ..wire import Wire
from .peer import Peer

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable
    from types import TracebackType
    from typing import Any

    from ..extensions.base import Extension
    from ..handshake import Reserved
    from ..state import Trace
    from .connection import Connection

__all__ = ["connect"]

logger = logging.getLogger("peerwire.client")


class connect:  # noqa: N801 - used as a verb
    """Connects to a peer: ``async with connect(...) as peer`` or ``peer = await connect(...)``.

    Args:
        host: The peer's address or name.
        port: Its TCP port.
        info_hash: The torrent, as 20 bytes or 40 hex digits, or a v2 torrent as 32 bytes or 64.
        info_hash_v2: The v2 info-hash of a hybrid: the peer may go on with it, see `Peer.v2`
            (BEP 52, upgrade path).
        peer_id: Our peer id, as 20 bytes or hex; made up when left out (BEP 20).
        num_pieces: Piece count of the torrent, when it is known.
        reserved: The extension bits to announce.
        encryption: ``"prefer"`` tries an encrypted handshake and, where the peer closes on it or
            does not answer in half of the time, dials again without; ``"require"`` is RC4 or
            nothing; ``"off"`` is neither.
        extensions: What makes the extensions to speak, their classes most often (BEP 10).
        limits: The bounds to hold the peer to.
        strict: Whether deviations that deployed clients are known for end the connection, too.
        trace: Called with (mark, what, now) for everything that happens on the wire.
        timeout: Seconds for all of it together: connections and handshakes.

    Raises:
        LocalProtocolError: At once: the info-hash or the peer id is not one.
        ConnectionClosed: There is no connection to be had, or the peer closed it during the
            handshake, as it does when it does not serve the torrent.
        InvalidHandshake: It answered with something else than a handshake, or is ourselves.
        InfoHashMismatch: It answered with another torrent.
        EncryptionError: Encryption is required, and the peer does not speak it as required; or
            the peer breaks the rules of the encrypted handshake.
    """

    def __init__(
        self,
        host: str,
        port: int,
        info_hash: bytes | str,
        *,
        info_hash_v2: bytes | str | None = None,
        peer_id: bytes | str | None = None,
        num_pieces: int | None = None,
        reserved: Reserved = DEFAULT_RESERVED,
        encryption: Encryption | str = Encryption.PREFER,
        extensions: Iterable[Callable[[], Extension]] = (),
        limits: Limits = DEFAULT_LIMITS,
        strict: bool = False,
        trace: Trace | None = None,
        timeout: float = 15.0,
    ) -> None:
        self._host = host
        self._port = port
        self._timeout = timeout
        self._encryption = Encryption(encryption)
        begin_with, v2 = parse_info_hashes(info_hash, info_hash_v2)
        self._make_wire = functools.partial(
            Wire,
            Role.INITIATOR,
            begin_with,
            None if peer_id is None else parse_hash20(peer_id, "peer id"),
            info_hash_v2=v2,
            num_pieces=num_pieces,
            reserved=reserved,
            extensions=tuple(extensions),
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
        try:
            async with asyncio.timeout(self._timeout) as deadline:
                peer = await self._reach(deadline)
        except (OSError, UnicodeError) as error:  # a TimeoutError is an OSError, the system's too
            if deadline.expired():
                reason = f"no connection and handshake within {self._timeout:g} s"
                raise ConnectionClosed("us", reason) from error
            raise ConnectionClosed("network", f"{self._host}:{self._port}: {error}") from error
        closed = peer.closed
        if closed is not None and isinstance(closed.__cause__, RemoteProtocolError):
            raise closed.__cause__
        if closed is not None and not _has_answered(peer):
            raise closed.again()
        return peer

    async def _reach(self, deadline: asyncio.Timeout) -> Peer:
        """Returns a peer that has answered with a handshake, or whose connection has ended.

        Dials once more, without encryption, where that was what the peer did not understand.
        """
        peer = await self._dial(self._encryption)
        try:
            if self._encryption is Encryption.PREFER and not await _understands(peer, deadline):
                logger.info("%s:%d: no encryption, dialling plainly", self._host, self._port)
                peer._connection.abort()
                peer = await self._dial(Encryption.OFF)
            await peer.wait_until(lambda: _has_ended_or_answered(peer))
        except BaseException:
            peer._connection.abort()
            raise
        return peer

    async def _dial(self, encryption: Encryption) -> Peer:
        loop = asyncio.get_running_loop()

        made: list[Peer] = []

        def make_protocol() -> Connection:
            wire = self._make_wire(now=loop.time())  # the handshake's time starts here
            made.append(Peer(EncryptedWire(wire, encryption)))
            return made[0]._connection

        await loop.create_connection(make_protocol, self._host, self._port)
        return made[0]


async def _understands(peer: Peer, deadline: asyncio.Timeout) -> bool:
    """Whether the peer knows of encryption: does its part of the handshake, or breaks its rules.

    One that does not closes the connection, or says nothing: what it took for a length may be that
    of a longer handshake than it got. So it has half of the time that is left, that the other half
    remains to dial again.
    """
    until = deadline.when()
    assert until is not None, "connect has a timeout"
    patience = (until - asyncio.get_running_loop().time()) / 2
    with contextlib.suppress(TimeoutError):
        await peer.wait_until(lambda: _has_ended_or_answered(peer), timeout=patience)
    return peer.encryption != "off" or _broke_a_rule(peer)


def _broke_a_rule(peer: Peer) -> bool:
    cause = None if peer.closed is None else peer.closed.__cause__
    return isinstance(cause, RemoteProtocolError) and not isinstance(cause, PeerTimeout)


def _has_ended_or_answered(peer: Peer) -> bool:
    return peer.closed is not None or _has_answered(peer)


def _has_answered(peer: Peer) -> bool:
    return peer.wire.peer_handshake is not None
