"""Metadata for peers that have a magnet link only (BEP 9)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...bencode import decode_prefix, encode
from ...messages import Extended
from ..case import INFO, MUST, SHOULD, Cases, Closed, Deviates, NotApplicable
from ..probe import BLOCK, Probe, Silent
from .extended import OURS
from .steps import ignores_or_closes

if TYPE_CHECKING:
    from ...bencode import Value

__all__ = ["CASES"]

CASES = Cases("bep9/metadata", "BEP 9, extension message")
case = CASES.case

REQUEST, DATA, REJECT = range(3)


async def agreed(probe: Probe) -> tuple[int, bytes]:
    """Returns the peer's id of ut_metadata, and the metadata.

    Raises:
        NotApplicable: The peer does not speak it, or tells no size.
    """
    told = await probe.introduce({"ut_metadata": OURS})
    number = probe.their_id("ut_metadata")
    if not told.metadata_size:
        raise NotApplicable("it tells no metadata_size")
    known = probe.subject.metainfo or probe.subject.metainfo_v2
    assert known is not None, "the torrent has one of both sides"
    return number, known.info


def ask(number: int, piece: int, msg_type: int = REQUEST, **more: Value) -> Extended:
    """Returns a request for a piece of the metadata."""
    return Extended(number, encode({"msg_type": msg_type, "piece": piece, **more}))


async def answer(probe: Probe, piece: int, *kinds: int) -> tuple[int, dict[bytes, Value], bytes]:
    """Returns the next answer about a piece: its type, its dictionary, and what follows that.

    Raises:
        Deviates: It is none, or of none of these types.
    """
    try:
        said = await probe.wait_for(Extended, where=lambda each: each.extended_id == OURS)
    except Silent:
        raise Silent("no message comes with the id that we gave ut_metadata") from None
    try:
        told, end = decode_prefix(said.payload, strict=False)
    except ValueError as error:
        raise Deviates(f"it does not begin with bencode: {error}") from error
    kind = told.get(b"msg_type") if isinstance(told, dict) else None
    if not isinstance(told, dict) or not isinstance(kind, int):
        raise Deviates("it does not begin with a dictionary that has a msg_type")
    if told.get(b"piece") != piece:
        raise Deviates(f"asked for piece {piece}, it answers with {told.get(b'piece')!r:.40}")
    if kind not in kinds:
        raise Deviates(f"it answers with a msg_type of {kind}")
    return kind, told, said.payload[end:]


async def part(probe: Probe, number: int, piece: int, info: bytes) -> bytes:
    """Asks for a piece of the metadata, and returns it.

    Raises:
        Deviates: Something else comes.
    """
    probe.say(ask(number, piece))
    _, told, data = await answer(probe, piece, DATA)
    if told.get(b"total_size") != len(info):
        raise Deviates(f"total_size is {told.get(b'total_size')!r:.40}, where it is {len(info)}")
    return data


@case(
    1,
    MUST,
    section="BEP 9, extension header",
    rule="'metadata_size' is the length of the info dictionary.",
    does="exchanges extended handshakes",
    expects="that length",
)
async def size(probe: Probe) -> None:
    _, info = await agreed(probe)
    assert probe.introduced is not None
    if probe.introduced.metadata_size != len(info):
        raise Deviates(f"it says {probe.introduced.metadata_size}, where it is {len(info)}")


@case(
    2,
    MUST,
    section="BEP 9, data",
    rule="The pieces of the metadata make up the info dictionary, whose hash is the info-hash.",
    does="asks for all of them, one after the other",
    expects="the info dictionary",
)
async def whole(probe: Probe) -> str:
    number, info = await agreed(probe)
    pieces = range((len(info) + BLOCK - 1) // BLOCK)
    if len(pieces) > 64:
        raise NotApplicable("the torrent's metadata is too long to be fetched in this case")
    came = b"".join([await part(probe, number, piece, info) for piece in pieces])
    if came != info:
        raise Deviates("what comes is not the info dictionary")
    return f"{len(pieces)} pieces"


@case(
    3,
    MUST,
    section="BEP 9, metadata; data",
    rule="A piece of the metadata has 16 KiB; the last may be shorter.",
    does="asks for the first and the last, which may be the same",
    expects="so many bytes",
)
async def length(probe: Probe) -> str:
    number, info = await agreed(probe)
    last = (len(info) - 1) // BLOCK
    for piece in sorted({0, last}):
        came = await part(probe, number, piece, info)
        if len(came) != min(BLOCK, len(info) - piece * BLOCK):
            raise Deviates(f"piece {piece} has {len(came)} bytes")
    return f"{last + 1} pieces"


@case(
    4,
    MUST,
    section="BEP 10, handshake message",
    rule="Ids are local to the peer that gave them.",
    does=f"gives ut_metadata the id {OURS}, and asks for a piece",
    expects="an answer with that id",
)
async def with_our_id(probe: Probe) -> None:
    number, info = await agreed(probe)
    await part(probe, number, 0, info)


@case(
    5,
    MUST,
    section="BEP 9, request",
    rule="A request is answered with data or a reject, of the same piece.",
    does="asks for a piece that there is not",
    expects="a reject",
)
async def no_piece(probe: Probe) -> None:
    number, info = await agreed(probe)
    piece = (len(info) + BLOCK - 1) // BLOCK
    probe.say(ask(number, piece))
    await answer(probe, piece, REJECT)


@case(
    6,
    MUST,
    rule="A message of a type that nobody knows is ignored.",
    does="says one of type 17, and asks for a piece",
    expects="the piece",
)
async def no_type(probe: Probe) -> None:
    number, info = await agreed(probe)
    probe.say(ask(number, 0, 17))
    await part(probe, number, 0, info)


@case(
    7,
    MUST,
    section="BEP 9, request",
    rule="A request is answered with data or a reject.",
    does="asks for the first piece twice in one segment",
    expects="two answers",
)
async def twice(probe: Probe) -> str:
    number, _ = await agreed(probe)
    probe.say(ask(number, 0), ask(number, 0))
    kinds = [(await answer(probe, 0, DATA, REJECT))[0] for _ in range(2)]
    return " and ".join("data" if kind == DATA else "reject" for kind in kinds)


@case(
    8,
    SHOULD,
    rule="The dictionary may have keys of the future.",
    does="asks for the first piece with one more key",
    expects="the piece",
)
async def more_keys(probe: Probe) -> None:
    number, _ = await agreed(probe)
    probe.say(ask(number, 0, xx_more=5))
    await answer(probe, 0, DATA)


@case(
    9,
    INFO,
    section="BEP 9, reject",
    rule="Who is asked for the same pieces over and over may reject them.",
    does="asks for the first piece 40 times",
    expects="data and rejects",
)
async def over_and_over(probe: Probe) -> str:
    number, _ = await agreed(probe)
    probe.say(*[ask(number, 0)] * 40)
    kinds = []
    try:
        for _ in range(40):
            kinds.append((await answer(probe, 0, DATA, REJECT))[0])
    except (Silent, Closed):
        pass
    return f"{kinds.count(DATA)} times data, {kinds.count(REJECT)} times a reject"


@case(
    10,
    INFO,
    section="BEP 9, reject",
    rule="A reject answers a request.",
    does="says a reject that answers nothing, and asks for a piece of content",
    expects="it is ignored, or the connection is closed",
)
async def a_reject_of_ours(probe: Probe) -> str:
    number, _ = await agreed(probe)
    probe.say(ask(number, 0, REJECT))
    return await ignores_or_closes(probe)


@case(
    11,
    SHOULD,
    section="BEP 9, reject",
    rule="A reject has no keys but 'msg_type' and 'piece', and nothing behind them.",
    does="asks for a piece that there is not",
    expects="a reject like that",
)
async def bare_reject(probe: Probe) -> None:
    number, info = await agreed(probe)
    piece = (len(info) + BLOCK - 1) // BLOCK
    probe.say(ask(number, piece))
    kind, told, rest = await answer(probe, piece, DATA, REJECT)
    if kind != REJECT:
        raise NotApplicable(f"it answers with a msg_type of {kind}")
    more = sorted(told.keys() - {b"msg_type", b"piece"})
    if more:
        raise Deviates(f"it has the key {more[0].decode(errors='replace'):.40}, too")
    if rest:
        raise Deviates(f"{len(rest)} bytes are behind its dictionary")
