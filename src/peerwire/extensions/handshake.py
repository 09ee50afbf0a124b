"""The extended handshake (BEP 10): a dictionary of which most is optional."""

from __future__ import annotations

import functools
import ipaddress
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final

from ..bencode import decode, encode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..bencode import Value

__all__ = ["ExtendedHandshake", "shown_name"]

#: Nesting and values allowed in a peer's handshake. Those of deployed clients have a depth of two
#: and some twenty values.
MAX_DEPTH = 10
MAX_ITEMS = 2000

#: Names of extensions remembered of a peer; ids are a byte, and 0 is taken.
MAX_EXTENSIONS = 255

#: Bytes, as bencode, of the unknown keys remembered of all handshakes of a peer.
MAX_UNKNOWN = 64 * 1024

#: Bytes of a name up to which all handshakes share it. libtorrent's longest has 13.
SHARED = 32

#: Names of extensions that `str()` shows. libtorrent sends seven.
SHOWN = 20


@dataclass(slots=True)
class ExtendedHandshake:
    """What a peer tells of itself under BEP 10. What it did not tell is None.

    Attributes:
        m: Extension name to the message id its sender wants it sent with; 0 switches it off.
        p: TCP port its sender listens on.
        v: Client name and version.
        yourip: The receiver's address, as its sender sees it.
        ipv4: An IPv4 address its sender can be reached at.
        ipv6: An IPv6 address its sender can be reached at.
        reqq: Requests its sender queues without dropping any.
        metadata_size: Length of the info dictionary, in bytes (BEP 9).
        upload_only: Whether its sender wants nothing (BEP 21).
        complete_ago: Seconds since its sender became a seed; libtorrent's.
        unknown: All other keys, as they came.
        refused: What is wrong with values that were left out, a sentence each.
    """

    m: dict[str, int] = field(default_factory=dict)
    p: int | None = None
    v: str | None = None
    yourip: str | None = None
    ipv4: str | None = None
    ipv6: str | None = None
    reqq: int | None = None
    metadata_size: int | None = None
    upload_only: bool | None = None
    complete_ago: int | None = None
    unknown: dict[bytes, Value] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list, compare=False)

    def encode(self) -> bytes:
        """Returns the handshake as bencode, without the keys that are None."""
        out: dict[bytes, Value] = dict(self.unknown)
        out[b"m"] = {name.encode(): number for name, number in self.m.items()}
        for key, (_, write) in _KEYS.items():
            value = getattr(self, key)
            if value is not None:
                out[key.encode()] = write(value)
        return encode(out)

    @classmethod
    def decode(cls, payload: bytes) -> ExtendedHandshake:
        """Returns the handshake that a peer sent.

        A value of the wrong type or out of range is left out and named in `refused`: deployed
        clients send some, and the rest of their handshake is of use.

        Raises:
            BencodeError: It is not bencode, or nested or large beyond the bounds.
            ValueError: It is not a dictionary.
        """
        value = decode(payload, max_depth=MAX_DEPTH, max_items=MAX_ITEMS, strict=False)
        if not isinstance(value, dict):
            raise ValueError(f"it is a dictionary, not {type(value).__name__}")
        handshake = cls()
        for key, item in value.items():
            handshake._take(key, item)
        return handshake

    def update(self, newer: ExtendedHandshake) -> None:
        """Takes in a later handshake of the same peer: what that does not tell stays as it was.

        An extension whose id is 0 is switched off and stays in `m` as such.
        """
        for name, number in newer.m.items():
            if name in self.m or len(self.m) < MAX_EXTENSIONS:
                self.m[name] = number
        unknown = self.unknown | newer.unknown
        self.unknown = unknown if len(encode(unknown)) <= MAX_UNKNOWN else dict(newer.unknown)
        self.refused = newer.refused
        for entry in fields(self):
            value = getattr(newer, entry.name)
            if entry.name in _KEYS and value is not None:
                setattr(self, entry.name, value)

    def add(self, key: str, value: Value) -> None:
        """Sets a key, known or not, as an extension wants it.

        Raises:
            ValueError: It is not what that key holds, or the key is ``m``.
            TypeError: The same, or it can't be bencoded.
        """
        if key == "m":
            raise ValueError("it is made of the names of all extensions")
        if key in _KEYS:
            setattr(self, key, _KEYS[key][0](value))
        else:
            encode(value)
            self.unknown[key.encode()] = value

    def __str__(self) -> str:
        told = [f"{key}={getattr(self, key)}" for key in _KEYS if getattr(self, key) is not None]
        names = [f"{shown_name(name)}={number}" for name, number in self.m.items()]
        more = [f"and {len(names) - SHOWN} more"] if len(names) > SHOWN else []
        listed = ", ".join(names[:SHOWN] + more)
        return " ".join(["extended handshake", f"m=({listed})", *told])

    def _take(self, key: bytes, item: Value) -> None:
        name = key.decode(errors="replace")
        if key == b"m" and isinstance(item, dict):
            self._take_m(item)
        elif name in _KEYS:
            try:
                setattr(self, name, _KEYS[name][0](item))
            except (ValueError, TypeError) as error:
                self.refused.append(f"{name}: {error}")
        elif key == b"m":
            self.refused.append("m: it is a dictionary of names to ids")
        else:
            self.unknown[key] = item

    def _take_m(self, entries: Mapping[bytes, Value]) -> None:
        for name, number in entries.items():
            if not isinstance(number, int) or not 0 <= number <= 255:
                self.refused.append(f"m: the id of {name[:40]!r} is a byte, 0 to 255")
            elif len(self.m) < MAX_EXTENSIONS:
                self.m[_name(name)] = number


