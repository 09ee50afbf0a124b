"""peerwire get, from peers that it was not given."""

from __future__ import annotations

import contextlib
import functools
import time

import pytest

from peerwire import serve
from peerwire.extensions.ut_pex import PexPeer, UtPex

from .conftest import HOST, until


@pytest.fixture
async def telling():
    """Starts a peer that has nothing but tells of another; returns its port."""
    async with contextlib.AsyncExitStack() as stack:

        async def telling(sample, port):
            async def handler(peer):
                peer.have_none()
                extension = peer.extension(UtPex)
                await peer.wait_until(lambda: extension.supported)
                extension.update(time.monotonic(), [PexPeer(HOST, port)])
                await peer.wait_closed()

            server = await stack.enter_async_context(
                serve(
                    handler,
                    HOST,
                    0,
                    torrents={sample.meta.info_hash: sample.meta.num_pieces},
                    extensions=[functools.partial(UtPex, time.monotonic)],
                )
            )
            return server.port

        yield telling


async def test_a_peer_that_it_is_told_of_gives_everything(sample, giving, telling, start, tmp_path):
    port = await telling(sample, (await giving(sample)).port)
    get = start("get", sample.torrent, "--peer", f"{HOST}:{port}", "-o", tmp_path / "new")
    await until(lambda: get.process.poll() is not None)
    assert get.process.returncode == 0, get.err
    assert sample.is_in(tmp_path / "new")


async def test_unless_it_is_not_to(sample, giving, start, tmp_path):
    giver = await giving(sample)
    seen = []

    async def handler(peer):
        await peer.wait_until(lambda: peer.extended_handshake is not None)
        seen.append(peer.extended_handshake)
        await giver.handle(peer)

    async with serve(handler, HOST, 0, torrents={sample.meta.info_hash: 15}) as server:
        words = ["--peer", f"{HOST}:{server.port}", "-o", tmp_path / "new", "--no-pex"]
        get = start("get", sample.torrent, *words)
        await until(lambda: get.process.poll() is not None)
    assert get.process.returncode == 0, get.err
    (told,) = seen
    assert "ut_pex" not in told.m
    assert "lt_donthave" in told.m
