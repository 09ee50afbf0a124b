"""Peers that do not read what they are sent."""

from __future__ import annotations

from peerwire import Interested, KeepAlive, Limits, PeerTimeout, Request, Unchoke

from ..case import ALL, Act, Case, Ended, Level, Pause, Scene, Step
from ..torrent import BLOCK, after, greeting, said

__all__ = ["CASES"]

DIALLED = frozenset({Level.SERVE, Level.SEED})
SOCKETS = ALL - {Level.WIRE}

#: Little room for what is not read, so that little need be sent.
SMALL = Scene(
    limits=Limits(
        write_buffer=64 * 1024, max_write_buffer=256 * 1024, send_timeout=60, idle_timeout=600
    )
)

PATIENCE: tuple[Step, ...] = (Pause(50), KeepAlive()) * 3
#: Nine megabytes, more than the system holds of them: blocks that overlap, each another one.
BLOCKS = said(*(Request(n, b * 1024, BLOCK) for n in range(12) for b in range(48)))
EXPECTED = Ended(PeerTimeout, "Limits.send_timeout", "in 60 s")

CASES = (
    Case(
        id="reading/blocks-never",
        script=(
            greeting(),
            Interested(),
            after(Unchoke),
            Act.DEAF,
            BLOCKS,
            *PATIENCE,
        ),
        expect=EXPECTED,
        levels=DIALLED,
        scene=SMALL,
    ),
    Case(
        id="reading/rejects-never",
        script=(greeting(), Act.DEAF, *[said(Request(0, 0, 0)) * 100_000] * 4, *PATIENCE),
        expect=EXPECTED,
        levels=SOCKETS,
        scene=SMALL,
    ),
)
