"""Serving: what is refused, in what order the rest is answered, and what a broken disk does."""

from __future__ import annotations

import random

import pytest
from tests.hybrids import v2_torrent

from peerwire import (
    Cancel,
    HashRequestRejected,
    HaveNone,
    Interested,
    Piece,
    PieceSet,
    Reject,
    Request,
    ServedTorrent,
    StorageError,
    Unchoke,
    connect,
    serve,
)
from peerwire.fast import allowed_fast_set
from peerwire.swarm import upload
from peerwire.swarm.events import DiskFailed, PeerLeft
from peerwire.swarm.hashes import fetch_layer
from peerwire.swarm.upload import BATCH
from peerwire.torrent.hashing import leaf_requests, verified
from peerwire.torrent.merkle import block_hashes
from peerwire.torrent.metainfo_v2 import MetainfoV2

from .conftest import BLOCK, HOST, SlowStorage, Torrent, make_torrent, turns, until


@pytest.fixture
def leeching(raw):
    """Dials a member as a raw peer whom it unchokes."""

    async def leeching(member, *, fast=True, **options):
        peer = await raw(member, *[HaveNone()] * fast, Interested(), fast=fast, **options)
        await peer.hear_only(Unchoke)
        return peer

    return leeching


def whole(torrent, index):
    return Piece(index, 0, torrent.piece(index))


#: What a seed of pieces 0 and 2, of 16 KiB but for the last of 100 bytes, does not serve.
REFUSED = [
    Request(1, 0, BLOCK),  # a piece it lacks
    Request(2, 0, 101),
    Request(2, 100, 1),
    Request(0, 1, BLOCK),
    Request(0, 2**32 - 1, BLOCK),
    Request(0, 0, BLOCK + 1),
    Request(0, 0, 0),
]


@pytest.mark.parametrize("request_", REFUSED, ids=str)
async def test_a_request_that_is_refused(join, leeching, request_):
    torrent = make_torrent(2 * BLOCK + 100)
    giver = await join(torrent, pieces=[0, 2])
    peer = await leeching(giver)
    peer.say(request_, Request(2, 0, 100))
    refused = Reject(request_.index, request_.begin, request_.length)
    assert [await peer.hear(), await peer.hear()] == [refused, whole(torrent, 2)]


async def test_without_rejects_a_refused_request_gets_no_answer(join, leeching):
    torrent = make_torrent(2 * BLOCK + 100)
    giver = await join(torrent, pieces=[0, 2])
    peer = await leeching(giver, fast=False)
    peer.say(*REFUSED, Request(2, 0, 100))
    assert await peer.hear() == whole(torrent, 2)


async def test_requests_are_answered_in_their_order(seed, leeching):
    torrent = make_torrent(3 * BATCH * BLOCK)
    giver = await seed(torrent)
    peer = await leeching(giver)
    order = [*range(0, 3 * BATCH, 2), *range(1, 3 * BATCH, 2)]
    peer.say(*(Request(index, 0, BLOCK) for index in order))
    for index in order:
        assert await peer.hear() == whole(torrent, index)
    assert giver.peer().uploaded == len(torrent.content)


async def test_a_request_that_comes_while_others_are_read_is_judged_too(join, leeching):
    torrent = make_torrent(2 * BLOCK)
    giver = await join(torrent, pieces=[0], storage=SlowStorage)
    peer = await leeching(giver)
    peer.say(Request(0, 0, BLOCK))
    await giver.swarm.disk.storage.reading.wait()
    # The wire knows of them before the swarm does.
    wire = giver.peer().wire
    for request in Request(0, 1, BLOCK), Request(1, 0, BLOCK):
        wire.receive_data(request.encode(), wire.now)
    giver.swarm.disk.storage.go_on.set()
    assert await peer.hear() == whole(torrent, 0)
    assert await peer.hear() == Reject(0, 1, BLOCK)
    assert await peer.hear() == Reject(1, 0, BLOCK)


async def test_what_was_taken_back_or_choked_while_it_was_read_is_not_sent(seed, leeching):
    torrent = make_torrent(12 * BLOCK)
    giver = await seed(torrent, storage=SlowStorage)
    peer = await leeching(giver)
    allowed = allowed_fast_set(12, torrent.meta.info_hash, HOST)
    one, other = set(range(12)).difference(allowed)  # as a choke takes nothing back of the others
    peer.say(Request(one, 0, BLOCK), Request(other, 0, BLOCK))
    await giver.swarm.disk.storage.reading.wait()
    peer.say(Cancel(one, 0, BLOCK))
    assert await peer.hear() == Reject(one, 0, BLOCK)
    giver.peer().choke()
    await peer.hear_only(Reject)
    giver.swarm.disk.storage.go_on.set()
    await turns()
    assert giver.peer().uploaded == 0


async def test_a_peer_that_leaves_while_its_block_is_read(seed, leeching):
    torrent = make_torrent(BLOCK)
    giver = await seed(torrent, storage=SlowStorage)
    peer = await leeching(giver)
    peer.say(Request(0, 0, BLOCK))
    await giver.swarm.disk.storage.reading.wait()
    wire = giver.peer().wire
    wire.receive_eof()
    giver.swarm.disk.storage.go_on.set()
    await turns()
    peer.close()
    await until(lambda: giver.told(PeerLeft))


