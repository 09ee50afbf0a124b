"""Blocks that were not asked for, or not so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from peerwire import (
    HaveAll,
    KeepAlive,
    Message,
    Piece,
    Reject,
    RemoteProtocolError,
    Request,
    Unchoke,
)

from ..case import FETCHING, Act, Case, Ended, Left, Level, Pause, Reply, Tolerated, messages
from ..torrent import BASE, BLOCK, TORRENT, greeting, said

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["CASES", "SEED", "on_request"]

RULE = "BEP 6: a piece answers a request"
#: What a seed says first, all at once: it is to be asked before the good one is asked for all.
SEED = said(greeting(), HaveAll(), Unchoke())

SWARM = frozenset({Level.GET})


def asked(heard: bytes) -> list[Request]:
    """The blocks that we asked for."""
    return [message for message in messages(heard) if isinstance(message, Request)]


def right(request: Request) -> Piece:
    """What a good peer answers."""
    key = (request.index, request.begin, request.length)
    return Piece(request.index, request.begin, TORRENT.block(*key))


def on_request(answer: Callable[[Request], tuple[Message | bytes, ...]]) -> Reply:
    """Answers the first request once it has come."""

    def make(heard: bytes) -> bytes | None:
        requests = asked(heard)
        return said(*answer(requests[0])) if requests else None

    return Reply(make)


def unasked(name: str, *answers: Piece) -> Case:
    """Blocks that come out of nowhere."""
    return Case(
        id=f"piece/{name}",
        script=(greeting(), *answers),
        expect=Ended(RemoteProtocolError, RULE, "was not asked for"),
    )


def answering(name: str, answer: Callable[[Request], tuple[Message | bytes, ...]]) -> Case:
    """A seeder that answers the first request it gets."""
    return Case(
        id=f"piece/{name}",
        script=(SEED, on_request(answer)),
        expect=Ended(RemoteProtocolError, RULE, "was not asked for"),
        levels=FETCHING,
    )


def ignored(name: str, *blocks: Piece, wasted: int) -> Case:
    """Without BEP 6 a late answer is normal, so it is counted and ignored."""
    return Case(
        id=f"piece/{name}",
        script=(greeting(BASE), said(*blocks)),
        expect=Tolerated(state={"wasted": wasted, "downloaded": 0}),
    )


def zeros(first: int) -> Reply:
    """Answers four requests with zeros, once they have come."""

    def make(heard: bytes) -> bytes | None:
        requests = asked(heard)[first : first + 4]
        blocks = (Piece(r.index, r.begin, bytes(r.length)) for r in requests)
        return said(*blocks) if len(requests) == 4 else None

    return Reply(make)


CASES = (
    unasked("never-asked", Piece(0, 0, bytes(BLOCK))),
    unasked("never-asked-empty", Piece(0, 0, b"")),
    unasked("never-asked-of-no-piece", Piece(2**32 - 1, 2**32 - 1, b"x")),
    unasked("never-asked-1MiB", Piece(0, 0, bytes(1024 * 1024 - 9))),
    ignored("never-asked-without-fast", Piece(0, 0, bytes(BLOCK)), wasted=BLOCK),
    ignored("of-no-piece-without-fast", Piece(2**32 - 1, 0, bytes(100)), wasted=100),
    ignored("flood-without-fast", *[Piece(0, 0, bytes(BLOCK))] * 64, wasted=64 * BLOCK),
    answering("a-byte-short", lambda r: (Piece(r.index, r.begin, bytes(r.length - 1)),)),
    answering("a-byte-long", lambda r: (Piece(r.index, r.begin, bytes(r.length + 1)),)),
    answering("empty", lambda r: (Piece(r.index, r.begin, b""),)),
    answering("elsewhere", lambda r: (Piece(r.index, r.begin + 1, bytes(r.length)),)),
    answering("twice", lambda r: (right(r), right(r))),
    answering("after-its-reject", lambda r: (Reject(r.index, r.begin, r.length), right(r))),
    Case(
        id="piece/long-after-it-was-given-up",
        script=(
            SEED,
            on_request(lambda _: ()),
            Pause(31),
            on_request(lambda r: (right(r),)),
        ),
        expect=Tolerated(),
        levels=FETCHING,
    ),
    Case(
        id="piece/with-the-wrong-hash",
        script=(SEED, *(zeros(4 * n) for n in range(8))),
        expect=Left("wrong hash", by="us"),
        levels=SWARM,
    ),
    Case(
        id="piece/closed-in-the-middle",
        script=(
            SEED,
            on_request(lambda r: (right(r).encode()[: BLOCK // 2],)),
            Act.CLOSE,
        ),
        expect=Left("in the middle of a message"),
        levels=FETCHING,
    ),
    Case(
        id="piece/never-any",
        script=(SEED, *(Pause(40), KeepAlive()) * 4),
        expect=Left("it let all requests time out, 3 times in a row", by="us"),
        levels=SWARM,
    ),
)
