"""Choking, requests, the blocks that answer them, and cancels (BEP 3)."""

from __future__ import annotations

from ...messages import Cancel, Choke, Interested, Piece, Reject, Request, Unchoke
from ..case import INFO, MUST, SHOULD, Cases, Closed, Deviates, Inconclusive, NotApplicable
from ..probe import BLOCK, UNCHOKE, Probe, Silent
from .steps import ignores_or_closes

__all__ = ["CASES"]

CHOKING = Cases("bep3/choke", "BEP 3, peer protocol")
REQUESTS = Cases("bep3/request", "BEP 3, peer messages")
CANCELS = Cases("bep3/cancel", "BEP 3, peer messages")


def place(asked: Request) -> tuple[int, int]:
    """Returns where a block belongs."""
    return asked.index, asked.begin


#: Seconds in which a request that can't be served is rejected, or the connection closed.
DECIDED = 2.0


async def what_becomes_of(probe: Probe, asked: Request) -> str:
    """Says a request and tells what becomes of it.

    Raises:
        Deviates: A piece comes that is not what was asked for.
    """
    probe.say(asked)
    try:
        came: Piece | Reject = await probe.wait_for((Piece, Reject), within=DECIDED)
    except Closed:
        return "closed"
    except Silent:
        return "ignored"
    if isinstance(came, Reject):
        return "rejected"
    found = (came.index, came.begin, len(came.block))
    if found != (asked.index, asked.begin, asked.length):
        raise Deviates(f"{asked} is answered with {came}")
    return "served"


async def not_served(probe: Probe, asked: Request) -> str:
    """Says a request for what there is not, and tells what becomes of it.

    Raises:
        Deviates: It is served.
    """
    became = await what_becomes_of(probe, asked)
    if became == "served":
        raise Deviates(f"it serves what there is not: {asked}")
    return became


# Choking


@CHOKING.case(
    1,
    MUST,
    rule="Connections start out choked, and no data is sent to whom is choked.",
    does="says a request and then 'interested' in one segment",
    expects="no block before 'unchoke'",
)
async def serves_nobody_choked(probe: Probe) -> None:
    await probe.open()
    probe.say(probe.first_block(), Interested())
    try:
        came = await probe.wait_for((Unchoke, Piece), within=UNCHOKE)
    except Silent:
        raise Inconclusive("it neither serves the block nor unchokes") from None
    if isinstance(came, Piece):
        raise Deviates("it serves a block to a peer that it chokes")


@CHOKING.case(
    2,
    MUST,
    rule="Data is transferred when one side is interested and the other does not choke.",
    does="says 'interested', waits to be unchoked, and asks for a piece",
    expects="the piece",
)
async def serves_who_is_unchoked(probe: Probe) -> None:
    await probe.ready()
    await probe.goes_on()


@CHOKING.case(
    3,
    MUST,
    rule="Each side chokes the other by itself.",
    does="says 'choke', and asks for a piece",
    expects="the piece",
)
async def choked_by_us(probe: Probe) -> None:
    await probe.ready()
    probe.say(Choke())
    await probe.goes_on()


@CHOKING.case(
    4,
    MUST,
    rule="Each side chokes the other by itself.",
    does="says 'unchoke' and 'choke' ten times, and asks for a piece",
    expects="the piece",
)
async def choked_by_us_over_and_over(probe: Probe) -> None:
    await probe.ready()
    probe.say(*[Unchoke(), Choke()] * 10)
    await probe.goes_on()


# Requests


@REQUESTS.case(
    1,
    MUST,
    rule="A request names a piece, an offset and a length; what answers it is that block.",
    does="asks for all blocks of the last piece, each when the one before has come",
    expects="the blocks, and together the piece's hash",
)
async def one_by_one(probe: Probe) -> None:
    await probe.ready()
    requests = probe.blocks(probe.last)
    if len(requests) > 64:
        raise NotApplicable("the torrent's pieces are too long to be fetched one by one")
    piece = b"".join([await probe.block(asked) for asked in requests])
    if not probe.subject.verifies(probe.last, piece):
        raise Deviates("the piece does not have its hash")


