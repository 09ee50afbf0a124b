"""Writes what connections carried as a capture file, for `peerwire decode`, Wireshark and the like.

A program that stands between two peers has their bytes and no packets. Here they become packets of
IP and TCP that never were, in the classic format (pcap) that every reader knows. Checksums are left
zero, as those of packets are that a network card was yet to fill in.
"""

from __future__ import annotations

import ipaddress
from struct import Struct
from typing import TYPE_CHECKING, BinaryIO, Final

from ..state import Role
from .packets import Flags, LinkType

if TYPE_CHECKING:
    from ..messages import Buffer
    from .packets import Endpoint

__all__ = ["CaptureWriter", "WrittenStream"]

#: Bytes of TCP in one packet: as much as IPv4 allows, rounded down.
MAX_SEGMENT: Final = 65_000

_FILE: Final = Struct(">IHHIIII")
_PACKET: Final = Struct(">IIII")
_IPV4: Final = Struct(">BBHHHBBH")
_IPV6: Final = Struct(">IHBB")
_TCP: Final = Struct(">HHIIBBHHH")

_MAGIC: Final = 0xA1B2C3D4

#: Between the numbers with which streams begin; prime to 2^32, so that it is long until one is met
#: again.
_STREAM_STEP: Final = 0x9E3779B1
_TCP_PROTOCOL: Final = 6


class CaptureWriter:
    """A capture file that is being written.

    Args:
        file: Where to; it is not closed here.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._streams = 0
        file.write(_FILE.pack(_MAGIC, 2, 4, 0, 0, 1 << 18, LinkType.RAW))

    def connection(self, initiator: Endpoint, responder: Endpoint, now: float) -> WrittenStream:
        """Writes that a connection is opened, and returns what writes the rest of it.

        Args:
            initiator: The IP address and port of the side that opens it.
            responder: Those of the other.
            now: What time it is, in seconds since 1970.

        Raises:
            ValueError: An address is none.
        """
        # Two of the same ends begin with different numbers (RFC 9293, 3.4.1): with the same, the
        # second would be the first again.
        self._streams += 1
        first = self._streams * _STREAM_STEP % (1 << 32)
        return WrittenStream(self, initiator, responder, now, first)

    def packet(self, data: bytes, now: float) -> None:
        """Writes one packet of IP."""
        micros = round(now * 1e6)
        self._file.write(_PACKET.pack(*divmod(micros, 1_000_000), len(data), len(data)) + data)


class WrittenStream:
    """One connection in a capture file that is being written."""

    def __init__(
        self,
        writer: CaptureWriter,
        initiator: Endpoint,
        responder: Endpoint,
        now: float,
        first_number: int,
    ) -> None:
        first, second = (ipaddress.ip_address(end[0]) for end in (initiator, responder))
        if first.version != second.version:  # one side of a socket that takes both
            first, second = _as_ipv6(first), _as_ipv6(second)
        self._writer = writer
        self._ends = {
            Role.INITIATOR: (first.packed, initiator[1]),
            Role.RESPONDER: (second.packed, responder[1]),
        }
        self._sent = dict.fromkeys(Role, first_number)  # of the next byte
        self._say(Role.INITIATOR, Flags.SYN, b"", now)
        self._say(Role.RESPONDER, Flags.SYN | Flags.ACK, b"", now)
        self._say(Role.INITIATOR, Flags.ACK, b"", now)

    def data(self, sender: Role, data: Buffer, now: float) -> None:
        """Writes what one side said.

        Args:
            sender: Which side.
            data: The bytes.
            now: What time it is, in seconds since 1970.
        """
        for start in range(0, len(data), MAX_SEGMENT):
            self._say(sender, Flags.ACK, bytes(data[start : start + MAX_SEGMENT]), now)

    def eof(self, sender: Role, now: float) -> None:
        """Writes that one side says nothing more."""
        self._say(sender, Flags.FIN | Flags.ACK, b"", now)

    def _say(self, sender: Role, flags: Flags, data: bytes, now: float) -> None:
        receiver = Role.RESPONDER if sender is Role.INITIATOR else Role.INITIATOR
        (source, source_port), (target, target_port) = self._ends[sender], self._ends[receiver]
        ack = self._sent[receiver] if flags & Flags.ACK else 0
        head = _TCP.pack(
            source_port, target_port, self._sent[sender], ack, 0x50, flags, 0xFFFF, 0, 0
        )
        self._writer.packet(_ip_header(source, target, len(head) + len(data)) + head + data, now)
        counted = len(data) + bool(flags & (Flags.SYN | Flags.FIN))
        self._sent[sender] = (self._sent[sender] + counted) % (1 << 32)


def _ip_header(source: bytes, target: bytes, length: int) -> bytes:
    if len(source) == 4:
        head = _IPV4.pack(0x45, 0, 20 + length, 0, 0x4000, 64, _TCP_PROTOCOL, 0)
    else:
        head = _IPV6.pack(6 << 28, length, _TCP_PROTOCOL, 64)
    return head + source + target


def _as_ipv6(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> ipaddress.IPv6Address:
    if isinstance(address, ipaddress.IPv6Address):
        return address
    return ipaddress.IPv6Address(f"::ffff:{address}")
