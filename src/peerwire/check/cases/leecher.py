"""The rules of the side that downloads, for a peer that connects to us and wants the torrent."""

from __future__ import annotations

import os

from ...handshake import Reserved
from ...messages import (
    AllowedFast,
    Bitfield,
    Choke,
    Extended,
    Have,
    HaveAll,
    HaveNone,
    Interested,
    KeepAlive,
    Message,
    NotInterested,
    Piece,
    Reject,
    Request,
    Unchoke,
)
from ..case import INFO, MUST, SHOULD, Cases, Closed, Deviates, Inconclusive, NotApplicable
from ..probe import BLOCK, PLAIN, Probe, Silent
from .extended import handshake_of

__all__ = ["CASES"]

CORE = Cases("bep3/leecher", "BEP 3, peer protocol")
FAST = Cases("bep6/leecher", "BEP 6")
EXTENDED = Cases("bep10/leecher", "BEP 10, handshake message")

#: Between what crosses on the wire and what is said in spite of what was heard.
GRACE = 0.5


async def met(probe: Probe, *pieces: int, reserved: Reserved = PLAIN) -> list[int]:
    """Exchanges handshakes, learns what the leecher lacks, and tells it of pieces, or of all."""
    await probe.open(reserved, announce=False)
    await probe.quiet(GRACE)
    lacking = probe.lacking()
    told = pieces or range(probe.num_pieces)
    probe.say(probe.bitfield(*told))
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


@CORE.case(
    1,
    MUST,
    rule="The side that connects says a handshake with the info-hash of the torrent.",
    does="listens",
    expects="a handshake with the torrent's info-hash",
)
async def says_hello(probe: Probe) -> None:
    heard = await probe.handshake()
    if heard.info_hash not in probe.subject.info_hashes:
        raise Deviates(f"it names {heard.info_hash.hex()}")


@CORE.case(
    2,
    MUST,
    section="BEP 3, peer messages",
    rule="A bitfield is the first message if there is one, has a bit a piece, and no spare bits.",
    does="says a handshake without reserved bits, and listens",
    expects="a bitfield like that, or none",
)
async def says_what_it_has(probe: Probe) -> None:
    await probe.open()
    said = [each for each in await probe.quiet(1) if not isinstance(each, KeepAlive)]
    told = [each for each in said if isinstance(each, Bitfield)]
    if not told:
        raise NotApplicable("it says no bitfield")
    if said[0] is not told[0]:
        raise Deviates(f"it says {said[0]} before its bitfield")
    if len(told[0].bits) != (probe.num_pieces + 7) // 8:
        raise Deviates(f"it has {len(told[0].bits)} bytes for {probe.num_pieces} pieces")
    if any(index >= probe.num_pieces for index in probe.pieces):
        raise Deviates("it has spare bits set")


@CORE.case(
    3,
    MUST,
    rule="Who has nothing that a downloader wants is told so by lack of interest.",
    does="says no bitfield, and listens for two seconds",
    expects="neither 'interested' nor a request",
)
async def wants_nothing_of_nobody(probe: Probe) -> None:
    await probe.open()
    for message in await probe.quiet(2):
        if isinstance(message, Interested | Request):
            raise Deviates(f"it says {message}, where we have nothing")


@CORE.case(
    4,
    MUST,
    rule="Interest is kept up to date: who has what a downloader wants is told so.",
    does="says a bitfield with all pieces",
    expects="'interested'",
)
async def wants_a_seed(probe: Probe) -> None:
    await met(probe)
    await probe.wait_for(Interested)


@CORE.case(
    5,
    MUST,
    rule="Interest is kept up to date: 'have' may change it.",
    does="says no bitfield, and after a second 'have' of a piece that it lacks",
    expects="'interested'",
)
async def wants_what_is_new(probe: Probe) -> None:
    await probe.open()
    await probe.quiet(1)
    probe.say(Have(probe.lacking()[0]))
    await probe.wait_for(Interested)


