"""The state machine of one connection: bytes in, events out; calls in, bytes out.

Theory of operation. A wire is in one of four states::

    HANDSHAKE ──handshake of a torrent we know──────────────► OPEN ──► CLOSED
        │                                                      ▲          ▲
        └──responder without an info-hash──► DECIDING ─accept──┘          │
                                                └─────────refuse──────────┘

In OPEN each side is choked or not and interested or not (BEP 3), and two tables hold the requests
made and received. Whatever comes in is checked, applied to that state, and then handed out as an
event: the message itself, or a `RequestEnded` for a request that gets no block. A violation raises
`RemoteProtocolError` out of `receive_data` (or the call that let it be parsed); the events before
it can still be fetched, and nothing after it is parsed. There are no sockets, threads or clocks:
the caller says what time it is, on any clock that does not go backwards.
"""

from __future__ import annotations

import math
import traceback
from typing import TYPE_CHECKING

from .errors import (
    HashRequestTimeout,
    InfoHashMismatch,
    InvalidHandshake,
    LocalProtocolError,
    PeerTimeout,
    RemoteProtocolError,
    RequestTimeout,
)
from .handshake import HANDSHAKE_LENGTH, Handshake, Reserved, check_prefix, truncate_v2
from .hash_requests import HashRequestEnded
from .messages import Extended, KeepAlive
from .receiving import RECEIVERS, check_against_num_pieces, receive_run
from .sending import Sending
from .state import Role, State

if TYPE_CHECKING:
    from .messages import Buffer, Message

__all__ = ["Wire"]


#: What leaves a bitfield the first message all the same: keep-alives are ignored (BEP 3), and an
#: extended handshake comes immediately after the handshake (BEP 10).
_ASIDES = frozenset({KeepAlive, Extended})


