"""A peer on asyncio: its messages, and requests that can be awaited."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar, cast, overload

from ..errors import ConnectionClosed, LocalProtocolError, RequestFailed
from ..handshake import Handshake
from ..hash_requests import HashRequestEnded
from ..hashes import HASH_LENGTH
from ..messages import Hashes, HashRequest, Have, Piece, Request
from ..requests import PendingRequest, RequestEnded
from .connection import Connection
from .inbox import Inbox
from .status import PeerStatus

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator, Sequence
    from types import TracebackType

    from ..encryption import EncryptedWire
    from ..extensions.base import Extension
    from ..hashes import HashRange
    from ..messages import Buffer
    from ..pieces import PieceSet
    from ..requests import BlockKey
    from ..state import Event
    from ..wire import Wire
    from .inbox import Reader

__all__ = ["Peer"]

#: Events that are always the application's: no need to look for who waits for them.
_COMMON = frozenset({Request, Have})

E = TypeVar("E", bound="Extension")
T = TypeVar("T")


class _Answer(asyncio.Future[T]):
    """What somebody waits for."""

    def answer(self, value: T) -> None:
        if not self.done():
            self.set_result(value)

    def fail(self, error: Exception) -> None:
        if not self.done():
            self.set_exception(error)
            self.exception()  # who does not await it is not to be warned of it


class _Block(_Answer["Buffer"]):
    """The answer to a request; cancelling it takes the request back."""

    # It knows its request by its key only: the request knows it, and a cycle would keep each block
    # in memory until the next garbage collection. Set by who makes it: an __init__ of its own
    # would be a tenth of what a request costs.
    _peer: Peer
    _key: BlockKey

    def cancel(self, msg: Any | None = None) -> bool:
        cancelled = super().cancel(msg)
        if cancelled:
            self._peer._withdraw(self, self._key)
        return cancelled


class _Drained:
    """What `Peer.respond` returns: awaited, it waits until the peer has read enough."""

    __slots__ = ("_peer",)

    def __init__(self, peer: Peer) -> None:
        self._peer = peer

    def __await__(self) -> Generator[Any, None, None]:
        if not self._peer._connection.writable:
            yield from self._peer.drain().__await__()


class Peer(PeerStatus):
    """The peer at the other end of a connection.

    Made by `connect` and `serve`, once both handshakes are done. Iterating over it yields the
    messages it sends, in order, until the connection ends: quietly when either side closed it,
    with `ConnectionClosed` when it failed. Blocks and hashes that somebody awaits are not among
    them. Methods that send return at once; `drain` waits while the peer does not keep up.

    While an iteration lags behind by more than `Limits.max_unread_messages`, nothing more is read
    from the peer. While there is none, the oldest unread messages are forgotten instead: what they
    said is in the attributes below.
    """

    def __init__(
        self, layer: EncryptedWire, on_handshake: Callable[[Peer], None] | None = None
    ) -> None:
        wire = layer.wire
        self._on_handshake = on_handshake
        wire.extensions.transmit = self._transmit
        self._inbox = Inbox(wire.limits, self._update_reading)
        super().__init__(layer, Connection(layer, self))
        self._news: asyncio.Future[None] | None = None  # there while somebody waits for any
        self._unflushed = 0
        self._weighed = 0  # bytes of extensions' messages that the inbox knows of

    # Receiving

    def __aiter__(self) -> Reader:
        return self._inbox.reader()

    async def ready(self, *, timeout: float | None = None) -> None:
        """Says that we are interested and waits until the peer lets us make requests.

        Args:
            timeout: Seconds to wait; None to wait as long as the connection lasts.

        Raises:
            TimeoutError: The peer did not unchoke us in time.
            ConnectionClosed: The connection ended first.
        """
        self.interested()
        await self.wait_until(lambda: not self.peer_choking, timeout=timeout)

    async def wait_until(
        self, condition: Callable[[], bool], *, timeout: float | None = None
    ) -> None:
        """Waits until something is true of this peer, looking after everything it says.

        Args:
            condition: For instance ``lambda: 7 in peer.peer_pieces``.
            timeout: Seconds to wait; None to wait as long as the connection lasts.

        Raises:
            TimeoutError: It did not become true in time.
            ConnectionClosed: The connection ended first.
        """
        async with asyncio.timeout(timeout):
            while not condition():
                self._require_open()
                await self._wait_for_news()

    # Requests

    @overload
    def request(
        self, index: int, begin: int, length: int, *, timeout: float | None = None
    ) -> asyncio.Future[bytes]: ...

    @overload
    def request(
        self, index: int, begin: int, length: int, *, into: Buffer, timeout: float | None = None
    ) -> asyncio.Future[memoryview]: ...

    def request(
        self,
        index: int,
        begin: int,
        length: int,
        *,
        into: Buffer | None = None,
        timeout: float | None = None,
    ) -> asyncio.Future[bytes] | asyncio.Future[memoryview]:
        """Asks for a block; await the result for it. Cancelling it cancels the request.

        The request is under way when this returns, so that many can be made before the first is
        awaited. Each has a deadline of its own.

        Args:
            index: Piece index.
            begin: Offset in the piece, in bytes.
            length: Length of the block, in bytes; 16384 is what every client serves.
            into: Writable memory of that length to put the block into, without another copy.
            timeout: Seconds until it is given up; `Limits.request_timeout` if None.

        Returns:
            The block, or a view of `into`.

        Raises:
            RequestFailed: From the await: the peer choked us, rejected the request, or did not
                answer in time (BEP 3, BEP 6).
            ConnectionClosed: From the await: the connection ended.
            LocalProtocolError: The same block is asked for already, or too many are.
        """
        block = _Block(loop=self._loop)
        block._peer = self
        block._key = (index, begin, length)
        wire = self._speak()
        wait = wire.limits.request_timeout if timeout is None else timeout
        try:
            wire.send_request(
                index, begin, length, deadline=wire.now + wait, into=into, context=block
            )
        except (RequestFailed, ConnectionClosed) as error:
            block.fail(error)
        return cast("asyncio.Future[bytes]", block)

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
        wire = self._speak()
        wait = wire.limits.request_timeout if timeout is None else timeout
        return wire.send_request(
            index, begin, length, deadline=wire.now + wait, into=into, context=context
        )

    def cancel(self, index: int, begin: int, length: int) -> bool:
        """Takes a request back; who awaits it gets `RequestCancelled` (BEP 3).

        Returns:
            Whether it was pending.
        """
        return self._speak().send_cancel(index, begin, length)

    def respond(self, request: Request, block: Buffer) -> Awaitable[None]:
        """Answers a request of the peer with its block (BEP 3).

        Sent when this returns, unless the peer took the request back meanwhile. Awaiting the
        result waits until the peer has read enough, like `drain`.

        Args:
            request: The request, as it came.
            block: The bytes; not copied, so not to be changed until they are sent.

        Raises:
            LocalProtocolError: The block is not of the length that was asked for.
            ConnectionClosed: The connection has ended.
        """
        if len(block) != request.length:
            raise LocalProtocolError(
                f"a block of {len(block)} bytes for {request}",
                rule="BEP 3, peer messages: a piece has the length of its request",
            )
        if self._speak().send_piece(request.index, request.begin, block):
            self._upload_rate.sample(self._wire.uploaded, self._wire.now)
            self._said_much(len(block))
        return _Drained(self)

    def reject(self, request: Request) -> bool:
        """Lets a request of the peer go unanswered, and says so where BEP 6 was negotiated.

        Returns:
            Whether it was still pending.
        """
        return self._speak().send_reject(request.index, request.begin, request.length)

    # Hashes

    def request_hashes(
        self, wanted: HashRange, *, timeout: float | None = None
    ) -> asyncio.Future[Sequence[bytes]]:
        """Asks for hashes of a v2 file's tree; await the result for them (BEP 52).

        They are as the peer sent them: whether they are right, `torrent.hashing.verified` tells.

        Args:
            wanted: Which hashes.
            timeout: Seconds until they are given up; `Limits.request_timeout` if None.

        Returns:
            Those of the base layer, then the uncles from the lowest up, 32 bytes each.

        Raises:
            HashRequestFailed: From the await: the peer rejected it or did not answer in time.
            ConnectionClosed: From the await: the connection ended.
            LocalProtocolError: The connection is not about a v2 info-hash, the range breaks a
                rule or is asked for already, or too many are.
        """
        answer: _Answer[Sequence[bytes]] = _Answer(loop=self._loop)
        wire = self._speak()
        wait = wire.limits.request_timeout if timeout is None else timeout
        try:
            wire.send_hash_request(wanted, deadline=wire.now + wait, context=answer)
        except ConnectionClosed as error:
            answer.fail(error)
        return answer

    def respond_hashes(self, request: HashRequest, hashes: Sequence[bytes]) -> Awaitable[None]:
        """Answers a hash request of the peer (BEP 52). Awaited, it waits like `respond`.

        Args:
            request: The request, as it came.
            hashes: What `torrent.hashing.HashServer` answers to it.

        Raises:
            LocalProtocolError: They are too many or too few, or not 32 bytes each.
            ConnectionClosed: The connection has ended.
        """
        if self._speak().send_hashes(request.range, hashes):
            self._said_much(HASH_LENGTH * len(hashes))
        return _Drained(self)

    def reject_hashes(self, request: HashRequest) -> bool:
        """Lets a hash request of the peer go unserved, and says so (BEP 52).

        Returns:
            Whether it was still pending.
        """
        return self._speak().send_hash_reject(request.range)

    # Extensions

    def extension(self, kind: type[E]) -> E:
        """Returns this peer's instance of an extension.

        Args:
            kind: Its class, one of those given to `connect` or `serve`.

        Raises:
            LocalProtocolError: It was not given.
        """
        return self._wire.extensions.get(kind)

    def switch_extension(self, kind: type[Extension], on: bool) -> None:
        """Switches one of our extensions off or on again, and tells the peer (BEP 10)."""
        self._speak().switch_extension(kind, on)

    def send_extended_handshake(self) -> None:
        """Tells the peer of our extensions anew, after a change to `wire.extensions.ours`."""
        self._speak().send_extended_handshake()

    # Messages

    def choke(self) -> None:
        """Chokes the peer and drops its requests, or rejects them under BEP 6."""
        self._speak().send_choke()

    def unchoke(self) -> None:
        """Lets the peer make requests (BEP 3)."""
        self._speak().send_unchoke()

    def interested(self) -> None:
        """Says that we would make requests (BEP 3)."""
        self._speak().send_interested()

    def not_interested(self) -> None:
        """Says that the peer has nothing we want (BEP 3)."""
        self._speak().send_not_interested()

    def have(self, index: int) -> None:
        """Says that we have a piece (BEP 3)."""
        self._speak().send_have(index)

    def bitfield(self, pieces: PieceSet | Buffer) -> None:
        """Says which pieces we have; only as the first message (BEP 3)."""
        self._speak().send_bitfield(pieces)

    def have_all(self) -> None:
        """Says that we have every piece; only as the first message (BEP 6)."""
        self._speak().send_have_all()

    def have_none(self) -> None:
        """Says that we have no piece; only as the first message (BEP 6)."""
        self._speak().send_have_none()

    def announce(self, pieces: PieceSet) -> None:
        """Says which pieces we have in the shortest way both sides know, as the first message."""
        self._speak().announce(pieces)

    def suggest(self, index: int) -> None:
        """Suggests a piece to ask for (BEP 6)."""
        self._speak().send_suggest(index)

    def allowed_fast(self, index: int) -> None:
        """Lets the peer ask for a piece even while it is choked (BEP 6)."""
        self._speak().send_allowed_fast(index)

    def port(self, port: int) -> None:
        """Tells the UDP port of our DHT node (BEP 5)."""
        self._speak().send_port(port)

    def send_keep_alive(self) -> None:
        """Sends a keep-alive now (BEP 3); they are also sent by themselves, see `keep_alive`."""
        self._speak().send_keep_alive()

    def set_num_pieces(self, num_pieces: int) -> None:
        """Tells the torrent's piece count, once it is known.

        Raises:
            RemoteProtocolError: The peer announced pieces that do not exist; it is gone.
        """
        try:
            self._wire.set_num_pieces(num_pieces)
        finally:
            self._connection.settle()

    # The connection

    async def drain(self) -> None:
        """Waits until the peer has read enough of what was sent for more to be sent.

        Raises:
            ConnectionClosed: The connection has ended.
        """
        await self._connection.drain()
        self._require_open()

    async def close(self, reason: str = "done") -> None:
        """Ends the connection, once what was sent is on its way.

        Args:
            reason: Why, for the log and for who still waits.
        """
        self._wire.now = self._loop.time()
        self._wire.close(reason)
        await self._connection.close()

    async def wait_closed(self) -> None:
        """Waits until the connection has ended."""
        self._update_reading()
        await asyncio.shield(self._connection.lost)

    async def __aenter__(self) -> Peer:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    # Inside

    def _speak(self) -> Wire:
        """Returns the wire to say something with, which is sent when the running task gives way."""
        self._connection.settle_soon()
        return self._wire

    def _said_much(self, size: int) -> None:
        self._unflushed += size
        if self._unflushed >= self._wire.limits.write_buffer:
            self._unflushed = 0
            self._connection.settle()

    def _require_open(self) -> None:
        if self._wire.closed is not None:
            raise self._wire.closed.again()

    async def _wait_for_news(self) -> None:
        self._update_reading()  # an iteration that held it up may have been left
        if self._news is None:
            self._news = self._loop.create_future()
        await asyncio.shield(self._news)

    def _tell_news(self) -> None:
        if self._news is not None:
            self._news.set_result(None)
            self._news = None

    def _transmit(self, extension: Extension, payload: bytes) -> None:
        self._speak().send_extended(extension, payload)

    def _withdraw(self, block: _Block, key: BlockKey) -> None:
        request = self._wire.requests.get(key)
        if request is not None and request.context is block:
            self._speak().send_cancel(*key)

    def _may_read(self) -> bool:
        return not self._inbox.full

    def _update_reading(self) -> None:
        self._connection.update_reading()

    def _handle_events(self, events: list[Event]) -> None:
        for event in events:
            if type(event) is Piece:
                assert event.request is not None, "a wire hands out what was asked for"
                waiting = event.request.context
                if isinstance(waiting, _Block):
                    if not waiting.done():
                        waiting.set_result(event.block)
                    continue
            elif type(event) in _COMMON:
                pass
            elif isinstance(event, RequestEnded | HashRequestEnded):
                waiting = event.request.context
                if isinstance(waiting, _Answer):
                    waiting.fail(event.error)
                    continue
            elif isinstance(event, Hashes):
                assert event.request is not None, "a wire hands out what was asked for"
                waiting = event.request.context
                if isinstance(waiting, _Answer):
                    waiting.answer(event.hashes)
                    continue
            elif isinstance(event, Handshake):
                if self._on_handshake is not None:
                    self._on_handshake(self)
                    self._on_handshake = None  # there is but one, and this has 64 bytes
                continue
            self._inbox.put(event)
        told = self._wire.extensions.told
        if told != self._weighed:
            self._inbox.weigh(told - self._weighed)
            self._weighed = told
        self._download_rate.sample(self._wire.downloaded, self._wire.now)
        self._tell_news()

    def _handle_closed(self) -> None:
        closed = self._wire.closed
        assert closed is not None
        self._inbox.close(closed)
        self._tell_news()
