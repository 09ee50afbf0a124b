"""Fetching the same block from two peers: which answer counts, and who gave what is wrong."""

from __future__ import annotations

import pytest

from peerwire import Cancel, Request, Unchoke
from peerwire.swarm.events import PieceCorrupt

from .conftest import BLOCK, FIRST_ID, SECOND_ID, answer, everything, make_torrent, turns, until


@pytest.fixture
def endgame(join, raw):
    """Two peers of whom the same only block was asked; the first one's is written in place."""

    async def endgame(torrent):
        taker = await join(torrent)
        first = await raw(taker, everything(torrent), Unchoke(), peer_id=FIRST_ID)
        request = await first.hear_only(Request)
        second = await raw(taker, everything(torrent), Unchoke(), peer_id=SECOND_ID)
        assert await second.hear_only(Request) == request
        peers = {peer.peer_id: peer for peer in taker.swarm.peers}
        return taker, request, (peers[FIRST_ID], first), (peers[SECOND_ID], second)

    return endgame


def receive_at_once(*what):
    """Gives wires what came for them before anybody looks at any of it."""
    for peer, message in what:
        peer.wire.receive_data(message.encode(), peer.wire.now)
    for peer, _ in what:
        peer.send_keep_alive()  # so that it looks


@pytest.mark.parametrize("first_answers", [True, False])
async def test_duplicates_are_cancelled_and_late_ones_change_nothing(endgame, first_answers):
    torrent = make_torrent(BLOCK)
    taker, request, *both = await endgame(torrent)
    (_, quick), (_, late) = both if first_answers else reversed(both)
    quick.say(answer(torrent, request))
    assert await late.hear_only(Cancel) == Cancel(request.index, request.begin, request.length)
    late.say(answer(torrent, request, wrong=True))
    await taker.swarm.wait_complete()
    await turns()
    assert torrent.is_in(taker.root)
    assert not taker.told(PieceCorrupt)


@pytest.mark.parametrize("first_is_right", [True, False])
async def test_of_two_answers_at_once_the_first_counts(endgame, first_is_right):
    torrent = make_torrent(BLOCK)
    taker, request, *both = await endgame(torrent)
    (right, _), (wrong, _) = both if first_is_right else reversed(both)
    receive_at_once(
        (right, answer(torrent, request)), (wrong, answer(torrent, request, wrong=True))
    )
    await taker.swarm.wait_complete()
    assert torrent.is_in(taker.root)


@pytest.mark.parametrize("first_is_right", [True, False])
async def test_of_two_answers_at_once_nobody_is_blamed_for_the_others(endgame, first_is_right):
    torrent = make_torrent(BLOCK)
    taker, request, *both = await endgame(torrent)
    (right, giver), (wrong, _) = both if first_is_right else reversed(both)
    receive_at_once(
        (wrong, answer(torrent, request, wrong=True)), (right, answer(torrent, request))
    )
    await until(lambda: taker.told(PieceCorrupt))
    assert taker.told(PieceCorrupt) == [PieceCorrupt(0, [wrong], wrong)]
    giver.say(answer(torrent, await giver.hear_only(Request)))
    await taker.swarm.wait_complete()


async def test_an_answer_while_the_other_who_was_asked_is_leaving(endgame):
    torrent = make_torrent(BLOCK)
    taker, request, (leaving, _), (giving, _) = await endgame(torrent)
    leaving.wire.receive_eof()
    receive_at_once((giving, answer(torrent, request)))
    await taker.swarm.wait_complete()
    assert giving in taker.swarm.peers
