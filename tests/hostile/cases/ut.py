"""Messages of the extensions that are spoken: ut_metadata, ut_pex, and the small ones."""

from __future__ import annotations

from typing import Any

from peerwire import Extended, RemoteProtocolError
from peerwire.bencode import encode

from ..case import DIALLED, UNBOUND, Case, Ended, Step, Tolerated
from ..ours import HOLEPUNCH, LT_DONTHAVE, UPLOAD_ONLY, UT_METADATA, UT_PEX
from ..torrent import EXTENDED, NUM_PIECES, TORRENT, greeting, said
from .extended import THEIRS, introduced

__all__ = ["CASES"]

INFO = TORRENT.meta.info
INTRODUCED = introduced("ut_metadata", "ut_pex", "lt_donthave", "upload_only", "ut_holepunch")
OPEN: tuple[Step, ...] = (greeting(EXTENDED), INTRODUCED)

NESTED = b"l" * 100_000 + b"e" * 100_000


class Spoken:
    """The cases of one extension."""

    def __init__(self, row: str, name: str, number: int) -> None:
        self.row = row
        self.rule = f"extension {name}"
        self.number = number

    def say(self, payload: bytes) -> Extended:
        return Extended(self.number, payload)

    def violates(
        self, name: str, *payloads: bytes, says: str, start: tuple[Step, ...] = OPEN, **case: Any
    ) -> Case:
        return Case(
            id=f"{self.row}/{name}",
            script=(*start, *map(self.say, payloads)),
            expect=Ended(RemoteProtocolError, self.rule, says),
            **case,
        )

    def passes(self, name: str, *payloads: bytes, **case: Any) -> Case:
        return Case(
            id=f"{self.row}/{name}",
            script=(*OPEN, said(*map(self.say, payloads))),
            expect=Tolerated(),
            **case,
        )


metadata = Spoken("metadata", "ut_metadata", UT_METADATA)
pex = Spoken("pex", "ut_pex", UT_PEX)
lost = Spoken("small", "lt_donthave", LT_DONTHAVE)
seeds = Spoken("small", "upload_only", UPLOAD_ONLY)
punch = Spoken("small", "ut_holepunch", HOLEPUNCH)


def meta(msg_type: Any, piece: Any = 0, rest: bytes = b"", **more: Any) -> bytes:
    return encode({"msg_type": msg_type, "piece": piece, **more}) + rest


def answer(payload: bytes) -> Extended:
    return Extended(THEIRS, payload)


DATA = meta(1, 0, INFO, total_size=len(INFO))
REJECTED = answer(meta(2, 0))

METADATA = (
    metadata.violates("empty", b"", says="the data ends"),
    metadata.violates("not-bencode", b"\xff" * 50, says="no value begins with"),
    metadata.violates("a-list", b"le", says="begins with a dictionary"),
    metadata.violates("no-type", encode({"piece": 0}), says="has a msg_type"),
    metadata.violates("type-a-string", meta("0"), says="has a msg_type"),
    metadata.violates("no-piece", encode({"msg_type": 0}), says="its piece is no number"),
    metadata.violates("piece-negative", meta(0, -1), says="its piece is no number"),
    metadata.violates("piece-a-string", meta(0, "0"), says="its piece is no number"),
    metadata.violates("request-with-data", meta(0, 0, b"x"), says="1 bytes follow"),
    metadata.violates("reject-with-data", meta(2, 0, b"x"), says="1 bytes follow"),
    metadata.violates("data-unasked", DATA, says="which was not asked for"),
    metadata.violates("data-unasked-of-a-far-piece", meta(1, 2**40, b"x"), says="not asked for"),
    metadata.violates("data-unasked-1MB", DATA + bytes(1_000_000), says="not asked for"),
    metadata.violates("reject-unasked", meta(2, 0), says="which was not asked for"),
    metadata.violates("nested", NESTED, says="more values than"),
    metadata.violates("nested-inside", b"d8:msg_type" + NESTED + b"e", says="more values than"),
    metadata.violates("nested-100", b"l" * 99 + b"e" * 99, says="more values than"),
    metadata.violates(
        "request-too-early", meta(0), says="before the peer announced", start=(greeting(EXTENDED),)
    ),
    metadata.violates(
        "reject-too-early", meta(2), says="was not asked for", start=(greeting(EXTENDED),)
    ),
    Case(
        id="metadata/size-that-changes",
        script=(
            greeting(EXTENDED),
            introduced("ut_metadata", metadata_size=1000),
            introduced("ut_metadata", metadata_size=1001),
        ),
        expect=Ended(RemoteProtocolError, "extension ut_metadata", "which was 1000 before"),
    ),
    metadata.passes("type-of-the-future", meta(3), meta(2**60), meta(-1)),
    Case(
        id="metadata/piece-far-out",
        script=(*OPEN, metadata.say(meta(0, 2**60))),
        expect=Tolerated((answer(meta(2, 2**60)),)),
    ),
    Case(
        id="metadata/over-and-over",
        script=(*OPEN, said(metadata.say(meta(0))) * 4),
        expect=Tolerated((answer(DATA), REJECTED)),
    ),
    Case(
        id="metadata/request-flood",
        script=(*OPEN, said(metadata.say(meta(0, 1))) * 5000),
        expect=Tolerated((answer(meta(2, 1)),)),
        levels=DIALLED,
    ),
)


