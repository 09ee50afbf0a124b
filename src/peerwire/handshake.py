"""The first 68 bytes of a connection (BEP 3), the bits reserved in them, and peer ids."""

from __future__ import annotations

import base64
import binascii
import enum
import os
import re
import string
from dataclasses import dataclass

from .clients import client_name
from .errors import InvalidHandshake, LocalProtocolError
from .version import __version__

__all__ = [
    "HANDSHAKE_LENGTH",
    "PROTOCOL",
    "PEER_ID_PREFIX",
    "Handshake",
    "Reserved",
    "azureus_prefix",
    "check_prefix",
    "generate_peer_id",
    "parse_hash20",
    "parse_info_hashes",
    "truncate_v2",
]

#: What every handshake begins with: the length of the protocol's name, and the name (BEP 3).
PROTOCOL = b"\x13BitTorrent protocol"

#: PROTOCOL, 8 reserved bytes, the info-hash, the peer id.
HANDSHAKE_LENGTH = 68

_RULE = "BEP 3, peer protocol"
_RULE_V2 = "BEP 52, infohash"

#: What else connects to an open port, by how it begins.
_STRANGERS = {
    b"\x16\x03": "TLS",
    b"CONNECT ": "HTTP",
    b"DELETE ": "HTTP",
    b"GET ": "HTTP",
    b"HEAD ": "HTTP",
    b"HTTP/": "HTTP",
    b"OPTIONS ": "HTTP",
    b"POST ": "HTTP",
    b"PRI * HTTP/2": "HTTP",
    b"PUT ": "HTTP",
    b"SSH-": "SSH",
}


class Reserved(enum.IntFlag):
    """The 8 reserved bytes as one big-endian number; bits that have no name here are kept.

    BEP 4 lists who uses which.
    """

    DHT = 0x01
    """The sender has a DHT node, whose port a PORT message tells (BEP 5)."""

    FAST = 0x04
    """The fast extension (BEP 6)."""

    V2 = 0x10
    """The initiator knows the torrent as a hybrid and would go on with v2 (BEP 52)."""

    EXTENSION = 0x10 << 16
    """The extension protocol (BEP 10)."""

    AZUREUS_MESSAGING = 0x80 << 56
    """Azureus's own messaging protocol (BEP 4)."""

    @classmethod
    def _missing_(cls, value: object) -> Reserved:
        # Every combination ever seen would be cached for good, and peers choose among 2^64. Those
        # of bits that have a name are few.
        combination: Reserved = super()._missing_(value)
        if combination.value & ~sum(cls):
            cls._value2member_map_.pop(combination.value, None)
        return combination


_NOTHING = Reserved(0)


@dataclass(slots=True)
class Handshake:
    """What one side says first (BEP 3, peer protocol).

    Attributes:
        info_hash: Which torrent, 20 bytes; of a v2 torrent the first 20 (BEP 52).
        peer_id: Who is talking, 20 bytes.
        reserved: What the sender can do beyond BEP 3.

    Raises:
        LocalProtocolError: A field is not of its length.
    """

    info_hash: bytes
    peer_id: bytes
    reserved: Reserved = _NOTHING

    def __post_init__(self) -> None:
        self.info_hash = _exactly_20(self.info_hash, "info-hash")
        self.peer_id = _exactly_20(self.peer_id, "peer id")
        if not 0 <= self.reserved < 1 << 64:
            raise LocalProtocolError("the reserved bits don't fit into 8 bytes", rule=_RULE)
        self.reserved = Reserved(self.reserved)

    @classmethod
    def decode(cls, data: bytes | bytearray | memoryview) -> Handshake:
        """Read the 68 bytes.

        Raises:
            InvalidHandshake: They are no handshake, or not 68.
        """
        data = bytes(data)
        check_prefix(data)
        if len(data) != HANDSHAKE_LENGTH:
            raise InvalidHandshake(
                f"a handshake has {HANDSHAKE_LENGTH} bytes, not {len(data)}", rule=_RULE
            )
        return cls(data[28:48], data[48:68], Reserved(int.from_bytes(data[20:28])))

    def encode(self) -> bytes:
        """Returns the 68 bytes."""
        return PROTOCOL + self.reserved.to_bytes(8) + self.info_hash + self.peer_id

    @property
    def client(self) -> str:
        """The name and version of the sender's client, from its peer id (BEP 20)."""
        return client_name(self.peer_id)

    def __str__(self) -> str:
        names = [str(flag.name).lower() for flag in Reserved if flag in self.reserved]
        unnamed = self.reserved & ~sum(Reserved)
        if unnamed:
            names.append(f"{int(unnamed):#x}")
        return f"handshake {self.info_hash.hex()} {self.client} [{' '.join(names)}]"


def check_prefix(data: bytes | bytearray | memoryview) -> None:
    """Refuse a stream that can't become a handshake, at its first wrong byte (BEP 3).

    Args:
        data: The first bytes received, however few.

    Raises:
        InvalidHandshake: It is not the BitTorrent protocol in the clear; the message tells what
            it looks like.
    """
    start = bytes(data[: len(PROTOCOL)])
    if PROTOCOL.startswith(start):
        return
    looks_like = next(
        (name for prefix, name in _STRANGERS.items() if start.startswith(prefix)), None
    )
    guess = f"it looks like {looks_like}" if looks_like else "it is another protocol or encrypted"
    raise InvalidHandshake(
        f"the stream begins with {start!r} where a handshake begins with {PROTOCOL!r}; {guess}",
        rule=_RULE,
    )


