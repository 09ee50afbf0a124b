"""Dialling a peer, and waiting for it."""

# Written after asyncio/client.py by scripts/generate_sync.py: `make generate`.

from __future__ import annotations

from typing import TYPE_CHECKING

from ..asyncio import client
from ..encryption import Encryption
from ..limits import DEFAULT_LIMITS, Limits
from ..state import DEFAULT_RESERVED
from .peer import Peer
from .portal import shared_portal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ..extensions.base import Extension
    from ..handshake import Reserved
    from ..state import Trace

__all__ = ["connect"]


def connect(
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
) -> Peer:
    """Connects to a peer, to be used in a ``with`` statement or closed in the end.

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
    portal = shared_portal()
    return Peer(
        portal,
        portal.call(
            client.connect,
            host,
            port,
            info_hash,
            info_hash_v2=info_hash_v2,
            peer_id=peer_id,
            num_pieces=num_pieces,
            reserved=reserved,
            encryption=encryption,
            extensions=extensions,
            limits=limits,
            strict=strict,
            trace=trace,
            timeout=timeout,
        ),
    )