def _name(raw: bytes) -> str:
    return _shared(raw) if len(raw) <= SHARED else raw.decode(errors="replace")


@functools.lru_cache(maxsize=256)
def _shared(raw: bytes) -> str:
    """Returns one string for a name that thousands of peers say."""
    return raw.decode(errors="replace")


def _number(low: int, high: int) -> Callable[[Any], int]:
    def read(item: Any) -> int:
        if not isinstance(item, int) or not low <= item <= high:
            raise ValueError(f"it is a number from {low} to {high}")
        return item

    return read


def _text(item: Any) -> str:
    if not isinstance(item, bytes):
        raise TypeError("it is a string")
    return _printable(item[:MAX_TEXT].decode(errors="replace"))


def shown_name(name: str) -> str:
    """Returns the name that a peer gave an extension, fit for a log."""
    return _printable(name[:40])


def _printable(text: str) -> str:
    # Shown to people: nothing in it may move their cursor.
    return "".join(c if c.isprintable() else "\ufffd" for c in text)


def _ip(*lengths: int) -> Callable[[Any], str]:
    def read(item: Any) -> str:
        if not isinstance(item, bytes) or len(item) not in lengths:
            raise ValueError(f"it is a compact address of {' or '.join(map(str, lengths))} bytes")
        return str(ipaddress.ip_address(item))

    return read


def _packed(address: str) -> bytes:
    return ipaddress.ip_address(address).packed


MAX_TEXT: Final = 256
_U32: Final = 2**32 - 1
_U63: Final = 2**63 - 1

#: Key to how it is read from what a peer sent, and how it is written.
_KEYS: Final[dict[str, tuple[Callable[[Any], Any], Callable[[Any], Value]]]] = {
    "p": (_number(1, 65535), int),
    "v": (_text, str.encode),
    "yourip": (_ip(4, 16), _packed),
    "ipv4": (_ip(4), _packed),
    "ipv6": (_ip(16), _packed),
    "reqq": (_number(1, _U32), int),
    "metadata_size": (_number(1, _U63), int),
    "upload_only": (lambda item: bool(_number(-_U63, _U63)(item)), int),
    "complete_ago": (_number(-1, _U63), int),
}
