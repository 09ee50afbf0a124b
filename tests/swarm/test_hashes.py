"""Fetching a layer of hashes: asked for in parts, verified, and whose fault it is if it fails."""

from __future__ import annotations

import asyncio
from hashlib import sha256

import pytest

from peerwire import (
    ConnectionClosed,
    HashRequestRejected,
    HashRequestTimeout,
    Limits,
    LocalProtocolError,
    MetainfoError,
    RemoteProtocolError,
    Reserved,
    ServedTorrent,
    connect,
    serve,
)
from peerwire.swarm.hashes import fetch_layer, fetch_piece_layer
from peerwire.torrent.hashing import HashServer, layer_requests
from peerwire.torrent.merkle import MerkleTree

from .conftest import BLOCK, HOST, until

V2 = bytes(range(32))
BLOCKS = 2100
LENGTH = BLOCKS * BLOCK - 1
LEAVES = b"".join(sha256(b"%d" % n).digest() for n in range(BLOCKS))
TREE = MerkleTree(LEAVES)


async def serving_all(peer):
    """What a seeder does that has the whole tree."""
    server = HashServer([TREE])
    async for request in peer:
        hashes = server.answer(request.range)
        if hashes is None:
            peer.reject_hashes(request)
        else:
            await peer.respond_hashes(request, hashes)


@pytest.fixture
def meet(stack):
    """Connects us to a peer that answers hash requests as a handler does."""

    async def meet(handler=serving_all, **options):
        torrents = {V2[:20]: ServedTorrent(info_hash_v2=V2)}
        server = await stack.enter_async_context(
            serve(handler, HOST, 0, torrents=torrents, reserved=Reserved.FAST)
        )
        return await stack.enter_async_context(connect(HOST, server.port, V2, **options))

    return meet


@pytest.mark.parametrize("base_layer", [0, 1, 3, 11])
async def test_a_layer_is_fetched_and_verified(meet, base_layer):
    peer = await meet()
    assert await fetch_layer(peer, TREE.root, base_layer, LENGTH) == TREE.layer(base_layer)


async def test_the_hashes_of_the_pieces_are_a_layer(meet):
    peer = await meet()
    pieces = await fetch_piece_layer(peer, TREE.root, LENGTH, 64 * 1024)
    assert pieces == TREE.layer(2)
    tree = MerkleTree.from_piece_layer(TREE.root, pieces, 64 * 1024, LENGTH)
    assert tree.root == TREE.root


async def test_a_file_of_one_piece_has_nothing_to_ask_for(meet):
    peer = await meet()
    assert await fetch_piece_layer(peer, TREE.root, 64 * 1024, 64 * 1024) == b""
    assert "hash request" not in peer.wire.messages_sent
    with pytest.raises(MetainfoError, match="a v2 piece length"):
        await fetch_piece_layer(peer, TREE.root, LENGTH, 65 * 1024)


@pytest.mark.parametrize("window", [1, 2, 100])
async def test_as_many_requests_are_under_way_as_are_allowed(meet, window):
    most = 0

    async def watching(peer):
        nonlocal most
        server = HashServer([TREE])
        async for request in peer:
            await asyncio.sleep(0)
            most = max(most, len(peer.peer_hash_requests))
            await peer.respond_hashes(request, server.answer(request.range))

    peer = await meet(watching, limits=Limits(max_hash_requests=window))
    assert await fetch_layer(peer, TREE.root, 0, LENGTH) == LEAVES
    assert 1 <= most <= min(window, 5)


async def test_the_requests_of_others_count_as_well(meet):
    peer = await meet(limits=Limits(max_hash_requests=1))
    other = peer.request_hashes(next(layer_requests(TREE.root, 5, LENGTH)))
    assert await fetch_layer(peer, TREE.root, 1, LENGTH) == TREE.layer(1)
    assert other.done()


def lying(change):
    """A peer that changes its second answer."""

    async def handler(peer):
        server = HashServer([TREE])
        async for request in peer:
            hashes = server.answer(request.range)
            if request.range.index == 512:
                change(hashes)
            await peer.respond_hashes(request, hashes)

    return handler


@pytest.mark.parametrize("which", [0, 511, -1])
async def test_a_peer_with_wrong_hashes_is_named_and_gone(meet, which):
    peer = await meet(lying(lambda hashes: hashes.__setitem__(which, bytes([9]) * 32)))
    with pytest.raises(RemoteProtocolError, match="do not lead to the root") as error:
        await fetch_layer(peer, TREE.root, 0, LENGTH)
    assert error.value.rule == "BEP 52, pieces root"
    assert peer.closed.by == "us"
    assert str(error.value) in peer.closed.reason


async def test_a_root_that_the_peer_does_not_have_is_rejected(meet):
    peer = await meet()
    with pytest.raises(HashRequestRejected):
        await fetch_layer(peer, bytes(32), 0, LENGTH)
    assert peer.closed is None


async def test_a_peer_that_does_not_answer(meet, clock):
    async def silent(peer):
        await peer.wait_closed()

    peer = await meet(silent)
    fetching = asyncio.create_task(fetch_layer(peer, TREE.root, 0, LENGTH, timeout=5.0))
    await until(lambda: len(peer.hash_requests) == 5)
    await clock.advance(5.0)
    with pytest.raises(HashRequestTimeout):
        await fetching


async def test_a_peer_that_leaves(meet):
    async def leaving(peer):
        async for _ in peer:
            return

    peer = await meet(leaving)
    with pytest.raises(ConnectionClosed):
        await fetch_layer(peer, TREE.root, 0, LENGTH)


async def test_only_v2_has_hashes_to_ask_for(stack):
    server = await stack.enter_async_context(serve(serving_all, HOST, 0, torrents={V2[:20]: 1}))
    peer = await stack.enter_async_context(connect(HOST, server.port, V2[:20]))
    with pytest.raises(LocalProtocolError, match="not about a v2 info-hash"):
        await fetch_layer(peer, TREE.root, 0, LENGTH)
