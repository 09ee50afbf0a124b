"""The hash messages of v2."""

from __future__ import annotations

from peerwire import (
    Hashes,
    HashRange,
    HashReject,
    HashRequest,
    Limits,
    Message,
    RemoteProtocolError,
)

from ..case import UNBOUND, Case, Ended, Scene, Tolerated
from ..torrent import greeting, said

__all__ = ["CASES"]

ROOT = bytes(32)
GOOD = HashRange(ROOT, 0, 0, 2, 0)
V2 = Scene(v2=True, limits=Limits(max_peer_hash_requests=5), slow=True)


def outside(message: Message) -> Case:
    return Case(
        id=f"hashes/{message.name.replace(' ', '-')}-without-v2",
        script=(greeting(), message),
        expect=Ended(RemoteProtocolError, "BEP 52, upgrade path", "not about a v2 info-hash"),
    )


def unasked(name: str, message: Message, rule: str) -> Case:
    return Case(
        id=f"hashes/{name}",
        script=(greeting(), message),
        expect=Ended(RemoteProtocolError, rule, "not asked for"),
        levels=UNBOUND,
        scene=V2,
    )


def rejected(name: str, *ranges: HashRange, note: str) -> Case:
    """The last of these requests is rejected."""
    return Case(
        id=f"hashes/{name}",
        script=(greeting(), said(*map(HashRequest, ranges))),
        expect=Tolerated((HashReject(ranges[-1]),), note),
        levels=UNBOUND,
        scene=V2,
    )


def of(base_layer: int, index: int, length: int, proof_layers: int) -> HashRange:
    return HashRange(ROOT, base_layer, index, length, proof_layers)


MANY = [of(0, 2 * n, 2, 0) for n in range(6)]
HIGH = 2**32 - 1

CASES = (
    outside(HashRequest(GOOD)),
    outside(Hashes(GOOD, [ROOT] * 2)),
    outside(HashReject(GOOD)),
    unasked("unasked", Hashes(GOOD, [ROOT] * 2), "BEP 52, peer messages: hashes answer"),
    unasked("unasked-1MiB", Hashes(GOOD, [ROOT] * 32_000), "BEP 52, peer messages"),
    unasked("reject-unasked", HashReject(GOOD), "BEP 52, peer messages: hash reject"),
    rejected("length-0", of(0, 0, 0, 0), note="the length 0 is not a power of two"),
    rejected("length-1", of(0, 0, 1, 0), note="the length 1 is not a power of two"),
    rejected("length-3", of(0, 0, 3, 0), note="the length 3 is not a power of two"),
    rejected("length-16384", of(0, 0, 16384, 0), note="is above 8192"),
    rejected("length-the-highest", of(0, 0, HIGH, 0), note="not a power of two"),
    rejected("index-unaligned", of(0, 1, 2, 0), note="not a multiple of the length"),
    rejected("layer-the-highest", of(HIGH, 0, 2, 0), note="layer 4294967295"),
    rejected("proof-the-highest", of(0, 0, 2, HIGH), note="4294967295 proof layers"),
    rejected("duplicate", GOOD, GOOD, note="asked for already"),
    rejected("too-many", *MANY, note="5 hash requests are pending"),
    Case(
        id="hashes/flood",
        script=(greeting(), said(*map(HashRequest, MANY)) * 500),
        expect=Tolerated((HashReject(MANY[-1]),), state={"peer_hash_requests": 5}),
        levels=UNBOUND,
        scene=V2,
    ),
)
