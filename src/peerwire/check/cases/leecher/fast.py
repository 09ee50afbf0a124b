"""BEP 6, of the side that downloads."""

from __future__ import annotations

from collections import Counter

from ....handshake import Reserved
from ....messages import (
    AllowedFast,
    Bitfield,
    Choke,
    HaveAll,
    HaveNone,
    Interested,
    KeepAlive,
    Message,
    Reject,
    Request,
    Suggest,
    Unchoke,
)
from ...case import INFO, MUST, SHOULD, Cases, Closed, Deviates, Inconclusive
from ...probe import ANSWER, BLOCK, Probe
from .steps import announced, interested, none_of, outcome

__all__ = ["CASES"]

CASES = Cases("bep6/leecher", "BEP 6")


async def fast(probe: Probe, *said: Message) -> None:
    """Exchanges handshakes with the bit of BEP 6, and says something.

    Raises:
        NotApplicable: The peer does not speak it.
    """
    await probe.open(Reserved.FAST, announce=False)
    probe.need(Reserved.FAST, "BEP 6")
    probe.say(*said)


@CASES.case(
    1,
    MUST,
    section="BEP 6, have all/have none",
    rule="Exactly one of have all, have none and bitfield comes, immediately after the handshake.",
    does="says a handshake with the bit of BEP 6, and listens",
    expects="one of the three, before anything else",
)
async def exactly_one(probe: Probe) -> str:
    await fast(probe, HaveNone())
    first = await probe.wait_for(Message)
    said = [each for each in (first, *await probe.quiet(1)) if not isinstance(each, KeepAlive)]
    told = [each for each in said if isinstance(each, Bitfield | HaveAll | HaveNone)]
    if len(told) != 1 or said[0] is not told[0]:
        raise Deviates(f"it says {', '.join(map(str, said[:3]))}")
    return f"it says {told[0].name}"


@CASES.case(
    2,
    MUST,
    section="BEP 6, have all/have none",
    rule="'have all' tells of all pieces.",
    does="says it",
    expects="'interested'",
)
async def wants_all(probe: Probe) -> None:
    await fast(probe, HaveAll())
    await probe.wait_for(Interested)


@CASES.case(
    3,
    MUST,
    section="BEP 6, have all/have none",
    rule="'have none' tells of no piece.",
    does="says it, and listens for twelve seconds",
    expects="neither 'interested' nor a request",
)
async def wants_none(probe: Probe) -> None:
    await fast(probe, HaveNone())
    none_of(await probe.quiet(ANSWER), Interested, Request, why="where we have nothing")


@CASES.case(
    4,
    MUST,
    section="BEP 6, allowed fast",
    rule="'allowed fast' does not mean that its sender has the piece.",
    does="says 'have none' and 'allowed fast' of a piece, and listens for two seconds",
    expects="no request",
)
async def does_not_mistake_advice(probe: Probe) -> None:
    await fast(probe, HaveNone(), AllowedFast(0), AllowedFast(probe.last))
    none_of(await probe.quiet(2), Request, why="where we have nothing")


@CASES.case(
    5,
    INFO,
    section="BEP 6, allowed fast",
    rule="Pieces that are allowed fast may be asked for while choked.",
    does="says 'have all' and 'allowed fast' of all pieces, and listens once it is interested",
    expects="requests, or none",
)
async def uses_advice(probe: Probe) -> str:
    await advised(probe)
    came = [each for each in await probe.quiet(2) if isinstance(each, Request)]
    return f"{len(came)} requests while choked"


@CASES.case(
    6,
    MUST,
    section="BEP 6, reject request",
    rule="What is not allowed fast is not asked for while choked.",
    does="says 'have all', and listens for two seconds once it is interested",
    expects="no request",
)
async def waits_for_unchoke(probe: Probe) -> None:
    await fast(probe, HaveAll())
    await interested(probe)
    none_of(await probe.quiet(2), Request)


@CASES.case(
    7,
    MUST,
    section="BEP 6, reject request",
    rule="A reject means that a request is not served, and nothing more.",
    does="rejects its first request",
    expects="the connection goes on",
)
async def bears_a_reject(probe: Probe) -> None:
    await fast(probe, HaveAll(), Unchoke())
    first = await probe.requested()
    probe.say(Reject(first.index, first.begin, first.length))
    await probe.quiet(1.5)
    if probe.ended:
        raise Closed(probe.ended)


@CASES.case(
    8,
    SHOULD,
    section="BEP 6, reject request",
    rule="Who receives a reject of what it never asked for closes the connection.",
    does="says a reject",
    expects="the connection is closed",
)
async def never_rejected(probe: Probe) -> None:
    await fast(probe, HaveAll(), Reject(0, 0, BLOCK))
    await probe.closes()


@CASES.case(
    9,
    MUST,
    section="BEP 6, modifications to existing messages",
    rule="Who receives a piece that it never asked for closes the connection.",
    does="says a block, without having been asked",
    expects="the connection is closed",
)
async def never_asked(probe: Probe) -> None:
    await fast(probe, HaveAll(), probe.serve(probe.first_block(0)))
    await probe.closes()


async def advised(probe: Probe) -> None:
    """Tells the leecher that it may ask for all pieces while choked, and waits for its interest."""
    await fast(probe, HaveAll(), *[AllowedFast(n) for n in range(min(probe.num_pieces, 50))])
    await interested(probe)


_UNAGREED = (HaveAll(), HaveNone(), AllowedFast(0), Reject(0, 0, BLOCK), Suggest(0))
for number, message in enumerate(_UNAGREED, 10):

    async def unagreed(probe: Probe, message: Message = message) -> None:
        await probe.open()
        probe.say(message)
        await probe.closes()

    CASES.case(
        number,
        MUST,
        rule=f"Who receives '{message.name}' while BEP 6 is not agreed on closes the connection.",
        does=f"says a handshake without the bit of BEP 6, and '{message.name}'",
        expects="the connection is closed",
    )(unagreed)


