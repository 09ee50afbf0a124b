"""Requests that are not served."""

from __future__ import annotations

from peerwire import (
    Cancel,
    Choke,
    Interested,
    Limits,
    Message,
    NotInterested,
    Piece,
    Reject,
    Request,
    Unchoke,
)

from ..case import ALL, DIALLED, Case, Level, Scene, Tolerated
from ..torrent import BASE, BLOCK, NUM_PIECES, TORRENT, after, greeting, said

__all__ = ["CASES"]

LAST = TORRENT.meta.piece_size(NUM_PIECES - 1)
PIECE = TORRENT.meta.piece_length

FEW = Scene(limits=Limits(max_peer_requests=10))
SLOW = Scene(limits=Limits(max_peer_requests=10), slow=True)
#: Who has somebody's requests pending: a wire alone, or an application that is slow.
PENDING = frozenset({Level.WIRE, Level.SERVE})


def rejected(
    name: str,
    *requests: Request,
    note: str = "",
    answers: tuple[Message, ...] = (),
    levels: frozenset[Level] = DIALLED,
    scene: Scene = Scene(),  # noqa: B008
) -> Case:
    """A peer that is unchoked asks, and its last request is rejected."""
    last = requests[-1]
    return Case(
        id=f"request/{name}",
        script=(greeting(), Interested(), after(Unchoke, *requests)),
        expect=Tolerated((Reject(last.index, last.begin, last.length), *answers), note),
        levels=levels,
        scene=scene,
    )


def dropped(name: str, *script: Message | bytes, note: str) -> Case:
    """Without BEP 6 there is no answer."""
    return Case(
        id=f"request/{name}",
        script=(greeting(BASE), *script),
        expect=Tolerated(note=note, never=Reject, state={"peer_requests": 0}),
    )


def served(index: int, begin: int, length: int) -> Piece:
    return Piece(index, begin, TORRENT.block(index, begin, length))


FLOOD = [Request(0, n, 1) for n in range(11)]

CASES = (
    Case(
        id="request/choked",
        script=(greeting(), Request(0, 0, BLOCK)),
        expect=Tolerated((Reject(0, 0, BLOCK),), "not served: choked"),
    ),
    dropped("choked-without-fast", Request(0, 0, BLOCK), note="not served: choked"),
    dropped("flood-choked-without-fast", said(Request(0, 0, BLOCK)) * 2000, note="choked"),
    Case(
        id="request/flood-choked",
        script=(greeting(), said(Request(0, 0, BLOCK)) * 2000),
        expect=Tolerated((Reject(0, 0, BLOCK),) * 2000, state={"peer_requests": 0}),
    ),
    rejected("length-0", Request(0, 0, 0), note="blocks of 1 to 16384 bytes are served"),
    rejected("one-over-16KiB", Request(0, 0, BLOCK + 1), note="blocks of 1 to"),
    rejected("128KiB", Request(0, 0, 128 * 1024), note="blocks of 1 to"),
    rejected("one-over-128KiB", Request(0, 0, 128 * 1024 + 1), note="blocks of 1 to"),
    rejected("4GiB", Request(0, 0, 2**32 - 1), note="blocks of 1 to"),
    rejected(
        "over-the-hard-limit",
        Request(0, 0, 2048),
        note="blocks of 1 to 1024 bytes",
        levels=frozenset({Level.WIRE}),
        scene=Scene(limits=Limits(max_request_hard=1024)),
    ),
    rejected("begin-past-the-piece", Request(0, PIECE, BLOCK)),
    rejected("begin-the-highest", Request(0, 2**32 - 1, BLOCK)),
    rejected("across-the-end", Request(0, PIECE - 1, 2)),
    rejected("across-the-end-of-the-last", Request(NUM_PIECES - 1, LAST - 1, 2)),
    rejected(
        "duplicate",
        Request(0, 0, 5),
        Request(0, 0, 5),
        note="asked for already",
        levels=PENDING,
        scene=SLOW,
    ),
    rejected("over-reqq", *FLOOD, note="10 requests are pending", levels=PENDING, scene=SLOW),
    rejected(
        "flood-over-reqq",
        *FLOOD[:10],
        *[Request(1, 0, 1)] * 1000,
        note="10 requests are pending",
        levels=PENDING,
        scene=SLOW,
    ),
    rejected(
        "over-reqq-of-a-seed",
        *FLOOD,
        note="10 requests are pending",
        answers=tuple(served(0, n, 1) for n in range(10)),
        levels=frozenset({Level.SEED}),
        scene=FEW,
    ),
    Case(
        id="request/over-reqq-without-fast",
        script=(greeting(BASE), Interested(), after(Unchoke, *FLOOD)),
        expect=Tolerated(note="10 requests are pending", never=Reject, state={"peer_requests": 10}),
        levels=PENDING,
        scene=SLOW,
    ),
    Case(
        id="request/taken-back-at-once",
        script=(
            greeting(),
            Interested(),
            after(Unchoke, said(Request(0, 0, 5), Cancel(0, 0, 5)) * 1000),
        ),
        expect=Tolerated(state={"peer_requests": 0}),
        levels=DIALLED,
    ),
    Case(
        id="request/cancel-flood",
        script=(greeting(), said(*(Cancel(0, n, BLOCK) for n in range(2000)))),
        expect=Tolerated(never=Reject),
    ),
    Case(
        id="request/interest-flood",
        script=(greeting(), said(Interested(), NotInterested()) * 2000),
        expect=Tolerated(state={"peer_interested": False}),
    ),
    Case(
        id="request/choke-flood",
        script=(greeting(), said(Unchoke(), Choke()) * 2000),
        expect=Tolerated(state={"peer_choking": True}),
        levels=ALL,
    ),
)
