"""What most cases for a leecher begin with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ....messages import Have, Interested, Piece, Request, Unchoke
from ...case import Closed, Deviates, Inconclusive
from ...probe import PLAIN, Probe, Silent

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ....handshake import Reserved
    from ....messages import Message

__all__ = [
    "GRACE",
    "announced",
    "asked",
    "bears",
    "interested",
    "met",
    "none_of",
    "one_piece",
    "outcome",
    "spoil",
]

#: Between what crosses on the wire and what is said in spite of what was heard.
GRACE = 0.5


async def met(probe: Probe, *pieces: int, reserved: Reserved = PLAIN) -> list[int]:
    """Exchanges handshakes, learns what the leecher lacks, and tells it of pieces, or of all."""
    await probe.open(reserved, announce=False)
    await probe.quiet(GRACE)
    lacking = probe.lacking()
    probe.say(probe.bitfield(*pieces) if pieces else probe.everything)
    return lacking


async def asked(probe: Probe, reserved: Reserved = PLAIN) -> Request:
    """Tells the leecher of all pieces, unchokes it, and returns its first request.

    Raises:
        Inconclusive: It makes none.
    """
    await met(probe, reserved=reserved)
    probe.say(Unchoke())
    try:
        return await probe.requested()
    except Deviates as error:
        raise Inconclusive(f"not asked: {error}") from error


async def one_piece(probe: Probe) -> tuple[int, list[Request]]:
    """Tells the leecher of one piece that it lacks, and returns that and its requests for it.

    Raises:
        Inconclusive: It does not ask for all of it.
    """
    await probe.open(announce=False)
    await probe.quiet(GRACE)
    index = probe.lacking()[0]
    probe.say(probe.bitfield(index), Unchoke())
    requests: list[Request] = []
    blocks = len(probe.blocks(index))
    try:
        while len(requests) < blocks:
            requests.append(await probe.requested())
    except Deviates as error:
        raise Inconclusive(f"it asks for {len(requests)} of {blocks} blocks: {error}") from error
    return index, requests


async def interested(probe: Probe) -> None:
    """Waits for the leecher's interest: what it says before that is said by nobody who wants it.

    Raises:
        Inconclusive: It says none.
    """
    try:
        await probe.wait_for(Interested)
    except Deviates as error:
        raise Inconclusive(f"not asked: {error}") from error


async def announced(probe: Probe, index: int) -> None:
    """Waits for 'have' of a piece that was served.

    Raises:
        Deviates: It does not come.
    """
    try:
        await probe.wait_for(Have, where=lambda each: each.index == index)
    except Silent:
        raise Deviates("it does not say 'have' of it: to who has it that says nothing") from None


async def bears(probe: Probe) -> str:
    """Tells the leecher of all pieces, unchokes it, and returns whether it goes on.

    Raises:
        Deviates: It does neither that nor close the connection.
    """
    probe.say(probe.everything, Unchoke())
    try:
        await probe.requested()
    except Closed:
        return "it closes the connection"
    return "it ignores it"


async def outcome(probe: Probe, seconds: float, otherwise: str) -> str:
    """Tells whether the connection ends within so many seconds, or what is the case otherwise."""
    await probe.quiet(seconds)
    return "it closes the connection" if probe.ended else otherwise


def none_of(
    messages: Iterable[Message], *kinds: type[Message], why: str = "while it is choked"
) -> None:
    """Sees that nothing was said that should not have been.

    Args:
        messages: What was said.
        kinds: What of it should not have been.
        why: Why not.

    Raises:
        Deviates: Something was.
    """
    said = [each for each in messages if isinstance(each, kinds)]
    if said:
        raise Deviates(f"it says {said[0]}, {why}")


def spoil(piece: Piece) -> Piece:
    """Returns the block with a bit flipped."""
    block = bytearray(piece.block)
    block[0] ^= 1
    return Piece(piece.index, piece.begin, bytes(block))
