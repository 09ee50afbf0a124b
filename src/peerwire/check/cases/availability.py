"""What a peer says it has: bitfield and have (BEP 3)."""

from __future__ import annotations

from ...messages import Bitfield, Have, Interested, KeepAlive, NotInterested, Request, Unchoke
from ..case import INFO, MUST, SHOULD, Cases, Closed, Deviates, NotApplicable
from ..probe import Probe, Silent
from .steps import closes_or_goes_on, ignores_or_closes

__all__ = ["CASES"]

BITFIELDS = Cases("bep3/bitfield", "BEP 3, peer messages")
case = BITFIELDS.case


async def told(probe: Probe) -> Bitfield:
    """Returns the peer's bitfield.

    Raises:
        NotApplicable: It says none.
    """
    await probe.open()
    await probe.quiet(1)
    for message in probe.heard:
        if isinstance(message, Bitfield):
            return message
    raise NotApplicable("it says no bitfield")


@case(
    1,
    MUST,
    rule="A bitfield is only ever the first message.",
    does="says a handshake without reserved bits, and listens for a second",
    expects="a bitfield before anything else, if there is one",
)
async def comes_first(probe: Probe) -> None:
    await told(probe)
    first = next(each for each in probe.heard if not isinstance(each, KeepAlive))
    if not isinstance(first, Bitfield):
        raise Deviates(f"it says {first} before it")


@case(
    2,
    MUST,
    rule="A bitfield has a bit for each piece, filled up to whole bytes.",
    does="says a handshake, and listens for a second",
    expects="a bitfield of that many bytes",
)
async def has_the_length(probe: Probe) -> None:
    found = len((await told(probe)).bits)
    if found != (probe.num_pieces + 7) // 8:
        raise Deviates(f"it has {found} bytes for {probe.num_pieces} pieces")


@case(
    3,
    MUST,
    rule="Spare bits at the end are zero.",
    does="says a handshake, and listens for a second",
    expects="a bitfield without spare bits set",
)
async def has_no_spare_bits(probe: Probe) -> None:
    if not probe.num_pieces % 8:
        raise NotApplicable("the torrent's bitfield has no spare bits")
    await told(probe)
    spare = [index for index in probe.pieces if index >= probe.num_pieces]
    if spare:
        raise Deviates(f"{len(spare)} of them are set")


