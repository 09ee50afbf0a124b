"""Messages that mean nothing, one or many."""

from __future__ import annotations

from peerwire import Have, KeepAlive, Port, Reject, Request, Unknown

from ..case import Case, Left, Level, Pause, Tolerated
from ..torrent import after, greeting, said

__all__ = ["CASES"]


def ignored(name: str, *script: bytes, **state: int) -> Case:
    return Case(id=f"unknown/{name}", script=(greeting(), *script), expect=Tolerated(state=state))


CASES = (
    *(ignored(f"id-{n}", said(Unknown(n, b"abc"))) for n in (10, 18, 24, 255)),
    ignored("id-without-payload", said(Unknown(99, b""))),
    ignored("of-1MiB", said(Unknown(99, bytes(1024 * 1024 - 1)))),
    ignored("flood", said(Unknown(99, b"")) * 20_000),
    ignored("flood-of-64KiB", said(Unknown(99, bytes(65_000))) * 100),
    ignored("keep-alive-flood", said(KeepAlive()) * 20_000),
    ignored("port-flood", said(Port(1)) * 10_000),
    ignored("have-flood", said(Have(1)) * 10_000, peer_pieces=1),
    Case(
        id="unknown/chatter",
        script=(
            greeting(),
            said(KeepAlive()) * 101_000,
            Request(0, 0, 0),
            after(Reject),
            Pause(11),
        ),
        expect=Left("messages in 10 s that move nothing", by="us"),
        levels=frozenset({Level.SEED, Level.GET}),
    ),
)
