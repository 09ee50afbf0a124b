"""Hashes from libtorrent and to it, of v2 and hybrid torrents, and the upgrade in both roles."""

from __future__ import annotations

import asyncio
import random
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import pytest
from tests.hybrids import v2_torrent
from tests.interop.clients import Libtorrent, Peerwire
from tests.interop.clients.base import Download
from tests.interop.clients.libtorrent import SCRIPT
from tests.interop.process import free_port, running

from peerwire import (
    Handshake,
    HashRequest,
    HashRequestRejected,
    PieceSet,
    Request,
    Reserved,
    ServedTorrent,
    connect,
    serve,
)
from peerwire.extensions.ut_metadata import UtMetadata
from peerwire.swarm.events import PeerJoined
from peerwire.swarm.hashes import fetch_layer, fetch_piece_layer
from peerwire.swarm.swarm import Swarm
from peerwire.torrent.disk import Disk
from peerwire.torrent.hashing import HashServer, layer_requests, leaf_requests, verified
from peerwire.torrent.merkle import block_hashes, piece_layer, root
from peerwire.torrent.metainfo_v2 import MetainfoV2
from peerwire.torrent.storage import Storage

if TYPE_CHECKING:
    from pathlib import Path

HOST = "127.0.0.1"
BLOCK = 16 * 1024
PIECE = 2 * BLOCK

#: More than 512 pieces, which is what one request asks for; and a short last block.
LENGTH = 600 * PIECE - 12_345

MAGNET_SCRIPT = SCRIPT.with_name("libtorrent_magnet.py")


@pytest.fixture
async def clock():
    """The event loop's own: the other end is a process that does not wait for ours to move."""


@dataclass
class Sample:
    """One file, its torrent, and what is right of its tree."""

    path: Path
    torrent: Path
    meta: MetainfoV2
    content: bytes

    @property
    def leaves(self) -> bytes:
        return block_hashes(self.content)

    def piece(self, index: int) -> bytes:
        return self.content[index * PIECE : (index + 1) * PIECE]


def make_sample(folder: Path, *, hybrid: bool, length: int = LENGTH) -> Sample:
    content = random.Random(52).randbytes(length)
    path = folder / "file.bin"
    path.write_bytes(content)
    torrent = folder / "file.torrent"
    torrent.write_bytes(v2_torrent(content, PIECE, name=path.name, hybrid=hybrid))
    return Sample(path, torrent, MetainfoV2.from_file(torrent), content)


@pytest.fixture(params=["v2", "hybrid"])
def sample(request, tmp_path):
    return make_sample(tmp_path, hybrid=request.param == "hybrid")


# libtorrent answers


def dialled(sample, port):
    """We dial libtorrent in the way that this torrent is begun with."""
    v1 = sample.meta.v1
    known = (
        {"info_hash": sample.meta.info_hash}
        if v1 is None
        else {"info_hash": v1.info_hash, "info_hash_v2": sample.meta.info_hash}
    )
    return connect(HOST, port, **known, num_pieces=sample.meta.num_pieces, encryption="off")


async def test_hashes_from_libtorrent(sample, tmp_path):
    (file,) = sample.meta.files
    port = free_port()
    with Libtorrent(tmp_path / "lt").seed(sample.torrent, sample.path, port):
        async with dialled(sample, port) as peer:
            assert peer.v2
            assert peer.wire.info_hash == sample.meta.info_hash[:20]
            asked = (peer, file.pieces_root, file.length)
            pieces = await fetch_piece_layer(*asked, PIECE)
            assert pieces == sample.meta.piece_layers[file.pieces_root]

            gathered = b""
            for wanted in leaf_requests(file.pieces_root, file.length, PIECE, 599):
                hashes = await peer.request_hashes(wanted)
                gathered += verified(wanted, hashes, file.length)
            assert gathered == sample.leaves[2 * 32 * 599 :]
            assert await fetch_layer(peer, file.pieces_root, 0, file.length) == sample.leaves

            await peer.ready()
            blocks = [await peer.request(7, begin, BLOCK) for begin in (0, BLOCK)]
            found = root(block_hashes(b"".join(blocks)), piece_layer(PIECE))
            assert found == pieces[7 * 32 : 8 * 32]

            with pytest.raises(HashRequestRejected):
                await fetch_layer(peer, bytes(32), 0, file.length)


