"""Peers that send wrong blocks: found, told, gone, and it costs no more than the piece."""

from __future__ import annotations

from collections import Counter

import pytest

from peerwire import Choke, HaveNone, Piece, Request, Unchoke
from peerwire.swarm.admission import SwarmLimits
from peerwire.swarm.events import PeerBanned, PeerJoined, PeerLeft, PieceCorrupt

from .conftest import BLOCK, HOST, everything, failed, make_torrent, some, until

LIAR = b"-LI0001-aaaaaaaaaaaa"
LIE = "it sent blocks of piece 0 with the wrong hash"
HONEST = b"-HO0001-aaaaaaaaaaaa"


def answer(torrent, request, *, wrong=False):
    block = torrent.block(request.index, request.begin, request.length)
    return Piece(request.index, request.begin, bytes(len(block)) if wrong else block)


async def hear_requests(raw, count):
    return [await raw.hear_only(Request) for _ in range(count)]


@pytest.fixture
def lying(acting):
    """Starts a seed that sends zeros; returns its port."""

    async def lying(torrent):
        async def handler(peer):
            peer.have_all()
            peer.unchoke()
            async for message in peer:
                if isinstance(message, Request):
                    await peer.respond(message, bytes(message.length))

        return await acting(torrent, handler)

    return lying


async def test_of_two_who_shared_a_piece_the_one_that_lied_is_found(join, raw):
    torrent = make_torrent(2 * BLOCK, 2 * BLOCK)
    taker = await join(torrent)
    liar = await raw(taker, everything(torrent), Unchoke(), peer_id=LIAR)
    one, two = await hear_requests(liar, 2)
    honest = await raw(taker, everything(torrent), Unchoke(), peer_id=HONEST)
    await hear_requests(honest, 2)
    liar.say(answer(torrent, one, wrong=True))
    honest.say(answer(torrent, two))
    await until(lambda: taker.told(PieceCorrupt))
    assert taker.told(PieceCorrupt)[0].guilty is None
    assert not taker.told(PeerBanned)  # nothing is proven
    # The honest one has it alone now, as the liar is not heard of any more.
    liar.close()
    honest.say(*(answer(torrent, request) for request in await hear_requests(honest, 2)))
    await taker.swarm.wait_complete()
    assert torrent.is_in(taker.root)
    (banned,) = taker.told(PeerBanned)
    (left,) = [event for event in taker.told(PeerLeft) if event.peer.peer_id == LIAR]
    assert banned == PeerBanned(left.peer.address, LIE)  # although it had left
    again = await raw(taker, HaveNone(), peer_id=LIAR)
    await again.hear_until_end()
    again.close()
    assert len(taker.told(PeerJoined)) == 2


async def test_who_is_found_out_while_it_is_here_is_dropped(join, raw):
    torrent = make_torrent(2 * BLOCK, 2 * BLOCK)
    taker = await join(torrent)
    liar = await raw(taker, everything(torrent), Unchoke(), peer_id=LIAR)
    one, two = await hear_requests(liar, 2)
    honest = await raw(taker, everything(torrent), Unchoke(), peer_id=HONEST)
    await hear_requests(honest, 2)
    liar.say(answer(torrent, one, wrong=True), Choke())  # so that it is not asked again
    await until(lambda: any(peer.peer_choking for peer in taker.swarm.peers))
    honest.say(answer(torrent, two))
    honest.say(*(answer(torrent, request) for request in await hear_requests(honest, 2)))
    await liar.hear_until_end()
    liar.close()
    await taker.swarm.wait_complete()
    await until(lambda: taker.told(PeerLeft))
    (left,) = taker.told(PeerLeft)
    assert left.peer.peer_id == LIAR
    assert left.closed.reason == "it sent blocks of piece 0 with the wrong hash"
    assert taker.told(PeerBanned) == [PeerBanned(left.peer.address, LIE)]
    assert len(taker.told(PieceCorrupt)) == 1
    assert taker.sent("request").total() == 6


