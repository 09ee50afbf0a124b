"""What no peer does that means well: does the peer survive, and does it serve the next?

No BEP says what becomes of the connection, so that is only noted. After each of these cases the
peer has to serve somebody else, which `Runner` sees to.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any, Final

from ...bencode import encode
from ...handshake import PROTOCOL, Reserved
from ...messages import (
    Bitfield,
    Cancel,
    Choke,
    Extended,
    Have,
    Interested,
    KeepAlive,
    Message,
    NotInterested,
    Piece,
    Request,
    Unchoke,
)
from ..case import MUST, Cases, Deviates
from ..probe import BLOCK, Probe
from .steps import frame

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ..case import Ask

__all__ = ["CASES"]

RULE: Final = "Whatever one peer says, the others are served."
EXPECTS: Final = "the next connection is served"

BITS: Final = Reserved.FAST | Reserved.EXTENSION

#: Seconds in which a peer may say what it makes of it.
SETTLE: Final = 0.7

NESTED: Final = b"l" * 30_000 + b"e" * 30_000

OPENING = Cases("robust/opening", "robustness", hostile=True)
MESSAGES = Cases("robust/messages", "robustness", hostile=True)
FLOODS = Cases("robust/floods", "robustness", hostile=True)
EXTENDED = Cases("robust/extended", "robustness", hostile=True)
METADATA = Cases("robust/metadata", "robustness", hostile=True)
LEAVING = Cases("robust/leaving", "robustness", hostile=True)


async def became(probe: Probe) -> str:
    """Tells what has become of the connection."""
    await probe.flush()
    try:
        await probe.closes(SETTLE)
    except Deviates:
        return "the connection goes on"
    return "it closes the connection"


def add(cases: Cases, number: int, does: str, ask: Ask) -> None:
    """Adds a case that is no more than what is said in it."""
    cases.case(number, MUST, rule=RULE, does=does, expects=EXPECTS)(ask)


def at_first(*data: bytes) -> Ask:
    """Returns what says it in place of a handshake."""

    async def ask(probe: Probe) -> str:
        for each in data:
            probe.write(each)
        return await became(probe)

    return ask


def later(*what: bytes | Message, unchoked: bool = False, bits: Reserved = BITS) -> Ask:
    """Returns what says it after a handshake."""

    async def ask(probe: Probe) -> str:
        await (probe.ready(bits) if unchoked else probe.open(bits))
        probe.say(*what)
        return await became(probe)

    return ask


def prefix(length: int, *more: bytes) -> bytes:
    """Returns a length prefix, and what comes after it."""
    return length.to_bytes(4) + b"".join(more)


# In place of a handshake

_OPENINGS: tuple[tuple[str, bytes], ...] = (
    ("says a request of HTTP", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    ("says the beginning of TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500)),
    ("says 64 KiB of noise", os.urandom(64 * 1024)),
    ("says 4096 zeros", bytes(4096)),
    ("says the first 30 bytes of a handshake, and no more", PROTOCOL + bytes(10)),
    ("says messages without a handshake", Interested().encode() * 100),
)
for number, (does, data) in enumerate(_OPENINGS, 1):
    add(OPENING, number, does, at_first(data))


@OPENING.case(
    7, MUST, rule=RULE, does="says a handshake, a byte each 50 ms, and no end", expects=EXPECTS
)
async def trickles(probe: Probe) -> str:
    await probe.dribble(probe.greeting().encode()[:40], 0.05 * probe.patience)
    return await became(probe)


@OPENING.case(8, MUST, rule=RULE, does="connects 30 times and says nothing", expects=EXPECTS)
async def crowds(probe: Probe) -> str:
    async def idle() -> None:
        async with probe.another() as other:
            await other.quiet(SETTLE)

    await asyncio.gather(*(idle() for _ in range(30)), return_exceptions=True)
    return await became(probe)


# Messages

_MESSAGES: tuple[tuple[str, bytes | Message], ...] = (
    ("says a length prefix of 4294967295", prefix(2**32 - 1)),
    ("says a length prefix of 2147483647, and a request", prefix(2**31 - 1, b"\6")),
    ("says a length prefix of 2147483648, and a piece", prefix(2**31, b"\7", bytes(100))),
    ("says a length prefix of 16 MiB, and 64 KiB of a piece", prefix(1 << 24, b"\7", bytes(65536))),
    ("says a bitfield of 1 MiB", Bitfield(bytes(1 << 20))),
    ("says an empty bitfield", Bitfield(b"")),
    ("says a block of 512 KiB that nobody asked for", Piece(0, 0, bytes(1 << 19))),
    ("says a block far outside of the torrent", Piece(2**32 - 1, 2**32 - 1, bytes(BLOCK))),
    ("says an empty block", Piece(0, 0, b"")),
    ("says messages of all ids, without payload", b"".join(frame(n, b"") for n in range(256))),
    ("says messages of all ids, with 13 bytes", b"".join(frame(n, bytes(13)) for n in range(256))),
    ("says 16 KiB of noise", os.urandom(BLOCK)),
    ("asks for 4294967295 bytes", Request(0, 0, 2**32 - 1)),
    ("asks for the highest of everything", Request(2**32 - 1, 2**32 - 1, 2**32 - 1)),
    ("takes back the highest of everything", Cancel(2**32 - 1, 2**32 - 1, 2**32 - 1)),
    ("asks for hashes of nothing", frame(21, b"\xff" * 48)),
    ("says hashes that nobody asked for", frame(22, bytes(48 + 3200))),
)
for number, (does, what) in enumerate(_MESSAGES, 1):
    add(MESSAGES, number, does, later(what, unchoked=isinstance(what, Request)))

# Floods

_FLOODS: tuple[tuple[str, tuple[Message, ...]], ...] = (
    ("says 20,000 keep-alives", (KeepAlive(),) * 20_000),
    ("says 'have' 20,000 times", (Have(0),) * 20_000),
    ("says 'interested' and 'not interested' 5,000 times", (Interested(), NotInterested()) * 5000),
    ("says 'choke' and 'unchoke' 5,000 times", (Choke(), Unchoke()) * 5000),
    ("says 'cancel' 10,000 times", (Cancel(0, 0, BLOCK),) * 10_000),
    ("says messages of an extension that nobody has 5,000 times", (Extended(99, b"x"),) * 5000),
    # A byte: who allows the piece fast may well answer all of them.
    ("asks for a byte 10,000 times without being unchoked", (Request(0, 0, 1),) * 10_000),
)
for number, (does, many) in enumerate(_FLOODS, 1):
    add(FLOODS, number, does, later(*many))


@FLOODS.case(
    8, MUST, rule=RULE, does="asks for a block 3,000 times and reads nothing", expects=EXPECTS
)
async def reads_nothing(probe: Probe) -> str:
    await probe.ready(BITS)
    probe.say(*[probe.first_block()] * 3000)
    await asyncio.sleep(2 * probe.patience)
    return "the connection goes on" if probe.ended is None else "it closes the connection"


# Extended handshakes


def told(**values: Any) -> bytes:
    """Returns an extended handshake."""
    return encode(values)


_EXTENDED: tuple[tuple[str, bytes], ...] = (
    ("says nothing", b""),
    ("says a list", b"le"),
    ("says a number", b"i5e"),
    ("says a dictionary without an end", b"d1:md"),
    ("says 30,000 lists in each other", NESTED),
    ("says 15,000 dictionaries in each other, without an end", b"d1:x" * 15_000),
    ("says a string of 99999999999999999999 bytes", b"d1:v99999999999999999999:xe"),
    ("says a string of -1 bytes", b"d1:v-1:xe"),
    ("says a number of 60,000 digits", b"d1:pi" + b"9" * 60_000 + b"ee"),
    ("gives an extension the id 256", told(m={"ut_pex": 256})),
    ("gives an extension the id -1", told(m={"ut_pex": -1})),
    ("gives an extension the id 2^63", told(m={"ut_metadata": 2**63})),
    ("gives an extension a text for its id", told(m={"ut_pex": "1"})),
    ("says an 'm' that is a list", told(m=[1, 2])),
    ("says a metadata_size of 2^63", told(m={"ut_metadata": 1}, metadata_size=2**63)),
    ("says a metadata_size of -1", told(m={"ut_metadata": 1}, metadata_size=-1)),
    ("says a reqq of -1", told(reqq=-1)),
    ("says a port of 70000", told(p=70_000)),
    ("says 5,000 names", told(m={f"xx_{n}": n % 255 + 1 for n in range(5000)})),
    ("says a version of 60,000 bytes", told(v=b"\x1b" * 60_000)),
)
for number, (does, payload) in enumerate(_EXTENDED, 1):
    add(EXTENDED, number, f"{does}, in an extended handshake", later(Extended(0, payload)))

# Metadata and peer exchange


def spoken(name: str, *payloads: bytes) -> Ask:
    """Returns what says messages of an extension that the peer speaks."""

    async def ask(probe: Probe) -> str:
        await probe.introduce({"ut_metadata": 1, "ut_pex": 2}, reserved=Reserved.FAST)
        number = probe.their_id(name)
        probe.say(*(Extended(number, payload) for payload in payloads))
        return await became(probe)

    return ask


_SPOKEN: tuple[tuple[str, str, tuple[bytes, ...]], ...] = (
    ("ut_metadata", "asks for piece 2^62", (told(msg_type=0, piece=2**62),)),
    ("ut_metadata", "asks for piece -1", (told(msg_type=0, piece=-1),)),
    ("ut_metadata", "asks for no piece", (told(msg_type=0),)),
    ("ut_metadata", "says what is not bencode", (b"\xff" * 100,)),
    ("ut_metadata", "says 30,000 lists in each other", (NESTED,)),
    (
        "ut_metadata",
        "says 64 KiB of metadata that nobody asked for",
        (told(msg_type=1, piece=0, total_size=65536) + bytes(65536),),
    ),
    ("ut_metadata", "asks 2,000 times", (told(msg_type=0, piece=0),) * 2000),
    ("ut_pex", "tells of 20,000 peers, all of them nobody", (told(added=bytes(120_000)),)),
    ("ut_pex", "says what is not bencode", (b"\xff" * 100,)),
    ("ut_pex", "says a number for its contacts", (told(added=5, dropped=[]),)),
)
for number, (name, does, payloads) in enumerate(_SPOKEN, 1):
    add(METADATA, number, f"{does}, in {name}", spoken(name, *payloads))

# Leaving


def leaving(start: Callable[[Probe], Awaitable[None]], *, half: bool) -> Ask:
    """Returns what ends the connection, or our direction of it, at some point."""

    async def ask(probe: Probe) -> str:
        await start(probe)
        if not half:
            probe.abort()
            return ""
        probe.shutdown()
        return await became(probe)

    return ask


async def _at_once(probe: Probe) -> None:
    """Says nothing."""


async def _in_the_handshake(probe: Probe) -> None:
    probe.write(probe.greeting().encode()[:40])


async def _in_a_message(probe: Probe) -> None:
    await probe.open(BITS)
    probe.write(Request(0, 0, BLOCK).encode()[:9])


async def _with_requests(probe: Probe) -> None:
    await probe.ready(BITS)
    probe.say(*[probe.first_block(n) for n in range(min(probe.num_pieces, 20))])


for number, (start, where) in enumerate(
    (
        (_at_once, "at once"),
        (_in_the_handshake, "in the middle of the handshake"),
        (_in_a_message, "in the middle of a message"),
        (_with_requests, "with requests that are not answered yet"),
    )
):
    add(LEAVING, 2 * number + 1, f"ends the connection {where}", leaving(start, half=False))
    add(LEAVING, 2 * number + 2, f"closes our direction {where}", leaving(start, half=True))

CASES = (*OPENING, *MESSAGES, *FLOODS, *EXTENDED, *METADATA, *LEAVING)
