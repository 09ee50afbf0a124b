"""Extended handshakes of every malformation, and messages of extensions that nobody has."""

from __future__ import annotations

from typing import Any

from peerwire import Extended, RemoteProtocolError
from peerwire.bencode import encode

from ..case import ALL, UNBOUND, Case, Ended, Level, Scene, Tolerated
from ..torrent import EXTENDED, FAST, greeting, said

__all__ = ["CASES", "THEIRS", "introduced"]

RULE = "BEP 10, handshake message"

#: The id that the peer gives an extension.
THEIRS = 30


def handshake(payload: bytes) -> bytes:
    return said(Extended(0, payload))


def introduced(*names: str, **told: Any) -> bytes:
    """An extended handshake of a peer that speaks these."""
    return handshake(encode({"m": dict.fromkeys(names, THEIRS), **told}))


def invalid(name: str, payload: bytes, says: str, rule: str = RULE) -> Case:
    """No extended handshake at all."""
    return Case(
        id=f"extended/{name}",
        script=(greeting(EXTENDED), handshake(payload)),
        expect=Ended(RemoteProtocolError, rule, says),
    )


def refused(name: str, note: str, **told: Any) -> Case:
    """One value is left out and named, the rest is taken."""
    return Case(
        id=f"extended/{name}",
        script=(greeting(EXTENDED), handshake(encode(told))),
        expect=Tolerated(note=note),
    )


def taken(name: str, *script: bytes, levels: frozenset[Level] = ALL) -> Case:
    """Odd, and no violation."""
    return Case(
        id=f"extended/{name}",
        script=(greeting(EXTENDED), *script),
        expect=Tolerated(),
        levels=levels,
    )


NESTED = b"l" * 30_000 + b"e" * 30_000
BIG = encode({"v": b"x" * 60_000})

CASES = (
    invalid("empty", b"", "the data ends"),
    invalid("not-bencode", b"\xff" * 100, "no value begins with"),
    invalid("text", b"hello", "no value begins with"),
    invalid("a-list", b"le", "is a dictionary"),
    invalid("a-number", b"i5e", "is a dictionary"),
    invalid("cut-short", b"d1:md", "the data ends"),
    invalid("followed-by-more", b"dede", "2 bytes follow"),
    invalid("without-value", b"d1:me", "last key has no value"),
    invalid("key-twice", b"d1:vi1e1:vi2ee", "each of its keys once"),
    invalid("key-a-number", b"di1ei2ee", "keys are strings"),
    invalid("nested-30000", NESTED, "nested deeper than 10"),
    invalid("nested-30000-inside", b"d1:x" + NESTED + b"e", "nested deeper than 10"),
    invalid("nested-30000-open", b"d1:x" * 15_000, "nested deeper than 10"),
    invalid("100000-lists", b"l" * 100_000, "65536 is the most", "Limits.max_extended_handshake"),
    invalid("one-over", bytes(64 * 1024 + 1), "65537 bytes", "Limits.max_extended_handshake"),
    invalid("too-many-values", b"d1:xl" + b"0:" * 30_000 + b"ee", "more values than"),
    invalid("length-negative", b"d1:v-1:xe", "no value begins with"),
    invalid("length-huge", b"d1:v99999999999999999999:xe", "a string ends at byte"),
    invalid("length-of-60000-digits", b"d1:v" + b"9" * 60_000, "more than 20 digits"),
    invalid("length-with-zeros", b"d1:v01:xe", "leading zeros"),
    invalid("number-of-60000-digits", b"d1:pi" + b"9" * 60_000 + b"ee", "more than 20 digits"),
    invalid("number-with-zeros", b"d1:pi007ee", "leading zeros"),
    invalid("number-minus-zero", b"d1:pi-0ee", "no minus before zero"),
    invalid("number-empty", b"d1:piee", "decimal digits"),
    invalid("number-without-end", b"d1:pi5", "the data ends"),
    refused("id-256", "is a byte, 0 to 255", m={"ut_pex": 256}),
    refused("id-negative", "is a byte, 0 to 255", m={"ut_pex": -1}),
    refused("id-a-string", "is a byte, 0 to 255", m={"ut_pex": "1"}),
    refused("m-a-list", "a dictionary of names to ids", m=[]),
    refused("metadata-size-2-63", "metadata_size: it is a number", metadata_size=2**63),
    refused("metadata-size-negative", "metadata_size: it is a number", metadata_size=-1),
    refused("metadata-size-a-list", "metadata_size: it is a number", metadata_size=[]),
    refused("reqq-0", "reqq: it is a number from 1", reqq=0),
    refused("reqq-negative", "reqq: it is a number from 1", reqq=-5),
    refused("port-70000", "p: it is a number from 1 to 65535", p=70_000),
    refused("version-a-number", "v: it is a string", v=5),
    refused("yourip-of-5-bytes", "yourip: it is a compact address", yourip=b"12345"),
    refused("upload-only-a-string", "upload_only: it is a number", upload_only="yes"),
    taken("keys-unordered", handshake(b"d1:v1:x1:pi1ee")),
    taken("names-300", handshake(encode({"m": {f"xx_{n}": 1 for n in range(300)}}))),
    taken("name-of-60000-bytes", handshake(encode({"m": {"x" * 60_000: 1}}))),
    taken("name-not-utf8", handshake(encode({"m": {b"\xff\xfe": 1}}))),
    taken("version-of-60000-bytes", handshake(BIG)),
    taken("version-with-escapes", handshake(encode({"v": "\x1b[2J\n\r\0"}))),
    taken("keys-unknown", *(handshake(encode({f"{n}": b"x" * 50_000})) for n in range(15))),
    taken(
        "switched-on-and-off",
        said(*(Extended(0, encode({"m": {"ut_pex": n % 2}})) for n in range(1000))),
    ),
    Case(
        id="extended/flood",
        script=(greeting(EXTENDED), *[handshake(BIG)] * 18),
        expect=Ended(RemoteProtocolError, RULE, "all of them together have over 1048576 bytes"),
    ),
    Case(
        id="extended/unnegotiated",
        script=(greeting(FAST), handshake(b"de")),
        expect=Ended(RemoteProtocolError, "BEP 10", "which was not negotiated"),
    ),
    Case(
        id="extended/message-unnegotiated",
        script=(greeting(FAST), Extended(1, b"de")),
        expect=Ended(RemoteProtocolError, "BEP 10", "which was not negotiated"),
    ),
    Case(
        id="extended/id-nobody-gave",
        script=(greeting(EXTENDED), Extended(200, b"abc")),
        expect=Tolerated(note="an id we did not give"),
    ),
    Case(
        id="extended/id-nobody-gave-strictly",
        script=(greeting(EXTENDED), Extended(200, b"abc")),
        expect=Ended(RemoteProtocolError, "BEP 10: ids are the receiver's", "did not give"),
        levels=UNBOUND,
        scene=Scene(strict=True),
    ),
    Case(
        id="extended/id-nobody-gave-flood",
        script=(greeting(EXTENDED), said(Extended(200, bytes(50_000))) * 100),
        expect=Tolerated(note="an id we did not give"),
    ),
)