def contacts(count: int) -> bytes:
    """So many addresses, each another one of the world."""
    return b"".join(bytes((8, 8, n >> 8 & 255, n & 255)) + b"\x1a\xe1" for n in range(count))


UNUSABLE = bytes.fromhex("000000001ae1 e00000011ae1 ffffffff1ae1 a9fe00011ae1 080808080000")

PEX = (
    pex.violates("empty", b"", says="the data ends"),
    pex.violates("not-bencode", b"\xff" * 50, says="no value begins with"),
    pex.violates("a-list", b"le", says="is a dictionary"),
    pex.violates("half-a-contact", encode({"added": b"1234567"}), says="6 bytes a contact"),
    pex.violates("half-a-contact-6", encode({"added6": bytes(19)}), says="18 bytes a contact"),
    pex.violates("half-a-dropped", encode({"dropped": b"1"}), says="6 bytes a contact"),
    pex.violates("added-a-number", encode({"added": 5}), says="is a string of 6 bytes"),
    pex.violates("nested", NESTED, says="nested deeper than"),
    pex.violates("too-many-values", b"d1:xl" + b"0:" * 500 + b"ee", says="more values than"),
    pex.violates("too-long", encode({"added": bytes(600_000)}), says="512000 is the most"),
    pex.violates("seven-at-once", *[encode({"added": b""})] * 7, says="more than 6 messages in 60"),
    pex.passes("70000-contacts", encode({"added": contacts(70_000), "added.f": bytes(70_000)})),
    pex.passes("flags-too-few", encode({"added": contacts(3), "added.f": b"\1"})),
    pex.passes("flags-a-number", encode({"added": contacts(3), "added.f": 1})),
    pex.passes("addresses-of-nobody", encode({"added": UNUSABLE})),
    pex.passes("dropped-unheard-of", encode({"dropped": contacts(50)})),
)

HERE = bytes((127, 0, 0, 1, 26, 225))

SMALL = (
    lost.violates("donthave-short", b"\0\0\1", says="the index of a piece has 4"),
    lost.violates("donthave-long", bytes(5), says="the index of a piece has 4"),
    lost.violates("donthave-empty", b"", says="the index of a piece has 4"),
    lost.violates("donthave-out-of-range", NUM_PIECES.to_bytes(4), says="is no piece of 13"),
    lost.violates("donthave-the-highest", b"\xff" * 4, says="is no piece of 13"),
    lost.passes("donthave-never-had", bytes(4)),
    lost.passes("donthave-flood", *[(n % NUM_PIECES).to_bytes(4) for n in range(3000)]),
    seeds.violates("upload-only-empty", b"", says="upload_only is a byte"),
    seeds.violates("upload-only-long", b"\1\1", says="upload_only is a byte"),
    seeds.passes("upload-only-flood", *[b"\0", b"\0"] * 1000),
    punch.violates("punch-empty", b"", says="types of message are 0 to 2", levels=UNBOUND),
    punch.violates("punch-type-3", b"\3\0" + HERE, says="types of message", levels=UNBOUND),
    punch.violates("punch-address-type-2", b"\0\2" + HERE, says="of address 0", levels=UNBOUND),
    punch.violates("punch-short", b"\0\0" + HERE[:-1], says="(BEP 55)", levels=UNBOUND),
    punch.violates("punch-long", b"\0\0" + HERE + bytes(5), says="not 12", levels=UNBOUND),
    punch.passes("punch-connect-unasked", *[b"\1\0" + HERE] * 1000, levels=UNBOUND),
    punch.passes("punch-error-unheard-of", b"\2\0" + HERE + b"\xff" * 4, levels=UNBOUND),
)

CASES = (*METADATA, *PEX, *SMALL)