def parse_hash20(value: bytes | str, what: str = "info-hash") -> bytes:
    """Take an info-hash or peer id as people have it.

    Args:
        value: 20 bytes, 40 hex digits, or 32 base32 characters as in old magnet links (BEP 9).
        what: What to call it in an error.

    Returns:
        The 20 bytes.

    Raises:
        LocalProtocolError: It is none of these.
    """
    if not isinstance(value, str):
        return _exactly_20(value, what)
    try:
        if len(value) == 40:
            return binascii.unhexlify(value)
        if len(value) == 32:
            return base64.b32decode(value, casefold=True)
    except ValueError:
        pass
    raise LocalProtocolError(
        f"{value[:80]!r} is no {what}: 40 hex digits, 32 base32 characters, or 20 bytes are",
        rule=_RULE,
    )


def truncate_v2(value: bytes | str) -> bytes:
    """Take a v2 info-hash as people have it (BEP 52, infohash).

    Args:
        value: 32 bytes or 64 hex digits; or already truncated, 20 bytes or 40 hex digits.

    Returns:
        The first 20 bytes, which are what a handshake says.

    Raises:
        LocalProtocolError: It is none of these.
    """
    if not _is_whole_v2(value):
        return parse_hash20(value, "v2 info-hash")
    if not isinstance(value, str):
        return bytes(value[:20])
    try:
        return binascii.unhexlify(value)[:20]
    except ValueError:
        raise LocalProtocolError(
            f"{value!r} is no v2 info-hash: 64 hex digits or 32 bytes are", rule=_RULE_V2
        ) from None


def parse_info_hashes(
    info_hash: bytes | str | None, info_hash_v2: bytes | str | None
) -> tuple[bytes | None, bytes | None]:
    """Sort out by which info-hashes a torrent is known (BEP 52, upgrade path).

    Args:
        info_hash: See `parse_hash20`; or 32 bytes, or 64 hex digits, of a v2 torrent.
        info_hash_v2: See `truncate_v2`.

    Returns:
        The one to begin with, and that of v2, each 20 bytes, or None where there is none. They
        are the same for a torrent that is v2 only.

    Raises:
        LocalProtocolError: One of them is no info-hash.
    """
    v2 = None if info_hash_v2 is None else truncate_v2(info_hash_v2)
    if info_hash is None:
        return v2, v2
    if not _is_whole_v2(info_hash):
        return parse_hash20(info_hash), v2
    only = truncate_v2(info_hash)
    if v2 not in (None, only):
        raise LocalProtocolError(
            f"the info-hash is that of a v2 torrent already, so info_hash_v2={v2!r} is no other",
            rule=_RULE_V2,
        )
    return only, only


def azureus_prefix(code: str, version: str) -> bytes:
    """Make a peer id's prefix in the Azureus style (BEP 20).

    Args:
        code: The client's two letters.
        version: Its first three numbers become a digit each, as libtorrent writes them: A is 10,
            and whatever is above 35 is Z.

    Returns:
        8 bytes: ``azureus_prefix("PW", "1.12.3")`` is ``b"-PW1C30-"``.
    """
    digits = string.digits + string.ascii_uppercase
    numbers = [int(number) for number in re.findall(r"\d+", version)[:3]]
    written = "".join(digits[min(number, 35)] for number in numbers)
    return f"-{code}{written:0<4}-".encode()


#: How our own peer ids begin (BEP 20).
PEER_ID_PREFIX = azureus_prefix("PW", __version__)


def generate_peer_id(prefix: bytes = PEER_ID_PREFIX) -> bytes:
    """Make a new peer id: a prefix that names the client (BEP 20), the rest random.

    Raises:
        LocalProtocolError: The prefix is longer than 20 bytes.
    """
    if len(prefix) > 20:
        raise LocalProtocolError(
            f"a peer id has 20 bytes, its prefix already {len(prefix)}", rule="BEP 20"
        )
    letters = string.ascii_letters + string.digits
    # Not by the secrets module: its import takes as long as half of this package's.
    rest = "".join(letters[byte % len(letters)] for byte in os.urandom(20 - len(prefix)))
    return prefix + rest.encode()


def _is_whole_v2(value: bytes | str) -> bool:
    """Whether it has the length of a v2 info-hash that is not truncated."""
    if isinstance(value, str):
        return len(value) == 64
    return isinstance(value, bytes | bytearray | memoryview) and len(value) == 32


def _exactly_20(value: bytes, what: str) -> bytes:
    """Check what a caller passed, whatever the annotation says."""
    if not isinstance(value, bytes | bytearray | memoryview):
        raise LocalProtocolError(
            f"the {what} is bytes, not {type(value).__name__}: see parse_hash20", rule=_RULE
        )
    if len(value) != 20:
        raise LocalProtocolError(f"the {what} has 20 bytes, not {len(value)}", rule=_RULE)
    return bytes(value)
