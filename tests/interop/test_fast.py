"""The fast extension and the extended handshake with clients that seed, as the trace shows them."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from peerwire import RequestRejected, connect
from peerwire.torrent.metainfo import Metainfo

from .process import free_port

pytestmark = [pytest.mark.interop, pytest.mark.timeout(60)]

HOST = "127.0.0.1"

#: What each client says to a request for 32 KiB (None: it serves it).
TOO_LONG = {"transmission": RequestRejected, "aria2": None}


@pytest.mark.parametrize("name", TOO_LONG)
def test_a_client_that_seeds_speaks_fast(name, client, contents, tmp_path):
    content = contents["single"]
    metainfo, port = Metainfo.from_file(content.torrent), free_port()
    heard: Counter[str] = Counter()

    def trace(mark, what, _now):
        heard[f"{mark} {what}"] += 1

    async def look():
        dialled = connect(
            HOST, port, metainfo.info_hash, num_pieces=metainfo.num_pieces, trace=trace
        )
        async with dialled as peer:
            await peer.ready(timeout=40)
            block = await peer.request(0, 0, 16384)
            long = await asyncio.gather(peer.request(1, 0, 32768), return_exceptions=True)
            assert peer.fast
            assert peer.extended_handshake is not None
            assert peer.extended_handshake.v
            return block, long[0]

    with client(name).seed(content.torrent, content.path, port):
        block, long = asyncio.run(look())
    assert block == content.path.read_bytes()[:16384]
    assert heard["< have all"] == 1
    assert heard["< piece 0:0+16384"] == 1
    if TOO_LONG[name] is None:
        assert len(long) == 32768
    else:
        assert isinstance(long, TOO_LONG[name])
        assert heard["< reject 1:0+32768"] == 1
