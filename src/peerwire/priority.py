"""Canonical peer priority: a rank that both ends of a connection compute alike (BEP 40)."""

from __future__ import annotations

import ipaddress
from struct import Struct

from .errors import LocalProtocolError

__all__ = ["address_bytes", "crc32c", "peer_priority"]

_RULE = "BEP 40, overview"

_PORTS = Struct(">HH")

#: Leading bytes that no mask touches, by the length of the address: IPv4's /16, IPv6's /48.
_LEAST_KEPT = {4: 2, 16: 6}


def _crc32c_table() -> tuple[int, ...]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)  # Castagnoli's, bits reversed
        table.append(value)
    return tuple(table)


_TABLE = _crc32c_table()


def crc32c(data: bytes) -> int:
    """Returns the CRC-32C (Castagnoli) of the bytes, as 32 bits (RFC 3720, appendix B.4)."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def peer_priority(a: tuple[str, int], b: tuple[str, int]) -> int:
    """Compute how much two peers should prefer each other over others (BEP 40).

    The order of the two does not matter. libtorrent and Transmission prefer the higher value,
    which the BEP leaves open. Of IPv6 addresses as many whole bytes count as the two share, and
    one more, but at least 6: so the BEP's masks go on for a common /64 and longer. libtorrent
    lets one byte more count for those that share 40 bits; this is the text's rule, Transmission's
    and anacrolix's.

    Args:
        a: One peer's IP address and port. Use for this side's the address that the other sees
            (BEP 10's ``yourip`` is a hint).
        b: The other's.

    Returns:
        32 bits.

    Raises:
        LocalProtocolError: An address is none, a port is not 0 to 65535, or one address is IPv4
            and the other IPv6, which have no common rank.
    """
    (ip_a, port_a), (ip_b, port_b) = a, b
    first, second = address_bytes(ip_a), address_bytes(ip_b)
    for port in (port_a, port_b):
        if not 0 <= port <= 0xFFFF:
            raise LocalProtocolError(f"port {port} is not 0 to 65535", rule=_RULE)
    if len(first) != len(second):
        raise LocalProtocolError(
            f"{ip_a} and {ip_b} are of two address families, which have no common rank; "
            "use this side's address in the peer's family",
            rule=_RULE,
        )
    if first == second:
        return crc32c(_PORTS.pack(*sorted((port_a, port_b))))
    mask = _mask(first, second)
    return crc32c(b"".join(sorted((_masked(first, mask), _masked(second, mask)))))


def address_bytes(ip: str | bytes) -> bytes:
    """Returns an IP address as bytes: 16 for IPv6, 4 for IPv4 and for IPv6 that stands for IPv4.

    Args:
        ip: As text, or the bytes themselves.

    Raises:
        LocalProtocolError: It is no IP address.
    """
    try:
        address = ipaddress.ip_address(ip)
    except ValueError:
        raise LocalProtocolError(
            f"{ip[:80]!r} is no IP address; resolve a host name first", rule=_RULE
        ) from None
    # A dual-stack socket names its IPv4 peers ::ffff:a.b.c.d; it is one peer, whoever asks.
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).packed


def _mask(a: bytes, b: bytes) -> bytes:
    shared = next(at for at, (x, y) in enumerate(zip(a, b, strict=True)) if x != y)
    kept = max(shared + 1, _LEAST_KEPT[len(a)])
    return b"\xff" * kept + b"\x55" * (len(a) - kept)


def _masked(address: bytes, mask: bytes) -> bytes:
    return bytes(x & y for x, y in zip(address, mask, strict=True))
