"""Fetching pieces whose hash is wrong: who is found guilty, and who is asked next."""

from __future__ import annotations

from peerwire import Cancel, Unchoke
from peerwire.swarm.events import PieceCorrupt

from .conftest import (
    BLOCK,
    FIRST_ID,
    SECOND_ID,
    answer,
    everything,
    hear_requests,
    make_torrent,
    until,
)


async def test_a_wrong_piece_of_one_peer(join, raw):
    torrent = make_torrent(2 * BLOCK, 2 * BLOCK)
    taker = await join(torrent)
    liar = await raw(taker, everything(torrent), Unchoke(), peer_id=FIRST_ID)
    liar.say(*(answer(torrent, r, wrong=True) for r in await hear_requests(liar, 2)))
    await until(lambda: taker.told(PieceCorrupt))
    (corrupt,) = taker.told(PieceCorrupt)
    assert corrupt.guilty is corrupt.peers[0]
    honest = await raw(taker, everything(torrent), Unchoke(), peer_id=SECOND_ID)
    honest.say(*(answer(torrent, request) for request in await hear_requests(honest, 2)))
    await taker.swarm.wait_complete()
    assert torrent.is_in(taker.root)


async def test_a_wrong_piece_of_two_peers_is_asked_of_one_alone(join, raw):
    torrent = make_torrent(2 * BLOCK, 2 * BLOCK)
    taker = await join(torrent)
    liar = await raw(taker, everything(torrent), Unchoke(), peer_id=FIRST_ID)
    one, two = await hear_requests(liar, 2)
    honest = await raw(taker, everything(torrent), Unchoke(), peer_id=SECOND_ID)
    await hear_requests(honest, 2)
    liar.say(answer(torrent, one, wrong=True))
    await honest.hear_only(Cancel)
    honest.say(answer(torrent, two))
    await until(lambda: taker.told(PieceCorrupt))
    # The liar came first, so it is asked for all of it; nobody else is. It lies again.
    liar.say(*(answer(torrent, r, wrong=True) for r in await hear_requests(liar, 2)))
    honest.say(*(answer(torrent, request) for request in await hear_requests(honest, 2)))
    await taker.swarm.wait_complete()
    assert torrent.is_in(taker.root)
    first, second = taker.told(PieceCorrupt)
    assert first.guilty is None
    assert {peer.peer_id for peer in first.peers} == {FIRST_ID, SECOND_ID}
    assert second.guilty is not None
    assert second.guilty.peer_id == FIRST_ID


async def test_on_parole_and_silent(join, raw, clock, giving):
    torrent = make_torrent(2 * BLOCK, 2 * BLOCK)
    taker = await join(torrent)
    liar = await raw(taker, everything(torrent), Unchoke(), peer_id=FIRST_ID)
    one, two = await hear_requests(liar, 2)
    honest = await raw(taker, everything(torrent), Unchoke(), peer_id=SECOND_ID)
    await hear_requests(honest, 2)
    liar.say(answer(torrent, one, wrong=True))
    await honest.hear_only(Cancel)
    honest.say(answer(torrent, two))
    await until(lambda: taker.told(PieceCorrupt))
    # The liar came first, so it is asked for all of it; nobody else is. It keeps silent.
    await hear_requests(liar, 2)
    await clock.advance(30)
    giving(torrent, honest)
    await taker.swarm.wait_complete()
    assert torrent.is_in(taker.root)
