"""A byte stream to messages, incrementally.

`Framing` is fed whatever the socket gave and yields each message once it is complete. It holds
no more than one incomplete message, copies none of the complete ones, and refuses a message that
is too long from the four bytes of its length prefix alone.

Messages come in runs: a swarm announces pieces by the hundred, a fast leecher asks for blocks by
the dozen. Decoded as such, one of a flood of HAVE costs 0.12 us instead of 0.35.
"""

from __future__ import annotations

from itertools import starmap
from struct import Struct
from typing import TYPE_CHECKING, TypeAlias

from .errors import InvalidHandshake, MessageTooBig, RemoteProtocolError
from .handshake import PROTOCOL
from .hashes import HASH_LENGTH, RANGE_LENGTH, HashRange
from .messages import (
    AllowedFast,
    Bitfield,
    Cancel,
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
    Message,
    NotInterested,
    Piece,
    Port,
    Reject,
    Request,
    Suggest,
    Unchoke,
    Unknown,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from .messages import Buffer

__all__ = ["Framing"]

#: Makes the message whose payload begins at a position.
Decoder: TypeAlias = "Callable[[memoryview, int], Message]"

_U32 = Struct(">I")
_PIECE_HEAD = Struct(">II")
_PIECE_ID = Piece.id
_PIECE_MIN = 1 + _PIECE_HEAD.size

_KEEP_ALIVE = KeepAlive()

_PIECE_FRAME = Struct(">IBII")

#: Frames that have to be there for a run to be looked for: less is not worth setting out for.
_MIN_RUN = 4

#: Frames of a flood that are taken at a time: looking ahead costs some 4 ns each, in vain where it
#: is none.
_MAX_RUN = 256

#: A handshake where a length prefix should be: no message is that long.
(_SECOND_HANDSHAKE,) = _U32.unpack_from(PROTOCOL)


def _fixed(kind: type[Message], layout: str = "") -> tuple[int, Decoder]:
    """Returns the exact payload length of a message of fixed layout, and what decodes it."""
    if not layout:
        message = kind()  # no fields: one object stands for all of them
        return 0, lambda _view, _position: message
    struct = Struct(layout)
    unpack = struct.unpack_from
    return struct.size, lambda view, position: kind(*unpack(view, position))


def _ranged(
    kind: type[HashRequest] | type[HashReject],
) -> tuple[int, Decoder]:
    def decode(view: memoryview, position: int) -> Message:
        return kind(HashRange.decode(view[position : position + RANGE_LENGTH]))

    return RANGE_LENGTH, decode


#: Message id to (payload length, decoder); the length of those of any length is checked elsewhere.
_FIXED = {
    Choke.id: _fixed(Choke),
    Unchoke.id: _fixed(Unchoke),
    Interested.id: _fixed(Interested),
    NotInterested.id: _fixed(NotInterested),
    Have.id: _fixed(Have, ">I"),
    Request.id: _fixed(Request, ">III"),
    Cancel.id: _fixed(Cancel, ">III"),
    Port.id: _fixed(Port, ">H"),
    Suggest.id: _fixed(Suggest, ">I"),
    HaveAll.id: _fixed(HaveAll),
    HaveNone.id: _fixed(HaveNone),
    Reject.id: _fixed(Reject, ">III"),
    AllowedFast.id: _fixed(AllowedFast, ">I"),
    HashRequest.id: _ranged(HashRequest),
    HashReject.id: _ranged(HashReject),
}

#: Where the layout of a message stands, where it is in neither BEP 3 nor BEP 6.
_RULES = {
    Port.id: "BEP 5, BitTorrent protocol extension",
    Extended.id: "BEP 10",
    HashRequest.id: "BEP 52, peer messages",
    Hashes.id: "BEP 52, peer messages",
    HashReject.id: "BEP 52, peer messages",
}


#: The messages there are floods of, by length and id, and the layout of what follows these. A
#: reject, of which a choke may bring hundreds, costs 0.13 us instead of 0.52.
_FLOODS = {
    (1 + _FIXED[kind.id][0], kind.id): (kind, Struct(f">5x{fields}"))
    for kind, fields in ((Have, "I"), (Request, "III"), (Cancel, "III"), (Reject, "III"))
}


def _run(view: memoryview, position: int, end: int, length: int) -> Sequence[Message]:
    """Returns the messages of a kind and length that follow each other here, where that pays."""
    if not length:
        return ()
    message_id = view[position + 4]
    if message_id == _PIECE_ID and length > _PIECE_MIN:
        return _pieces(view, position, end, length)
    size = 4 + length
    flood = _FLOODS.get((length, message_id))
    last = position + (_MIN_RUN - 1) * size
    if flood is None or last + size > end or view[last + 4] != message_id:
        return ()
    kind, layout = flood
    alike = _alike(view[position : min(end, position + _MAX_RUN * size)], size)
    frames = view[position : position + alike * size]
    return list(starmap(kind, layout.iter_unpack(frames)))


def _pieces(view: memoryview, position: int, end: int, length: int) -> Sequence[Message]:
    size = 4 + length
    pieces: list[Message] = []
    for at in range(position, end - size + 1, size):
        each, message_id, index, begin = _PIECE_FRAME.unpack_from(view, at)
        if each != length or message_id != _PIECE_ID:
            break
        pieces.append(Piece(index, begin, view[at + _PIECE_FRAME.size : at + size]))
    return pieces


def _alike(frames: memoryview, size: int) -> int:
    """Returns how many frames of a size follow each other that begin with the same five bytes."""
    count = len(frames) // size
    for place in (4, 3, 2, 1, 0):  # the id first: it is what differs
        column = bytes(frames[place : count * size : size])
        count -= len(column.lstrip(column[:1]))
    return count


class Framing:
    """Cuts one direction of a connection into messages.

    Args:
        max_message: Longest message accepted, in bytes, its id included. May be changed at any
            time; it holds for the next length prefix.
    """

    __slots__ = ("_need", "_partial", "max_message")

    def __init__(self, max_message: int) -> None:
        self.max_message = max_message
        self._partial = bytearray()  # an incomplete frame, its length prefix included
        self._need = 4  # how long `_partial` must be before more can be said of it

    @property
    def held(self) -> int:
        """Bytes kept of an incomplete message."""
        return len(self._partial)

    def receive(self, data: Buffer) -> Iterator[Message]:
        """Yields the messages that `data` completes, one by one; see `runs`."""
        for run in self.runs(data):
            yield from run

    def runs(self, data: Buffer) -> Iterator[Sequence[Message]]:
        """Yields the messages that `data` completes, in order, those of a kind together.

        The block of a `Piece` is a view of `data`, or of memory that is let go afterwards:
        it is to be copied to where it belongs before the iteration goes on.

        Args:
            data: What came in, of any length.

        Raises:
            MessageTooBig: A length prefix is over `max_message`.
            InvalidHandshake: It is the beginning of another handshake.
            RemoteProtocolError: A payload is not of the length its id demands (BEP 3, 5, 6).
        """
        view = memoryview(data)
        position = 0
        end = len(view)
        if self._partial:
            position = self._complete(view)
            if len(self._partial) < self._need:
                return
            frame, self._partial, self._need = memoryview(self._partial), bytearray(), 4
            yield (self._decode(frame, 0, len(frame) - 4),)
        while end - position >= 4:
            (length,) = _U32.unpack_from(view, position)
            if length > self.max_message:
                raise self._too_big(length)
            if end - position - 4 < length:
                self._need = 4 + length
                break
            run = _run(view, position, end, length)
            if run:
                yield run
                position += len(run) * (4 + length)
                continue
            yield (self._decode(view, position, length),)
            position += 4 + length
        if position < end:
            self._partial += view[position:]

    def _complete(self, view: memoryview) -> int:
        """Moves what the incomplete frame lacks out of `view`; returns how much that was."""
        taken = 0
        while len(self._partial) < self._need and taken < len(view):
            more = view[taken : taken + self._need - len(self._partial)]
            self._partial += more
            taken += len(more)
            if len(self._partial) == self._need == 4:
                (length,) = _U32.unpack(self._partial)
                if length > self.max_message:
                    raise self._too_big(length)
                self._need = 4 + length
        return taken

    def _decode(self, view: memoryview, position: int, length: int) -> Message:
        """Returns the message of `length` bytes whose length prefix is at `position`."""
        if length == 0:
            return _KEEP_ALIVE
        message_id = view[position + 4]
        if message_id == _PIECE_ID:
            if length < _PIECE_MIN:
                raise self._wrong_length(message_id, length - 1, f"at least {_PIECE_MIN - 1}")
            index, begin = _PIECE_HEAD.unpack_from(view, position + 5)
            return Piece(index, begin, view[position + 13 : position + 4 + length])
        fixed = _FIXED.get(message_id)
        if fixed is not None:
            size, decode = fixed
            if length - 1 != size:
                raise self._wrong_length(message_id, length - 1, f"{size}")
            return decode(view, position + 5)
        payload = view[position + 5 : position + 4 + length]
        if message_id == Bitfield.id:
            return Bitfield(bytes(payload))
        if message_id == Extended.id:
            if length < 2:
                raise self._wrong_length(message_id, 0, "at least 1")
            return Extended(payload[0], bytes(payload[1:]))
        if message_id == Hashes.id:
            return self._decode_hashes(payload)
        return Unknown(message_id, bytes(payload))

    def _decode_hashes(self, payload: memoryview) -> Hashes:
        if len(payload) < RANGE_LENGTH or (len(payload) - RANGE_LENGTH) % HASH_LENGTH:
            expected = f"{RANGE_LENGTH} and a multiple of {HASH_LENGTH}"
            raise self._wrong_length(Hashes.id, len(payload), expected)
        starts = range(RANGE_LENGTH, len(payload), HASH_LENGTH)
        hashes = [bytes(payload[start : start + HASH_LENGTH]) for start in starts]
        return Hashes(HashRange.decode(payload[:RANGE_LENGTH]), hashes)

    def _too_big(self, length: int) -> RemoteProtocolError:
        if length == _SECOND_HANDSHAKE:
            return InvalidHandshake(
                "a second handshake, where a message is due",
                rule="BEP 3, peer protocol: after the handshake come messages",
            )
        return MessageTooBig(
            f"a message of {length} bytes is announced, {self.max_message} is the most accepted",
            rule="Limits.max_message",
        )

    @staticmethod
    def _wrong_length(message_id: int, length: int, expected: str) -> RemoteProtocolError:
        rule = "BEP 6, fast extension" if message_id >= Suggest.id else "BEP 3, peer messages"
        rule = _RULES.get(message_id, rule)
        return RemoteProtocolError(
            f"message id {message_id} with a payload of {length} bytes; it has {expected}",
            rule=rule,
        )
