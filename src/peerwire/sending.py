"""The messages a wire sends: a method each.

A local misuse raises `LocalProtocolError`, a wire that is over `ConnectionClosed`; neither sends
anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .errors import LocalProtocolError, PeerChoked, RequestCancelled
from .hash_requests import PendingHashRequest
from .hashes import HASH_LENGTH, broken_rule, expected_hashes
from .messages import (
    AllowedFast,
    Bitfield,
    Choke,
    Extended,
    Hashes,
    HashReject,
    HashRequest,
    Have,
    HaveAll,
    HaveNone,
    Interested,
    KeepAlive,
    NotInterested,
    Piece,
    Port,
    Request,
    Suggest,
    Unchoke,
)
from .pieces import PieceSet
from .requests import PendingRequest
from .state import State, WireState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .extensions.base import Extension
    from .hashes import HashRange
    from .messages import Buffer

__all__ = ["Sending"]


class Sending(WireState):
    """The half of a wire that talks."""

    __slots__ = ()

    def send_keep_alive(self) -> None:
        """Says nothing, audibly (BEP 3)."""
        self._send(KeepAlive())

    def send_choke(self) -> None:
        """Chokes the peer; does nothing if it is choked.

        Its unanswered requests are rejected, but for allowed-fast pieces (BEP 6, reject request),
        or, without the fast extension, dropped (BEP 3).
        """
        self._require_open()
        if self.am_choking:
            return
        self.am_choking = True
        self._send(Choke())
        for request in list(self._peer_requests):
            if not (self.fast and request.index in self.allowed_fast):
                self._refuse_request(request)

    def send_unchoke(self) -> None:
        """Lets the peer make requests; does nothing if it may (BEP 3)."""
        self._require_open()
        if self.am_choking:
            self.am_choking = False
            self._send(Unchoke())

    def send_interested(self) -> None:
        """Says that we would make requests; does nothing if that was said (BEP 3)."""
        self._require_open()
        if not self.am_interested:
            self.am_interested = True
            self._send(Interested())

    def send_not_interested(self) -> None:
        """Says that the peer has nothing we want; does nothing if that was said (BEP 3)."""
        self._require_open()
        if self.am_interested:
            self.am_interested = False
            self._send(NotInterested())

    def send_have(self, index: int) -> None:
        """Says that we have a piece (BEP 3)."""
        message = Have(index)
        self._check_index(message, LocalProtocolError)
        self._send(message)

    def send_bitfield(self, pieces: PieceSet | Buffer) -> None:
        """Says which pieces we have; only as the first message (BEP 3).

        Args:
            pieces: The pieces, or their bits as they go on the wire.

        Raises:
            LocalProtocolError: Another message was sent before, or the bits don't fit the torrent.
        """
        self._require_first("a bitfield")
        try:
            bits = bytes(pieces)
            PieceSet.from_bitfield(bits, self._num_pieces)
        except ValueError as cause:
            raise LocalProtocolError(
                str(cause), rule="BEP 3, peer messages: a bit a piece, in whole bytes"
            ) from cause
        self._send(Bitfield(bits))

    def send_have_all(self) -> None:
        """Says that we have every piece; only as the first message (BEP 6)."""
        self._require_fast("have all")
        self._require_first("have all")
        self._send(HaveAll())

    def send_have_none(self) -> None:
        """Says that we have no piece; only as the first message (BEP 6)."""
        self._require_fast("have none")
        self._require_first("have none")
        self._send(HaveNone())

    def announce(self, pieces: PieceSet) -> None:
        """Says which pieces we have in the shortest way both sides know, as the first message."""
        self._require_first("which pieces we have")
        if self.fast and pieces.complete:
            self.send_have_all()
        elif self.fast and not pieces:
            self.send_have_none()
        elif pieces:  # BEP 3: who has nothing may skip the bitfield
            self.send_bitfield(pieces)

    def send_request(
        self,
        index: int,
        begin: int,
        length: int,
        *,
        deadline: float | None = None,
        into: Buffer | None = None,
        context: object = None,
    ) -> PendingRequest:
        """Asks for a block (BEP 3).

        The answer is an event: a `Piece` whose `request` is the one returned here, or a
        `RequestEnded`.

        Args:
            index: Piece index.
            begin: Offset in the piece, in bytes.
            length: Length, in bytes.
            deadline: When to give up; None for never.
            into: Writable memory of `length` bytes to put the block into, without another copy.
            context: Kept in the request for the caller.

        Raises:
            PeerChoked: The peer is choking us and the piece is not one it allows meanwhile.
            LocalProtocolError: The block lies outside, is asked for already, or too many are.
        """
        if self.state is not State.OPEN:
            self._require_open()
        message = Request(index, begin, length)
        if not 0 <= index < self._max_index:
            self._check_index(message, LocalProtocolError)
        if self.peer_choking and index not in self.peer_allowed_fast:
            raise PeerChoked("the peer is choking us", index, begin, length)
        if not 0 <= begin < 1 << 32 or not 0 < length <= self.limits.max_request_hard:
            raise LocalProtocolError(
                f"a request for {length} bytes from {begin}; "
                f"1 to {self.limits.max_request_hard} from 0 on is the rule, 16384 what all serve",
                rule="BEP 3, peer messages: request",
            )
        if len(self._requests.pending) >= self.max_requests:
            raise LocalProtocolError(
                f"{len(self._requests)} requests are pending; wait for one to be answered",
                rule="Limits.max_requests, and the peer's reqq (BEP 10)",
            )
        view = None if into is None else _writable(into, length)
        request = PendingRequest(index, begin, length, deadline, view, context)
        self._requests.add(request)
        self._say(message)
        return request

    def send_cancel(self, index: int, begin: int, length: int) -> bool:
        """Takes a request back; it ends with `RequestCancelled` (BEP 3).

        Returns:
            Whether it was pending. If not, its answer came first and nothing is sent.
        """
        self._require_open()
        request = self._requests.get((index, begin, length))
        if request is None:
            return False
        self._give_up(request, RequestCancelled("cancelled by us", index, begin, length))
        return True

    def send_piece(self, index: int, begin: int, block: Buffer) -> bool:
        """Answers a request of the peer with its block (BEP 3).

        Args:
            index: Piece index.
            begin: Offset in the piece, in bytes.
            block: The bytes; not copied, so not to be changed until they are sent.

        Returns:
            Whether the peer still waits for it. If not (it cancelled, or was choked meanwhile),
            nothing is sent.
        """
        if self.state is not State.OPEN:
            self._require_open()
        length = len(block)
        if self._peer_requests.pending.pop((index, begin, length), None) is None:
            return False
        self.uploaded += length
        self._out.append(Piece.header(index, begin, length))
        self._out.append(block)
        self._count_sent(Piece.name)
        if self.trace is not None:
            self.trace(">", Piece(index, begin, block), self.now)
        return True

    def send_reject(self, index: int, begin: int, length: int) -> bool:
        """Lets a request of the peer go unanswered; says so where BEP 6 was negotiated.

        Returns:
            Whether it was pending.
        """
        self._require_open()
        request = self._peer_requests.get((index, begin, length))
        if request is None:
            return False
        self._refuse_request(request)
        return True

    def send_port(self, port: int) -> None:
        """Tells the UDP port of our DHT node (BEP 5).

        Raises:
            LocalProtocolError: It is not 1 to 65535.
        """
        if not 0 < port < 65536:
            raise LocalProtocolError(f"port {port}; it is 1 to 65535", rule="BEP 5")
        self._send(Port(port))

    def send_suggest(self, index: int) -> None:
        """Suggests a piece to ask for (BEP 6)."""
        self._require_fast("suggest")
        message = Suggest(index)
        self._check_index(message, LocalProtocolError)
        self._send(message)

    def send_allowed_fast(self, index: int) -> None:
        """Lets the peer ask for a piece even while it is choked (BEP 6)."""
        self._require_fast("allowed fast")
        message = AllowedFast(index)
        self._check_index(message, LocalProtocolError)
        self.allowed_fast.add(index)
        self._send(message)

    def send_hash_request(
        self, wanted: HashRange, *, deadline: float | None = None, context: object = None
    ) -> PendingHashRequest:
        """Asks for hashes of a file's tree, whether the peer chokes us or not (BEP 52).

        The answer is an event: a `Hashes` whose `request` is the one returned here, or a
        `HashRequestEnded`. Its hashes are still to be checked, see `torrent.merkle.verify`.

        Args:
            wanted: Which hashes.
            deadline: When to give up; None for never.
            context: Kept in the request for the caller.

        Raises:
            LocalProtocolError: The connection is not about a v2 info-hash, the range breaks a
                rule or is asked for already, or too many are.
        """
        self._require_v2("a hash request")
        why_not = broken_rule(wanted)
        if why_not is not None:
            raise LocalProtocolError(
                f"not a range of hashes: {why_not}", rule="BEP 52, peer messages, hash request"
            )
        if len(self.hash_requests) >= self.limits.max_hash_requests:
            raise LocalProtocolError(
                f"{len(self.hash_requests)} hash requests are pending; wait for one to end",
                rule="Limits.max_hash_requests",
            )
        request = PendingHashRequest(wanted, deadline, context)
        self.hash_requests.add(request)
        self._send(HashRequest(wanted))
        return request

    def send_hashes(self, asked: HashRange, hashes: Sequence[bytes]) -> bool:
        """Answers a hash request of the peer (BEP 52).

        Args:
            asked: What it asked for.
            hashes: 32 bytes each: the base layer's, then the uncles from the lowest up.

        Returns:
            Whether the peer still waits for it. If not, nothing is sent.

        Raises:
            LocalProtocolError: They are too many or too few, or one is not 32 bytes.
        """
        self._require_v2("hashes")
        if asked not in self.peer_hash_requests:
            return False
        needed = expected_hashes(asked)
        if len(hashes) != needed or any(len(each) != HASH_LENGTH for each in hashes):
            raise LocalProtocolError(
                f"{len(hashes)} hashes for {asked}, which takes {needed} of {HASH_LENGTH} bytes",
                rule="BEP 52, peer messages, hashes",
            )
        del self.peer_hash_requests[asked]
        self._send(Hashes(asked, hashes))
        return True

    def send_hash_reject(self, asked: HashRange) -> bool:
        """Lets a hash request of the peer go unserved (BEP 52).

        Returns:
            Whether it was pending.
        """
        self._require_v2("a hash reject")
        if self.peer_hash_requests.pop(asked, None) is None:
            return False
        self._send(HashReject(asked))
        return True

    def send_extended_handshake(self) -> None:
        """Tells the peer of our extensions, anew if it was told before (BEP 10).

        The first is sent by itself, right after the handshake.

        Raises:
            LocalProtocolError: The extension protocol was not negotiated with this peer.
        """
        self._require_open()
        if not self.extended:
            raise LocalProtocolError(
                "the peer does not speak the extension protocol", rule="BEP 10"
            )
        self.extensions.sent = True
        self._send(Extended(0, self.extensions.handshake().encode(), "handshake"))

    def switch_extension(self, kind: type[Extension], on: bool) -> None:
        """Switches one of our extensions off or on again, and tells the peer (BEP 10).

        What the peer still sends to one that is off is ignored.

        Raises:
            LocalProtocolError: The wire was not given the extension, or the extension protocol
                was not negotiated with this peer.
        """
        self.extensions.get(kind).enabled = on
        self.send_extended_handshake()

    def _require_fast(self, name: str) -> None:
        self._require_open()
        if not self.fast:
            raise LocalProtocolError(
                f"{name} needs the fast extension, which was not negotiated with this peer",
                rule="BEP 6",
            )

    def _require_v2(self, name: str) -> None:
        self._require_open()
        if not self.v2:
            raise LocalProtocolError(
                f"{name} on a connection that is not about a v2 info-hash", rule="BEP 52"
            )

    def _require_first(self, name: str) -> None:
        self._require_open()
        if self._chatting:
            raise LocalProtocolError(
                f"{name} after other messages; it is only ever sent as the first",
                rule="BEP 3, peer messages, and BEP 6, have all/have none",
            )


def _writable(into: Buffer, length: int) -> memoryview:
    """Returns the caller's memory as writable bytes, or says why it can't be written to."""
    view = into if type(into) is memoryview else memoryview(into)
    if view.readonly or not view.c_contiguous or view.nbytes != length:
        raise LocalProtocolError(
            f"into= is {'read-only' if view.readonly else f'{view.nbytes} bytes'}; "
            f"it must be {length} bytes of contiguous writable memory",
            rule="the block is written there as it comes",
        )
    return view if view.format == "B" and view.ndim == 1 else view.cast("B")
