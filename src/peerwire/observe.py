"""A third who hears both sides of one connection and takes no part.

`Observer` is fed the bytes of both directions, from a capture or by a proxy, and tells what it
hears to a trace, as a `Wire` does: see ``trace.py`` for the grammar. Its ``>`` is what the side
that opened the connection says, its ``<`` what the other answers, and its ``!`` a `Finding`, which
names the side that broke a rule, or a `Lost`, what can't be told.

Finding the way in. A plain connection begins with a handshake on both sides. Message stream
encryption begins with a public key and a pad, which look like noise, and may go on in plaintext: so
whatever else a side begins with is searched for a handshake, as far as the encryption's own opening
can reach. What is encrypted to the end nobody but the two sides can read.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from .conduct import Conduct, Finding, Side
from .errors import InvalidHandshake, RemoteProtocolError
from .extensions.handshake import shown_name
from .extensions.overheard import readers
from .framing import Framing
from .handshake import HANDSHAKE_LENGTH, PROTOCOL, Handshake, Reserved
from .limits import DEFAULT_LIMITS, Limits
from .messages import Extended, Message, Piece
from .state import Role

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .messages import Buffer
    from .state import Mark, Trace

__all__ = ["ExtendedContent", "Finding", "Lost", "Observer", "Protocol"]

#: Bytes of a public key, with which message stream encryption begins.
_KEY_LENGTH: Final = 96

#: Where a handshake in plaintext begins at the latest when encryption came before it: after the
#: key, a pad, two hashes, the constant, the methods, a pad, and an initial payload of a handshake.
_MAX_PRELUDE: Final = 96 + 512 + 20 + 20 + 8 + 4 + 2 + 512 + 2 + 68
_MAX_OPENING: Final = _MAX_PRELUDE + HANDSHAKE_LENGTH

#: Different values among the first 96 bytes from which on they look like a key: of random ones
#: there are 80, give or take 3; of text, of most headers, fewer than 50.
_NOISE: Final = 62

#: How a record of TLS begins, which is mostly noise, too: one of five types, and version 3.
_TLS: Final = tuple(bytes((kind, 3)) for kind in range(20, 25))

#: Bytes of a piece message before its block: the length prefix, the id, index and begin.
_PIECE_HEAD: Final = 13

_MARKS: Final[dict[Role, Mark]] = {Role.INITIATOR: ">", Role.RESPONDER: "<"}


class Protocol(enum.Enum):
    """What a connection speaks, as far as a third can tell."""

    UNKNOWN = "not known yet"
    PLAIN = "BitTorrent"
    ENCRYPTED = "encrypted, as BitTorrent's MSE looks"
    OTHER = "not BitTorrent, or begun before the first byte seen"


@dataclass(slots=True)
class ExtendedContent(Extended):
    """A message of an extension, with what it says.

    Attributes:
        content: What it says, as the extension reads it; None if it is an extension that is not
            known here, or a message that is none.
    """

    content: object = None

    def __str__(self) -> str:
        if self.content is None:
            return Extended.__str__(self)
        if self.extended_id == 0:
            return str(self.content)
        return f"extended {self.label}: {self.content}"


@dataclass(slots=True)
class Lost:
    """Something that a side said and that can't be told.

    Attributes:
        by: Which side said it.
        count: Bytes that are missing; None if what is there can't be read.
        why: What that means for what is told.
    """

    by: Role
    count: int | None
    why: str

    def __str__(self) -> str:
        missing = "" if self.count is None else f"{self.count} bytes are missing: "
        return f"lost of the {self.by}: {missing}{self.why}"


class _Stream:
    """One direction: its bytes so far, as much as is needed of them."""

    def __init__(self, side: Side, limits: Limits, now: _Clock) -> None:
        self.side = side
        self.role = side.role
        self.opening = bytearray()  # what came before a handshake was found
        self.talking = False  # whether its handshake was found
        self.hidden = False  # whether something encrypted came before that
        self.deaf = False  # whether nothing more is read of it
        self.ended = False
        self.unread = 0  # bytes
        self.framing = Framing(limits.max_message)
        self.readers = readers(now)
        self.head = bytearray()  # how the incomplete message begins

    @property
    def plain(self) -> bool:
        """Whether it began, so far, as a handshake does."""
        return PROTOCOL.startswith(self.opening[: len(PROTOCOL)])

    @property
    def noise(self) -> bool | None:
        """Whether it began as a public key does; None while that can't be told."""
        if self.plain or len(self.opening) < _KEY_LENGTH:
            return None
        start = self.opening[:_KEY_LENGTH]
        return len(set(start)) >= _NOISE and not start.startswith(_TLS)

    def find_handshake(self) -> int:
        """Returns where the handshake begins; -1 if there is none yet."""
        return 0 if self.plain else self.opening.find(PROTOCOL, _KEY_LENGTH)

    def remember_head(self, data: Buffer) -> None:
        """Keeps how the message begins whose end `data` did not bring."""
        held = self.framing.held
        if held <= len(data):
            self.head = bytearray(data[len(data) - held :][:_PIECE_HEAD])
        else:
            self.head += data[: _PIECE_HEAD - len(self.head)]

    def lacks_of_block(self) -> int:
        """Returns how many bytes the block lacks whose message has begun; 0 if it is no block."""
        if len(self.head) < _PIECE_HEAD or self.head[4] != Piece.id:
            return 0
        return 4 + int.from_bytes(self.head[:4]) - self.framing.held