class Wire(Sending):
    """One peer connection, without the connection.

    Args:
        role: ``"initiator"`` or ``"responder"``. An initiator's handshake is ready to be sent at
            once.
        info_hash: The torrent, as 20 bytes or hex, or as the 32 bytes of a v2 torrent (BEP 52).
            A responder may leave it out: it learns it from the peer's handshake and is then told
            by `accept` or `refuse`.
        peer_id: This side's peer id, as 20 bytes or hex; made up when left out (BEP 20).
        info_hash_v2: The v2 info-hash of a hybrid torrent, as 32 bytes or the 20 that are said,
            or hex (BEP 52, upgrade path). An initiator begins with `info_hash` and the bit that
            offers v2, and takes either as the answer. A responder may be asked by either, and
            takes up the offer.
        reserved: The extension bits to announce.
        num_pieces: Piece count of the torrent, when it is known.
        extensions: What makes the extensions of this wire, their classes most often (BEP 10).
        limits: The bounds to hold the peer to.
        strict: Whether deviations that deployed clients are known for end the wire, too.
        trace: Called with every message, state, timer and error, in both directions.
        now: What time it is, in seconds.

    Raises:
        LocalProtocolError: An info-hash or peer id is none, an initiator has no info-hash, or the
            piece count is negative.
    """

    __slots__ = ()

    # Bytes in

    def receive_data(self, data: Buffer, now: float) -> None:
        """Takes in what came from the peer, in chunks of any size.

        Args:
            data: The bytes. They are not needed after the call.
            now: What time it is, in seconds.

        Raises:
            RemoteProtocolError: The peer broke a rule. The wire is closed; the events before the
                violation can still be fetched.
        """
        self.now = now
        try:
            if self.state is not State.OPEN:
                data = self._receive_opening(data)
            if self.state is State.OPEN:
                self._receive_messages(data)
        except RemoteProtocolError as error:
            self._violated(error)
            raise
        except Exception as error:
            # The caller's own extension or trace failed; the rest of the data would be missing.
            self._end("us", f"{type(error).__name__}: {error}", error)
            raise

    def receive_eof(self, error: OSError | None = None) -> None:
        """Takes in that nothing more will come.

        Args:
            error: What the transport said, where it failed.
        """
        if error is not None:
            self._end("network", str(error) or type(error).__name__, error)
        elif self.state is State.HANDSHAKE:
            self._end("peer", f"{len(self._held)} bytes into its handshake")
        elif self._framing.held:
            self._end("peer", "in the middle of a message")
        else:
            self._end("peer", "end of stream")

    def accept(
        self, *, num_pieces: int | None = None, info_hash_v2: bytes | str | None = None
    ) -> None:
        """Serves the torrent of the peer's handshake, and parses what the peer sent after it.

        Args:
            num_pieces: Piece count of the torrent, when it is known.
            info_hash_v2: The v2 info-hash of a v2 or hybrid torrent, as 32 bytes or the 20 that
                are said, or hex. It is the answer to a peer that named it, or offers v2 (BEP 52).

        Raises:
            LocalProtocolError: There is nothing to decide, or the v2 info-hash is none.
            ConnectionClosed: The wire ended meanwhile.
            RemoteProtocolError: What the peer sent meanwhile breaks a rule.
        """
        handshake = self._undecided()
        self.info_hash_v2 = None if info_hash_v2 is None else truncate_v2(info_hash_v2)
        if num_pieces is not None:
            self.set_num_pieces(num_pieces)
        self._open(handshake)
        held, self._held = self._held, bytearray()
        self.receive_data(held, self.now)

    def refuse(self) -> None:
        """Ends the wire: the torrent of the peer's handshake is not served here.

        Raises:
            LocalProtocolError: There is nothing to decide.
            ConnectionClosed: The wire ended meanwhile.
        """
        self._violated(self._mismatch(self._undecided()))

    def set_num_pieces(self, num_pieces: int) -> None:
        """Tells the piece count, once it is known, and checks what the peer said against it.

        Raises:
            LocalProtocolError: It is negative, or another one was told before.
            RemoteProtocolError: The peer spoke of pieces that do not exist; the wire is closed.
        """
        self._learn_num_pieces(num_pieces)
        try:
            check_against_num_pieces(self, num_pieces)
        except RemoteProtocolError as error:
            self._violated(error)
            raise

    # Time

    def hold_back(self, held: bool, now: float) -> None:
        """Tells that what the peer says is not taken in for a while, or is again.

        While an application lags behind, its peer's silence is not the peer's, and ends nothing.

        Args:
            held: Whether it is held back from now on.
            now: What time it is, in seconds.
        """
        self.now = now
        if self._timers.held_back and not held:
            self._timers.last_message_at = now
        self._timers.held_back = held

    def next_timer(self) -> float | None:
        """Says when `handle_timer` is to be called; None for never."""
        if self.state is State.HANDSHAKE:
            return self._timers.handshake_deadline
        if self.state is not State.OPEN:
            return None
        due = self._timers.next(self.keep_alive)
        for table in (self._requests, self.hash_requests) if self.v2 else (self._requests,):
            if table.next_deadline is not None and table.next_deadline < due:
                due = table.next_deadline
        return None if due == math.inf else due

    def handle_timer(self, now: float) -> None:
        """Does what is due: gives up requests, keeps the connection alive, or ends it.

        May be called at any time, also too early.

        Args:
            now: What time it is, in seconds.

        Raises:
            PeerTimeout: The peer was silent for too long; the wire is closed.
        """
        self.now = now
        try:
            if self.state is State.HANDSHAKE:
                self._timers.check_handshake(now, len(self._held))
            elif self.state is State.OPEN:
                self._timers.check_idle(now)
        except PeerTimeout as error:
            self._violated(error)
            raise
        if self.state is not State.OPEN:
            return
        for request in self._requests.expire(now):
            self._note("%", f"{request} timed out")
            self._give_up(request, RequestTimeout("no answer by its deadline", *request.key))
        for unanswered in self.hash_requests.expire(now) if self.v2 else ():
            self._note("%", f"{unanswered} timed out")
            self.hash_requests.abandon(unanswered.key, owed=True)
            late = HashRequestTimeout("no answer by its deadline", unanswered.range)
            self._events.append(HashRequestEnded(unanswered, late))
        if self.keep_alive and self._timers.keep_alive_due(now):
            self.send_keep_alive()

    # Inside

    def _violated(self, error: RemoteProtocolError) -> None:
        """Ends the wire."""
        self._end("us", str(error), error)
        # Frames would keep what was received, up to the longest message several times over, for as
        # long as `closed` is there. Those behind the error may be a caller's, whose lines are told.
        error.__traceback__ = None
        behind = error.__context__
        while behind is not None:
            traceback.clear_frames(behind.__traceback__)
            behind = behind.__context__

    def _receive_opening(self, data: Buffer) -> Buffer:
        """Takes in a handshake, or what comes before it is decided on; returns what is left."""
        if self.state is State.HANDSHAKE:
            lacking = HANDSHAKE_LENGTH - len(self._held)
            self._held += data[:lacking]
            check_prefix(self._held)
            if len(self._held) < HANDSHAKE_LENGTH:
                return b""
            handshake, self._held = Handshake.decode(self._held), bytearray()
            self._receive_handshake(handshake)
            data = bytes(data[lacking:])
        if self.state is State.DECIDING:
            self._hold(data)
        return data if self.state is State.OPEN else b""

    def _hold(self, data: Buffer) -> None:
        if len(self._held) + len(data) > self.limits.max_undecided:
            raise InvalidHandshake(
                f"over {self.limits.max_undecided} bytes before its handshake was answered",
                rule="Limits.max_undecided",
            )
        self._held += data

    def _receive_handshake(self, handshake: Handshake) -> None:
        self._note("<", handshake)
        self.peer_handshake = handshake
        if handshake.peer_id == self.peer_id:
            raise InvalidHandshake(
                "its peer id is our own: this is a connection to ourselves",
                rule="BEP 3, peer protocol: peer id",
            )
        self._events.append(handshake)
        if self.info_hash is None:
            self._enter(State.DECIDING)
        elif handshake.info_hash not in (self.info_hash, self.info_hash_v2):
            raise self._mismatch(handshake)
        else:
            self._open(handshake)

    def _open(self, handshake: Handshake) -> None:
        self.info_hash = handshake.info_hash
        if self.role is Role.RESPONDER:
            if self.info_hash_v2 is not None and Reserved.V2 in handshake.reserved:
                self.info_hash = self.info_hash_v2
            self._send_handshake(self.info_hash)
        self.v2 = self.info_hash == self.info_hash_v2
        self.fast = Reserved.FAST in self.reserved & handshake.reserved
        self.extended = Reserved.EXTENSION in self.reserved & handshake.reserved
        self._timers.opened(self.now)
        self._enter(State.OPEN)
        if self.extended:
            self.send_extended_handshake()

    def _undecided(self) -> Handshake:
        if self.closed is not None:
            raise self.closed.again()
        if self.state is not State.DECIDING or self.peer_handshake is None:
            raise LocalProtocolError(
                f"there is no handshake to decide on, the wire is {self.state.value}",
                rule="accept and refuse answer the Handshake event of a responder",
            )
        return self.peer_handshake

    def _mismatch(self, handshake: Handshake) -> InfoHashMismatch:
        expected = "" if self.info_hash is None else f", this is {self.info_hash.hex()}"
        return InfoHashMismatch(
            f"info-hash {handshake.info_hash.hex()} is not served here{expected}",
            rule="BEP 3, peer protocol: both sides name the same torrent",
        )

    def _receive_messages(self, data: Buffer) -> None:
        for run in self._framing.runs(data):
            self._timers.last_message_at = self.now
            taken = receive_run(self, run) if len(run) > 1 and self.trace is None else 0
            for message in run[taken:]:
                self._receive_message(message)

    def _receive_message(self, message: Message) -> None:
        kind = type(message)
        self.last_message = name = kind.name
        self.messages_received[name] = self.messages_received.get(name, 0) + 1
        if type(message) is Extended:
            message.label = self.extensions.label(message.extended_id)
        if self.trace is not None:
            self.trace("<", message, self.now)
        if RECEIVERS[kind](self, message):
            self._events.append(message)
        if not self._peer_chatting and kind not in _ASIDES:
            self._peer_chatting = True
