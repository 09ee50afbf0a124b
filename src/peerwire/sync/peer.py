"""A peer whose methods wait."""

# Written after asyncio/status.py and peer.py by scripts/generate_sync.py: `make generate`.

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, cast, overload

from .base import SyncPeer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from ..errors import ConnectionClosed
    from ..extensions.base import Extension
    from ..extensions.handshake import ExtendedHandshake
    from ..handshake import Handshake, Reserved
    from ..hash_requests import PendingHashRequest
    from ..hashes import HashRange
    from ..messages import Buffer, HashRequest, Request
    from ..pieces import PieceSet
    from ..requests import PendingRequest
    from ..stats import WireStats

__all__ = ["Peer"]


class Peer(SyncPeer):
    """The peer at the other end of a connection; `peerwire.Peer` for code that waits.

    Made by `connect` and `serve`, once both handshakes are done. It may be used by any thread.
    Iterating over it yields the messages it sends, in order, until the connection ends: quietly
    when either side closed it, with `ConnectionClosed` when it failed. What is told of its pieces
    and requests is a copy.
    """

    @property
    def address(self) -> tuple[str, int]:
        """The peer's IP address and port, as the socket has them."""
        return self._portal.call(lambda: self._peer.address)

    @property
    def handshake(self) -> Handshake:
        """The peer's handshake."""
        return self._portal.call(lambda: self._peer.handshake)

    @property
    def peer_id(self) -> bytes:
        """The peer's id, 20 bytes (BEP 3)."""
        return self._portal.call(lambda: self._peer.peer_id)

    @property
    def client(self) -> str:
        """The client's name and version: its own words (BEP 10), else its peer id's (BEP 20)."""
        return self._portal.call(lambda: self._peer.client)

    @property
    def extended_handshake(self) -> ExtendedHandshake | None:
        """What the peer told of itself under BEP 10, all its handshakes together, or None."""
        return self._portal.call(lambda: self._peer.extended_handshake)

    @property
    def encryption(self) -> Literal["off", "plaintext", "rc4"]:
        """What the connection speaks.

        ``"off"``: nobody began an encrypted handshake. ``"plaintext"``: the handshake was
        encrypted, what follows is not. ``"rc4"``: all of it is encrypted (see `Encryption`).
        """
        return self._portal.call(lambda: self._peer.encryption)

    @property
    def reserved(self) -> Reserved:
        """The extensions that the peer announced in its handshake."""
        return self._portal.call(lambda: self._peer.reserved)

    @property
    def info_hash(self) -> bytes:
        """The torrent that the peer named, 20 bytes; see `v2` for hybrids, which have two."""
        return self._portal.call(lambda: self._peer.info_hash)

    @property
    def fast(self) -> bool:
        """Whether the fast extension was negotiated (BEP 6)."""
        return self._portal.call(lambda: self._peer.fast)

    @property
    def v2(self) -> bool:
        """Whether both sides settled on the torrent's v2 info-hash (BEP 52)."""
        return self._portal.call(lambda: self._peer.v2)

    @property
    def am_choking(self) -> bool:
        """Whether this side chokes the peer (BEP 3)."""
        return self._portal.call(lambda: self._peer.am_choking)

    @property
    def am_interested(self) -> bool:
        """Whether this side said that it is interested (BEP 3)."""
        return self._portal.call(lambda: self._peer.am_interested)

    @property
    def peer_choking(self) -> bool:
        """Whether the peer chokes this side (BEP 3)."""
        return self._portal.call(lambda: self._peer.peer_choking)

    @property
    def peer_interested(self) -> bool:
        """Whether the peer said that it is interested (BEP 3)."""
        return self._portal.call(lambda: self._peer.peer_interested)

    @property
    def peer_pieces(self) -> PieceSet:
        """The pieces that the peer has."""
        return self._portal.call(lambda: self._peer.peer_pieces.copy())

    @property
    def peer_allowed_fast(self) -> set[int]:
        """Pieces that the peer lets us ask for while it chokes us (BEP 6)."""
        return self._portal.call(lambda: self._peer.peer_allowed_fast.copy())

    @property
    def num_pieces(self) -> int | None:
        """Piece count of the torrent; None while it is not known."""
        return self._portal.call(lambda: self._peer.num_pieces)

    @property
    def requests(self) -> list[PendingRequest]:
        """Requests made of the peer and not answered, the oldest first."""
        return self._portal.call(lambda: list(self._peer.requests))

    @property
    def peer_requests(self) -> list[Request]:
        """Requests the peer made and that were not answered, the oldest first."""
        return self._portal.call(lambda: list(self._peer.peer_requests))

    @property
    def hash_requests(self) -> list[PendingHashRequest]:
        """Hash requests made of the peer and not answered, the oldest first (BEP 52)."""
        return self._portal.call(lambda: list(self._peer.hash_requests))

    @property
    def peer_hash_requests(self) -> list[HashRequest]:
        """Hash requests the peer made and that were not answered, the oldest first (BEP 52)."""
        return self._portal.call(lambda: list(self._peer.peer_hash_requests))

    @property
    def uploaded(self) -> int:
        """Block bytes sent to the peer."""
        return self._portal.call(lambda: self._peer.uploaded)

    @property
    def downloaded(self) -> int:
        """Block bytes received from the peer that were asked for."""
        return self._portal.call(lambda: self._peer.downloaded)

    @property
    def upload_rate(self) -> float:
        """Block bytes a second sent to the peer, over the last five seconds."""
        return self._portal.call(lambda: self._peer.upload_rate)

    @property
    def download_rate(self) -> float:
        """Block bytes a second received from the peer, over the last five seconds."""
        return self._portal.call(lambda: self._peer.download_rate)

    def stats(self) -> WireStats:
        """Returns how the connection stands now: amounts, rates, messages by name, flags."""
        return self._portal.call(self._peer.stats)

    @property
    def closed(self) -> ConnectionClosed | None:
        """Who ended the connection, and why; None while it is open."""
        return self._portal.call(lambda: self._peer.closed)

    @property
    def keep_alive(self) -> bool:
        """Whether keep-alives are sent when there was nothing to say for a while. May be set."""
        return self._portal.call(lambda: self._peer.keep_alive)

    @keep_alive.setter
    def keep_alive(self, value: bool) -> None:
        self._portal.call(setattr, self._peer, "keep_alive", value)

    def ready(self, *, timeout: float | None = None) -> None:
        """Says that we are interested and waits until the peer lets us make requests.

        Args:
            timeout: Seconds to wait; None to wait as long as the connection lasts.

        Raises:
            TimeoutError: The peer did not unchoke us in time.
            ConnectionClosed: The connection ended first.
        """
        return self._portal.call(self._peer.ready, timeout=timeout)

    def wait_until(self, condition: Callable[[], bool], *, timeout: float | None = None) -> None:
        """Waits until something is true of this peer, looking after everything it says.

        Args:
            condition: For instance ``lambda: 7 in peer.peer_pieces``.
            timeout: Seconds to wait; None to wait as long as the connection lasts.

        Raises:
            TimeoutError: It did not become true in time.
            ConnectionClosed: The connection ended first.
        """
        return self._portal.call(self._peer.wait_until, condition, timeout=timeout)

    @overload
    def request(
        self, index: int, begin: int, length: int, *, timeout: float | None = None
    ) -> bytes: ...

    @overload
    def request(
        self, index: int, begin: int, length: int, *, into: Buffer, timeout: float | None = None
    ) -> memoryview: ...

    def request(
        self,
        index: int,
        begin: int,
        length: int,
        *,
        into: Buffer | None = None,
        timeout: float | None = None,
    ) -> bytes | memoryview:
        """Asks for a block and waits for it.

        Each request has a deadline of its own. To have many under way at a time, see
        `request_nowait`.

        Args:
            index: Piece index.
            begin: Offset in the piece, in bytes.
            length: Length of the block, in bytes; 16384 is what every client serves.
            into: Writable memory of that length to put the block into, without another copy.
            timeout: Seconds until it is given up; `Limits.request_timeout` if None.

        Returns:
            The block, or a view of `into`.

        Raises:
            RequestFailed: The peer choked us, rejected the request, or did not
                answer in time (BEP 3, BEP 6).
            ConnectionClosed: The connection ended.
            LocalProtocolError: The same block is asked for already, or too many are.
        """
        return self._portal.call(
            cast("Callable[..., Awaitable[bytes | memoryview]]", self._peer.request),
            index,
            begin,
            length,
            into=into,
            timeout=timeout,
        )

    def request_nowait(
        self,
        index: int,
        begin: int,
        length: int,
        *,
        into: Buffer | None = None,
        timeout: float | None = None,
        context: object = None,
    ) -> PendingRequest:
        """Asks for a block whose answer is to be met while iterating over the peer.

        The answer is a `Piece` whose `request` is what this returns, or a `RequestEnded`.

        Args:
            index: Piece index.
            begin: Offset in the piece, in bytes.
            length: Length of the block, in bytes.
            into: Writable memory of that length to put the block into, without another copy.
            timeout: Seconds until it is given up; `Limits.request_timeout` if None.
            context: Kept in the request for the caller.

        Raises:
            PeerChoked: The peer chokes us.
            ConnectionClosed: The connection has ended.
            LocalProtocolError: The same block is asked for already, or too many are.
        """
        return self._portal.call(
            self._peer.request_nowait,
            index,
            begin,
            length,
            into=into,
            timeout=timeout,
            context=context,
        )

    def cancel(self, index: int, begin: int, length: int) -> bool:
        """Takes a request back; who awaits it gets `RequestCancelled` (BEP 3).

        Returns:
            Whether it was pending.
        """
        return self._portal.call(self._peer.cancel, index, begin, length)

    def respond(self, request: Request, block: Buffer) -> None:
        """Answers a request of the peer with its block (BEP 3).

        Unless the peer took the request back meanwhile. Waits until the peer has read enough,
        like `drain`.

        Args:
            request: The request, as it came.
            block: The bytes; not copied, so not to be changed until they are sent.

        Raises:
            LocalProtocolError: The block is not of the length that was asked for.
            ConnectionClosed: The connection has ended.
        """
        return self._portal.call(self._peer.respond, request, block)

    def reject(self, request: Request) -> bool:
        """Lets a request of the peer go unanswered, and says so where BEP 6 was negotiated.

        Returns:
            Whether it was still pending.
        """
        return self._portal.call(self._peer.reject, request)

    def request_hashes(self, wanted: HashRange, *, timeout: float | None = None) -> Sequence[bytes]:
        """Asks for hashes of a v2 file's tree and waits for them (BEP 52).

        They are as the peer sent them: whether they are right, `torrent.hashing.verified` tells.

        Args:
            wanted: Which hashes.
            timeout: Seconds until they are given up; `Limits.request_timeout` if None.

        Returns:
            Those of the base layer, then the uncles from the lowest up, 32 bytes each.

        Raises:
            HashRequestFailed: The peer rejected it or did not answer in time.
            ConnectionClosed: The connection ended.
            LocalProtocolError: The connection is not about a v2 info-hash, the range breaks a
                rule or is asked for already, or too many are.
        """
        return self._portal.call(self._peer.request_hashes, wanted, timeout=timeout)

    def respond_hashes(self, request: HashRequest, hashes: Sequence[bytes]) -> None:
        """Answers a hash request of the peer (BEP 52), and waits like `respond`.

        Args:
            request: The request, as it came.
            hashes: What `torrent.hashing.HashServer` answers to it.

        Raises:
            LocalProtocolError: They are too many or too few, or not 32 bytes each.
            ConnectionClosed: The connection has ended.
        """
        return self._portal.call(self._peer.respond_hashes, request, hashes)

    def reject_hashes(self, request: HashRequest) -> bool:
        """Lets a hash request of the peer go unserved, and says so (BEP 52).

        Returns:
            Whether it was still pending.
        """
        return self._portal.call(self._peer.reject_hashes, request)

    def switch_extension(self, kind: type[Extension], on: bool) -> None:
        """Switches one of our extensions off or on again, and tells the peer (BEP 10)."""
        return self._portal.call(self._peer.switch_extension, kind, on)

    def send_extended_handshake(self) -> None:
        """Tells the peer of our extensions anew, after a change to `wire.extensions.ours`."""
        return self._portal.call(self._peer.send_extended_handshake)

    def choke(self) -> None:
        """Chokes the peer and drops its requests, or rejects them under BEP 6."""
        return self._portal.call(self._peer.choke)

    def unchoke(self) -> None:
        """Lets the peer make requests (BEP 3)."""
        return self._portal.call(self._peer.unchoke)

    def interested(self) -> None:
        """Says that we would make requests (BEP 3)."""
        return self._portal.call(self._peer.interested)

    def not_interested(self) -> None:
        """Says that the peer has nothing we want (BEP 3)."""
        return self._portal.call(self._peer.not_interested)

    def have(self, index: int) -> None:
        """Says that we have a piece (BEP 3)."""
        return self._portal.call(self._peer.have, index)

    def bitfield(self, pieces: PieceSet | Buffer) -> None:
        """Says which pieces we have; only as the first message (BEP 3)."""
        return self._portal.call(self._peer.bitfield, pieces)

    def have_all(self) -> None:
        """Says that we have every piece; only as the first message (BEP 6)."""
        return self._portal.call(self._peer.have_all)

    def have_none(self) -> None:
        """Says that we have no piece; only as the first message (BEP 6)."""
        return self._portal.call(self._peer.have_none)

    def announce(self, pieces: PieceSet) -> None:
        """Says which pieces we have in the shortest way both sides know, as the first message."""
        return self._portal.call(self._peer.announce, pieces)

    def suggest(self, index: int) -> None:
        """Suggests a piece to ask for (BEP 6)."""
        return self._portal.call(self._peer.suggest, index)

    def allowed_fast(self, index: int) -> None:
        """Lets the peer ask for a piece even while it is choked (BEP 6)."""
        return self._portal.call(self._peer.allowed_fast, index)

    def port(self, port: int) -> None:
        """Tells the UDP port of our DHT node (BEP 5)."""
        return self._portal.call(self._peer.port, port)

    def send_keep_alive(self) -> None:
        """Sends a keep-alive now (BEP 3); they are also sent by themselves, see `keep_alive`."""
        return self._portal.call(self._peer.send_keep_alive)

    def set_num_pieces(self, num_pieces: int) -> None:
        """Tells the torrent's piece count, once it is known.

        Raises:
            RemoteProtocolError: The peer announced pieces that do not exist; it is gone.
        """
        return self._portal.call(self._peer.set_num_pieces, num_pieces)

    def drain(self) -> None:
        """Waits until the peer has read enough of what was sent for more to be sent.

        Raises:
            ConnectionClosed: The connection has ended.
        """
        return self._portal.call(self._peer.drain)

    def close(self, reason: str = "done") -> None:
        """Ends the connection, once what was sent is on its way.

        Args:
            reason: Why, for the log and for who still waits.
        """
        return self._portal.call(self._peer.close, reason)

    def wait_closed(self) -> None:
        """Waits until the connection has ended."""
        return self._portal.call(self._peer.wait_closed)