class _Clock:
    """What the observer was told the time is."""

    __slots__ = ("now",)

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Observer:
    """Hears both sides of one connection, and tells what they say and what is wrong with it.

    Nothing that is said raises an error, and what is held is bounded: one message of each side,
    and what was asked for and not answered, up to the `Limits`.

    Args:
        trace: Called with all that is heard, as (mark, what, now); `str(what)` is one line. The
            block of a `Piece` is a view that is valid during the call only.
        torrents: Piece counts by info-hash, of torrents that are known, or None for one whose
            count is not. For others it is bounded by the length of the bitfields.
        limits: How much of what is held and believed.

    Attributes:
        protocol: What the connection speaks.
    """

    def __init__(
        self,
        trace: Trace,
        *,
        torrents: Mapping[bytes, int | None] = MappingProxyType({}),
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self.protocol = Protocol.UNKNOWN
        self._trace = trace
        self._clock = _Clock()
        self._limits = limits
        self._torrents = torrents
        self._conduct = Conduct(limits)
        self._streams = {
            role: _Stream(side, limits, self._clock) for role, side in self._conduct.sides.items()
        }

    @property
    def held(self) -> int:
        """Bytes kept of what is yet to be complete."""
        streams = self._streams.values()
        return sum(stream.framing.held + len(stream.opening) for stream in streams)

    def receive_data(self, sender: Role, data: Buffer, now: float) -> None:
        """Hears what one side says, in chunks of any size.

        Args:
            sender: Which side; the initiator is the one that opened the connection.
            data: The bytes. They are not needed after the call.
            now: What time it is, in seconds.
        """
        self._clock.now = now
        stream = self._streams[sender]
        if not stream.talking or stream.deaf:
            stream.unread += len(data)
            data = b"" if stream.deaf else self._open(stream, data)
        if stream.talking and not stream.deaf:
            self._follow(stream, data)

    def receive_gap(self, sender: Role, count: int, now: float) -> None:
        """Takes in that some of what one side says is missing.

        Where it is missing inside of a block, nothing but the block is lost. Else what follows
        can't be told apart into messages and is not read.

        Args:
            sender: Which side.
            count: How many bytes are missing.
            now: What time it is, in seconds.
        """
        self._clock.now = now
        stream = self._streams[sender]
        if stream.deaf or not count:
            stream.unread += count
        elif stream.talking and count <= stream.lacks_of_block():
            self._tell(
                "!", Lost(sender, count, "part of a block, whose message is told all the same")
            )
            self._follow(stream, bytes(count))
        else:
            self._turn_deaf(stream, count, "what follows is not told apart into messages")

    def receive_eof(self, sender: Role, now: float, how: str = "closed") -> None:
        """Takes in that one side says nothing more.

        Args:
            sender: Which side.
            now: What time it is, in seconds.
            how: What it did: closed, or reset.
        """
        self._clock.now = now
        stream = self._streams[sender]
        if stream.ended:
            return
        stream.ended = True
        if self.protocol is Protocol.UNKNOWN and self._other(stream).ended:
            self._decide_at_the_end()
        if stream.talking and stream.framing.held:
            how += ", in the middle of a message"
        if stream.unread:
            how += f"; at least {stream.unread} bytes of it were not read"
        self._tell("=", f"the {sender} {how}")

    def set_behind(self, sender: Role, behind: bool) -> None:
        """Says whether something that one side said is yet to come, out of its order.

        Meanwhile the other side, which may have got it, is not judged by it.
        """
        self._streams[sender].side.behind = behind

    # Finding the way in

    def _open(self, stream: _Stream, data: Buffer) -> bytes:
        """Looks for a handshake; returns what follows it."""
        lacking = _KEY_LENGTH - len(stream.opening)
        if 0 < lacking < len(data):
            # What a side speaks is judged by as much of it, however it comes.
            after = self._open(stream, data[:lacking])
            if stream.deaf:
                return b""
            rest = data[lacking:]
            return after + bytes(rest) if stream.talking else self._open(stream, rest)
        room = _MAX_OPENING - len(stream.opening)
        stream.opening += data[:room]
        start = stream.find_handshake()
        end = start + HANDSHAKE_LENGTH
        if start < 0 or len(stream.opening) < end:
            self._judge_opening(stream)
            return b""
        handshake = Handshake.decode(stream.opening[start:end])
        after = bytes(stream.opening[end:]) + bytes(data[room:])
        self._begin(stream, handshake, hidden=start > 0)
        self._judge_opening(self._other(stream))
        return after

    def _begin(self, stream: _Stream, handshake: Handshake, *, hidden: bool) -> None:
        stream.opening, stream.unread = bytearray(), 0
        stream.talking, stream.hidden = True, hidden
        self.protocol = Protocol.PLAIN
        if hidden:
            self._tell("=", f"the {stream.role} goes on in plaintext, after an encrypted handshake")
        self._learn(self._torrents.get(handshake.info_hash))
        self._tell(_MARKS[stream.role], handshake)
        self._tell_all(self._conduct.handshake(stream.side, handshake))
        if self._conduct.begun:
            bits = [bit for bit in Reserved if self._conduct.negotiated(bit)]
            names = ", ".join(str(bit.name).lower() for bit in bits)
            self._tell("=", f"open; both sides have {names or 'no extensions'}")

    def _learn(self, num_pieces: int | None) -> None:
        """Takes in the piece count, and accepts the bitfield that it needs."""
        if num_pieces is None:
            return
        self._conduct.num_pieces = num_pieces
        for stream in self._streams.values():
            longest = max(self._limits.max_message, 1 + (num_pieces + 7) // 8)
            stream.framing.max_message = longest

    def _judge_opening(self, stream: _Stream) -> None:
        """Tells what a side speaks that does not begin with a handshake, once that is clear."""
        if stream.plain or stream.deaf:
            return
        other = self._other(stream)
        if other.talking and (stream.noise is False or not other.hidden):
            self._refuse(stream)
        elif stream.noise is False:
            self._settle(Protocol.OTHER)
        elif stream.noise and other.noise and self.protocol is Protocol.UNKNOWN:
            self._settle(Protocol.ENCRYPTED)
        if len(stream.opening) == _MAX_OPENING:
            if other.talking:
                self._turn_deaf(stream, None, "it is encrypted")
            else:
                stream.deaf = stream.side.lost = True

    def _decide_at_the_end(self) -> None:
        heard = [stream for stream in self._streams.values() if stream.opening]
        noise = bool(heard) and all(stream.noise for stream in heard)
        self._settle(Protocol.ENCRYPTED if noise else Protocol.OTHER)

    def _settle(self, protocol: Protocol) -> None:
        self.protocol = protocol
        self._tell("=", protocol.value)
        if protocol is Protocol.OTHER:
            for stream in self._streams.values():
                stream.deaf, stream.opening = True, bytearray()

    def _refuse(self, stream: _Stream) -> None:
        """One side begins with a handshake, this one with something else."""
        error = InvalidHandshake(
            f"it begins with {bytes(stream.opening[:20])!r}", rule="BEP 3, peer protocol"
        )
        self._tell("!", Finding(stream.role, error))
        self._turn_deaf(stream, None, "it does not begin with a handshake")

    def _other(self, stream: _Stream) -> _Stream:
        return self._streams[self._conduct.other(stream.side).role]

    # Messages

    def _follow(self, stream: _Stream, data: Buffer) -> None:
        try:
            for message in stream.framing.receive(data):
                self._hear(stream, message)
        except RemoteProtocolError as error:
            self._tell("!", Finding(stream.role, error))
            self._turn_deaf(stream, None, "what follows is not told apart into messages")
            return
        stream.remember_head(data)

    def _hear(self, stream: _Stream, message: Message) -> None:
        told = self._read(stream, message) if type(message) is Extended else message
        found = self._conduct.message(stream.side, message, self._clock.now)
        self._tell(_MARKS[stream.role], told)
        self._tell_all(found)

    def _read(self, stream: _Stream, message: Extended) -> ExtendedContent:
        """Returns the message of an extension with its name and what it says."""
        number, payload = message.extended_id, message.payload
        if number == 0:
            content: object = self._conduct.extended_handshake(stream.side, payload)
            return ExtendedContent(0, payload, "handshake", content)
        # Ids are those that the receiver gave (BEP 10).
        name = self._conduct.other(stream.side).names.get(number, "")
        message.label = shown_name(name)
        told = ExtendedContent(number, payload, message.label)
        read = stream.readers.get(name)
        if read is not None:
            try:
                told.content = read(payload)
            except ValueError as error:
                self._conduct.malformed(stream.side, str(error), f"extension {message.label}")
            self._conduct.content(stream.side, told.content)
        return told

    def _turn_deaf(self, stream: _Stream, count: int | None, why: str) -> None:
        stream.deaf = stream.side.lost = True
        stream.framing = Framing(stream.framing.max_message)  # lets go of what it holds
        stream.opening = bytearray()
        self._tell("!", Lost(stream.role, count, why))

    def _tell(self, mark: Mark, what: object) -> None:
        self._trace(mark, what, self._clock.now)

    def _tell_all(self, findings: list[Finding]) -> None:
        for finding in findings:
            self._tell("!", finding)
