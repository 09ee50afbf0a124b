"""The allowed-fast set: pieces that a peer may have even while it is choked (BEP 6)."""

from __future__ import annotations

import hashlib
from struct import Struct

from .errors import LocalProtocolError
from .priority import address_bytes

__all__ = ["allowed_fast_set"]

_RULE = "BEP 6, allowed fast set generation"

_NUMBERS = Struct(">5I")

#: Leading bytes of an address that count, by its length. BEP 6 has IPv4's /24, so that a user with
#: several addresses of one network gets one set, and no provision for IPv6. There a single line is
#: commonly given 2^8 to 2^16 networks of /64, so these would get as many sets; a /48 is, like
#: IPv4's /24, the longest prefix that is routed between networks, and where BEP 40 begins too.
_KEPT = {4: 3, 16: 6}


def allowed_fast_set(
    num_pieces: int, info_hash: bytes, ip: str | bytes, count: int = 10
) -> list[int]:
    """Compute which pieces to serve a peer while choking it (BEP 6, allowed fast set generation).

    The first k pieces of a larger set are the set of k. IPv6 addresses count with their first 48
    bits, the rest zero, which is this library's choice as the BEP has none. libtorrent masks
    neither family; whoever receives a set takes it as advice, so nothing breaks.

    Args:
        num_pieces: How many pieces the torrent has.
        info_hash: 20 bytes; of a v2 torrent the first 20.
        ip: The address of the peer that may ask, as this side sees it: text, or its 4 or 16
            bytes. An IPv4-mapped IPv6 address is taken as IPv4.
        count: How many pieces; the BEP's authors use 10.

    Returns:
        Piece indices in canonical order, all of them where the torrent has no more than `count`.

    Raises:
        LocalProtocolError: The address is none, or the info-hash is not 20 bytes.
    """
    if len(info_hash) != 20:
        raise LocalProtocolError(f"the info-hash has 20 bytes, not {len(info_hash)}", rule=_RULE)
    address = address_bytes(ip)
    kept = _KEPT[len(address)]
    count = min(count, num_pieces)  # as many different ones exist: the loop ends
    digest = address[:kept] + bytes(len(address) - kept) + info_hash
    pieces: dict[int, None] = {}  # in order, without repetition
    while len(pieces) < count:
        digest = hashlib.sha1(digest, usedforsecurity=False).digest()
        pieces.update((number % num_pieces, None) for number in _NUMBERS.unpack(digest))
    return list(pieces)[: max(count, 0)]