@CORE.case(
    6,
    MUST,
    rule="Connections start out choked: nothing is asked for before 'unchoke'.",
    does="says a bitfield with all pieces, and listens for two seconds",
    expects="no request",
)
async def waits_to_be_unchoked(probe: Probe) -> None:
    await met(probe)
    for message in await probe.quiet(2):
        if isinstance(message, Request):
            raise Deviates(f"it says {message} while it is choked")


@CORE.case(
    7,
    MUST,
    rule="Whoever is interested and unchoked makes requests, for pieces that the other has.",
    does="says a bitfield with one piece, and 'unchoke'",
    expects="requests for that piece, inside of it, each for 16 KiB at the most",
)
async def asks_for_what_there_is(probe: Probe) -> str:
    await probe.open()
    await probe.quiet(GRACE)
    index = probe.lacking()[0]
    probe.say(probe.bitfield(index), Unchoke())
    await probe.requested()
    await probe.quiet(GRACE)
    requests = [each for each in probe.heard if isinstance(each, Request)]
    size = probe.subject.piece_size(index)
    for each in requests:
        if each.index != index:
            raise Deviates(f"it says {each}, where we have piece {index} only")
        if each.length == 0 or each.begin + each.length > size:
            raise Deviates(f"it says {each}, of a piece of {size} bytes")
        if each.length > BLOCK:
            raise Deviates(f"it says {each}, of more than {BLOCK} bytes")
    return f"{len(requests)} requests"


@CORE.case(
    8,
    SHOULD,
    rule="Several requests are kept queued up at once.",
    does="says a bitfield with all pieces, and 'unchoke', and listens for a second",
    expects="two requests and more",
)
async def queues_up(probe: Probe) -> str:
    await asked(probe)
    await probe.quiet(1)
    requests = [each for each in probe.heard if isinstance(each, Request)]
    if len(requests) < 2:
        raise Deviates("it makes one request and waits")
    return f"{len(requests)} requests at once"


@CORE.case(
    9,
    MUST,
    rule="While choked nothing is asked for.",
    does="says 'unchoke', and 'choke' after the first request",
    expects="no request half a second after that and later",
)
async def stops_when_choked(probe: Probe) -> None:
    await asked(probe)
    probe.say(Choke())
    await probe.quiet(GRACE)  # what crosses is nobody's fault
    for message in await probe.quiet(1.5):
        if isinstance(message, Request):
            raise Deviates(f"it says {message} while it is choked")


@CORE.case(
    10,
    SHOULD,
    rule="A choke throws out what is queued up: after 'unchoke' it is asked for again.",
    does="says 'choke' after the first request, and 'unchoke' a second later",
    expects="a request",
)
async def asks_again(probe: Probe) -> None:
    await asked(probe)
    probe.say(Choke())
    await probe.quiet(1)
    probe.say(Unchoke())
    await probe.requested()


@CORE.case(
    11,
    MUST,
    rule="Who finishes a piece and finds its hash right announces it to all peers.",
    does="tells of one piece, and serves it",
    expects="'have' of that piece",
)
async def announces(probe: Probe) -> None:
    index, requests = await one_piece(probe)
    probe.say(*map(probe.serve, requests))
    try:
        await probe.wait_for(Have, where=lambda each: each.index == index)
    except Silent:
        raise Deviates("it does not say 'have' of it: to who has it that says nothing") from None


@CORE.case(
    12,
    MUST,
    rule="Only a piece whose hash is right is announced.",
    does="tells of one piece, and serves it with a bit flipped",
    expects="no 'have' of that piece",
)
async def checks_hashes(probe: Probe) -> str:
    index, requests = await one_piece(probe)
    for each in requests:
        block = bytearray(probe.serve(each).block)
        block[0] ^= 1
        probe.say(Piece(each.index, each.begin, bytes(block)))
    for message in await probe.quiet(2):
        if isinstance(message, Have) and message.index == index:
            raise Deviates("it announces a piece whose hash is wrong")
    return "it closes the connection" if probe.ended else "the connection goes on"


