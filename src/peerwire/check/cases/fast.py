"""The fast extension (BEP 6)."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from ...fast import allowed_fast_set
from ...handshake import Reserved
from ...messages import (
    AllowedFast,
    Bitfield,
    Cancel,
    HaveAll,
    HaveNone,
    Interested,
    KeepAlive,
    Message,
    NotInterested,
    Piece,
    Reject,
    Request,
    Suggest,
    Unchoke,
)
from ..case import (
    INFO,
    MUST,
    SHOULD,
    Cases,
    Closed,
    Deviates,
    Inconclusive,
    NotApplicable,
)
from ..probe import BLOCK, PLAIN, Probe, Silent
from .steps import of_wrong_length

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..case import Ask

__all__ = ["CASES"]

HAVING = Cases("bep6/have", "BEP 6, have all/have none")
DISABLED = Cases("bep6/disabled", "BEP 6")
ANSWERS = Cases("bep6/answer", "BEP 6, modifications to existing messages")
REJECTS = Cases("bep6/reject", "BEP 6, reject request")
ALLOWED = Cases("bep6/allowed", "BEP 6, allowed fast")
LENGTHS = Cases("bep6/lengths", "BEP 6")


Key = tuple[int, int, int]


def key(message: Request) -> Key:
    """Returns what tells requests apart."""
    return message.index, message.begin, message.length


async def answers(probe: Probe, asked: Sequence[Request]) -> Counter[Key]:
    """Returns how often each request is answered, with a block or a reject.

    Raises:
        Deviates: Something else is answered.
    """
    keys = {key(each) for each in asked}
    came: Counter[Key] = Counter()
    try:
        while keys - came.keys():
            reply: Piece | Reject = await probe.wait_for((Piece, Reject))
            _count(reply, keys, came)
    except (Silent, Closed):
        return came
    for message in await probe.quiet(1):  # more than were due, perhaps
        if isinstance(message, Piece | Reject):
            _count(message, keys, came)
    return came


def _count(reply: Piece | Reject, keys: set[Key], came: Counter[Key]) -> None:
    length = reply.length if isinstance(reply, Reject) else len(reply.block)
    answered = reply.index, reply.begin, length
    if answered not in keys:
        raise Deviates(f"it says {reply}, for which nobody asked")
    came[answered] += 1


def once_each(asked: Sequence[Request], came: Counter[Key]) -> None:
    """Sees that each request has exactly one answer.

    Raises:
        Deviates: One has none, or more.
    """
    for request in asked:
        if came[key(request)] != 1:
            raise Deviates(
                f"{request} has {came[key(request)]} answers; {came.total()} came in all"
            )


# Have all, have none


@HAVING.case(
    1,
    MUST,
    rule="Exactly one of have all, have none and bitfield comes, immediately after the handshake.",
    does="says a handshake with the bit of BEP 6, and listens for two seconds",
    expects="one of the three, before anything else",
)
async def exactly_one(probe: Probe) -> str:
    await probe.fast()
    said = [each for each in await probe.quiet(2) if not isinstance(each, KeepAlive)]
    told = [each for each in said if isinstance(each, Bitfield | HaveAll | HaveNone)]
    if len(told) != 1:
        raise Deviates(f"it says {len(told)} of them")
    if said[0] is not told[0]:
        raise Deviates(f"it says {said[0]} before {told[0].name}")
    return f"it says {told[0].name}"


@HAVING.case(
    2,
    MUST,
    rule="Have none replaces the bitfield.",
    does="says 'have none', and asks for a piece",
    expects="the piece",
)
async def we_have_none(probe: Probe) -> None:
    await probe.fast()
    await probe.goes_on()


@HAVING.case(
    3,
    MUST,
    rule="A bitfield may be said in place of have all and have none.",
    does="says a bitfield with the first piece set, and asks for the last",
    expects="the piece",
)
async def we_have_a_bitfield(probe: Probe) -> None:
    await probe.open(Reserved.FAST, announce=False)
    probe.need(Reserved.FAST, "BEP 6")
    probe.say(probe.bitfield(0))
    await probe.goes_on()


@HAVING.case(
    4,
    INFO,
    rule="Two seeds have nothing to say to each other.",
    does="says 'have all', and listens for two seconds",
    expects="the connection is closed, or goes on",
)
async def we_have_all(probe: Probe) -> str:
    await probe.open(Reserved.FAST, announce=False)
    probe.need(Reserved.FAST, "BEP 6")
    probe.say(HaveAll())
    await probe.quiet(2)
    return "it closes the connection to a seed" if probe.ended else "it goes on"


# What is not agreed on


def unagreed(message: Message) -> Ask:
    """Returns what says a message of BEP 6 where that is not agreed on."""

    async def ask(probe: Probe) -> None:
        await probe.open(PLAIN)
        probe.say(message)
        await probe.closes()

    return ask


for number, message in enumerate(
    (HaveAll(), HaveNone(), Suggest(0), Reject(0, 0, BLOCK), AllowedFast(0)), 1
):
    DISABLED.case(
        number,
        MUST,
        rule=f"Who receives '{message.name}' while BEP 6 is not agreed on closes the connection.",
        does=f"says a handshake without the bit of BEP 6, and '{message.name}'",
        expects="the connection is closed",
    )(unagreed(message))


# Answers


@ANSWERS.case(
    1,
    MUST,
    rule="Every request is answered exactly once, with the block or a reject.",
    does="asks for 16 blocks in one segment",
    expects="16 answers, one for each",
)
async def exactly_once(probe: Probe) -> None:
    await probe.fast()
    await probe.unchoked()
    everything = [each for index in range(probe.num_pieces) for each in probe.blocks(index)[:2]]
    asked = everything[:16]
    probe.say(*asked)
    once_each(asked, await answers(probe, asked))


@ANSWERS.case(
    2,
    MUST,
    section="BEP 6, modifications to existing messages; BEP 52, peer messages",
    rule="A request that is cancelled is answered, too, with the block or a reject.",
    does="asks for a block and takes that back, in one segment",
    expects="one answer",
)
async def of_a_cancel(probe: Probe) -> str:
    await probe.fast()
    await probe.unchoked()
    asked = probe.first_block()
    probe.say(asked, Cancel(asked.index, asked.begin, asked.length))
    once_each([asked], await answers(probe, [asked]))
    return next(f"with a {m.name}" for m in probe.heard if isinstance(m, Piece | Reject))


@ANSWERS.case(
    3,
    MUST,
    rule="Every request is answered exactly once, whatever becomes of interest.",
    does="asks for eight blocks and says 'not interested', in one segment",
    expects="eight answers, one for each",
)
async def of_who_loses_interest(probe: Probe) -> None:
    await probe.fast()
    await probe.unchoked()
    asked = [probe.first_block(index) for index in range(min(8, probe.num_pieces))]
    probe.say(*asked, NotInterested())
    once_each(asked, await answers(probe, asked))


@ANSWERS.case(
    4,
    MUST,
    rule="Who receives a piece that it never asked for closes the connection.",
    does="says a piece that nobody asked for",
    expects="the connection is closed",
)
async def of_nothing(probe: Probe) -> None:
    await probe.fast()
    probe.say(Piece(0, 0, bytes(BLOCK)))
    await probe.closes()


# Rejects


@REJECTS.case(
    1,
    SHOULD,
    rule="A request of whom is choked is rejected, unless the piece is in the allowed fast set.",
    does="asks for a block of a piece that is not allowed fast, without being interested",
    expects="a reject",
)
async def while_choked(probe: Probe) -> None:
    await probe.fast()
    await probe.quiet(1)
    if not probe.choked:
        raise NotApplicable("it does not choke us")
    index = next((n for n in range(probe.num_pieces) if n not in probe.allowed), None)
    if index is None:
        raise NotApplicable("all pieces are allowed fast")
    probe.say(probe.first_block(index))
    await probe.wait_for(Reject, where=lambda each: each.index == index)


@REJECTS.case(
    2,
    MUST,
    rule="A reject names the request that it answers.",
    does="asks for three blocks of one piece that is not allowed fast, without being interested",
    expects="rejects with the index, offset and length of each",
)
async def names_the_request(probe: Probe) -> None:
    await probe.fast()
    await probe.quiet(1)
    index = next((n for n in range(probe.num_pieces) if n not in probe.allowed), None)
    if index is None or not probe.choked:
        raise NotApplicable("it does not choke us, or allows all pieces fast")
    asked = [Request(index, begin, 1024) for begin in (0, 1024, 4096)]
    probe.say(*asked)
    came = await answers(probe, asked)
    if not came:
        raise Inconclusive("it rejects nothing")
    once_each(asked, came)


@REJECTS.case(
    3,
    SHOULD,
    rule="Every request is answered: one for a piece that there is not can only be rejected.",
    does="asks for a block of the piece after the last",
    expects="a reject, or the end of the connection",
)
async def of_no_piece(probe: Probe) -> None:
    await rejected(probe, Request(probe.num_pieces, 0, BLOCK))


async def rejected(probe: Probe, asked: Request) -> None:
    """Sees that a request that can't be served is rejected, or ends the connection.

    Raises:
        Deviates: It has no answer.
    """
    await probe.fast()
    await probe.unchoked()
    probe.say(asked)
    try:
        await probe.wait_for(Reject)
    except Silent:
        raise Deviates("the request has no answer") from None
    except Closed:
        return


@REJECTS.case(
    4,
    SHOULD,
    rule="Who receives a reject of what it never asked for closes the connection.",
    does="says a reject",
    expects="the connection is closed",
)
async def never_asked(probe: Probe) -> None:
    await probe.fast()
    probe.say(Reject(0, 0, BLOCK))
    await probe.closes()


@REJECTS.case(
    5,
    SHOULD,
    rule="Every request is answered: one for bytes behind the end of the piece, too.",
    does="asks for a block that begins where the last piece ends",
    expects="a reject, or the end of the connection",
)
async def of_no_bytes(probe: Probe) -> None:
    await rejected(probe, Request(probe.last, probe.subject.piece_size(probe.last), BLOCK))


# Advice


@ALLOWED.case(
    1,
    SHOULD,
    rule="'allowed fast' names a piece that there is.",
    does="says that it is interested, and listens for a second",
    expects="pieces of the torrent, each once",
)
async def names_pieces(probe: Probe) -> str:
    await set_of(probe)
    if max(probe.allowed) >= probe.num_pieces:
        raise Deviates(f"it allows piece {max(probe.allowed)} of {probe.num_pieces}")
    if len({*probe.allowed}) < len(probe.allowed):
        raise Deviates("it allows a piece twice")
    return f"it allows {len(probe.allowed)} pieces"


async def set_of(probe: Probe, *, interested: bool = True) -> None:
    """Waits for the allowed fast set, which libtorrent tells those who are interested.

    Raises:
        NotApplicable: There is none.
    """
    await probe.fast()
    if interested:
        probe.say(Interested())
    await probe.quiet(1)
    if not probe.allowed:
        raise NotApplicable("it allows no pieces fast")


@ALLOWED.case(
    2,
    SHOULD,
    section="BEP 6, allowed fast set generation",
    rule="The set follows from the address of the receiver and the info-hash, for all senders.",
    does="says that it is interested, and listens for a second",
    expects="the set of the algorithm",
)
async def canonical(probe: Probe) -> None:
    await set_of(probe)
    count = len(probe.allowed)
    ours = allowed_fast_set(probe.num_pieces, probe.info_hash, probe.address, count)
    if {*probe.allowed} != {*ours}:
        raise Deviates(f"it allows {sorted(probe.allowed)}, where the set is {sorted(ours)}")


@ALLOWED.case(
    3,
    MUST,
    rule="A request for a piece that is allowed fast is served or rejected while choked.",
    does="asks for a block of one without being interested",
    expects="the block, or a reject",
)
async def served(probe: Probe) -> str:
    await set_of(probe, interested=False)
    if not probe.choked:
        raise NotApplicable("it does not choke us")
    probe.say(probe.first_block(probe.allowed[0]))
    return f"with a {(await probe.wait_for((Piece, Reject))).name}"


@ALLOWED.case(
    4,
    MUST,
    rule="'allowed fast' is advice, and may name pieces that its sender does not have.",
    does="says 'have none' and 'allowed fast' of five pieces, and asks for a piece",
    expects="the piece",
)
async def of_ours(probe: Probe) -> None:
    await probe.fast()
    probe.say(*[AllowedFast(index) for index in range(min(5, probe.num_pieces))])
    await probe.goes_on()


@ALLOWED.case(
    5,
    MUST,
    section="BEP 6, suggest piece",
    rule="'suggest' is advice, and may be said more than once.",
    does="says 'suggest' of the first piece five times, and asks for a piece",
    expects="the piece",
)
async def suggested(probe: Probe) -> None:
    await probe.fast()
    probe.say(*[Suggest(0)] * 5)
    await probe.goes_on()


@ALLOWED.case(
    6,
    INFO,
    section="BEP 6, suggest piece; allowed fast",
    rule="Both name a piece; nothing says what becomes of one that there is not.",
    does="says 'suggest' and 'allowed fast' of the piece after the last",
    expects="they are ignored, or the connection is closed",
)
async def out_of_range(probe: Probe) -> str:
    await probe.fast()
    probe.say(Suggest(probe.num_pieces), AllowedFast(probe.num_pieces))
    await probe.quiet(1.5)
    return "it closes the connection" if probe.ended else "it ignores them"


@ALLOWED.case(
    7,
    INFO,
    rule="Those who have nothing are told which pieces they may have while choked.",
    does="says 'have none' and 'interested', and listens for a second",
    expects="to be allowed some pieces, or unchoked",
)
async def to_a_beginner(probe: Probe) -> str:
    await probe.fast()
    probe.say(Interested())
    came = await probe.quiet(1)
    unchoked = ", and unchokes" if any(isinstance(each, Unchoke) for each in came) else ""
    return f"it allows {len(probe.allowed)} pieces{unchoked}"


WRONG = (
    (HaveAll.id, b"\0", "'have all' has no payload."),
    (HaveNone.id, b"\0", "'have none' has no payload."),
    (Suggest.id, bytes(3), "'suggest' has 4 bytes."),
    (AllowedFast.id, bytes(5), "'allowed fast' has 4 bytes."),
    (Reject.id, bytes(11), "'reject' has 12 bytes."),
)
for number, (message_id, payload, rule) in enumerate(WRONG, 1):
    LENGTHS.case(
        number,
        SHOULD,
        rule=rule,
        does=f"says a message with the id {message_id} and {len(payload)} bytes",
        expects="the connection is closed, as nothing that follows can be trusted",
    )(of_wrong_length(payload, message_id, Reserved.FAST, "BEP 6"))

CASES = (*HAVING, *DISABLED, *ANSWERS, *REJECTS, *ALLOWED, *LENGTHS)
