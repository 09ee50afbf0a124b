"""Peers that close, or reset, in each state of a connection."""

from __future__ import annotations

from peerwire import Interested, Request, Unchoke

from ..case import ALL, DIALLED, FETCHING, Act, Case, Left, Level, Step
from ..torrent import BLOCK, after, greeting, said
from .blocks import SEED, on_request

__all__ = ["CASES"]

HANDSHAKE = said(greeting())
#: Requests whose blocks are owed when it goes.
ASKING = (
    greeting(),
    Interested(),
    after(Unchoke, *(Request(n, 0, BLOCK) for n in range(12))),
)
#: Requests of ours that it leaves unanswered.
ASKED = (SEED, on_request(lambda _: ()))


def leaves(
    name: str, *script: Step, says: str, levels: frozenset[Level] = ALL
) -> tuple[Case, Case, Case]:
    """Closes, closes its direction alone, and resets."""
    return (
        Case(
            id=f"leaving/{name}",
            script=(*script, Act.CLOSE),
            expect=Left(says),
            levels=levels,
        ),
        Case(
            id=f"leaving/{name}-half",
            script=(*script, Act.SHUTDOWN),
            expect=Left(says),
            levels=levels,
        ),
        Case(
            id=f"leaving/{name}-reset",
            script=(*script, Act.RESET),
            expect=Left("reset", by="network"),
            levels=levels,
        ),
    )


CASES = (
    *leaves("at-once", says="0 bytes into its handshake"),
    *leaves("in-its-handshake", HANDSHAKE[:30], says="30 bytes into its handshake"),
    *leaves("after-its-handshake", greeting(), says="end of stream"),
    *leaves("in-a-length-prefix", greeting(), b"\0\0\0", says="in the middle of a message"),
    *leaves("in-a-message", greeting(), b"\0\0\0\5\4\0", says="in the middle of a message"),
    *leaves("while-served", *ASKING, says="end of stream", levels=DIALLED),
    *leaves("while-asked", *ASKED, says="end of stream", levels=FETCHING),
)
