"""The fast extension: without having been agreed on, and too much of it."""

from __future__ import annotations

from peerwire import (
    AllowedFast,
    HaveAll,
    HaveNone,
    Message,
    Reject,
    RemoteProtocolError,
    Suggest,
)

from ..case import FETCHING, UNBOUND, Case, Ended, Scene, Tolerated
from ..torrent import BASE, BLOCK, NUM_PIECES, greeting, said
from .blocks import SEED, on_request

__all__ = ["CASES"]

UNKNOWN = Scene(knows_pieces=False)


def unnegotiated(message: Message) -> Case:
    return Case(
        id=f"fast/{message.name.replace(' ', '-')}-unnegotiated",
        script=(greeting(BASE), message),
        expect=Ended(RemoteProtocolError, "BEP 6", "without the fast extension"),
    )


def flood(name: str, kind: type[Suggest] | type[AllowedFast], attribute: str) -> tuple[Case, Case]:
    """All pieces over and over, and many pieces of a torrent of unknown size."""
    again = said(*(kind(n % NUM_PIECES) for n in range(5000)))
    many = said(*(kind(n) for n in range(5000)))
    return (
        Case(
            id=f"fast/{name}-flood",
            script=(greeting(), again),
            expect=Tolerated(state={attribute: NUM_PIECES}),
        ),
        Case(
            id=f"fast/{name}-flood-of-unknown-count",
            script=(greeting(), many),
            expect=Tolerated(state={attribute: 100}),
            levels=UNBOUND,
            scene=UNKNOWN,
        ),
    )


CASES = (
    unnegotiated(Suggest(1)),
    unnegotiated(HaveAll()),
    unnegotiated(HaveNone()),
    unnegotiated(Reject(1, 0, BLOCK)),
    unnegotiated(AllowedFast(1)),
    *flood("suggest", Suggest, "peer_suggested"),
    *flood("allowed-fast", AllowedFast, "peer_allowed_fast"),
    Case(
        id="fast/reject-never-asked",
        script=(greeting(), Reject(0, 0, BLOCK)),
        expect=Ended(RemoteProtocolError, "BEP 6, reject request", "which was not asked for"),
    ),
    Case(
        id="fast/reject-twice",
        script=(
            SEED,
            on_request(lambda r: (Reject(r.index, r.begin, r.length),) * 2),
        ),
        expect=Ended(RemoteProtocolError, "BEP 6, reject request", "which was not asked for"),
        levels=FETCHING,
    ),
    Case(
        id="fast/reject-of-another-length",
        script=(
            SEED,
            on_request(lambda r: (Reject(r.index, r.begin, r.length - 1),)),
        ),
        expect=Ended(RemoteProtocolError, "BEP 6, reject request", "which was not asked for"),
        levels=FETCHING,
    ),
)
