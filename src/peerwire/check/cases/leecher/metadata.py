"""The metadata, of the side that downloads: mostly of one that has a magnet link only (BEP 9)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ....bencode import decode_prefix, encode
from ....messages import Extended, Interested, Request
from ...case import INFO, MUST, Cases, Deviates, NotApplicable
from ...probe import BLOCK
from ..extended import OURS
from ..metadata import DATA, REJECT, REQUEST, agreed, part
from .steps import none_of

if TYPE_CHECKING:
    from ....bencode import Value
    from ...probe import Probe

__all__ = ["CASES"]

CASES = Cases("bep9/leecher", "BEP 9, extension message")


async def wanted(probe: Probe, size: int | None = None) -> int:
    """Offers the metadata, and returns the piece of it that is asked for first.

    Args:
        probe: The connection.
        size: What is said to be its length; None for that.

    Raises:
        Unwanted: The leecher does not ask for it.
        NotApplicable: It can't.
        Deviates: It asks wrongly.
    """
    length = len(info(probe)) if size is None else size
    await probe.introduce({"ut_metadata": OURS}, metadata_size=length)
    probe.their_id("ut_metadata")
    try:
        return await next_wanted(probe)
    except NotHeard as error:
        raise Unwanted("it does not ask for metadata: it may have it") from error


class Unwanted(NotApplicable):
    """The leecher does not ask for metadata."""


class NotHeard(Deviates):
    """No request for metadata came."""


async def next_wanted(probe: Probe) -> int:
    """Returns the piece of the metadata that is asked for next.

    Raises:
        NotHeard: None is.
        Deviates: What is said with our id is no request for one.
    """
    try:
        said = await probe.wait_for(Extended, where=lambda each: each.extended_id != 0)
    except Deviates as error:
        raise NotHeard(str(error)) from error
    if said.extended_id != OURS:
        raise Deviates(f"it says {said}, where ut_metadata has the id {OURS}")
    try:
        told, end = decode_prefix(said.payload, strict=False)
    except ValueError as error:
        raise Deviates(f"it does not begin with bencode: {error}") from error
    if not isinstance(told, dict) or told.get(b"msg_type") != REQUEST or end < len(said.payload):
        raise Deviates(f"it says {bytes(said.payload[:80])!r}")
    piece = told.get(b"piece")
    if not isinstance(piece, int):
        raise Deviates("it asks for no piece")
    return piece


def info(probe: Probe) -> bytes:
    """Returns the metadata."""
    known = probe.subject.metainfo
    assert known is not None, "a leecher's torrent has a v1 side"
    return known.info


def pieces(probe: Probe) -> range:
    """Returns the pieces that the metadata has."""
    return range((len(info(probe)) + BLOCK - 1) // BLOCK)


def say(probe: Probe, msg_type: int, piece: int, data: bytes = b"", **more: Value) -> None:
    """Says a message of ut_metadata."""
    head = encode({"msg_type": msg_type, "piece": piece, **more})
    probe.say(Extended(probe.their_id("ut_metadata"), head + data))


async def serve_all(probe: Probe, first: int, flip: int = 0) -> None:
    """Serves all pieces of the metadata as they are asked for, with a bit flipped or without.

    Raises:
        Deviates: One is not asked for, or there is none such.
    """
    left = set(pieces(probe))
    piece = first
    while True:
        if piece not in pieces(probe):
            raise Deviates(f"it asks for piece {piece} of {len(pieces(probe))}")
        data = bytearray(info(probe)[piece * BLOCK : (piece + 1) * BLOCK])
        data[-1] ^= flip
        say(probe, DATA, piece, bytes(data), total_size=len(info(probe)))
        left.discard(piece)
        if not left:
            return
        piece = await next_wanted(probe)


@CASES.case(
    1,
    MUST,
    rule="A request names a piece of the metadata, in a dictionary, with the id that we gave.",
    does="offers ut_metadata and tells its size",
    expects="a request for one of its pieces",
)
async def asks(probe: Probe) -> str:
    piece = await wanted(probe)
    if piece not in pieces(probe):
        raise Deviates(f"it asks for piece {piece} of {len(pieces(probe))}")
    return f"it asks for piece {piece}"


@CASES.case(
    2,
    MUST,
    rule="The pieces of the metadata make up the info dictionary, whose hash is the info-hash.",
    does="serves what is asked for, and listens for two seconds",
    expects="a request for each piece, and none for the same again",
)
async def takes(probe: Probe) -> None:
    await serve_all(probe, await wanted(probe))
    none_of(await probe.quiet(2), Extended, why="where it has been served")


@CASES.case(
    3,
    MUST,
    rule="What does not have the info-hash is not the metadata.",
    does="serves it with a bit flipped, and then all pieces of the torrent",
    expects="neither 'interested' nor a request for a piece of the torrent",
)
async def checks(probe: Probe) -> str:
    await serve_all(probe, await wanted(probe), flip=1)
    probe.say(probe.everything)
    said = await probe.quiet(3)
    none_of(said, Interested, Request, why="where it has no metadata")
    if probe.ended:
        return "it closes the connection"
    return "it asks again" if said else "it waits"


@CASES.case(
    4,
    INFO,
    rule="Who does not have a piece of the metadata, or has sent enough, rejects the request.",
    does="rejects all requests for two seconds",
    expects="the connection goes on",
)
async def is_rejected(probe: Probe) -> str:
    piece, count = await wanted(probe), 1
    until = probe.seconds + 2 * probe.patience
    while probe.seconds < until and count < MANY:
        say(probe, REJECT, piece)
        try:
            piece = await next_wanted(probe)
        except NotHeard:
            break
        count += 1
    return f"{count} requests, and {probe.ended or 'the connection goes on'}"


#: Requests after which it is known that there are no fewer.
MANY = 1000

for number, size in enumerate((0, -1, 2**31 - 1, 2**63), 5):

    async def of_no_length(probe: Probe, size: int = size) -> str:
        try:
            await wanted(probe, size)
        except Unwanted:
            return probe.ended or "it does not ask for it"
        return "it asks for it"

    CASES.case(
        number,
        INFO,
        section="BEP 9, extension header",
        rule="'metadata_size' is the length of the metadata, in bytes.",
        does=f"says a metadata_size of {size}",
        expects="no request, or the end of the connection",
    )(of_no_length)


@CASES.case(
    9,
    MUST,
    rule="Who tells a metadata_size serves the metadata: its pieces make up the info dictionary.",
    does="asks for the first piece of the metadata",
    expects="that piece, whose bytes are those of the .torrent",
)
async def serves_metadata(probe: Probe) -> None:
    number, info = await agreed(probe)
    if await part(probe, number, 0, info) != info[:BLOCK]:
        raise Deviates("it serves something else")
