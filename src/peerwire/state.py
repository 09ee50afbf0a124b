"""What one wire knows, and the little that both of its directions do to it."""

from __future__ import annotations

import enum
import functools
from typing import TYPE_CHECKING, Generic, Literal, TypeAlias, TypeVar

from .errors import ConnectionClosed, LocalProtocolError, RemoteProtocolError
from .extensions.registry import Extensions, our_handshake
from .framing import Framing
from .handshake import (
    Handshake,
    Reserved,
    generate_peer_id,
    parse_hash20,
    parse_info_hashes,
)
from .hash_requests import HashRequestEnded, OutgoingHashRequests
from .limits import DEFAULT_LIMITS, Limits
from .messages import (
    AllowedFast,
    Cancel,
    Extended,
    HashReject,
    HashRequest,
    Have,
    KeepAlive,
    Message,
    Reject,
    Request,
    Suggest,
)
from .pieces import PieceSet
from .requests import IncomingRequests, OutgoingRequests, PendingRequest, RequestEnded
from .timers import Timers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .errors import PeerWireError
    from .extensions.base import Extension
    from .extensions.lt_donthave import DontHave
    from .hashes import HashRange
    from .messages import Buffer

__all__ = ["DEFAULT_RESERVED", "Event", "Mark", "Role", "State", "Trace", "WireState"]

#: What `Wire.events_received` hands out: a `Message`, `Handshake`, `ExtendedHandshake`,
#: `RequestEnded` or `HashRequestEnded`, or whatever an `Extension` makes of its messages.
Event: TypeAlias = object

#: The marks of the log: ``>`` sent and ``<`` received (a message or handshake), ``=`` a state,
#: ``%`` a timer, ``!`` an error, or a deviation that was let pass.
Mark: TypeAlias = Literal[">", "<", "=", "%", "!"]

#: Sees what happens on a wire, as (mark, what, now); `str(what)` is one line.
Trace: TypeAlias = "Callable[[Mark, object, float], None]"

T = TypeVar("T")

#: Who ended a connection.
Closer: TypeAlias = Literal["us", "peer", "network"]

#: The extensions a wire announces unless it is told otherwise.
DEFAULT_RESERVED = Reserved.FAST | Reserved.EXTENSION

#: What leaves a bitfield the first message all the same: keep-alives are ignored (BEP 3), a
#: reject only answers a peer that asks before it was told what there is, and an extended handshake
#: comes immediately after the handshake (BEP 10).
_ASIDES = frozenset({KeepAlive.name, Reject.name, HashReject.name, Extended.name})


class Role(enum.StrEnum):
    """Which side opened the connection."""

    INITIATOR = "initiator"
    RESPONDER = "responder"


class State(enum.Enum):
    """Where a wire is in its life; ``wire.py`` draws the ways between them."""

    HANDSHAKE = "waiting for the peer's handshake"
    DECIDING = "waiting to be told whether the peer's torrent is served"
    OPEN = "open"
    CLOSED = "closed"


class _MadeLater(Generic[T]):
    """An attribute that few wires need, made when it is first looked at.

    Args:
        slot: Where it is kept; None until then.
        make: Makes it.
    """

    def __init__(self, slot: str, make: Callable[[WireState], T]) -> None:
        self._slot = slot
        self._make = make

    def __get__(self, wire: WireState, _: type) -> T:
        # Not by `__getattr__`: a class that has one is slower to look anything up.
        value: T | None = getattr(wire, self._slot)
        if value is None:
            value = self._make(wire)
            setattr(wire, self._slot, value)
        return value


