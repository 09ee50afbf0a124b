"""The extension protocol and what is built on it, with libtorrent at the other end."""

from __future__ import annotations

import asyncio
import functools
import os
import sys
import time
from contextlib import contextmanager

import pytest

import peerwire
from peerwire.errors import RequestRejected
from peerwire.extensions.lt_donthave import DontHave, LtDontHave
from peerwire.extensions.upload_only import UploadOnly
from peerwire.extensions.ut_pex import PexFlags, PexMessage, PexPeer, UtPex
from peerwire.torrent.metainfo import Metainfo
from peerwire.torrent.storage import Storage

from .interop.clients import Peerwire
from .interop.clients.libtorrent import SCRIPT
from .interop.content import digests, single
from .interop.process import free_port, running

HOST = "127.0.0.1"
BLOCK = 16 * 1024
EXTENSIONS = [functools.partial(UtPex, time.monotonic), LtDontHave, UploadOnly]

#: The names and ids that libtorrent 2.1 gives extensions.
LT_M = {
    "lt_donthave": 7,
    "share_mode": 8,
    "upload_only": 3,
    "ut_holepunch": 4,
    "ut_metadata": 2,
    "ut_pex": 1,
}


@pytest.fixture
def content(tmp_path):
    return single(tmp_path)


@pytest.fixture
def meta(content):
    return Metainfo.from_file(content.torrent)


class Log:
    """A trace of one connection: what was said each way, and deviations."""

    def __init__(self):
        self.sent, self.heard, self.deviations = [], [], []

    def __call__(self, mark, what, now):
        lines = {">": self.sent, "<": self.heard, "!": self.deviations}.get(mark)
        if lines is not None:
            lines.append(str(what))


@contextmanager
def libtorrent(tmp_path, name, *arguments):
    """A libtorrent of which tests/libtorrent_peer.py tells."""
    command = [sys.executable, SCRIPT, *arguments, "--pex", "--keep"]
    with running(command, tmp_path / name, None) as process:
        yield process


@contextmanager
def seeding(tmp_path, content):
    """One that seeds; gives its port."""
    port = free_port()
    with libtorrent(tmp_path, "seed", "seed", content.torrent, content.path, port) as process:
        process.wait_until(lambda: process.said("ready"), "ready")
        yield port


def connect(meta, port, **options):
    return peerwire.connect(
        HOST,
        port,
        meta.info_hash,
        num_pieces=meta.num_pieces,
        extensions=EXTENSIONS,
        strict=True,
        encryption="off",
        **options,
    )


async def finish(process, word="complete"):
    """Waits for it without holding up what it waits for."""
    await asyncio.to_thread(process.wait_until, lambda: process.said(word), word)


async def hear_only(peer, kind):
    async for message in peer:
        if isinstance(message, kind):
            return message
    raise AssertionError(f"the connection has ended without a {kind.__name__}")


# The extended handshake


async def test_both_say_it_first_when_we_dial(tmp_path, content, meta):
    log = Log()
    with seeding(tmp_path, content) as port:
        async with connect(meta, port, trace=log) as peer, asyncio.timeout(20):
            peer.have_none()
            await peer.ready()
            told = peer.extended_handshake
            assert peer.client.startswith("libtorrent/2")
    assert [line.split()[0] for line in log.sent[:3]] == ["handshake", "extended", "have"]
    assert [line.split()[0] for line in log.heard[:3]] == ["handshake", "extended", "have"]
    assert log.sent[1].startswith("extended handshake")
    assert log.heard[1].startswith("extended handshake")
    assert log.deviations == []
    assert (told.m, told.yourip, told.reqq) == (LT_M, HOST, 2000)
    assert told.metadata_size == len(meta.info)
    assert told.upload_only is True
    assert told.p is None  # whom we have dialled, of that we know the port


