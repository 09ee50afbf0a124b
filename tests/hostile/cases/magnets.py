"""What a peer can answer who is asked for metadata."""

from __future__ import annotations

from typing import Any

from peerwire import Extended, KeepAlive, PeerTimeout, RemoteProtocolError
from peerwire.bencode import encode

from ..case import MAGNETS, Act, Case, Ended, Left, Pause, Reply, Step, messages
from ..ours import UT_METADATA
from ..torrent import EXTENDED, FAST, TORRENT, greeting, said
from .extended import THEIRS, introduced

__all__ = ["CASES"]

INFO = TORRENT.meta.info
SIZE = len(INFO)
RULE = "extension ut_metadata"


def opening(size: int = SIZE) -> bytes:
    """Says all at once that it has so many bytes to give."""
    return said(greeting(EXTENDED), introduced("ut_metadata", metadata_size=size))


def on_request(*payloads: bytes) -> Reply:
    """Says something once it is asked."""

    def make(heard: bytes) -> bytes | None:
        asked = any(isinstance(m, Extended) and m.extended_id == THEIRS for m in messages(heard))
        return said(*(Extended(UT_METADATA, payload) for payload in payloads)) if asked else None

    return Reply(make)


def data(content: bytes = INFO, *, piece: int = 0, total_size: Any = SIZE) -> bytes:
    return encode({"msg_type": 1, "piece": piece, "total_size": total_size}) + content


def violates(name: str, *script: Step, says: str) -> Case:
    return Case(
        id=f"metadata/{name}",
        script=script,
        expect=Ended(RemoteProtocolError, RULE, says),
        levels=MAGNETS,
    )


def answers(name: str, *payloads: bytes, says: str) -> Case:
    return violates(name, opening(), on_request(*payloads), says=says)


def useless(name: str, *script: Step, says: str) -> Case:
    """No rule is broken, and nothing comes of it: the next one is asked."""
    return Case(id=f"metadata/{name}", script=script, expect=Left(says, by="us"), levels=MAGNETS)


REJECT = encode({"msg_type": 2, "piece": 0})
TOO_MUCH = "no more than 4194304 bytes are fetched"

CASES = (
    violates("size-one-over", opening(4 * 1024 * 1024 + 1), says=TOO_MUCH),
    violates("size-2-63-1", opening(2**63 - 1), says=TOO_MUCH),
    answers("a-byte-short", data(INFO[:-1]), says="it has"),
    answers("a-byte-long", data(INFO + b"e"), says="it has"),
    answers("of-another-size", data(total_size=SIZE + 1), says="announced was"),
    answers("of-size-2-63", data(total_size=2**63), says="announced was"),
    answers("of-size-negative", data(total_size=-1), says="its total_size is no number"),
    answers("of-size-a-string", data(total_size="1"), says="its total_size is no number"),
    answers("another-piece", data(piece=1), says="which was not asked for"),
    answers("rejected-with-data", REJECT + b"x", says="1 bytes follow"),
    useless("with-the-wrong-hash", opening(), on_request(data(bytes(SIZE))), says="wrong hash"),
    useless("of-a-byte", opening(1), on_request(data(b"x", total_size=1)), says="wrong hash"),
    useless("rejected", opening(), on_request(REJECT), says="it rejected the request"),
    useless("never", opening(), Pause(21), says="no answer within 20 s"),
    useless("never-but-keep-alives", opening(), *(Pause(9), KeepAlive()) * 3, says="no answer"),
    useless("never-announced", greeting(EXTENDED), Pause(21), says="no answer within 20 s"),
    useless("without-extensions", greeting(FAST), says="does not speak the extension protocol"),
    useless(
        "without-ut-metadata",
        said(greeting(EXTENDED), introduced("ut_pex", metadata_size=SIZE)),
        says="does not speak ut_metadata",
    ),
    useless(
        "without-size", said(greeting(EXTENDED), introduced("ut_metadata")), says="no metadata"
    ),
    Case(
        id="metadata/closed-when-asked",
        script=(opening(), on_request(), Act.CLOSE),
        expect=Left("end of stream"),
        levels=MAGNETS,
    ),
    Case(
        id="metadata/handshake-never",
        script=(Pause(10),),
        expect=Ended(PeerTimeout, "Limits.handshake_timeout", "0 bytes of it came"),
        levels=MAGNETS,
    ),
)
