"""BEP 10 and what is built on it, of the side that downloads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ....bencode import encode
from ....messages import Extended, NotInterested, Request, Unchoke
from ...case import INFO, MUST, SHOULD, Cases, Deviates, Inconclusive
from ..extended import handshake_of
from .steps import GRACE, bears, interested, none_of

if TYPE_CHECKING:
    from ...probe import Probe

__all__ = ["CASES"]

CASES = Cases("bep10/leecher", "BEP 10, handshake message")
PEX = Cases("bep11/leecher", "BEP 11")
UPLOAD_ONLY = Cases("bep21/leecher", "BEP 21, extension header")
LOST = Cases("bep54/leecher", "BEP 54")


@CASES.case(
    1,
    MUST,
    rule="The payload of the extended handshake is a bencoded dictionary.",
    does="says a handshake with the bit of BEP 10",
    expects="an extended handshake that is one",
)
async def introduces_itself(probe: Probe) -> None:
    await handshake_of(probe)


@CASES.case(
    2,
    SHOULD,
    rule="'reqq' is how many outstanding requests are supported without dropping any.",
    does="says a reqq of 3 and all pieces, 'unchoke', and serves nothing for two seconds",
    expects="three requests at the most",
)
async def keeps_to_our_queue(probe: Probe) -> str:
    await probe.introduce(reqq=3)
    await probe.quiet(GRACE)
    probe.say(probe.everything, Unchoke())
    await interested(probe)
    came = [each for each in await probe.quiet(2) if isinstance(each, Request)]
    if not came:
        raise Inconclusive("it asks for nothing")
    if len(came) > 3:
        raise Deviates(f"it makes {len(came)} requests")
    return f"{len(came)} requests"


@CASES.case(
    3,
    MUST,
    rule="Unknown names are ignored, in the dictionary and in 'm'.",
    does="says keys and names that nobody knows, all pieces, and 'unchoke'",
    expects="requests",
)
async def bears_the_unknown(probe: Probe) -> None:
    await probe.introduce({"xx_nobody": 9}, xx_text=b"\xff" * 20)
    probe.say(probe.everything, Unchoke())
    await probe.requested()


@CASES.case(
    4,
    MUST,
    section="BEP 10",
    rule="Extended messages are for peers whose handshake has the bit of BEP 10.",
    does="says a handshake without that bit, and listens for a second",
    expects="no extended message",
)
async def not_without_the_bit(probe: Probe) -> None:
    await probe.open()
    none_of(await probe.quiet(1), Extended, why="without the bit of BEP 10")


@CASES.case(
    5,
    INFO,
    rule="The payload of the extended handshake is a bencoded dictionary.",
    does="says one that is a list, all pieces, and 'unchoke'",
    expects="a request, or the end of the connection",
)
async def of_ours_a_list(probe: Probe) -> str:
    await handshake_of(probe)
    probe.say(Extended(0, b"l4:xxxxe"))
    return await bears(probe)


@CASES.case(
    6,
    INFO,
    section="BEP 10",
    rule="Extended messages have the ids that their receiver gave.",
    does="says a message with an id that the leecher never gave, all pieces, and 'unchoke'",
    expects="a request, or the end of the connection",
)
async def with_no_id_of_its(probe: Probe) -> str:
    told = await probe.introduce()
    unused = next(number for number in range(200, 256) if number not in told.m.values())
    probe.say(Extended(unused, b"de"))
    return await bears(probe)


@PEX.case(
    1,
    SHOULD,
    rule="Peers that were told of are a string of six bytes for each.",
    does="says a string of seven bytes in ut_pex, all pieces, and 'unchoke'",
    expects="a request, or the end of the connection",
)
async def of_half_a_peer(probe: Probe) -> str:
    await probe.introduce({"ut_pex": 1})
    message = {"added": bytes(7), "added.f": bytes(1), "dropped": b""}
    probe.say(Extended(probe.their_id("ut_pex"), encode(message)))
    return await bears(probe)


@UPLOAD_ONLY.case(
    1,
    MUST,
    rule="'upload_only' says that its sender is not going to download.",
    does="says a handshake with the bit of BEP 10",
    expects="no 'upload_only' of 1: it lacks pieces",
)
async def is_no_partial_seed(probe: Probe) -> None:
    told = await handshake_of(probe)
    if told.get(b"upload_only"):
        raise Deviates(f"it says an upload_only of {told[b'upload_only']!r:.20}")


@LOST.case(
    1,
    SHOULD,
    rule="A piece that its sender has no more is of no interest.",
    does="tells of one piece, says lt_donthave of it, and 'unchoke'",
    expects="'not interested', and no request",
)
async def wants_it_no_more(probe: Probe) -> None:
    await probe.introduce()
    number = probe.their_id("lt_donthave")
    await probe.quiet(GRACE)
    index = probe.lacking()[0]
    probe.say(probe.bitfield(index))
    await interested(probe)
    probe.say(Extended(number, index.to_bytes(4)), Unchoke())
    said = await probe.wait_for((NotInterested, Request))
    if isinstance(said, Request):
        raise Deviates(f"it says {said}, which we have no more")


CASES += [*PEX, *UPLOAD_ONLY, *LOST]