@pytest.mark.parametrize("liars", [1, 2])
async def test_liars_among_honest_seeds(seed, join, lying, liars):
    torrent = make_torrent(48 * BLOCK, 4 * BLOCK)
    givers = [await seed(torrent, f"seed{number}") for number in range(2)]
    taker = await join(torrent)
    for _ in range(liars):
        port = await lying(torrent)
        taker.swarm.dial(HOST, port)
    for giver in givers:
        taker.swarm.dial(HOST, giver.port)
    await taker.swarm.wait_complete()
    assert torrent.is_in(taker.root)
    ids = {giver.swarm.peer_id for giver in givers}
    ports = {e.peer.address[1] for e in taker.told(PeerJoined) if e.peer.peer_id in ids}
    assert not {event.address[1] for event in taker.told(PeerBanned)} & ports
    # What was right and verified is fetched no second time: only pieces that failed are.
    spoilt = Counter(event.index for event in taker.told(PieceCorrupt))
    received = sum(event.peer.downloaded for event in taker.told(PeerLeft))
    assert received <= len(torrent.content) + (sum(spoilt.values()) + 4) * 4 * BLOCK


async def test_what_a_liar_gave_of_other_pieces_spoils_none_of_them(join, raw):
    torrent = make_torrent(4 * BLOCK, 2 * BLOCK)
    taker = await join(torrent)
    liar = await raw(taker, everything(torrent), Unchoke(), peer_id=LIAR)
    requests = await hear_requests(liar, 4)
    first = requests[0].index
    alone = [request for request in requests if request.index == first]
    other = [request for request in requests if request.index != first]
    # All of one piece, and half of another.
    liar.say(answer(torrent, other[0], wrong=True))
    liar.say(*(answer(torrent, request, wrong=True) for request in alone))
    await until(lambda: taker.told(PeerBanned))
    liar.close()
    honest = await raw(taker, everything(torrent), Unchoke(), peer_id=HONEST)
    honest.say(*(answer(torrent, request) for request in await hear_requests(honest, 4)))
    await taker.swarm.wait_complete()
    assert torrent.is_in(taker.root)
    assert [event.index for event in taker.told(PieceCorrupt)] == [first]


async def test_with_new_peer_ids_a_liar_soon_finds_the_door_closed(join, raw):
    torrent = make_torrent(8 * BLOCK)
    taker = await join(torrent, swarm_limits=SwarmLimits(max_banned=2))
    honest = await raw(taker, some(torrent, 0), peer_id=HONEST)
    await until(lambda: taker.swarm.peers)
    for number in range(2):
        liar = await raw(taker, some(torrent, 1), Unchoke(), peer_id=b"-LI0001-%012d" % number)
        liar.say(answer(torrent, await liar.hear_only(Request), wrong=True))
        await liar.hear_until_end()
        liar.close()
    assert len(taker.told(PeerBanned)) == 2
    third = await raw(taker, some(torrent, 1), Unchoke(), peer_id=b"-LI0001-%012d" % 3)
    await third.hear_until_end()
    third.close()
    assert len(taker.told(PeerJoined)) == 3
    assert len(taker.told(PieceCorrupt)) == 2
    # Who was here before is none the worse for being its neighbour.
    honest.say(Unchoke())
    honest.say(answer(torrent, await honest.hear_only(Request)))
    await until(lambda: 0 in taker.swarm.have)


async def test_whom_we_dial_is_judged_by_itself(join, lying, seed, raw):
    torrent = make_torrent(8 * BLOCK)
    giver = await seed(torrent)
    taker = await join(torrent, swarm_limits=SwarmLimits(max_banned=1))
    await raw(taker, HaveNone())
    await until(lambda: taker.swarm.peers)
    port = await lying(torrent)
    taker.swarm.dial(HOST, port)
    await until(lambda: failed(taker))
    taker.swarm.dial(HOST, giver.port)  # at the same address, and yet somebody else
    await taker.swarm.wait_complete()
    assert torrent.is_in(taker.root)
