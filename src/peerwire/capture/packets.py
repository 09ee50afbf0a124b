"""A captured frame to the TCP segment in it, through link layer and IP.

What is no TCP, or cut off before its data begins, is nothing. A packet that was cut off later is
told with its true length. Fragments of IP packets are left out: TCP avoids them, and where there
are some, what they carried shows as a gap.
"""

from __future__ import annotations

import enum
import ipaddress
from struct import Struct
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Endpoint", "Flags", "LinkType", "Segment", "segment_of"]

#: An IP address as text, and a port.
Endpoint: TypeAlias = tuple[str, int]


class LinkType(enum.IntEnum):
    """What a frame begins with: the link types that are read, as libpcap numbers them."""

    NULL = 0
    ETHERNET = 1
    RAW_BSD = 12
    RAW_OPENBSD = 14
    RAW = 101
    LOOP = 108
    LINUX_SLL = 113
    IPV4 = 228
    IPV6 = 229
    LINUX_SLL2 = 276


class Flags(enum.IntFlag):
    """The flags of TCP that open and close a connection."""

    FIN = 0x01
    SYN = 0x02
    RST = 0x04
    ACK = 0x10


class Segment(NamedTuple):
    """What TCP said in one packet.

    Attributes:
        source: Who sent it.
        target: To whom.
        seq: The number of its first byte, modulo 2^32.
        ack: The number of the byte that its sender expects next.
        flags: As a number; see `Flags`.
        data: The bytes, as far as they were captured.
        length: How many there were.
    """

    source: Endpoint
    target: Endpoint
    seq: int
    ack: int
    flags: int
    data: bytes
    length: int


_IPV4: Final = Struct(">BxHxxHxBxx4s4s")
_IPV6: Final = Struct(">IHBx16s16s")
_TCP: Final = Struct(">HHIIBB6x")

_ETHER_IP: Final = frozenset({0x0800, 0x86DD})

#: A tag of a virtual network, of a provider's network, and the older form of that: four bytes,
#: of which the last two say what follows.
_ETHER_VLAN: Final = frozenset({0x8100, 0x88A8, 0x9100})

_TCP_PROTOCOL: Final = 6
_FRAGMENT_HEADER: Final = 44

#: Headers of IPv6 that may stand before TCP: hop-by-hop, routing, fragment, destination.
_IPV6_EXTENSIONS: Final = frozenset({0, 43, _FRAGMENT_HEADER, 60})


def segment_of(link_type: int, frame: bytes, wire_length: int) -> Segment | None:
    """Returns the TCP segment in a frame; None if there is none that can be read.

    Args:
        link_type: What the frame begins with, a `LinkType`.
        frame: As it was captured, perhaps cut off.
        wire_length: How long it was, in bytes.

    Raises:
        ValueError: Frames of this link type are not read.
    """
    skip = _LINKS.get(link_type)
    if skip is None:
        raise ValueError(f"link type {link_type} is not one of {', '.join(_names())}")
    start = skip(frame)
    if start is None or start >= len(frame):
        return None
    version = frame[start] >> 4
    if version == 4:
        return _ipv4(frame, start, wire_length)
    return _ipv6(frame, start, wire_length) if version == 6 else None


def _names() -> list[str]:
    return [f"{link.name} ({link.value})" for link in LinkType]


# Link layers: each returns where IP begins, or None


def _raw(_frame: bytes) -> int:
    return 0


def _null(_frame: bytes) -> int:
    return 4  # an address family, whose number differs from system to system; IP tells by itself


def _ethernet(frame: bytes) -> int | None:
    return _after_type(frame, 12)


def _linux_sll(frame: bytes) -> int | None:
    return _after_type(frame, 14)


def _linux_sll2(frame: bytes) -> int | None:
    # The type stands first here; a tag, where there is one, stands after the whole header.
    kind = int.from_bytes(frame[:2])
    if kind in _ETHER_VLAN:
        return _after_type(frame, 22)
    return 20 if kind in _ETHER_IP else None


def _after_type(frame: bytes, at: int) -> int | None:
    """Returns where IP begins after a type of two bytes at `at`, and the tags after that."""
    while (kind := int.from_bytes(frame[at : at + 2])) in _ETHER_VLAN:
        at += 4
    return at + 2 if kind in _ETHER_IP else None


_LINKS: Final[dict[int, Callable[[bytes], int | None]]] = {
    LinkType.NULL: _null,
    LinkType.ETHERNET: _ethernet,
    LinkType.RAW_BSD: _raw,
    LinkType.RAW_OPENBSD: _raw,
    LinkType.RAW: _raw,
    LinkType.LOOP: _null,
    LinkType.LINUX_SLL: _linux_sll,
    LinkType.IPV4: _raw,
    LinkType.IPV6: _raw,
    LinkType.LINUX_SLL2: _linux_sll2,
}


# IP and TCP


def _ipv4(frame: bytes, start: int, wire_length: int) -> Segment | None:
    if len(frame) < start + _IPV4.size:
        return None
    first, total, fragment, protocol, source, target = _IPV4.unpack_from(frame, start)
    header = 4 * (first & 15)
    # The upper bit of the three is reserved, the next forbids fragments.
    if protocol != _TCP_PROTOCOL or fragment & 0x3FFF or header < _IPV4.size:
        return None
    # A length of zero: the network card was to cut it into packets, and had yet to.
    end = start + total if total else wire_length
    return _tcp(frame, start + header, end, source, target)


def _ipv6(frame: bytes, start: int, wire_length: int) -> Segment | None:
    if len(frame) < start + _IPV6.size:
        return None
    _, length, kind, source, target = _IPV6.unpack_from(frame, start)
    at = start + _IPV6.size
    end = at + length if length else wire_length
    while kind in _IPV6_EXTENSIONS and at + 8 <= len(frame):
        if kind == _FRAGMENT_HEADER and int.from_bytes(frame[at + 2 : at + 4]) & 0xFFF9:
            return None
        following = frame[at]
        at += 8 if kind == _FRAGMENT_HEADER else 8 + 8 * frame[at + 1]
        kind = following
    return _tcp(frame, at, end, source, target) if kind == _TCP_PROTOCOL else None


def _tcp(frame: bytes, start: int, end: int, source: bytes, target: bytes) -> Segment | None:
    if len(frame) < start + _TCP.size:
        return None
    source_port, target_port, seq, ack, offset, flags = _TCP.unpack_from(frame, start)
    begin = start + 4 * (offset >> 4)
    if begin < start + _TCP.size or begin > end:
        return None
    return Segment(
        (str(ipaddress.ip_address(source)), source_port),
        (str(ipaddress.ip_address(target)), target_port),
        seq,
        ack,
        flags,
        frame[begin:end],
        end - begin,
    )
