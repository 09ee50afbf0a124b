"""Metadata from libtorrent and to it, the most common client, in pieces and by magnet link."""

from __future__ import annotations

import asyncio

import pytest
from tests.interop.clients import Libtorrent, Peerwire
from tests.interop.content import digests, single
from tests.interop.magnets import LibtorrentByMagnet, PeerwireByMagnet, Spoken, many_files
from tests.interop.process import free_port
from tests.interop.transfer import transfer

from peerwire import PieceSet, serve
from peerwire.swarm.metadata import fetch_metadata
from peerwire.swarm.swarm import Swarm
from peerwire.torrent.disk import Disk
from peerwire.torrent.metainfo import Metainfo
from peerwire.torrent.storage import Storage

HOST = "127.0.0.1"
CONTENT = {"one piece": single, "two pieces": many_files}


@pytest.fixture
async def clock():
    """The event loop's own: the other end is a process that does not wait for ours to move."""


@pytest.fixture(params=CONTENT)
def content(request, tmp_path):
    return CONTENT[request.param](tmp_path)


def said(metadata, mark_of_requests, mark_of_data):
    """What is said when each piece is asked for and given."""
    blocks = [metadata[n : n + 16384] for n in range(0, len(metadata), 16384)]
    return {
        *(f"{mark_of_requests} request {piece}" for piece in range(len(blocks))),
        *(f"{mark_of_data} data {piece} {len(block)}" for piece, block in enumerate(blocks)),
    }


async def test_metadata_from_libtorrent(content, tmp_path):
    metainfo, spoken, port = Metainfo.from_file(content.torrent), Spoken(), free_port()
    with Libtorrent(tmp_path / "lt").seed(content.torrent, content.path, port):
        metadata = await fetch_metadata(metainfo.info_hash, [(HOST, port)], trace=spoken)
    assert metadata == metainfo.info
    assert set(spoken.lines) == said(metadata, ">", "<")
    assert len(spoken.lines) == len(set(spoken.lines))


async def test_metadata_to_libtorrent(content, tmp_path):
    metainfo, spoken = Metainfo.from_file(content.torrent), Spoken()
    storage = Storage(metainfo, tmp_path, content=content.path)
    everything = PieceSet.full(metainfo.num_pieces)
    async with (
        Disk(storage) as disk,
        Swarm(metainfo, disk, everything) as swarm,
        serve(
            swarm.welcome,
            HOST,
            0,
            torrents={metainfo.info_hash: metainfo.num_pieces},
            peer_id=swarm.peer_id,
            extensions=swarm.extensions,
            trace=spoken,
        ) as server,
    ):
        leecher = LibtorrentByMagnet(tmp_path / "lt")
        with leecher.leech(content.torrent, tmp_path / "out", (HOST, server.port)) as download:
            await asyncio.to_thread(download.wait, 50)
    assert set(spoken.lines) == said(metainfo.info, "<", ">")
    assert digests(tmp_path / "out" / content.path.name) == digests(content.path)


def test_get_by_magnet_from_libtorrent(content, tmp_path):
    seeder, leecher = Libtorrent(tmp_path / "lt"), PeerwireByMagnet(tmp_path / "pw")
    transfer(seeder, leecher, content, tmp_path / "out")


def test_seed_to_libtorrent_by_magnet(content, tmp_path):
    seeder, leecher = Peerwire(tmp_path / "pw"), LibtorrentByMagnet(tmp_path / "lt")
    transfer(seeder, leecher, content, tmp_path / "out")