@REQUESTS.case(
    2,
    MUST,
    rule="Peers keep several requests queued up at once.",
    does="asks for the blocks of up to four pieces in one segment",
    expects="each block once, and together the pieces' hashes",
)
async def queued_up(probe: Probe) -> None:
    await probe.ready()
    pieces = range(min(4, probe.num_pieces))
    requests = [asked for index in pieces for asked in probe.blocks(index)]
    if len(requests) > 200:
        raise NotApplicable("the torrent's pieces are too long to be fetched in one go")
    probe.say(*requests)
    came = dict(zip(map(place, requests), await probe.collect(requests), strict=True))
    for message in await probe.quiet(0.3):
        if isinstance(message, Piece):
            raise Deviates(f"it says {message} once more")
    for index in pieces:
        whole = b"".join(came[place(each)] for each in probe.blocks(index))
        if not probe.subject.verifies(index, whole):
            raise Deviates(f"piece {index} does not have its hash")


@REQUESTS.case(
    3,
    MUST,
    rule="The last block is cut off where the content ends.",
    does="asks for the last block of the last piece, with the length that it has",
    expects="the block",
)
async def the_last(probe: Probe) -> None:
    await probe.ready()
    asked = probe.blocks(probe.last)[-1]
    if asked.length == BLOCK:
        raise NotApplicable("the torrent's last block is a whole one")
    await probe.block(asked)


@REQUESTS.case(
    4,
    SHOULD,
    rule="Lengths are powers of two in general, and nothing says that they have to be.",
    does="asks for 1000 bytes at an offset of 1234",
    expects="those bytes",
)
async def of_an_odd_length(probe: Probe) -> None:
    await probe.ready()
    whole = await probe.block(probe.first_block())
    if len(whole) < 2234:
        raise NotApplicable("the torrent's first piece is too short")
    if await probe.block(Request(0, 1234, 1000)) != whole[1234:2234]:
        raise Deviates("they are not those of the block")


@REQUESTS.case(
    5,
    SHOULD,
    rule="Lengths are powers of two in general, and one byte is one.",
    does="asks for the first byte of a piece",
    expects="that byte",
)
async def of_a_byte(probe: Probe) -> None:
    await probe.ready()
    whole = await probe.block(probe.first_block())
    if await probe.block(Request(0, 0, 1)) != whole[:1]:
        raise Deviates("it is another one")


@REQUESTS.case(
    6,
    MUST,
    rule="A request names a piece that there is.",
    does="asks for a block of the piece after the last",
    expects="no block",
)
async def of_no_piece(probe: Probe) -> str:
    await probe.ready()
    return await not_served(probe, Request(probe.num_pieces, 0, BLOCK))


@REQUESTS.case(
    7,
    MUST,
    rule="A request names bytes inside of the piece.",
    does="asks for a block that begins where the piece ends",
    expects="no block",
)
async def past_the_end(probe: Probe) -> str:
    await probe.ready()
    asked = Request(probe.last, probe.subject.piece_size(probe.last), BLOCK)
    return await not_served(probe, asked)


@REQUESTS.case(
    8,
    MUST,
    rule="A request names bytes inside of the piece.",
    does="asks for a block that begins a byte before the piece ends",
    expects="no block",
)
async def across_the_end(probe: Probe) -> str:
    await probe.ready()
    asked = Request(probe.last, probe.subject.piece_size(probe.last) - 1, BLOCK)
    return await not_served(probe, asked)


@REQUESTS.case(
    9,
    MUST,
    rule="A request names bytes inside of the piece: offset and length do not wrap around.",
    does="asks for 16 KiB at offset 4294967295",
    expects="no block",
)
async def with_an_overflow(probe: Probe) -> str:
    await probe.ready()
    return await not_served(probe, Request(0, 2**32 - 1, BLOCK))


@REQUESTS.case(
    10,
    MUST,
    rule="A request for more than 16 KiB closes the connection in all implementations of old.",
    does="asks for 2 GiB",
    expects="no block; the connection is closed, or the request rejected or ignored",
)
async def of_gigabytes(probe: Probe) -> str:
    await probe.ready()
    return await not_served(probe, Request(0, 0, 2**31 - 1))


@REQUESTS.case(
    11,
    INFO,
    rule="A request for more than 16 KiB closes the connection in all implementations of old.",
    does="asks for 32, 64 and 128 KiB, one after the other",
    expects="blocks, up to the length that the peer honours",
)
async def how_long(probe: Probe) -> str:
    await probe.ready()
    most = BLOCK
    for length in (2 * BLOCK, 4 * BLOCK, 8 * BLOCK):
        if length > probe.subject.piece_size(0):
            return f"up to {most // 1024} KiB and more: no piece is longer"
        became = await what_becomes_of(probe, Request(0, 0, length))
        if became != "served":
            return f"up to {most // 1024} KiB; {length // 1024} KiB is {became}"
        most = length
    return "up to 128 KiB"


