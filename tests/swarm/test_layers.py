"""Piece layers of several files from several peers, some of which are of no use."""

from __future__ import annotations

import asyncio
import random
import re

import pytest

from peerwire import DownloadFailed, HashRequest, Reserved, ServedTorrent, serve
from peerwire.bencode import encode
from peerwire.swarm import layers as module
from peerwire.swarm.layers import fetch_piece_layers
from peerwire.torrent.hashing import HashServer
from peerwire.torrent.merkle import MerkleTree, block_hashes, layer, piece_layer, root
from peerwire.torrent.metainfo import Metainfo
from peerwire.torrent.metainfo_v2 import MetainfoV2

from .conftest import HOST, turns, until

PIECE = 2 * 16 * 1024
#: Three files that have a layer, and two that have not.
FILES = {
    name: random.Random(name).randbytes(length)
    for name, length in {
        "a": 5 * PIECE,
        "b": PIECE,
        "c": PIECE + 1,
        "d": 1,
        "e": 600 * PIECE - 7,
    }.items()
}
ROOTS = {name: root(block_hashes(data)) for name, data in FILES.items()}
LAYERS = {
    ROOTS[name]: layer(block_hashes(FILES[name]), piece_layer(PIECE)) for name in ("a", "c", "e")
}
TREES = [
    MerkleTree.from_piece_layer(ROOTS[name], LAYERS[ROOTS[name]], PIECE, len(FILES[name]))
    for name in ("a", "c", "e")
]


def make(names="abcde"):
    tree = {name: {"": {"length": len(FILES[name]), "pieces root": ROOTS[name]}} for name in names}
    info = {"name": "top", "piece length": PIECE, "meta version": 2, "file tree": tree}
    return MetainfoV2.from_info(encode(info))


META = make()


async def requests(peer):
    async for message in peer:
        if isinstance(message, HashRequest):
            yield message


async def answering(peer):
    """What a seeder does."""
    server = HashServer(TREES)
    async for request in requests(peer):
        hashes = server.answer(request.range)
        await peer.respond_hashes(request, hashes)


async def rejecting(peer):
    async for request in requests(peer):
        peer.reject_hashes(request)


async def lying(peer):
    server = HashServer(TREES)
    async for request in requests(peer):
        hashes = server.answer(request.range)
        await peer.respond_hashes(request, [bytes(32), *hashes[1:]])


async def silent(peer):
    await peer.wait_closed()


async def leaving(peer):
    async for _ in requests(peer):
        return


@pytest.fixture
def host(stack):
    """Starts a peer that does this; returns its address."""

    async def host(handler=answering, *, torrents=None, **options):
        torrents = torrents or {META.info_hash[:20]: ServedTorrent(info_hash_v2=META.info_hash)}
        options.setdefault("reserved", Reserved.FAST)
        server = await stack.enter_async_context(
            serve(handler, HOST, 0, torrents=torrents, **options)
        )
        return HOST, server.port

    return host


async def test_all_layers_come_from_a_peer(host):
    assert await fetch_piece_layers(META, [await host()]) == LAYERS


async def test_what_they_are_is_what_a_torrent_has(host):
    layers = await fetch_piece_layers(META, [await host()])
    torrent = b"d4:info" + META.info + encode("piece layers") + encode(layers) + b"e"
    assert MetainfoV2.from_bytes(torrent).piece_layers == LAYERS


async def test_a_torrent_that_has_none_asks_nobody(host):
    asked = []
    address = await host(trace=lambda *what: asked.append(what))
    assert await fetch_piece_layers(make("bd"), [address]) == {}
    assert await fetch_piece_layers(make("bd"), []) == {}
    assert asked == []


async def test_peers_begin_with_different_files(host):
    asked = [[], []]

    def noting(number):
        async def handler(peer):
            async for request in requests(peer):
                asked[number].append(request.range.pieces_root)
                if len(asked[number]) == 1:
                    await until(lambda: all(asked))
                await peer.respond_hashes(request, HashServer(TREES).answer(request.range))

        return handler

    addresses = [await host(noting(0)), await host(noting(1))]
    assert await fetch_piece_layers(META, addresses) == LAYERS
    assert [each[0] for each in asked] == [ROOTS["a"], ROOTS["c"]]


async def test_who_is_of_no_use_makes_room_for_the_next(host):
    failed = []
    useless = [await host(rejecting), await host(leaving), await host(lying)]
    layers = await fetch_piece_layers(
        META,
        [*useless, await host()],
        max_peers=1,
        on_failed=lambda address, reason: failed.append(address),
    )
    assert layers == LAYERS
    assert failed == useless


async def test_each_failure_has_its_reason(host):
    expected = {
        (HOST, 1): "Connection refused",
        await host(torrents={bytes(20): None}): "perhaps it lacks this torrent",
        await host(rejecting): "hash request .* reject",
        await host(lying): "do not lead to the root",
        await host(leaving): "it closed the connection",
    }
    with pytest.raises(DownloadFailed) as raised:
        await fetch_piece_layers(META, expected)
    text = str(raised.value)
    assert text.startswith(f"no peer gave the piece layers of {META.info_hash.hex()}: ")
    for (host_, port), reason in expected.items():
        assert re.search(rf"{host_}:{port}: [^;]*(; )?{reason}", text), text


async def test_a_hybrid_whose_v2_side_is_not_known(host):
    fields = {
        "pieces": bytes(20 * -(-len(FILES["c"]) // PIECE)),
        "length": len(FILES["c"]),
        "name": "c",
        "piece length": PIECE,
        "meta version": 2,
        "file tree": {"c": {"": {"length": len(FILES["c"]), "pieces root": ROOTS["c"]}}},
    }
    meta = MetainfoV2.from_info(encode(fields))
    assert isinstance(meta.v1, Metainfo)
    address = await host(silent, torrents={meta.v1.info_hash: None})
    with pytest.raises(DownloadFailed, match="no more than the v1 side of this hybrid"):
        await fetch_piece_layers(meta, [address])
    both = {meta.info_hash[:20]: ServedTorrent(info_hash_v2=meta.info_hash)}
    layers = await fetch_piece_layers(meta, [await host(torrents=both)])
    assert layers == {ROOTS["c"]: LAYERS[ROOTS["c"]]}


async def test_without_peers_it_fails():
    with pytest.raises(DownloadFailed, match="there is none to ask"):
        await fetch_piece_layers(META, [])


async def test_not_every_failure_is_told(host, monkeypatch):
    monkeypatch.setattr(module, "LISTED", 1)
    with pytest.raises(DownloadFailed, match=r"Connection refused; and 2 more$"):
        await fetch_piece_layers(META, [(HOST, port) for port in (1, 2, 3)])


async def test_it_takes_no_longer_than_it_may(host, clock):
    asked = asyncio.Event()

    async def handler(peer):
        async for _ in requests(peer):
            asked.set()

    fetching = asyncio.create_task(fetch_piece_layers(META, [await host(handler)], within=5.0))
    await asked.wait()
    await turns()
    await clock.advance(5.0)
    with pytest.raises(DownloadFailed, match="it has not given all of them yet"):
        await fetching


async def test_a_mistake_of_ours_is_not_hidden(host):
    def fail(*_):
        raise RuntimeError("a mistake")

    with pytest.raises(RuntimeError, match="a mistake"):
        await fetch_piece_layers(META, [(HOST, 1)], on_failed=fail)