async def test_both_say_it_first_when_it_dials(tmp_path, content, meta):
    log, came = Log(), asyncio.get_running_loop().create_future()

    async def handler(peer):
        peer.have_none()
        await peer.wait_until(lambda: peer.extended_handshake is not None)
        came.set_result(peer.extended_handshake)

    port = free_port()
    async with peerwire.serve(
        handler, HOST, 0, extensions=EXTENSIONS, trace=log, strict=True
    ) as server:
        arguments = ["leech", content.torrent, tmp_path / "out", HOST, server.port]
        with libtorrent(tmp_path, "leech", *arguments, "--listen", port):
            told = await asyncio.wait_for(came, 20)
    assert [line.split()[0] for line in log.sent[:2]] == ["handshake", "extended"]
    assert [line.split()[0] for line in log.heard[:2]] == ["handshake", "extended"]
    assert log.deviations == []
    assert (told.m, told.yourip, told.p) == (LT_M, HOST, port)
    assert not told.upload_only


# Peer exchange


async def test_it_tells_of_whom_it_is_connected_to(tmp_path, content, meta):
    port = free_port()
    with (
        seeding(tmp_path, content) as seed,
        idle(tmp_path, content, seed, port) as middle,
    ):
        await finish(middle, "ready")
        async with connect(meta, port) as peer, asyncio.timeout(20):
            peer.have_none()
            told = await hear_only(peer, PexMessage)
    assert told == PexMessage([PexPeer(HOST, seed, PexFlags.UPLOAD_ONLY | PexFlags.HOLEPUNCH)])


def idle(tmp_path, content, dials, port):
    """One that wants nothing and has nothing, but stays connected."""
    arguments = ["idle", content.torrent, tmp_path / "idle", HOST, dials]
    return libtorrent(tmp_path, "idle", *arguments, "--listen", port)


def test_whom_it_tells_of_gives_us_everything(tmp_path, content):
    port = free_port()
    with seeding(tmp_path, content) as seed, idle(tmp_path, content, seed, port) as middle:
        middle.wait_until(lambda: middle.said("ready"), "ready")
        ours = Peerwire(tmp_path / "get")
        with ours.leech(content.torrent, tmp_path / "out", (HOST, port)) as download:
            download.wait()
    assert digests(tmp_path / "out" / content.path.name) == digests(content.path)


async def test_it_dials_whom_we_tell_of(tmp_path, content):
    with seeding(tmp_path, content) as seed:

        async def handler(peer):
            peer.have_none()
            extension = peer.extension(UtPex)
            await peer.wait_until(lambda: extension.supported)
            extension.update(time.monotonic(), [PexPeer(HOST, seed)])
            await peer.wait_closed()

        async with peerwire.serve(handler, HOST, 0, extensions=EXTENSIONS) as server:
            arguments = ["leech", content.torrent, tmp_path / "out", HOST, server.port]
            with libtorrent(tmp_path, "leech", *arguments) as leech:
                await finish(leech)
    assert digests(tmp_path / "out" / content.path.name) == digests(content.path)


# Pieces that are gone


async def test_it_says_which_piece_it_can_read_no_more(tmp_path, content, meta):
    with seeding(tmp_path, content) as port:
        async with connect(meta, port) as peer, asyncio.timeout(20):
            peer.have_none()
            await peer.ready()
            os.truncate(content.path, 0)
            with pytest.raises(RequestRejected):
                await peer.request(100, 0, BLOCK)
            assert await hear_only(peer, DontHave) == DontHave(100)


async def test_it_does_not_ask_for_what_we_have_no_more(tmp_path, content, meta):
    asked = []

    async def handler(peer):
        peer.have_all()
        extension = peer.extension(LtDontHave)
        await peer.wait_until(lambda: extension.supported)
        extension.dont_have(7)
        peer.unchoke()
        with Storage(meta, content.path.parent) as storage:
            async for message in peer:
                if isinstance(message, peerwire.Request):
                    asked.append(message.index)
                    block = storage.read(message.index, message.begin, message.length)
                    await peer.respond(message, block)
                elif isinstance(message, peerwire.Have) and len(peer.peer_pieces) == 160:
                    assert 7 not in asked
                    peer.have(7)

    async with peerwire.serve(handler, HOST, 0, extensions=EXTENSIONS) as server:
        arguments = ["leech", content.torrent, tmp_path / "out", HOST, server.port]
        with libtorrent(tmp_path, "leech", *arguments) as leech:
            await finish(leech)
    assert set(asked[-2:]) == {7}
    assert digests(tmp_path / "out" / content.path.name) == digests(content.path)