async def test_libtorrent_goes_on_with_v1_where_v2_is_not_offered(tmp_path):
    sample = make_sample(tmp_path, hybrid=True, length=100_000)
    port = free_port()
    with Libtorrent(tmp_path / "lt").seed(sample.torrent, sample.path, port):
        async with connect(HOST, port, sample.meta.v1.info_hash, encryption="off") as peer:
            assert not peer.v2
            await peer.ready()
            assert await peer.request(0, 0, BLOCK) == sample.content[:BLOCK]


# libtorrent asks


@contextmanager
def leeching(folder, magnet, port):
    """libtorrent, which knows this magnet link and us."""
    command = [sys.executable, str(MAGNET_SCRIPT), magnet, folder / "out", HOST, str(port)]
    with running(command, folder / "leecher", None) as process:
        yield Download(process, lambda: process.said("complete"))


async def seeding(peer, sample):
    """What a seeder does that has the .torrent in memory and the content on disk."""
    peer.announce(PieceSet.full(sample.meta.num_pieces))
    peer.unchoke()
    server = HashServer(sample.meta.trees())
    async for message in peer:
        if isinstance(message, Request):
            piece = sample.piece(message.index)
            block = piece[message.begin : message.begin + message.length]
            await peer.respond(message, block)
        elif isinstance(message, HashRequest):
            pieces = server.pieces(message.range)
            content = sample.content[pieces.start * PIECE : pieces.stop * PIECE]
            hashes = server.answer(message.range, block_hashes(content))
            if hashes is None:
                peer.reject_hashes(message)
            else:
                await peer.respond_hashes(message, hashes)


async def test_hashes_to_libtorrent(sample, tmp_path):
    v2, v1 = sample.meta.info_hash, sample.meta.v1
    magnet = f"magnet:?xt=urn:btmh:1220{v2.hex()}"
    served = ServedTorrent(sample.meta.num_pieces, v2)
    torrents = {v2[:20]: served}
    if v1 is not None:
        magnet += f"&xt=urn:btih:{v1.info_hash.hex()}"
        torrents[v1.info_hash] = served
    said = []
    async with serve(
        partial(seeding, sample=sample),
        HOST,
        0,
        torrents=torrents,
        extensions=[partial(UtMetadata, sample.meta.info)],
        trace=lambda mark, what, now: said.append((mark, what)),
    ) as server:
        with leeching(tmp_path, magnet, server.port) as download:
            await asyncio.to_thread(download.wait, 50)
    assert (tmp_path / "out" / sample.path.name).read_bytes() == sample.content

    theirs, ours = [what for _, what in said if isinstance(what, Handshake)]
    assert theirs.info_hash == (v2[:20] if v1 is None else v1.info_hash)
    assert (Reserved.V2 in theirs.reserved) is (v1 is not None)
    assert ours.info_hash == v2[:20]
    (file,) = sample.meta.files
    asked = [what.range for mark, what in said if mark == "<" and isinstance(what, HashRequest)]
    assert sorted(asked, key=lambda each: each.index) == list(
        layer_requests(file.pieces_root, piece_layer(PIECE), file.length)
    )


@pytest.mark.parametrize("known", ["v2", "both"])
async def test_peerwire_seed_to_libtorrent_that_has_no_more_than_a_magnet_link(tmp_path, known):
    sample = make_sample(tmp_path, hybrid=True)
    magnet = f"magnet:?xt=urn:btmh:1220{sample.meta.info_hash.hex()}"
    if known == "both":
        magnet += f"&xt=urn:btih:{sample.meta.v1.info_hash.hex()}"
    port = free_port()
    with (
        Peerwire(tmp_path / "seed").seed(sample.torrent, sample.path, port),
        leeching(tmp_path, magnet, port) as download,
    ):
        await asyncio.to_thread(download.wait, 50)
    assert (tmp_path / "out" / sample.path.name).read_bytes() == sample.content


# Whole swarms of ours


async def test_a_leech_takes_the_upgrade_of_libtorrent(tmp_path):
    sample = make_sample(tmp_path, hybrid=True)
    port = free_port()
    storage = Storage(sample.meta.v1, tmp_path / "new")
    joined = []
    with Libtorrent(tmp_path / "lt").seed(sample.torrent, sample.path, port):
        async with (
            Disk(storage) as disk,
            Swarm(
                sample.meta.v1,
                disk,
                PieceSet(sample.meta.num_pieces),
                v2=sample.meta,
                encryption="off",
                on_event=lambda event: isinstance(event, PeerJoined) and joined.append(event.peer),
            ) as swarm,
        ):
            swarm.dial(HOST, port)
            await swarm.wait_complete()
    assert [peer.v2 for peer in joined] == [True]
    assert (tmp_path / "new" / sample.path.name).read_bytes() == sample.content