async def test_a_file_that_is_removed_while_it_is_served(seed, leeching):
    torrent = make_torrent({"gone": 2 * BLOCK, "here": 2 * BLOCK})
    giver = await seed(torrent)
    peer = await leeching(giver)
    (giver.root / "top" / "gone").unlink()
    peer.say(*(Request(index, 0, BLOCK) for index in (2, 0, 3, 0)))
    heard = [await peer.hear() for _ in range(4)]
    assert sorted(heard, key=str) == sorted(
        [whole(torrent, 2), whole(torrent, 3), *[Reject(0, 0, BLOCK)] * 2], key=str
    )
    (failed,) = giver.told(DiskFailed)
    assert failed.index == 0
    assert "No such file" in str(failed)
    # It is told once; and who comes now is not told of the piece at all.
    peer.say(Request(0, 0, BLOCK), Request(2, 0, BLOCK))
    assert await peer.hear() == Reject(0, 0, BLOCK)
    assert await peer.hear() == whole(torrent, 2)
    assert len(giver.told(DiskFailed)) == 1
    late = await leeching(giver, peer_id=b"-RW0001-somebodyelse")
    assert giver.sent("bitfield") == {"bitfield 3 of at most 8": 1}
    late.say(Request(3, 0, BLOCK))
    assert await late.hear() == whole(torrent, 3)
    assert not giver.told(PeerLeft)


async def test_a_file_that_is_cut_short_while_it_is_served(seed, leeching):
    torrent = make_torrent(3 * BLOCK)
    giver = await seed(torrent)
    peer = await leeching(giver)
    with (giver.root / "top").open("r+b") as file:
        file.truncate(2 * BLOCK + 1)
    peer.say(*(Request(index, 0, BLOCK) for index in range(3)))
    heard = [await peer.hear() for _ in range(3)]
    assert heard == [whole(torrent, 0), whole(torrent, 1), Reject(2, 0, BLOCK)]
    assert [failed.index for failed in giver.told(DiskFailed)] == [2]


async def test_a_download_fails_with_a_disk_that_cannot_be_read(join, leeching):
    torrent = make_torrent(2 * BLOCK)
    taker = await join(torrent, pieces=[0])
    peer = await leeching(taker)
    (taker.root / "top").unlink()
    peer.say(Request(0, 0, BLOCK))
    assert await peer.hear() == Reject(0, 0, BLOCK)
    with pytest.raises(StorageError, match="No such file"):
        await taker.swarm.wait_complete()


async def test_a_partial_seed_gives_what_it_has(join):
    torrent = make_torrent(4 * BLOCK)
    giver, taker = await join(torrent, "giver", pieces=[1, 3]), await join(torrent)
    taker.swarm.dial(HOST, giver.port)
    await until(lambda: len(taker.swarm.have) == 2)
    assert set(taker.swarm.have) == {1, 3}
    await until(lambda: not taker.peer().am_interested)
    assert taker.sent("request").total() == 2


# Hashes

PIECE = 2 * BLOCK
CONTENT = random.Random(1).randbytes(9 * PIECE)
HYBRID = MetainfoV2.from_bytes(v2_torrent(CONTENT, PIECE))
(FILE,) = HYBRID.files
TORRENT = Torrent(HYBRID.v1, CONTENT)


def blocks_of(piece):
    (asked,) = leaf_requests(FILE.pieces_root, FILE.length, PIECE, piece)
    return asked


@pytest.fixture
def asking(stack, seed):
    """Comes to a seed for the v2 side of a torrent, and asks for nothing yet."""

    async def asking(*, v2=HYBRID, unchoked=False, **options):
        giver = await seed(TORRENT, v2=v2, **options)
        torrents = {HYBRID.info_hash[:20]: ServedTorrent(HYBRID.num_pieces, HYBRID.info_hash)}
        server = await stack.enter_async_context(
            serve(giver.swarm.welcome, HOST, 0, torrents=torrents)
        )
        peer = await stack.enter_async_context(connect(HOST, server.port, HYBRID.info_hash))
        if unchoked:
            peer.announce(PieceSet(HYBRID.num_pieces))
            await peer.ready()
        return peer

    return asking


async def layer_from(peer):
    return await fetch_layer(peer, FILE.pieces_root, 1, FILE.length)


async def test_who_asks_for_hashes_of_pieces_gets_them_though_choked(asking):
    peer = await asking()
    assert await layer_from(peer) == HYBRID.piece_layers[FILE.pieces_root]
    assert peer.peer_choking


async def test_hashes_of_blocks_are_for_who_is_unchoked(asking):
    peer = await asking()
    peer.announce(PieceSet(HYBRID.num_pieces))
    with pytest.raises(HashRequestRejected):
        await peer.request_hashes(blocks_of(3))
    await peer.ready()
    found = verified(blocks_of(3), await peer.request_hashes(blocks_of(3)), FILE.length)
    assert found == block_hashes(TORRENT.piece(3))


async def test_hashes_of_blocks_are_given_in_proportion_to_the_blocks(asking, monkeypatch):
    monkeypatch.setattr(upload, "HASHED", PIECE)
    monkeypatch.setattr(upload, "HASHED_PER_BYTE", 4)
    peer = await asking(unchoked=True)
    await peer.request_hashes(blocks_of(0))
    with pytest.raises(HashRequestRejected):
        await peer.request_hashes(blocks_of(0))
    await peer.request(1, 0, BLOCK)
    for _ in range(2):
        await peer.request_hashes(blocks_of(1))
    with pytest.raises(HashRequestRejected):
        await peer.request_hashes(blocks_of(1))
    assert await layer_from(peer) == HYBRID.piece_layers[FILE.pieces_root]


async def test_without_a_v2_side_every_hash_request_is_rejected(asking):
    peer = await asking(v2=None)
    with pytest.raises(HashRequestRejected):
        await layer_from(peer)


async def test_a_hash_request_about_no_file_of_ours_is_rejected(asking):
    peer = await asking()
    with pytest.raises(HashRequestRejected):
        await fetch_layer(peer, bytes(32), 1, FILE.length)
