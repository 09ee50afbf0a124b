"""The rules of the side that downloads."""

from __future__ import annotations

import os

from ....messages import (
    Bitfield,
    Choke,
    Have,
    Interested,
    KeepAlive,
    NotInterested,
    Piece,
    Request,
    Unchoke,
)
from ...case import INFO, MUST, SHOULD, Cases, Closed, Deviates, Inconclusive, NotApplicable
from ...probe import ANSWER, BLOCK, Probe
from .steps import (
    GRACE,
    announced,
    asked,
    bears,
    interested,
    met,
    none_of,
    one_piece,
    outcome,
    spoil,
)

__all__ = ["CASES"]

CASES = Cases("bep3/leecher", "BEP 3, peer protocol")


async def asks_within(probe: Probe, index: int) -> str:
    """Tells the leecher of one piece, and sees that it asks for what there is.

    Raises:
        Deviates: It does not, or for something else.
    """
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


@CASES.case(
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


@CASES.case(
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


@CASES.case(
    3,
    MUST,
    rule="Who has nothing that a downloader wants is told so by lack of interest.",
    does="says no bitfield, and listens for twelve seconds",
    expects="neither 'interested' nor a request",
)
async def wants_nothing_of_nobody(probe: Probe) -> None:
    await probe.open()
    none_of(await probe.quiet(ANSWER), Interested, Request, why="where we have nothing")


@CASES.case(
    4,
    MUST,
    rule="Interest is kept up to date: who has what a downloader wants is told so.",
    does="says a bitfield with all pieces",
    expects="'interested'",
)
async def wants_a_seed(probe: Probe) -> None:
    await met(probe)
    await probe.wait_for(Interested)


@CASES.case(
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


@CASES.case(
    6,
    MUST,
    rule="Connections start out choked: nothing is asked for before 'unchoke'.",
    does="says a bitfield with all pieces, and listens for two seconds once it is interested",
    expects="no request",
)
async def waits_to_be_unchoked(probe: Probe) -> None:
    await met(probe)
    await interested(probe)
    none_of(await probe.quiet(2), Request)


@CASES.case(
    7,
    MUST,
    rule="Whoever is interested and unchoked makes requests, for pieces that the other has.",
    does="says a bitfield with one piece, and 'unchoke'",
    expects="requests for that piece, inside of it, each for 16 KiB at the most",
)
async def asks_for_what_there_is(probe: Probe) -> str:
    await probe.open()
    await probe.quiet(GRACE)
    return await asks_within(probe, probe.lacking()[0])


@CASES.case(
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


@CASES.case(
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
    none_of(await probe.quiet(1.5), Request)


@CASES.case(
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


@CASES.case(
    11,
    MUST,
    rule="Who finishes a piece and finds its hash right announces it to all peers.",
    does="tells of one piece, and serves it",
    expects="'have' of that piece",
)
async def announces(probe: Probe) -> None:
    index, requests = await one_piece(probe)
    probe.say(*map(probe.serve, requests))
    await announced(probe, index)


@CASES.case(
    12,
    MUST,
    rule="Only a piece whose hash is right is announced.",
    does="tells of one piece, and serves it with a bit flipped",
    expects="no 'have' of that piece",
)
async def checks_hashes(probe: Probe) -> str:
    _, requests = await one_piece(probe)
    probe.say(*[spoil(probe.serve(each)) for each in requests])
    none_of(await probe.quiet(2), Have, why="whose hash is wrong")
    return "it closes the connection" if probe.ended else "the connection goes on"


@CASES.case(
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
        probe.say(data[at : at + 500])
        await probe.flush()
    await probe.quiet(1)
    if probe.ended:
        raise Closed(probe.ended)


@CASES.case(
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
    return await outcome(probe, 1.5, "it bears it")


@CASES.case(
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


@CASES.case(
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


@CASES.case(
    17,
    MUST,
    rule="If both sides don't name the same torrent, they sever the connection.",
    does="answers with an info-hash that nobody asked for",
    expects="the connection is closed",
)
async def of_another_torrent(probe: Probe) -> None:
    probe.say(probe.greeting(info_hash=os.urandom(20)))
    await probe.closes()


@CASES.case(
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


@CASES.case(
    19,
    MUST,
    rule="The last piece may be shorter than the others, and nothing beyond it is asked for.",
    does="says a bitfield with the last piece, and 'unchoke'",
    expects="requests for that piece, inside of it",
)
async def asks_for_the_end(probe: Probe) -> str:
    await probe.open()
    await probe.quiet(GRACE)
    if probe.last not in probe.lacking():
        raise Inconclusive("not asked: it has the last piece already")
    return await asks_within(probe, probe.last)


@CASES.case(
    20,
    MUST,
    rule="Messages of length zero are keep-alives, and ignored.",
    does="says some of them between a bitfield with all pieces and 'unchoke'",
    expects="a request",
)
async def bears_keep_alives(probe: Probe) -> None:
    await met(probe)
    probe.say(KeepAlive(), KeepAlive(), Unchoke(), KeepAlive())
    await probe.requested()


@CASES.case(
    21,
    MUST,
    rule="Handshakes and messages are a stream: where segments end means nothing.",
    does="says a handshake and a bitfield with all pieces, a byte in each segment",
    expects="'interested'",
)
async def takes_bytes(probe: Probe) -> None:
    everything = probe.everything
    for value in probe.greeting().encode() + everything.encode():
        probe.say(bytes((value,)))
        await probe.flush()
    await probe.wait_for(Interested)


@CASES.case(
    22,
    INFO,
    section="BEP 3, peer messages",
    rule="What a message of an unknown type means is not said.",
    does="says one, a bitfield with all pieces, and 'unchoke'",
    expects="a request, or the end of the connection",
)
async def of_no_known_type(probe: Probe) -> str:
    await probe.open()
    await probe.quiet(GRACE)
    probe.say(b"\0\0\0\5\x63what")
    return await bears(probe)


for number, (does, message) in enumerate(
    (
        ("says a 'have' of three bytes", b"\0\0\0\4\4\0\0\0"),
        ("says an 'unchoke' that has a payload", b"\0\0\0\2\1\0"),
        ("says that a message of 4 GiB follows", b"\xff\xff\xff\xff\7"),
    ),
    23,
):

    async def wrong_length(probe: Probe, message: bytes = message) -> None:
        await probe.open()
        await probe.quiet(GRACE)
        probe.say(message)
        await probe.closes()

    CASES.case(
        number,
        SHOULD,
        section="BEP 3, peer messages",
        rule="Each message has the length of its type.",
        does=does,
        expects="the connection is closed",
    )(wrong_length)


@CASES.case(
    26,
    SHOULD,
    rule="A piece whose hash is wrong is still lacking.",
    does="tells of one piece, and serves it with a bit flipped",
    expects="a request for that piece, or the end of the connection",
)
async def asks_for_it_again(probe: Probe) -> str:
    index, requests = await one_piece(probe)
    probe.say(*[spoil(probe.serve(each)) for each in requests])
    try:
        await probe.wait_for(Request, where=lambda each: each.index == index)
    except Closed:
        return "it closes the connection"
    return "it asks for it again"


@CASES.case(
    27,
    INFO,
    rule="A block has the length that was asked for.",
    does="serves the first block with a byte too few",
    expects="the connection goes on, or is closed",
)
async def short_block(probe: Probe) -> str:
    first = await asked(probe)
    probe.say(Piece(first.index, first.begin, probe.serve(first).block[:-1]))
    return await outcome(probe, 2, "it bears it")


@CASES.case(
    28,
    MUST,
    rule="What a peer has not is not served.",
    does="is interested, and asks for a piece that it lacks, without having been unchoked",
    expects="no 'piece'",
)
async def serves_nothing(probe: Probe) -> None:
    await probe.open()
    await probe.quiet(GRACE)
    probe.say(Interested(), probe.first_block(probe.lacking()[0]))
    none_of(await probe.quiet(2), Piece, why="which it has not")


@CASES.case(
    29,
    INFO,
    rule="A peer that is told of itself finds out by its own peer id.",
    does="answers with the peer id of the one who asks",
    expects="the end of the connection, or not",
)
async def is_itself(probe: Probe) -> str:
    theirs = await probe.handshake()
    probe.peer_id = theirs.peer_id
    probe.say(probe.greeting(), probe.everything)
    return await outcome(probe, 2, "the connection goes on")
