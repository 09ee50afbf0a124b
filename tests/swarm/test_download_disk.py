"""Fetching while the disk is behind, full, or has several pieces to write."""

from __future__ import annotations

import asyncio
import errno

import pytest

from peerwire import Request, StorageError, Unchoke
from peerwire.swarm import download
from peerwire.swarm.events import PieceCorrupt, PieceVerified
from peerwire.torrent.storage import Storage

from .conftest import (
    BLOCK,
    FIRST_ID,
    HOST,
    SECOND_ID,
    Gate,
    answer,
    everything,
    make_torrent,
    turns,
    until,
)


async def test_nothing_more_is_asked_for_while_the_disk_is_behind(join, seed, monkeypatch):
    monkeypatch.setattr(download, "MAX_UNWRITTEN", 4 * BLOCK)
    torrent = make_torrent(40 * BLOCK)
    giver, taker = await seed(torrent), await join(torrent, storage=Gate)
    taker.swarm.dial(HOST, giver.port)
    await until(lambda: taker.swarm.peers and taker.peer().downloaded >= 4 * BLOCK)
    await until(lambda: not len(taker.peer().requests))
    await turns()
    assert taker.peer().downloaded < 20 * BLOCK
    assert not taker.swarm.have
    taker.swarm.disk.storage.opened.set()
    await taker.swarm.wait_complete()
    assert torrent.is_in(taker.root)


class Full(Storage):
    def write(self, index, begin, data):
        cause = OSError(errno.ENOSPC, "No space left on device")
        raise StorageError("can't write: No space left on device") from cause


async def test_a_disk_that_is_full(join, seed):
    torrent = make_torrent(4 * BLOCK)
    giver, taker = await seed(torrent), await join(torrent, storage=Full)
    taker.swarm.dial(HOST, giver.port)
    with pytest.raises(StorageError, match="No space left"):
        await taker.swarm.wait_complete()
    assert not taker.told(PieceVerified)


async def test_what_has_come_is_written_before_a_swarm_is_closed(join, seed):
    torrent = make_torrent(BLOCK)
    giver, taker = await seed(torrent), await join(torrent, storage=Gate)
    taker.swarm.dial(HOST, giver.port)
    await until(lambda: taker.swarm.peers and taker.peer().downloaded == BLOCK)
    closing = asyncio.create_task(taker.swarm.close())
    await turns()
    assert not closing.done()
    taker.swarm.disk.storage.opened.set()
    await closing
    assert torrent.is_in(taker.root)


async def test_pieces_that_wait_for_the_disk_are_written_together(join, raw):
    """And each is judged by itself, the wrong one as well."""
    torrent = make_torrent(8 * BLOCK)
    taker = await join(torrent, storage=Gate)
    hops = []
    write_pieces = taker.swarm.disk.write_pieces

    async def counted(pieces):
        hops.append(len(pieces))
        return await write_pieces(pieces)

    taker.swarm.disk.write_pieces = counted
    giver = await raw(taker, everything(torrent), Unchoke(), peer_id=FIRST_ID)
    wrong = set()
    for number in range(8):
        request = await giver.hear_only(Request)
        if number == 6:
            wrong.add(request.index)
        giver.say(answer(torrent, request, wrong=request.index in wrong))
    await until(lambda: taker.peer().downloaded == 8 * BLOCK)
    taker.swarm.disk.storage.opened.set()
    await until(lambda: taker.told(PieceCorrupt) and len(taker.swarm.have) == 7)
    assert sum(hops) == 8
    assert len(hops) < 8
    (corrupt,) = taker.told(PieceCorrupt)
    assert {corrupt.index} == wrong
    assert corrupt.guilty is not None
    other = await raw(taker, everything(torrent), Unchoke(), peer_id=SECOND_ID)
    other.say(answer(torrent, await other.hear_only(Request)))
    await taker.swarm.wait_complete()
    assert torrent.is_in(taker.root)


@pytest.mark.parametrize("spare", [0, 3 * BLOCK])
async def test_memory_of_pieces_is_used_again(join, seed, monkeypatch, spare):
    """No more than so much of it is kept, and nothing of what was in it matters."""
    monkeypatch.setattr(download, "MAX_SPARE", spare)
    torrent = make_torrent(30 * BLOCK + 1)
    giver, taker = await seed(torrent), await join(torrent)
    taker.swarm.dial(HOST, giver.port)
    await taker.swarm.wait_complete()
    assert torrent.is_in(taker.root)
    assert len(taker.swarm.download._spare) == spare // BLOCK