@CORE.case(
    13,
    MUST,
    rule="Messages are a stream: where segments end means nothing.",
    does="tells of all pieces, and serves the first block in segments of 500 bytes",
    expects="the connection goes on, with one more request or without",
)
async def takes_small_segments(probe: Probe) -> None:
    first = await asked(probe)
    data = probe.serve(first).encode()
    for at in range(0, len(data), 500):
        probe.write(data[at : at + 500])
        await probe.flush()
    await probe.quiet(1)
    if probe.ended:
        raise Closed(probe.ended)


@CORE.case(
    14,
    INFO,
    section="BEP 3, peer messages",
    rule="A piece that was not asked for may come when chokes and requests cross.",
    does="says a block that nobody asked for, without BEP 6",
    expects="it is ignored, or the connection closed",
)
async def never_asked_for(probe: Probe) -> str:
    lacking = await met(probe)
    probe.say(probe.serve(probe.first_block(lacking[-1])))
    await probe.quiet(1.5)
    return "it closes the connection" if probe.ended else "it bears it"


@CORE.case(
    15,
    SHOULD,
    section="BEP 3, peer messages",
    rule="A bitfield has a bit for each piece, filled up to whole bytes.",
    does="says one that is a byte too long",
    expects="the connection is closed",
)
async def long_bitfield(probe: Probe) -> None:
    await probe.open()
    probe.say(Bitfield(probe.bitfield(0).bits + b"\0"))
    await probe.closes()


@CORE.case(
    16,
    SHOULD,
    section="BEP 3, peer messages",
    rule="Indices count from zero, up to the number of pieces.",
    does="says 'have' of the piece after the last",
    expects="the connection is closed",
)
async def have_of_no_piece(probe: Probe) -> None:
    await probe.open()
    probe.say(Have(probe.num_pieces))
    await probe.closes()


@CORE.case(
    17,
    MUST,
    rule="If both sides don't name the same torrent, they sever the connection.",
    does="answers with an info-hash that nobody asked for",
    expects="the connection is closed",
)
async def of_another_torrent(probe: Probe) -> None:
    probe.say(probe.greeting(info_hash=os.urandom(20)))
    await probe.closes()


@CORE.case(
    18,
    SHOULD,
    rule="Interest is kept up to date: who has nothing more to offer is told so.",
    does="tells of one piece, and serves it",
    expects="'not interested'",
)
async def loses_interest(probe: Probe) -> None:
    _, requests = await one_piece(probe)
    probe.say(*map(probe.serve, requests))
    await probe.wait_for(NotInterested)


# BEP 6


async def fast(probe: Probe, *said: Message) -> None:
    """Exchanges handshakes with the bit of BEP 6, and says something.

    Raises:
        NotApplicable: The peer does not speak it.
    """
    await probe.open(Reserved.FAST, announce=False)
    probe.need(Reserved.FAST, "BEP 6")
    probe.say(*said)


@FAST.case(
    1,
    MUST,
    section="BEP 6, have all/have none",
    rule="Exactly one of have all, have none and bitfield comes, immediately after the handshake.",
    does="says a handshake with the bit of BEP 6, and listens for a second",
    expects="one of the three, before anything else",
)
async def exactly_one(probe: Probe) -> str:
    await fast(probe, HaveNone())
    said = [each for each in await probe.quiet(1) if not isinstance(each, KeepAlive)]
    told = [each for each in said if isinstance(each, Bitfield | HaveAll | HaveNone)]
    if len(told) != 1 or said[0] is not told[0]:
        raise Deviates(f"it says {', '.join(map(str, said[:3])) or 'nothing'}")
    return f"it says {told[0].name}"


