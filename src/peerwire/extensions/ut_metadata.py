"""ut_metadata: the info dictionary from one peer to another, in pieces of 16 KiB (BEP 9).

A message is a bencoded dictionary. In a data message the raw bytes of the piece follow it, so its
end is found by decoding.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

from ..bencode import decode_prefix, encode
from ..errors import LocalProtocolError
from ..limits import DEFAULT_LIMITS
from ..metadata import PIECE_LENGTH, piece_count, piece_size
from .base import Extension

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..bencode import Value
    from ..limits import Limits
    from .handshake import ExtendedHandshake

__all__ = ["MetadataPiece", "MetadataReject", "UtMetadata"]

#: Values in a message's dictionary. Three are defined; others may come.
MAX_ITEMS: Final = 100


class _Type(enum.IntEnum):
    REQUEST = 0
    DATA = 1
    REJECT = 2  # the example in BEP 9 encodes a 1; its text, and every client, says 2


@dataclass(slots=True)
class MetadataPiece:
    """A piece of the metadata that was asked for. It is not verified: only the whole can be.

    Attributes:
        piece: Which, from 0.
        total_size: Bytes of the whole metadata, as the peer announced them.
        data: The bytes: 16 KiB, fewer in the last piece.
    """

    piece: int
    total_size: int
    data: bytes

    def __str__(self) -> str:
        return f"metadata piece {self.piece}, {len(self.data)} of {self.total_size} bytes"


@dataclass(slots=True)
class MetadataReject:
    """The peer will not give a piece of the metadata that it was asked for.

    Attributes:
        piece: Which, from 0.
    """

    piece: int

    def __str__(self) -> str:
        return f"metadata reject {self.piece}"


class UtMetadata(Extension):
    """Gives the metadata of a torrent to a peer, and asks it for it (BEP 9).

    Requests of the peer are answered by themselves. To serve, it is given to `connect`, `serve` or
    `Wire` with the metadata: ``functools.partial(UtMetadata, metainfo.info)``. The answers to our
    own are events: a `MetadataPiece` or a `MetadataReject` for each.

    A peer is held to what it announced: a piece that was not asked for, or not of its length, and
    sizes that contradict each other end the wire.

    Args:
        metadata: The info dictionary's bytes; None while they are not known.
        limits: `Limits.max_metadata` and `Limits.max_metadata_copies`.

    Attributes:
        metadata: As given. Once it has become known, it may be set, and is announced by
            `Wire.send_extended_handshake`.
        size: Bytes of metadata that the peer announced, None if it has none to give.
        pending: The pieces we asked for that were not answered.
    """

    name: ClassVar[str] = "ut_metadata"

    def __init__(self, metadata: bytes | None = None, *, limits: Limits = DEFAULT_LIMITS) -> None:
        super().__init__()
        self.metadata = metadata
        self.size: int | None = None
        self.pending: set[int] = set()
        self._limits = limits
        self._served = 0  # pieces

    def request(self, piece: int) -> None:
        """Asks for a piece of the metadata.

        Args:
            piece: Which, from 0. Each has 16 KiB, the last what is left of `size`.

        Raises:
            LocalProtocolError: The peer does not speak ut_metadata, has no metadata, or not this
                piece; or the piece was asked for and not answered.
            ConnectionClosed: The connection has ended.
        """
        if self.size is None:
            raise LocalProtocolError(
                "the peer has no metadata to give, as it has announced no metadata_size",
                rule="BEP 9, extension header",
            )
        if not 0 <= piece < piece_count(self.size):
            raise LocalProtocolError(
                f"metadata piece {piece} of {piece_count(self.size)}", rule="BEP 9, metadata"
            )
        if piece in self.pending:
            raise LocalProtocolError(
                f"metadata piece {piece} was asked for and not answered yet", rule="BEP 9, request"
            )
        self.send(encode({"msg_type": _Type.REQUEST, "piece": piece}))
        self.pending.add(piece)

    # What a wire calls

    def handshake(self) -> Mapping[str, Value]:
        """Returns the size of our metadata, if there is any to give."""
        served = self._to_serve()
        return {"metadata_size": len(served)} if served else {}

    def handshake_received(self, handshake: ExtendedHandshake) -> None:
        """Takes note of how much metadata the peer has.

        Raises:
            ValueError: It has said otherwise before, or it is too much to be fetched.
        """
        size = handshake.metadata_size
        if size is None or not self.supported:
            return
        if self.size not in (None, size):
            raise ValueError(f"a metadata_size of {size}, which was {self.size} before")
        if self.metadata is None and size > self._limits.max_metadata:
            raise ValueError(
                f"a metadata_size of {size}; no more than {self._limits.max_metadata} bytes are"
                " fetched (Limits.max_metadata)"
            )
        self.size = size

    def receive(self, payload: bytes) -> MetadataPiece | MetadataReject | None:
        """Answers a request, and hands out the answer to one of ours.

        Raises:
            ValueError: It is malformed, or not what was announced or asked for.
        """
        header, end = decode_prefix(payload, max_items=MAX_ITEMS, strict=False)
        if not isinstance(header, dict) or not isinstance(header.get(b"msg_type"), int):
            raise ValueError("a message begins with a dictionary that has a msg_type (BEP 9)")
        match header[b"msg_type"]:
            case _Type.REQUEST:
                self._serve(_number(header, b"piece"), payload[end:])
            case _Type.DATA:
                return self._data(header, payload[end:])
            case _Type.REJECT:
                return self._rejected(_number(header, b"piece"), payload[end:])
        return None  # BEP 9: any other type is ignored, for what is yet to come

    # Inside

    def _to_serve(self) -> bytes:
        """Our metadata, or nothing while it is not known or if it is longer than is served."""
        metadata = self.metadata or b""
        return metadata if len(metadata) <= self._limits.max_metadata else b""

    def _serve(self, piece: int, rest: bytes) -> None:
        _expect_nothing("request", rest)
        if not self.supported:
            raise ValueError("a request before the peer announced ut_metadata can't be answered")
        served = self._to_serve()
        count = piece_count(len(served))
        if piece >= count or self._served >= count * self._limits.max_metadata_copies:
            self.send(encode({"msg_type": _Type.REJECT, "piece": piece}))
            return
        self._served += 1
        begin = piece * PIECE_LENGTH
        header = {"msg_type": _Type.DATA, "piece": piece, "total_size": len(served)}
        self.send(encode(header) + served[begin : begin + PIECE_LENGTH])

    def _data(self, header: Mapping[bytes, Value], data: bytes) -> MetadataPiece:
        piece = self._answered(_number(header, b"piece"))
        total_size = _number(header, b"total_size")
        if self.size != total_size:
            raise ValueError(f"a total_size of {total_size}, announced was {self.size} (BEP 9)")
        expected = piece_size(total_size, piece)
        if len(data) != expected:
            raise ValueError(f"piece {piece} with {len(data)} bytes, it has {expected} (BEP 9)")
        return MetadataPiece(piece, total_size, data)

    def _rejected(self, piece: int, rest: bytes) -> MetadataReject:
        _expect_nothing("reject", rest)
        return MetadataReject(self._answered(piece))

    def _answered(self, piece: int) -> int:
        if piece not in self.pending:
            raise ValueError(f"an answer for piece {piece}, which was not asked for (BEP 9)")
        self.pending.remove(piece)
        return piece


def _number(header: Mapping[bytes, Value], key: bytes) -> int:
    value = header.get(key)
    if not isinstance(value, int) or value < 0:
        raise ValueError(f"its {key.decode()} is no number from 0 on (BEP 9)")
    return value


def _expect_nothing(what: str, rest: bytes) -> None:
    if rest:
        raise ValueError(f"{len(rest)} bytes follow the dictionary of a {what} (BEP 9)")
