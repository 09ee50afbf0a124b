"""Peers as bytes (BEP 23, BEP 7), and the rank that addresses have for each other (BEP 40)."""

from __future__ import annotations

import ipaddress

from peerwire.errors import LocalProtocolError
from peerwire.extensions.compact import IPV4, IPV6, Endpoint, is_usable, pack, unpack
from peerwire.priority import address_bytes, peer_priority

from ..harness import Script, expect


def target(data: bytes) -> None:
    """Reads a list of endpoints, and some text as an address."""
    script = Script(data)
    size = (IPV4, IPV6, script.below(30))[script.below(3)]
    text = script.text().decode("latin-1")
    last: Endpoint = ("192.0.2.1", 6881)
    while script:
        raw = script.take(size)
        try:
            found = unpack(raw)
        except ValueError:
            expect(len(raw) not in (IPV4, IPV6), "a whole endpoint is refused")
            break
        expect(pack(*found) == raw, "pack(unpack(x)) is not x")
        expect(ipaddress.ip_address(found[0]).packed == raw[:-2], "another address")
        expect(not is_usable(*found) or found[1] != 0, "nobody is at port 0")
        _rank(last, found)
        last = found
    _as_text(text)


def _rank(a: Endpoint, b: Endpoint) -> None:
    try:
        rank = peer_priority(a, b)
    except LocalProtocolError:
        lengths = {len(address_bytes(ip)) for ip, _ in (a, b)}
        expect(len(lengths) == 2, "two addresses of a family have a rank")
        return
    expect(rank == peer_priority(b, a), "the order matters")
    expect(0 <= rank < 1 << 32, "it is 32 bits")


def _as_text(text: str) -> None:
    try:
        packed = pack(text, len(text))
    except LocalProtocolError:
        expect(not is_usable(text, 1), "usable, and can't be packed")
        return
    expect(unpack(packed)[1] == len(text), "another port")
