"""The messages of the peer wire, a class each.

A message is data: its fields, its id, its encoding with the length prefix, and a one-line
``str()`` that elides what is long. All of them can be taken apart with ``match``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from struct import Struct
from typing import TYPE_CHECKING, ClassVar, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .hash_requests import PendingHashRequest
    from .hashes import HashRange
    from .requests import PendingRequest

__all__ = [
    "Message",
    "KeepAlive",
    "Choke",
    "Unchoke",
    "Interested",
    "NotInterested",
    "Have",
    "Bitfield",
    "Request",
    "Piece",
    "Cancel",
    "Port",
    "Suggest",
    "HaveAll",
    "HaveNone",
    "Reject",
    "AllowedFast",
    "Extended",
    "HashRequest",
    "Hashes",
    "HashReject",
    "Unknown",
    "Buffer",
]

#: What a block may be held in: whoever reads it need not care.
Buffer: TypeAlias = bytes | bytearray | memoryview

_HEADER = Struct(">IB")
_INDEX = Struct(">IBI")
_BLOCK = Struct(">IBIII")
_PIECE = Struct(">IBII")
_PORT = Struct(">IBH")


class Message:
    """What every message of the peer wire has in common."""

    __slots__ = ()

    id: ClassVar[int]
    """The byte after the length prefix; a keep-alive, which has none, says -1."""

    name: ClassVar[str]
    """What the specifications call it."""

    def encode(self) -> bytes:
        """Returns the message as it stands on the wire, length prefix included."""
        return _HEADER.pack(1, self.id)

    def __str__(self) -> str:
        return self.name


@dataclass(slots=True)
class KeepAlive(Message):
    """Nothing to say, but still here: a length prefix of zero (BEP 3, handshaking)."""

    id: ClassVar[int] = -1
    name: ClassVar[str] = "keep-alive"

    def encode(self) -> bytes:  # noqa: D102 - said by the base class, here and below
        return b"\0\0\0\0"


@dataclass(slots=True)
class Choke(Message):
    """No block will be sent until `Unchoke` (BEP 3, peer messages)."""

    id: ClassVar[int] = 0
    name: ClassVar[str] = "choke"


@dataclass(slots=True)
class Unchoke(Message):
    """Requests are answered from now on (BEP 3, peer messages)."""

    id: ClassVar[int] = 1
    name: ClassVar[str] = "unchoke"


@dataclass(slots=True)
class Interested(Message):
    """The sender would make requests if it were unchoked (BEP 3, peer messages)."""

    id: ClassVar[int] = 2
    name: ClassVar[str] = "interested"


@dataclass(slots=True)
class NotInterested(Message):
    """The receiver has nothing that the sender wants (BEP 3, peer messages)."""

    id: ClassVar[int] = 3
    name: ClassVar[str] = "not interested"


@dataclass(slots=True)
class _Indexed(Message):
    index: int

    def encode(self) -> bytes:
        return _INDEX.pack(5, self.id, self.index)

    def __str__(self) -> str:
        return f"{self.name} {self.index}"


@dataclass(slots=True)
class Have(_Indexed):
    """The sender has the piece `index` and checked its hash (BEP 3, peer messages)."""

    id: ClassVar[int] = 4
    name: ClassVar[str] = "have"


@dataclass(slots=True)
class Bitfield(Message):
    """The pieces the sender has, a bit each, the high bit of byte 0 first (BEP 3, peer messages).

    Attributes:
        bits: One bit a piece; spare bits at the end are zero.
    """

    bits: bytes
    id: ClassVar[int] = 5
    name: ClassVar[str] = "bitfield"

    def encode(self) -> bytes:  # noqa: D102
        return _HEADER.pack(1 + len(self.bits), self.id) + self.bits

    def __str__(self) -> str:
        held = int.from_bytes(self.bits, "big").bit_count()
        return f"bitfield {held} of at most {8 * len(self.bits)}"


@dataclass(slots=True)
class _Block(Message):
    index: int
    begin: int
    length: int

    def encode(self) -> bytes:
        return _BLOCK.pack(13, self.id, self.index, self.begin, self.length)

    def __str__(self) -> str:
        return f"{self.name} {self.index}:{self.begin}+{self.length}"


@dataclass(slots=True)
class Request(_Block):
    """Asks for `length` bytes of piece `index` from offset `begin` (BEP 3, peer messages)."""

    id: ClassVar[int] = 6
    name: ClassVar[str] = "request"


@dataclass(slots=True)
class Piece(Message):
    """A block: the answer to a request (BEP 3, peer messages).

    Attributes:
        index: Index of the piece the block belongs to.
        begin: Offset of the block in it, in bytes.
        block: The bytes.
        request: The request that it answers, in a message received by a `Wire`.
    """

    index: int
    begin: int
    block: Buffer
    request: PendingRequest | None = field(default=None, compare=False, repr=False)
    id: ClassVar[int] = 7
    name: ClassVar[str] = "piece"
    __match_args__ = ("index", "begin", "block")

    def encode(self) -> bytes:  # noqa: D102
        return self.header(self.index, self.begin, len(self.block)) + self.block

    @staticmethod
    def header(index: int, begin: int, length: int) -> bytes:
        """Returns the 13 bytes before a block, so that the block itself need not be copied."""
        return _PIECE.pack(9 + length, 7, index, begin)

    def __str__(self) -> str:
        return f"piece {self.index}:{self.begin}+{len(self.block)}"


@dataclass(slots=True)
class Cancel(_Block):
    """Takes a request back (BEP 3, peer messages)."""

    id: ClassVar[int] = 8
    name: ClassVar[str] = "cancel"


@dataclass(slots=True)
class Port(Message):
    """The UDP port of the sender's DHT node (BEP 5, BitTorrent protocol extension)."""

    port: int
    id: ClassVar[int] = 9
    name: ClassVar[str] = "port"

    def encode(self) -> bytes:  # noqa: D102
        return _PORT.pack(3, self.id, self.port)

    def __str__(self) -> str:
        return f"port {self.port}"