@FAST.case(
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


@FAST.case(
    3,
    MUST,
    section="BEP 6, have all/have none",
    rule="'have none' tells of no piece.",
    does="says it, and listens for two seconds",
    expects="neither 'interested' nor a request",
)
async def wants_none(probe: Probe) -> None:
    await fast(probe, HaveNone())
    for message in await probe.quiet(2):
        if isinstance(message, Interested | Request):
            raise Deviates(f"it says {message}, where we have nothing")


@FAST.case(
    4,
    MUST,
    section="BEP 6, allowed fast",
    rule="'allowed fast' does not mean that its sender has the piece.",
    does="says 'have none' and 'allowed fast' of a piece, and listens for two seconds",
    expects="no request",
)
async def does_not_mistake_advice(probe: Probe) -> None:
    await fast(probe, HaveNone(), AllowedFast(0), AllowedFast(probe.last))
    for message in await probe.quiet(2):
        if isinstance(message, Request):
            raise Deviates(f"it says {message}, where we have nothing")


@FAST.case(
    5,
    INFO,
    section="BEP 6, allowed fast",
    rule="Pieces that are allowed fast may be asked for while choked.",
    does="says 'have all' and 'allowed fast' of all pieces, and listens for two seconds",
    expects="requests, or none",
)
async def uses_advice(probe: Probe) -> str:
    await fast(probe, HaveAll(), *[AllowedFast(n) for n in range(min(probe.num_pieces, 50))])
    came = [each for each in await probe.quiet(2) if isinstance(each, Request)]
    return f"{len(came)} requests while choked"


@FAST.case(
    6,
    MUST,
    section="BEP 6, reject request",
    rule="What is not allowed fast is not asked for while choked.",
    does="says 'have all', and listens for two seconds",
    expects="no request",
)
async def waits_for_unchoke(probe: Probe) -> None:
    await fast(probe, HaveAll())
    for message in await probe.quiet(2):
        if isinstance(message, Request):
            raise Deviates(f"it says {message} while it is choked")


@FAST.case(
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


@FAST.case(
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


@FAST.case(
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


for number, message in enumerate((HaveAll(), HaveNone(), AllowedFast(0), Reject(0, 0, BLOCK)), 10):

    async def unagreed(probe: Probe, message: Message = message) -> None:
        await probe.open()
        probe.say(message)
        await probe.closes()

    FAST.case(
        number,
        MUST,
        rule=f"Who receives '{message.name}' while BEP 6 is not agreed on closes the connection.",
        does=f"says a handshake without the bit of BEP 6, and '{message.name}'",
        expects="the connection is closed",
    )(unagreed)


# BEP 10


@EXTENDED.case(
    1,
    MUST,
    rule="The payload of the extended handshake is a bencoded dictionary.",
    does="says a handshake with the bit of BEP 10",
    expects="an extended handshake that is one",
)
async def introduces_itself(probe: Probe) -> None:
    await handshake_of(probe)


@EXTENDED.case(
    2,
    SHOULD,
    rule="'reqq' is how many outstanding requests are supported without dropping any.",
    does="says a reqq of 3 and all pieces, 'unchoke', and serves nothing for two seconds",
    expects="three requests at the most",
)
async def keeps_to_our_queue(probe: Probe) -> str:
    await probe.introduce(reqq=3)
    await probe.quiet(GRACE)
    probe.say(probe.bitfield(*range(probe.num_pieces)), Unchoke())
    came = [each for each in await probe.quiet(2) if isinstance(each, Request)]
    if not came:
        raise Inconclusive("it asks for nothing")
    if len(came) > 3:
        raise Deviates(f"it makes {len(came)} requests")
    return f"{len(came)} requests"


@EXTENDED.case(
    3,
    MUST,
    rule="Unknown names are ignored, in the dictionary and in 'm'.",
    does="says keys and names that nobody knows, all pieces, and 'unchoke'",
    expects="requests",
)
async def bears_the_unknown(probe: Probe) -> None:
    await probe.introduce({"xx_nobody": 9}, xx_text=b"\xff" * 20)
    probe.say(probe.bitfield(*range(probe.num_pieces)), Unchoke())
    await probe.requested()


@EXTENDED.case(
    4,
    MUST,
    section="BEP 10",
    rule="Extended messages are for peers whose handshake has the bit of BEP 10.",
    does="says a handshake without that bit, and listens for a second",
    expects="no extended message",
)
async def not_without_the_bit(probe: Probe) -> None:
    await probe.open()
    for message in await probe.quiet(1):
        if isinstance(message, Extended):
            raise Deviates(f"it says {message}")


#: After what is false nobody comes back who bans for it, as libtorrent does.
_LAST = tuple(case for case in CORE if case.ask is checks_hashes)

CASES = (*(case for case in CORE if case not in _LAST), *FAST, *EXTENDED, *_LAST)