@REQUESTS.case(
    12,
    INFO,
    rule="Nothing says what a request of length zero means.",
    does="asks for no bytes",
    expects="anything",
)
async def of_nothing(probe: Probe) -> str:
    await probe.ready()
    return f"it is {await what_becomes_of(probe, Request(0, 0, 0))}"


@REQUESTS.case(
    13,
    INFO,
    rule="Nothing says how often a block may be asked for.",
    does="asks for a block three times in one segment",
    expects="one to three blocks",
)
async def three_times(probe: Probe) -> str:
    await probe.ready()
    probe.say(*[probe.first_block()] * 3)
    came = [each for each in await probe.quiet(2) if isinstance(each, Piece)]
    how = " and closes" if probe.ended else ""
    return f"it serves {len(came)} of 3{how}"


@REQUESTS.case(
    14,
    INFO,
    rule="Blocks are correlated with requests by their place, not by their order.",
    does="asks for blocks of several pieces, from the last to the first",
    expects="them, in any order",
)
async def in_order(probe: Probe) -> str:
    await probe.ready()
    asked = [probe.first_block(index) for index in reversed(range(min(8, probe.num_pieces)))]
    probe.say(*asked)
    came = [(await probe.wait_for(Piece)).index for _ in asked]
    return "in the order asked for" if came == [each.index for each in asked] else "in another"


@REQUESTS.case(
    15,
    SHOULD,
    rule="A request names an offset; nothing says that it has to be a multiple of the length.",
    does="asks for 16 KiB that begin in the middle of the piece's first block",
    expects="those bytes, of two blocks",
)
async def across_blocks(probe: Probe) -> None:
    if probe.subject.piece_size(0) < 2 * BLOCK:
        raise NotApplicable("the torrent's first piece is a single block")
    await probe.ready()
    asked = [Request(0, 0, BLOCK), Request(0, BLOCK, BLOCK)]
    probe.say(*asked)
    whole = b"".join(await probe.collect(asked))
    half = BLOCK // 2
    if await probe.block(Request(0, half, BLOCK)) != whole[half : half + BLOCK]:
        raise Deviates("they are not those of the blocks")


# Cancels


@CANCELS.case(
    1,
    MUST,
    rule="'cancel' takes a request back; of one that was answered there is nothing to take back.",
    does="says one for a block that was never asked for, and asks for a piece",
    expects="the piece",
)
async def of_nothing_asked(probe: Probe) -> None:
    await probe.ready()
    probe.say(Cancel(0, 0, probe.first_block().length))
    await probe.goes_on()


@CANCELS.case(
    2,
    MUST,
    rule="'cancel' takes a request back.",
    does="asks for a block, takes that back in the same segment, and asks for a piece",
    expects="the first block once or not at all, and the piece",
)
async def at_once(probe: Probe) -> str:
    await probe.ready()
    asked = probe.first_block()
    probe.say(asked, Cancel(asked.index, asked.begin, asked.length))
    came = [each for each in await probe.quiet(1) if isinstance(each, Piece)]
    if len(came) > 1:
        raise Deviates(f"it answers {len(came)} times")
    await probe.goes_on()
    return "it serves the block all the same" if came else "it does not serve the block"


@CANCELS.case(
    3,
    MUST,
    rule="'cancel' has the payload of the request that it takes back, and takes back no other.",
    does="asks for two blocks, takes the second back, both in one segment",
    expects="the first block",
)
async def of_the_other(probe: Probe) -> None:
    if probe.num_pieces < 2:
        raise NotApplicable("the torrent has a single piece")
    await probe.ready()
    first, second = probe.first_block(0), probe.first_block(1)
    probe.say(first, second, Cancel(second.index, second.begin, second.length))
    await probe.answer(first)


@CANCELS.case(
    4,
    INFO,
    rule="'cancel' names a block; nothing says what becomes of one that there is not.",
    does="says one for the piece after the last",
    expects="it is ignored, or the connection closed",
)
async def of_no_piece_cancelled(probe: Probe) -> str:
    await probe.ready()
    probe.say(Cancel(probe.num_pieces, 0, BLOCK))
    return await ignores_or_closes(probe)


CASES = (*CHOKING, *REQUESTS, *CANCELS)
