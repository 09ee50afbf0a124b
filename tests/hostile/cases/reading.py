"""Peers that do not read what they are sent."""

from __future__ import annotations

from peerwire import Extended, Interested, KeepAlive, Limits, PeerTimeout, Request, Unchoke
from peerwire.bencode import encode

from ..case import DIALLED, SOCKETS, Act, Case, Ended, Level, Pause, Scene, Step
from ..ours import UT_METADATA
from ..torrent import BLOCK, EXTENDED, after, greeting, said
from .extended import introduced

__all__ = ["CASES"]

#: Little room for what is not read, so that little need be sent.
SMALL = Scene(
    limits=Limits(
        write_buffer=64 * 1024, max_write_buffer=256 * 1024, send_timeout=60, idle_timeout=600
    )
)

PATIENCE: tuple[Step, ...] = (Pause(50), KeepAlive()) * 6
#: Nine megabytes, more than the system holds of them: blocks that overlap, each another one.
BLOCKS = said(*(Request(n, b * 1024, BLOCK) for n in range(12) for b in range(48)))
#: A request whose reject is longer than those of blocks: fewer of them fill what the system holds.
FAR_OUT = encode({"msg_type": 0, "piece": 10**19})
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
        levels=DIALLED & SOCKETS,
        scene=SMALL,
    ),
    Case(
        id="reading/rejects-never",
        script=(greeting(), Act.DEAF, *[said(Request(0, 0, 0)) * 100_000] * 4, *PATIENCE),
        expect=EXPECTED,
        levels=frozenset({Level.SERVE}),
        scene=SMALL,
    ),
    Case(
        id="reading/metadata-rejects-never",
        script=(
            greeting(EXTENDED),
            introduced("ut_metadata"),
            Act.DEAF,
            *[said(Extended(UT_METADATA, FAR_OUT)) * 30_000] * 3,
            *PATIENCE,
        ),
        expect=EXPECTED,
        levels=SOCKETS,
        scene=SMALL,
    ),
)