async def all_of_one(probe: Probe) -> list[Request]:
    """Tells the leecher of all pieces, unchokes it, and returns what it asks for, of one piece.

    Raises:
        Inconclusive: It does not ask for all of a piece.
    """
    await fast(probe, HaveAll(), Unchoke())
    asked: list[Request] = []
    try:
        while True:
            asked.append(await probe.requested())
            one = [each for each in asked if each.index == asked[0].index]
            if len(one) == len(probe.blocks(one[0].index)):
                return one
    except Deviates as error:
        raise Inconclusive(f"it asks for {len(asked)} blocks, and for no piece: {error}") from error


@CASES.case(
    15,
    INFO,
    section="BEP 6, suggest piece",
    rule="A piece that is suggested is one that the leecher may like to fetch.",
    does="says 'have all', suggests the piece before the last, and says 'unchoke'",
    expects="requests, for that piece first or not",
)
async def takes_suggestions(probe: Probe) -> str:
    await fast(probe, HaveAll(), Suggest(probe.last - 1), Unchoke())
    first = await probe.requested()
    return "it follows it" if first.index == probe.last - 1 else "it does not follow it"


@CASES.case(
    16,
    INFO,
    section="BEP 6, suggest piece",
    rule="Whether who suggests a piece has it is not said.",
    does="says 'have none' and suggests a piece, and listens for two seconds",
    expects="nothing, or 'interested', or a request",
)
async def believes_suggestions(probe: Probe) -> str:
    await fast(probe, HaveNone(), Suggest(0), Unchoke())
    said = [each for each in await probe.quiet(2) if isinstance(each, Interested | Request)]
    return f"it says {said[-1]}" if said else "it wants nothing"


@CASES.case(
    17,
    MUST,
    section="BEP 6, modifications to existing messages",
    rule="Choke no longer rejects what was asked for: it may still be served.",
    does="says 'choke' after the requests for a piece, and serves it",
    expects="'have' of that piece",
)
async def served_after_choke(probe: Probe) -> None:
    requests = await all_of_one(probe)
    probe.say(Choke(), *map(probe.serve, requests))
    await announced(probe, requests[0].index)


@CASES.case(
    18,
    MUST,
    section="BEP 6, reject request",
    rule="Who chokes rejects what was asked for, and what is not served can be asked for again.",
    does="says 'choke', rejects all requests, and says 'unchoke' a second later",
    expects="a request",
)
async def asks_after_rejects(probe: Probe) -> None:
    await fast(probe, HaveAll(), Unchoke())
    first = await probe.requested()
    probe.say(Choke())
    more = [each for each in await probe.quiet(1) if isinstance(each, Request)]
    probe.say(*[Reject(each.index, each.begin, each.length) for each in (first, *more)])
    await probe.quiet(1)
    probe.say(Unchoke())
    await probe.requested()


@CASES.case(
    19,
    INFO,
    section="BEP 6, allowed fast",
    rule="Indices count from zero, up to the number of pieces.",
    does="says 'allowed fast' of the piece after the last",
    expects="it is ignored, or the connection closed",
)
async def allowed_no_piece(probe: Probe) -> str:
    await fast(probe, HaveAll(), AllowedFast(probe.num_pieces))
    return await outcome(probe, 2, "it ignores it")


@CASES.case(
    20,
    SHOULD,
    section="BEP 6, reject request",
    rule="Who chokes rejects what is asked for and not allowed fast: each request has one answer.",
    does="asks for a piece that the leecher lacks, without having been unchoked",
    expects="a reject of that",
)
async def rejects(probe: Probe) -> None:
    await fast(probe, HaveNone())
    await probe.quiet(1)
    block = probe.first_block(probe.lacking()[-1])
    probe.say(Interested(), block)
    same = (block.index, block.begin, block.length)
    await probe.wait_for(Reject, where=lambda each: (each.index, each.begin, each.length) == same)


@CASES.case(
    21,
    INFO,
    section="BEP 6, allowed fast",
    rule="A peer may reject what it allowed fast, and nothing says when it may be asked again.",
    does="says 'allowed fast' of all pieces, and rejects all requests for two seconds",
    expects="requests, or none",
)
async def insists_on_advice(probe: Probe) -> str:
    await advised(probe)
    return often(await rejected(probe))


@CASES.case(
    22,
    INFO,
    section="BEP 6, reject request",
    rule="Who rejects should have choked before, so that it is not asked again at once.",
    does="says 'unchoke', and rejects all requests for two seconds",
    expects="requests, for something else or for the same",
)
async def insists(probe: Probe) -> str:
    await fast(probe, HaveAll(), Unchoke())
    await interested(probe)
    return often(await rejected(probe))


async def rejected(probe: Probe) -> list[Request]:
    """Rejects what is asked for within two seconds, and returns it."""
    until, asked = probe.seconds + 2 * probe.patience, list[Request]()
    while (left := until - probe.seconds) > 0 and len(asked) < MANY:
        try:
            each = await probe.requested(left / probe.patience)
        except Deviates:
            break
        probe.say(Reject(each.index, each.begin, each.length))
        asked.append(each)
    return asked


#: Requests after which it is known that there are no fewer.
MANY = 1000


def often(requests: list[Request]) -> str:
    """Returns how often something was asked for."""
    asked = Counter((each.index, each.begin) for each in requests)
    most = max(asked.values(), default=0)
    return f"{len(requests)} requests, {most} of them for the same block"