@case(
    4,
    MUST,
    rule="A bit is set for each piece that the sender has, and for no other.",
    does="says a handshake, listens for a second, and asks for a piece that is told of",
    expects="pieces are told of, and the piece comes, with its hash",
)
async def tells_the_truth(probe: Probe) -> str:
    await probe.open()
    await probe.quiet(1)
    pieces = sorted(index for index in probe.pieces if index < probe.num_pieces)
    if not pieces:
        raise Deviates("it tells of no piece")
    await probe.unchoked()
    await probe.fetch(pieces[len(pieces) // 2])
    return f"it tells of {len(pieces)} of {probe.num_pieces} pieces"


@case(
    5,
    SHOULD,
    rule="Indices count from zero, up to the number of pieces.",
    does="says a handshake, and listens for two seconds",
    expects="no 'have' of a piece that there is not",
)
async def has_in_range(probe: Probe) -> None:
    await probe.open()
    for message in await probe.quiet(2):
        if isinstance(message, Have) and message.index >= probe.num_pieces:
            raise Deviates(f"it says {message}, of {probe.num_pieces} pieces")


@case(
    6,
    MUST,
    rule="Who has nothing yet may skip the bitfield.",
    does="says a handshake and no bitfield, and asks for a piece",
    expects="the piece",
)
async def without_ours(probe: Probe) -> None:
    await probe.open()
    await probe.goes_on()


@case(
    7,
    MUST,
    rule="A bitfield tells which pieces the sender has.",
    does="says a bitfield with the first piece set, and asks for the last",
    expects="the piece",
)
async def with_ours(probe: Probe) -> None:
    await probe.open()
    probe.say(probe.bitfield(0))
    await probe.goes_on()


@case(
    8,
    SHOULD,
    rule="A bitfield has a bit for each piece, filled up to whole bytes.",
    does="says one that is a byte short",
    expects="the connection is closed",
)
async def of_ours_too_short(probe: Probe) -> None:
    await probe.open()
    probe.say(Bitfield(probe.bitfield().bits[:-1]))
    await closes_or_goes_on(probe)


@case(
    9,
    SHOULD,
    rule="A bitfield has a bit for each piece, filled up to whole bytes.",
    does="says one that is a byte too long",
    expects="the connection is closed",
)
async def of_ours_too_long(probe: Probe) -> None:
    await probe.open()
    probe.say(Bitfield(probe.bitfield().bits + b"\0"))
    await closes_or_goes_on(probe)


@case(
    10,
    SHOULD,
    rule="Spare bits at the end are zero.",
    does="says a bitfield with the last spare bit set",
    expects="the connection is closed",
)
async def of_ours_with_spare_bits(probe: Probe) -> None:
    if not probe.num_pieces % 8:
        raise NotApplicable("the torrent's bitfield has no spare bits")
    bits = bytearray(probe.bitfield().bits)
    bits[-1] |= 1
    await probe.open()
    probe.say(Bitfield(bytes(bits)))
    await closes_or_goes_on(probe)


@case(
    11,
    INFO,
    rule="A bitfield is only ever the first message.",
    does="says a bitfield after 'interested' and 'have'",
    expects="it replaces what was known, or the connection is closed",
)
async def of_ours_late(probe: Probe) -> str:
    await probe.open()
    probe.say(Interested(), Have(0), probe.bitfield(1))
    return await ignores_or_closes(probe, "it goes on")


HAVES = Cases("bep3/have", "BEP 3, peer messages")


@HAVES.case(
    1,
    MUST,
    rule="'have' tells of a piece that the sender has just completed.",
    does="says it of the first two pieces, and asks for the last",
    expects="the piece",
)
async def of_ours(probe: Probe) -> None:
    await probe.open()
    probe.say(Have(0), Have(min(1, probe.last)))
    await probe.goes_on()


@HAVES.case(
    2,
    MUST,
    rule="'have' tells of a piece that the sender has; nothing forbids to say it again.",
    does="says it of the first piece a hundred times, and asks for the last",
    expects="the piece",
)
async def again_and_again(probe: Probe) -> None:
    await probe.open()
    probe.say(*[Have(0)] * 100)
    await probe.goes_on()


@HAVES.case(
    3,
    SHOULD,
    rule="Indices count from zero, up to the number of pieces.",
    does="says 'have' of the piece after the last",
    expects="the connection is closed",
)
async def of_no_piece(probe: Probe) -> None:
    await probe.open()
    probe.say(Have(probe.num_pieces))
    await closes_or_goes_on(probe)


@HAVES.case(
    4,
    SHOULD,
    rule="Indices count from zero, up to the number of pieces.",
    does="says 'have' of piece 4294967295",
    expects="the connection is closed",
)
async def of_the_highest(probe: Probe) -> None:
    await probe.open()
    probe.say(Have(2**32 - 1))
    await closes_or_goes_on(probe)


@HAVES.case(
    5,
    INFO,
    rule="Two seeds have nothing to say to each other.",
    does="says 'have' of all pieces, and listens for two seconds",
    expects="the connection is closed, or goes on",
)
async def of_all(probe: Probe) -> str:
    await probe.open()
    probe.say(probe.everything)
    await probe.quiet(2)
    return "it closes the connection to a seed" if probe.ended else "it goes on"


INTEREST = Cases("bep3/interest", "BEP 3, peer protocol")


@INTEREST.case(
    1,
    MUST,
    rule="Connections start out not interested, and who wants nothing is not.",
    does="says 'have' and 'unchoke', and listens for two seconds",
    expects="a seed that neither is interested nor asks for anything",
)
async def wants_nothing(probe: Probe) -> None:
    await probe.open()
    await probe.quiet(0.5)
    if len(probe.pieces) < probe.num_pieces:
        raise NotApplicable("it is no seed")
    probe.say(Have(0), Unchoke())
    await probe.quiet(2)
    for message in probe.heard:
        if isinstance(message, Interested | Request):
            raise Deviates(f"it says {message}")


@INTEREST.case(
    2,
    MUST,
    rule="Interest and choking are states: to say again what holds already changes nothing.",
    does="says 'interested' five times, and asks for a piece",
    expects="the piece",
)
async def said_again(probe: Probe) -> None:
    await probe.open()
    probe.say(*[Interested()] * 5)
    await probe.goes_on()


@INTEREST.case(
    3,
    MUST,
    rule="Interest may come and go.",
    does="says 'interested', 'not interested' and 'interested' again, and asks for a piece",
    expects="the piece",
)
async def comes_and_goes(probe: Probe) -> None:
    await probe.ready()
    probe.say(NotInterested())
    await probe.quiet(0.5)
    probe.say(Interested())
    await probe.quiet(0.5)
    await probe.goes_on()


@INTEREST.case(
    4,
    INFO,
    rule="Connections start out choked; how soon that ends is the peer's choice.",
    does="says 'interested'",
    expects="to be unchoked, soon or later",
)
async def how_soon(probe: Probe) -> str:
    await probe.open()
    started = probe.seconds
    await probe.unchoked()
    return f"unchoked after {probe.seconds - started:.1f} s"


@INTEREST.case(
    5,
    INFO,
    rule="Connections start out not interested: nobody need be unchoked who wants nothing.",
    does="says nothing after the handshake, for two seconds",
    expects="to stay choked, or not",
)
async def unasked(probe: Probe) -> str:
    await probe.open()
    try:
        await probe.wait_for(Unchoke, within=2)
    except (Silent, Closed):
        return "it chokes who is not interested"
    return "it unchokes who is not interested"


CASES = (*BITFIELDS, *HAVES, *INTEREST)
