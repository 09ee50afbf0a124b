"""Frames as they are on the wire, and captures of what wires say to each other."""

from __future__ import annotations

import ipaddress
import struct

A = ("10.0.0.1", 50000)
B = ("10.0.0.2", 6881)
A6 = ("fe80::1", 50000)
B6 = ("2001:db8::2", 6881)


def tcp(data=b"", *, seq=0, ack=0, flags=0x10, ports=(50000, 6881), options=b""):
    offset = (20 + len(options)) // 4 << 4
    return struct.pack(">HHIIBBHHH", *ports, seq, ack, offset, flags, 0, 0, 0) + options + data


def ipv4(
    payload, *, source=A[0], target=B[0], total=None, fragment=0x4000, protocol=6, options=b""
):
    header = 20 + len(options)
    total = header + len(payload) if total is None else total
    first = 0x40 | header // 4
    head = struct.pack(">BBHHHBBH", first, 0, total, 7, fragment, 64, protocol, 0)
    return head + packed(source) + packed(target) + options + payload


def ipv6(payload, *, source=A6[0], target=B6[0], length=None, kind=6):
    length = len(payload) if length is None else length
    head = struct.pack(">IHBB", 6 << 28, length, kind, 64)
    return head + packed(source) + packed(target) + payload


def packed(address):
    return ipaddress.ip_address(address).packed


def pcap(frames, link_type=1, order="<"):
    """A capture file of (seconds, frame) or (seconds, frame, length on the wire)."""
    out = struct.pack(order + "IHHIIII", 0xA1B2C3D4, 2, 4, 0, 0, 1 << 18, link_type)
    for seconds, frame, *length in frames:
        micros = round(seconds * 1e6)
        out += struct.pack(
            order + "IIII", *divmod(micros, 10**6), len(frame), (length or [len(frame)])[0]
        )
        out += frame
    return out


def pcapng(frames, link_type=1):
    """The same in the newer format."""

    def block(kind, body):
        body += bytes(-len(body) % 4)
        length = struct.pack("<I", 12 + len(body))
        return struct.pack("<I", kind) + length + body + length

    out = block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))
    out += block(1, struct.pack("<HHI", link_type, 0, 1 << 18))
    for seconds, frame in frames:
        high, low = divmod(round(seconds * 1e6), 1 << 32)
        out += block(6, struct.pack("<IIIII", 0, high, low, len(frame), len(frame)) + frame)
    return out