class WireState:
    """The state of one wire: what was said and agreed, what is pending, what is to be handed out.

    Made with the arguments of `Wire`, which describes them.
    """

    # An idle peer costs its server little else but this, and a dictionary is five times as much.
    __slots__ = (
        "__weakref__",
        "_allowed_fast",
        "_chatting",
        "_events",
        "_framing",
        "_hash_requests",
        "_held",
        "_max_index",
        "_num_pieces",
        "_out",
        "_peer_allowed_fast",
        "_peer_chatting",
        "_peer_hash_requests",
        "_peer_requests",
        "_peer_suggested",
        "_requests",
        "_timers",
        "am_choking",
        "am_interested",
        "closed",
        "downloaded",
        "extended",
        "extensions",
        "fast",
        "info_hash",
        "info_hash_v2",
        "keep_alive",
        "last_message",
        "limits",
        "max_requests",
        "messages_received",
        "messages_sent",
        "now",
        "peer_choking",
        "peer_handshake",
        "peer_id",
        "peer_interested",
        "peer_pieces",
        "reserved",
        "role",
        "state",
        "strict",
        "trace",
        "uploaded",
        "v2",
        "wasted",
    )

    limits: Limits

    #: Pieces the peer may ask for while choked.
    allowed_fast: _MadeLater[set[int]] = _MadeLater("_allowed_fast", lambda _: set())
    #: Pieces we may ask for while choked.
    peer_allowed_fast: _MadeLater[set[int]] = _MadeLater("_peer_allowed_fast", lambda _: set())
    peer_suggested: _MadeLater[set[int]] = _MadeLater("_peer_suggested", lambda _: set())
    #: What hashes we asked for that have not come, the oldest first (BEP 52).
    hash_requests: _MadeLater[OutgoingHashRequests] = _MadeLater(
        "_hash_requests", lambda wire: OutgoingHashRequests(wire.limits.max_hash_requests)
    )
    #: What hashes the peer asked for and was not answered, the oldest first.
    peer_hash_requests: _MadeLater[dict[HashRange, HashRequest]] = _MadeLater(
        "_peer_hash_requests", lambda _: {}
    )

    def __init__(
        self,
        role: Role | str,
        info_hash: bytes | str | None = None,
        peer_id: bytes | str | None = None,
        *,
        info_hash_v2: bytes | str | None = None,
        reserved: Reserved = DEFAULT_RESERVED,
        num_pieces: int | None = None,
        extensions: Iterable[Callable[[], Extension]] = (),
        limits: Limits = DEFAULT_LIMITS,
        strict: bool = False,
        trace: Trace | None = None,
        now: float = 0.0,
    ) -> None:
        self.role = Role(role)
        self.info_hash, self.info_hash_v2 = parse_info_hashes(info_hash, info_hash_v2)
        self.peer_id = generate_peer_id() if peer_id is None else parse_hash20(peer_id, "peer id")
        self.reserved = reserved
        self.limits = limits
        self.strict = strict
        self.trace = trace
        self.now = now  #: The latest time this wire was told; what the trace is given.

        self.state = State.HANDSHAKE
        self.closed: ConnectionClosed | None = None  #: Who ended the wire, and why.
        self.peer_handshake: Handshake | None = None
        self.fast = False  #: Whether both sides announced the fast extension (BEP 6).
        self.v2 = False  #: Whether both sides settled on the v2 info-hash (BEP 52).
        self.extended = False  #: Whether both sides announced the extension protocol (BEP 10).
        self.extensions = Extensions(
            extensions, self.send_extended, our_handshake(reqq=limits.max_peer_requests)
        )

        self.am_choking = True
        self.am_interested = False
        self.peer_choking = True
        self.peer_interested = False
        self.peer_pieces = PieceSet()
        self._allowed_fast = self._peer_allowed_fast = self._peer_suggested = None
        self._hash_requests = self._peer_hash_requests = None

        self.uploaded = 0  #: Block bytes sent.
        self.downloaded = 0  #: Block bytes received that were asked for.
        self.wasted = 0  #: Block bytes received that nobody waited for any more.
        self.messages_sent: dict[str, int] = {}  #: How many, by the name of the message.
        self.messages_received: dict[str, int] = {}
        self.last_message: str | None = None  #: The name of the last one received.
        self.keep_alive = True  #: Whether keep-alives are sent by themselves.

        #: Requests that may be outstanding to the peer: our limit, or its reqq (BEP 10).
        self.max_requests = limits.max_requests

        self._num_pieces: int | None = None
        self._max_index = limits.max_pieces  # a piece's is below it
        self._framing = Framing(limits.max_message)
        self._requests = OutgoingRequests(limits.max_requests)
        self._peer_requests = IncomingRequests()
        self._events: list[Event] = []
        self._out: list[Buffer] = []
        self._held = bytearray()  # of a handshake, or of what follows one not yet decided on
        self._timers = Timers(limits, now)
        self._chatting = False  # whether we sent a message yet: a bitfield is only ever the first
        self._peer_chatting = False
        if num_pieces is not None:
            self._learn_num_pieces(num_pieces)
            self.peer_pieces.set_size(num_pieces)
        if self.role is Role.INITIATOR:
            if self.info_hash is None:
                raise LocalProtocolError(
                    "an initiator needs an info-hash: it is the one to say which torrent this is",
                    rule="BEP 3, peer protocol",
                )
            if self.info_hash_v2 not in (None, self.info_hash):
                self.reserved |= Reserved.V2
            self._send_handshake(self.info_hash)

    # What the caller sees

    @property
    def num_pieces(self) -> int | None:
        """Piece count of the torrent; None while it is not known."""
        return self._num_pieces

    @property
    def requests(self) -> OutgoingRequests:
        """What we asked for and has not come, the oldest first."""
        return self._requests

    @property
    def peer_requests(self) -> IncomingRequests:
        """What the peer asked for and was not answered, the oldest first."""
        return self._peer_requests

    def events_received(self) -> list[Event]:
        """Hands out what happened since the last call, in order."""
        events, self._events = self._events, []
        return events

    def data_to_send(self) -> bytes:
        """Hands out the bytes to be sent since the last call."""
        return b"".join(self.buffers_to_send())

    def buffers_to_send(self) -> list[Buffer]:
        """Hands out the same as `data_to_send` in pieces, blocks being the caller's own memory.

        For vectored writes: a block that was given to `send_piece` is not copied.
        """
        out, self._out = self._out, []
        return out

    def close(self, reason: str = "done", cause: BaseException | None = None) -> None:
        """Ends the wire. Pending requests end, flags are reset, and nothing more is parsed.

        Args:
            reason: Why, in a few words.
            cause: The error that is behind it, for whoever is told of the end.
        """
        self._end("us", reason, cause)

    # For both directions

    def _end(
        self,
        by: Closer,
        reason: str,
        cause: BaseException | None = None,
    ) -> None:
        if self.state is State.CLOSED:
            return
        self.closed = ConnectionClosed(by, reason, last_message=self.last_message)
        self.closed.__cause__ = cause
        self.extensions.transmit = functools.partial(_too_late, self.closed)  # keeps us no more
        self._note("!" if cause else "=", self.closed)
        self._enter(State.CLOSED)
        self.am_choking = self.peer_choking = True
        self.am_interested = self.peer_interested = False
        self._held = bytearray()
        self._framing = Framing(self.limits.max_message)
        self._peer_requests.clear()
        self.peer_hash_requests.clear()
        for request in self._requests.clear():
            self._events.append(RequestEnded(request, self.closed.again()))
        for unanswered in self.hash_requests.clear():
            self._events.append(HashRequestEnded(unanswered, self.closed.again()))

    def _enter(self, state: State) -> None:
        self.state = state
        self._note("=", state.value)

    def _note(self, mark: Mark, what: object) -> None:
        if self.trace is not None:
            self.trace(mark, what, self.now)

    def _deviation(self, text: str, rule: str) -> None:
        """Lets pass what deployed clients are known for, unless the wire is strict."""
        error = RemoteProtocolError(text, rule=rule)
        if self.strict:
            raise error
        self._note("!", f"deviation: {error}")

    def _send(self, message: Message) -> None:
        self._require_open()
        self._say(message)

    def _say(self, message: Message) -> None:
        """Sends a message on a wire that is known to be open."""
        self._out.append(message.encode())
        self._count_sent(message.name)
        if self.trace is not None:
            self.trace(">", message, self.now)

    def send_extended(self, extension: Extension, payload: bytes) -> None:
        """Sends a message of an extension, with the id that the peer gave it (BEP 10).

        Args:
            extension: Which.
            payload: What it says.

        Raises:
            LocalProtocolError: The peer does not speak it.
        """
        number = self.extensions.peer_id_of(extension.name)
        if number is None:
            raise LocalProtocolError(
                f"the peer does not speak {extension.name}",
                rule="BEP 10: message ids are those the receiver announced",
            )
        self._send(Extended(number, payload, extension.name))

    def _send_handshake(self, info_hash: bytes) -> None:
        handshake = Handshake(info_hash, self.peer_id, self.reserved)
        self._out.append(handshake.encode())
        self._note(">", handshake)

    def _count_sent(self, name: str) -> None:
        if not self._chatting and name not in _ASIDES:
            self._chatting = True
        self._timers.sent_since_tick = True
        self.messages_sent[name] = self.messages_sent.get(name, 0) + 1

    def _give_up(self, request: PendingRequest, error: PeerWireError) -> None:
        """Takes a request back, tells the peer, and lets it end."""
        self._requests.abandon(request.key, owed=self.fast)
        self._events.append(RequestEnded(request, error))
        self._send(Cancel(*request.key))

    def _refuse_request(self, request: Request) -> None:
        """Answers a request of the peer with a reject where there are rejects (BEP 6)."""
        self._peer_requests.take((request.index, request.begin, request.length))
        if self.fast:
            self._send(Reject(request.index, request.begin, request.length))

    def _learn_num_pieces(self, num_pieces: int) -> None:
        if num_pieces < 0 or self._num_pieces not in (None, num_pieces):
            known = "not known" if self._num_pieces is None else self._num_pieces
            raise LocalProtocolError(
                f"{num_pieces} can't be the piece count, which is {known} so far; "
                "it is not negative and does not change",
                rule="BEP 3, metainfo files: pieces",
            )
        self._num_pieces = self._max_index = num_pieces
        self._framing.max_message = max(self.limits.max_message, 1 + (num_pieces + 7) // 8)

    def _check_index(
        self,
        message: Have | Request | Suggest | AllowedFast | DontHave,
        error: type[LocalProtocolError] | type[RemoteProtocolError],
    ) -> None:
        """Refuses a piece that the torrent does not have, or can't be believed to have."""
        if 0 <= message.index < self._max_index:
            return
        known = self._num_pieces
        if known is not None:
            raise error(
                f"{message} in a torrent of {known} pieces",
                rule="BEP 3, peer messages: an index is below the piece count",
            )
        raise error(
            f"{message}, where no more than {self.limits.max_pieces} pieces are believed in "
            "while the torrent's piece count is not known",
            rule="Limits.max_pieces",
        )

    def _require_open(self) -> None:
        if self.closed is not None:
            raise self.closed.again()
        if self.state is not State.OPEN:
            raise LocalProtocolError(
                f"no message can be sent while {self.state.value}",
                rule="BEP 3, peer protocol: the handshake comes first",
            )


def _too_late(closed: ConnectionClosed, _extension: Extension, _payload: bytes) -> None:
    raise closed.again()
