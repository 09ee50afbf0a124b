"""How a peer on asyncio stands: who it is, what it said, what is pending."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Literal

from ..clients import client_name
from ..mse import CryptoMethod
from ..rates import Rate
from ..stats import WireStats

if TYPE_CHECKING:
    from collections.abc import ValuesView

    from ..encryption import EncryptedWire
    from ..errors import ConnectionClosed
    from ..extensions.handshake import ExtendedHandshake
    from ..handshake import Handshake, Reserved
    from ..hash_requests import OutgoingHashRequests
    from ..messages import HashRequest
    from ..pieces import PieceSet
    from ..requests import IncomingRequests, OutgoingRequests
    from ..wire import Wire
    from .connection import Connection

__all__ = ["PeerStatus"]


class PeerStatus:
    """What a `Peer` is to look at; what it does is in ``peer.py``.

    Args:
        layer: Its state machine, behind its encryption.
        connection: Its socket.
    """

    def __init__(self, layer: EncryptedWire, connection: Connection) -> None:
        self._layer = layer
        self._wire = layer.wire
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        now = self._loop.time()
        self._upload_rate = Rate(now)
        self._download_rate = Rate(now)

    def __repr__(self) -> str:
        host, port = self.address
        return f"<Peer {host}:{port} {self.client}>"

    # Who it is

    @property
    def address(self) -> tuple[str, int]:
        """The peer's IP address and port, as the socket has them."""
        return self._connection.address

    @property
    def handshake(self) -> Handshake:
        """The peer's handshake."""
        assert self._wire.peer_handshake is not None, "a peer is handed out after its handshake"
        return self._wire.peer_handshake

    @property
    def peer_id(self) -> bytes:
        """The peer's id, 20 bytes (BEP 3)."""
        return self.handshake.peer_id

    @property
    def client(self) -> str:
        """The client's name and version: its own words (BEP 10), else its peer id's (BEP 20)."""
        told = self._wire.extensions.peer
        if told is not None and told.v:
            return told.v
        return client_name(self.peer_id)

    @property
    def extended_handshake(self) -> ExtendedHandshake | None:
        """What the peer told of itself under BEP 10, all its handshakes together, or None."""
        return self._wire.extensions.peer

    @property
    def encryption(self) -> Literal["off", "plaintext", "rc4"]:
        """What the connection speaks.

        ``"off"``: nobody began an encrypted handshake. ``"plaintext"``: the handshake was
        encrypted, what follows is not. ``"rc4"``: all of it is encrypted (see `Encryption`).
        """
        method = self._layer.method
        if method is None:
            return "off"
        return "rc4" if method is CryptoMethod.RC4 else "plaintext"

    @property
    def reserved(self) -> Reserved:
        """The extensions that the peer announced in its handshake."""
        return self.handshake.reserved

    @property
    def info_hash(self) -> bytes:
        """The torrent that the peer named, 20 bytes; see `v2` for hybrids, which have two."""
        return self.handshake.info_hash

    # How things stand

    @property
    def wire(self) -> Wire:
        """The state machine behind this peer, to look at; what it sends is sent by this peer."""
        return self._wire

    @property
    def fast(self) -> bool:
        """Whether the fast extension was negotiated (BEP 6)."""
        return self._wire.fast

    @property
    def v2(self) -> bool:
        """Whether both sides settled on the torrent's v2 info-hash (BEP 52)."""
        return self._wire.v2

    @property
    def am_choking(self) -> bool:
        """Whether this side chokes the peer (BEP 3)."""
        return self._wire.am_choking

    @property
    def am_interested(self) -> bool:
        """Whether this side said that it is interested (BEP 3)."""
        return self._wire.am_interested

    @property
    def peer_choking(self) -> bool:
        """Whether the peer chokes this side (BEP 3)."""
        return self._wire.peer_choking

    @property
    def peer_interested(self) -> bool:
        """Whether the peer said that it is interested (BEP 3)."""
        return self._wire.peer_interested

    @property
    def peer_pieces(self) -> PieceSet:
        """The pieces that the peer has."""
        return self._wire.peer_pieces

    @property
    def peer_allowed_fast(self) -> set[int]:
        """Pieces that the peer lets us ask for while it chokes us (BEP 6)."""
        return self._wire.peer_allowed_fast

    @property
    def num_pieces(self) -> int | None:
        """Piece count of the torrent; None while it is not known."""
        return self._wire.num_pieces

    @property
    def requests(self) -> OutgoingRequests:
        """Requests made of the peer and not answered, the oldest first."""
        return self._wire.requests

    @property
    def peer_requests(self) -> IncomingRequests:
        """Requests the peer made and that were not answered, the oldest first."""
        return self._wire.peer_requests

    @property
    def hash_requests(self) -> OutgoingHashRequests:
        """Hash requests made of the peer and not answered, the oldest first (BEP 52)."""
        return self._wire.hash_requests

    @property
    def peer_hash_requests(self) -> ValuesView[HashRequest]:
        """Hash requests the peer made and that were not answered, the oldest first (BEP 52)."""
        return self._wire.peer_hash_requests.values()

    @property
    def uploaded(self) -> int:
        """Block bytes sent to the peer."""
        return self._wire.uploaded

    @property
    def downloaded(self) -> int:
        """Block bytes received from the peer that were asked for."""
        return self._wire.downloaded

    @property
    def upload_rate(self) -> float:
        """Block bytes a second sent to the peer, over the last five seconds."""
        return self._upload_rate.per_second(self.uploaded, self._loop.time())

    @property
    def download_rate(self) -> float:
        """Block bytes a second received from the peer, over the last five seconds."""
        return self._download_rate.per_second(self.downloaded, self._loop.time())

    def stats(self) -> WireStats:
        """Returns how the connection stands now: amounts, rates, messages by name, flags."""
        return WireStats.of(
            self._wire, upload_rate=self.upload_rate, download_rate=self.download_rate
        )

    @property
    def closed(self) -> ConnectionClosed | None:
        """Who ended the connection, and why; None while it is open."""
        return self._wire.closed

    @property
    def keep_alive(self) -> bool:
        """Whether keep-alives are sent when there was nothing to say for a while. May be set."""
        return self._wire.keep_alive

    @keep_alive.setter
    def keep_alive(self, value: bool) -> None:
        self._wire.keep_alive = value
        self._connection.settle_soon()
