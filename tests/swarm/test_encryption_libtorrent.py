"""Every policy of ours against every policy of libtorrent's, with somebody listening in."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from tests.interop.clients import Libtorrent
from tests.interop.eavesdropper import eavesdropping
from tests.interop.policies import GRID, POLICIES
from tests.interop.process import free_port

from peerwire import serve
from peerwire.swarm.events import DialFailed, PeerJoined
from peerwire.swarm.swarm import Swarm
from peerwire.torrent.disk import Disk
from peerwire.torrent.storage import Storage

from .conftest import BLOCK, HOST, make_torrent


@pytest.fixture
async def clock():
    """The event loop's own: the other end is a process that does not wait for ours to move."""


@pytest.fixture
def torrent(tmp_path):
    """A torrent of ten blocks and a bit, written to disk, and whole in a folder."""
    torrent = make_torrent(10 * BLOCK + 7)
    (tmp_path / "of.torrent").write_bytes(torrent.meta.to_bytes())
    torrent.put(tmp_path / "whole")
    return torrent


@contextlib.asynccontextmanager
async def swarm(torrent, root, events, **options):
    """A swarm of ours that goes on with what is in a folder, and tells what happens."""
    async with Disk(Storage(torrent.meta, root)) as disk:
        await asyncio.to_thread(disk.storage.prepare)
        have = await disk.verify()
        async with Swarm(torrent.meta, disk, have, on_event=events.put_nowait, **options) as ours:
            yield ours


def meetings(way):
    """What libtorrent wants where it seeds or leeches, what we want, and what is spoken."""
    return [
        pytest.param(theirs, ours, spoken, id=f"{theirs}-{ours}")
        for (client, theirs, does), cells in GRID.items()
        if (client, does) == ("libtorrent", way)
        for ours, spoken in zip(POLICIES, cells, strict=True)
    ]


def heard(overheard, torrent):
    """What could be told from outside of the connection that moved most."""
    used = max(overheard.conversations, key=lambda call: len(call.said) + len(call.answered))
    return used.spoken(torrent.content[1000:1064])


@pytest.mark.parametrize(("theirs", "ours", "spoken"), meetings("seeds"))
async def test_get_from_libtorrent(theirs, ours, spoken, torrent, tmp_path):
    client, port = Libtorrent(tmp_path / "lt", encryption=theirs), free_port()
    events = asyncio.Queue()
    with (
        client.seed(tmp_path / "of.torrent", tmp_path / "whole" / "top", port),
        eavesdropping(port) as overheard,
    ):
        async with swarm(torrent, tmp_path / "out", events, encryption=ours) as getting:
            getting.dial(HOST, overheard.port)
            first = await events.get()
            if spoken is None:
                assert isinstance(first, DialFailed)
                assert not getting.have
                return
            assert isinstance(first, PeerJoined)
            await getting.wait_complete()
            assert first.peer.encryption == heard(overheard, torrent) == spoken
    assert torrent.is_in(tmp_path / "out")


@pytest.mark.parametrize(("theirs", "ours", "spoken"), meetings("leeches"))
async def test_seed_to_libtorrent(theirs, ours, spoken, torrent, tmp_path):
    client, events = Libtorrent(tmp_path / "lt", encryption=theirs), asyncio.Queue()
    async with (
        swarm(torrent, tmp_path / "whole", events) as seeding,
        serve(
            seeding.welcome,
            HOST,
            0,
            torrents={torrent.meta.info_hash: torrent.meta.num_pieces},
            encryption=ours,
        ) as server,
    ):
        with (
            eavesdropping(server.port) as overheard,
            client.leech(
                tmp_path / "of.torrent", tmp_path / "out", (HOST, overheard.port)
            ) as download,
        ):
            if spoken is None:
                await asyncio.to_thread(
                    download.process.wait_until,
                    lambda: any(call.ended_by == "dialled" for call in overheard.conversations),
                    "refused",
                )
                assert events.empty()
                return
            await asyncio.to_thread(download.wait)
            joined = events.get_nowait()
            assert isinstance(joined, PeerJoined)
            assert joined.peer.encryption == heard(overheard, torrent) == spoken
    assert torrent.is_in(tmp_path / "out")
