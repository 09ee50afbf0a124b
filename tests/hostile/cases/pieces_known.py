"""Which pieces a peer says to have, or asks for: ranges and bitfields."""

from __future__ import annotations

from peerwire import (
    AllowedFast,
    Bitfield,
    Cancel,
    Have,
    HaveAll,
    HaveNone,
    Limits,
    Message,
    Reject,
    RemoteProtocolError,
    Request,
    Reserved,
    Suggest,
)

from ..case import ALL, UNBOUND, Case, Ended, Level, Scene, Tolerated
from ..torrent import BLOCK, FAST, NUM_PIECES, greeting, said

__all__ = ["CASES"]

INDEX = "BEP 3, peer messages: an index is below the piece count"
BITFIELD = "BEP 3, peer messages: bitfield"

#: The torrent of a magnet link, before its metadata is there.
UNKNOWN = Scene(knows_pieces=False)

#: Not all of them: a seed has no use for who has everything, and closes.
NOT_A_SEED = ALL - {Level.SEED}
SOME = b"\xff\xf0"
FULL, EMPTY, SPARE = b"\xff\xf8", b"\0\0", b"\xff\xf9"
DEVIATION = "after other messages (BEP 3"


def out_of_range(name: str, message: Message) -> Case:
    return Case(
        id=f"range/{name}",
        script=(greeting(), message),
        expect=Ended(RemoteProtocolError, INDEX, f"{message} in a torrent of {NUM_PIECES} pieces"),
    )


def unbelievable(name: str, message: Message) -> Case:
    return Case(
        id=f"range/{name}",
        script=(greeting(), message),
        expect=Ended(RemoteProtocolError, "Limits.max_pieces", "are believed in"),
        levels=UNBOUND,
        scene=UNKNOWN,
    )


def bitfield(name: str, bits: bytes, says: str, reserved: Reserved = FAST) -> Case:
    return Case(
        id=f"bitfield/{name}",
        script=(greeting(reserved), Bitfield(bits)),
        expect=Ended(RemoteProtocolError, BITFIELD, says),
    )


def late(name: str, *script: Message | bytes, have: int, levels: frozenset[Level] = ALL) -> Case:
    """One that comes after other messages, and replaces what was known."""
    return Case(
        id=f"bitfield/{name}",
        script=(greeting(), *script),
        expect=Tolerated(note=DEVIATION, state={"peer_pieces": have}),
        levels=levels,
    )


def strictly(name: str, *script: Message) -> Case:
    return Case(
        id=f"bitfield/{name}",
        script=(greeting(), *script),
        expect=Ended(RemoteProtocolError, BITFIELD, "after other messages"),
        levels=UNBOUND,
        scene=Scene(strict=True),
    )


CASES = (
    out_of_range("have-one-over", Have(NUM_PIECES)),
    out_of_range("have-the-highest", Have(2**32 - 1)),
    out_of_range("request-one-over", Request(NUM_PIECES, 0, BLOCK)),
    out_of_range("request-the-highest", Request(2**32 - 1, 0, BLOCK)),
    out_of_range("suggest-one-over", Suggest(NUM_PIECES)),
    out_of_range("allowed-fast-one-over", AllowedFast(NUM_PIECES)),
    unbelievable("have-of-unknown-count", Have(Limits().max_pieces)),
    unbelievable("request-of-unknown-count", Request(2**31, 0, BLOCK)),
    unbelievable("allowed-fast-of-unknown-count", AllowedFast(2**31)),
    unbelievable("bitfield-of-unknown-count", Bitfield(bytes(Limits().max_pieces // 8 + 1))),
    Case(
        id="range/highest-have-of-unknown-count",
        script=(greeting(), Have(Limits().max_pieces - 1)),
        expect=Tolerated(state={"peer_pieces": 1}),
        levels=UNBOUND,
        scene=UNKNOWN,
    ),
    Case(
        id="range/cancel-of-nothing",
        script=(greeting(), Cancel(2**32 - 1, 2**32 - 1, 2**32 - 1)),
        expect=Tolerated(never=Reject),
    ),
    bitfield("short", b"\xff", "1 byte"),
    bitfield("long", FULL + b"\0", "3 bytes"),
    bitfield("empty", b"", "0 bytes"),
    bitfield("spare-bits", SPARE, "is set, and there are 13 pieces"),
    bitfield("all-ones", b"\xff\xff", "is set, and there are 13 pieces"),
    bitfield("spare-bits-without-fast", SPARE, "is set, and there are 13 pieces", Reserved(0)),
    bitfield("of-a-huge-torrent", bytes(1024 * 1024 - 1), "1048575 bytes"),
    late("late", Have(1), Bitfield(SOME), have=12),
    late("twice", Bitfield(SOME), Bitfield(EMPTY), have=0),
    late("have-none-after-bitfield", Bitfield(SOME), HaveNone(), have=0),
    late("have-none-twice", HaveNone(), HaveNone(), have=0),
    late("flood", said(Bitfield(SOME), Bitfield(EMPTY)) * 500, have=0),
    late("after-have-all", HaveAll(), Bitfield(EMPTY), have=0, levels=NOT_A_SEED),
    late("have-all-twice", HaveAll(), HaveAll(), have=NUM_PIECES, levels=NOT_A_SEED),
    strictly("late-strictly", Have(1), Bitfield(FULL)),
    strictly("twice-strictly", Bitfield(FULL), Bitfield(FULL)),
    strictly("have-none-strictly", HaveAll(), HaveNone()),
    Case(
        id="bitfield/late-spare-bits",
        script=(greeting(), Have(1), Bitfield(SPARE)),
        expect=Ended(RemoteProtocolError, BITFIELD, "is set, and there are 13 pieces"),
        levels=ALL,
    ),
)
