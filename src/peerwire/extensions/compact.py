"""Where peers are, in bytes: an IP address and a port after it, 6 or 18 bytes (BEP 23, BEP 7)."""

from __future__ import annotations

import ipaddress
from typing import Final, TypeAlias

from ..errors import LocalProtocolError

__all__ = ["IPV4", "IPV6", "Endpoint", "is_usable", "pack", "unpack"]

#: An IP address as text, and a port.
Endpoint: TypeAlias = tuple[str, int]

#: Bytes of an endpoint of each address family.
IPV4: Final = 6
IPV6: Final = 18


def pack(ip: str, port: int) -> bytes:
    """Returns an endpoint as 6 bytes (IPv4) or 18 (IPv6).

    Raises:
        LocalProtocolError: It is no IP address, or the port is not 0 to 65535.
    """
    try:
        return ipaddress.ip_address(ip).packed + port.to_bytes(2)
    except (ValueError, OverflowError) as cause:
        raise LocalProtocolError(
            f"{ip!r:.80}, {port} is no IP address and port from 0 to 65535", rule="BEP 23"
        ) from cause


def unpack(data: bytes) -> Endpoint:
    """Returns the endpoint that these 6 or 18 bytes are.

    Raises:
        ValueError: They are not as many.
    """
    if len(data) not in (IPV4, IPV6):
        raise ValueError(f"an endpoint has {IPV4} bytes (IPv4) or {IPV6} (IPv6), not {len(data)}")
    return str(ipaddress.ip_address(data[:-2])), int.from_bytes(data[-2:])


def is_usable(ip: str, port: int) -> bool:
    """Whether a peer can be at an endpoint that somebody has told of.

    None can be at port 0, at addresses that stand for none or for many, or at one that is local to
    a link, whose other end would have to be told which. Loopback is as good as any other.
    """
    try:
        address = ipaddress.ip_address(ip)
    except ValueError:
        return False
    if not 0 < port <= 0xFFFF or (address.version == 4 and address.packed[0] == 0):
        return False
    return address.is_loopback or not (
        address.is_unspecified
        or address.is_multicast
        or address.is_link_local
        or address.is_reserved
    )