@dataclass(slots=True)
class Suggest(_Indexed):
    """Piece `index` would be a good one to ask for (BEP 6, suggest piece)."""

    id: ClassVar[int] = 13
    name: ClassVar[str] = "suggest"


@dataclass(slots=True)
class HaveAll(Message):
    """The sender has every piece (BEP 6, have all/have none)."""

    id: ClassVar[int] = 14
    name: ClassVar[str] = "have all"


@dataclass(slots=True)
class HaveNone(Message):
    """The sender has no piece (BEP 6, have all/have none)."""

    id: ClassVar[int] = 15
    name: ClassVar[str] = "have none"


@dataclass(slots=True)
class Reject(_Block):
    """A request will not be answered with a block (BEP 6, reject request)."""

    id: ClassVar[int] = 16
    name: ClassVar[str] = "reject"


@dataclass(slots=True)
class AllowedFast(_Indexed):
    """Piece `index` may be asked for even while choked (BEP 6, allowed fast)."""

    id: ClassVar[int] = 17
    name: ClassVar[str] = "allowed fast"


@dataclass(slots=True)
class Extended(Message):
    """A message of an extension (BEP 10).

    Attributes:
        extended_id: The id that its receiver gave the extension; 0 is the extended handshake.
        payload: What the extension says.
        label: What the extension is called, in a message of a `Wire`.
    """

    extended_id: int
    payload: bytes
    label: str = field(default="", compare=False)
    id: ClassVar[int] = 20
    name: ClassVar[str] = "extended"
    __match_args__ = ("extended_id", "payload")

    def encode(self) -> bytes:  # noqa: D102
        return (
            _HEADER.pack(2 + len(self.payload), self.id) + bytes((self.extended_id,)) + self.payload
        )

    def __str__(self) -> str:
        return f"extended {self.label or f'id {self.extended_id}'}, {len(self.payload)} bytes"


@dataclass(slots=True)
class _Ranged(Message):
    range: HashRange

    def encode(self) -> bytes:
        payload = self.range.encode()
        return _HEADER.pack(1 + len(payload), self.id) + payload

    def __str__(self) -> str:
        return f"{self.name} {self.range}"


@dataclass(slots=True)
class HashRequest(_Ranged):
    """Asks for the hashes of `range`, in a file's tree (BEP 52, peer messages)."""

    id: ClassVar[int] = 21
    name: ClassVar[str] = "hash request"


@dataclass(slots=True)
class Hashes(Message):
    """The answer to a hash request (BEP 52, peer messages).

    Attributes:
        range: What was asked for.
        hashes: 32 bytes each: those of the base layer, then the uncles from the lowest up.
        request: The request that it answers, in a message received by a `Wire`.
    """

    range: HashRange
    hashes: Sequence[bytes]
    request: PendingHashRequest | None = field(default=None, compare=False, repr=False)
    id: ClassVar[int] = 22
    name: ClassVar[str] = "hashes"
    __match_args__ = ("range", "hashes")

    def encode(self) -> bytes:  # noqa: D102
        payload = self.range.encode() + b"".join(self.hashes)
        return _HEADER.pack(1 + len(payload), self.id) + payload

    def __str__(self) -> str:
        return f"hashes {self.range}, {len(self.hashes)} hashes"


@dataclass(slots=True)
class HashReject(_Ranged):
    """A hash request will not be answered with hashes (BEP 52, peer messages)."""

    id: ClassVar[int] = 23
    name: ClassVar[str] = "hash reject"


@dataclass(slots=True)
class Unknown(Message):
    """A message with an id that this library has no class for.

    Attributes:
        id: The id, 0 to 255.
        payload: What followed it.
    """

    id: int  # type: ignore[misc]  # the one class whose id is not its own constant
    payload: bytes
    name: ClassVar[str] = "unknown"

    def encode(self) -> bytes:  # noqa: D102
        return _HEADER.pack(1 + len(self.payload), self.id) + self.payload

    def __str__(self) -> str:
        return f"unknown id {self.id}, {len(self.payload)} bytes"
