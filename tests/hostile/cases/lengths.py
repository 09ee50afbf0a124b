"""Every message with payloads that are too short, and too long."""

from __future__ import annotations

from peerwire import (
    AllowedFast,
    Cancel,
    Choke,
    Have,
    HaveAll,
    HaveNone,
    Interested,
    Message,
    NotInterested,
    Port,
    Reject,
    RemoteProtocolError,
    Request,
    Suggest,
    Unchoke,
)

from ...wires import RANGE
from ..case import Case, Ended
from ..torrent import BLOCK, EXTENDED, greeting

__all__ = ["CASES"]

CORE = "BEP 3, peer messages"
FAST = "BEP 6, fast extension"
V2 = "BEP 52, peer messages"

#: Messages of fixed length, and where that stands.
FIXED: list[tuple[Message, str]] = [
    (Choke(), CORE),
    (Unchoke(), CORE),
    (Interested(), CORE),
    (NotInterested(), CORE),
    (Have(1), CORE),
    (Request(1, 0, BLOCK), CORE),
    (Cancel(1, 0, BLOCK), CORE),
    (Port(6881), "BEP 5"),
    (Suggest(1), FAST),
    (HaveAll(), FAST),
    (HaveNone(), FAST),
    (Reject(1, 0, BLOCK), FAST),
    (AllowedFast(1), FAST),
]


def of_length(name: str, message_id: int, payload: bytes, rule: str) -> Case:
    frame = (1 + len(payload)).to_bytes(4) + bytes((message_id,)) + payload
    says = f"message id {message_id} with a payload of {len(payload)} bytes"
    return Case(
        id=f"length/{name}",
        script=(greeting(EXTENDED), frame),
        expect=Ended(RemoteProtocolError, rule, says),
    )


def both(message: Message, rule: str) -> list[Case]:
    """The message with a byte too many and, if it has any, with one too few."""
    payload, name = message.encode()[5:], message.name.replace(" ", "-")
    longer = of_length(f"{name}-long", message.id, payload + b"\0", rule)
    if not payload:
        return [longer]
    return [longer, of_length(f"{name}-short", message.id, payload[:-1], rule)]


CASES = (
    *(case for message, rule in FIXED for case in both(message, rule)),
    of_length("choke-with-a-block", Choke.id, bytes(BLOCK), CORE),
    of_length("have-empty", Have.id, b"", CORE),
    of_length("request-empty", Request.id, b"", CORE),
    of_length("piece-without-offset", 7, bytes(7), CORE),
    of_length("piece-empty", 7, b"", CORE),
    of_length("extended-without-id", 20, b"", "BEP 10"),
    of_length("hash-request-short", 21, RANGE.encode()[:-1], V2),
    of_length("hash-request-long", 21, RANGE.encode() + b"\0", V2),
    of_length("hashes-short", 22, RANGE.encode()[:-1], V2),
    of_length("hashes-with-half-a-hash", 22, RANGE.encode() + bytes(16), V2),
    of_length("hash-reject-short", 23, RANGE.encode()[:-1], V2),
    of_length("hash-reject-long", 23, RANGE.encode() + b"\0", V2),
)
