"""Peer exchange with the clients that do it, besides libtorrent, which the normal suite drives."""

from __future__ import annotations

import asyncio
import functools
import time
from typing import TYPE_CHECKING

import pytest

from peerwire import Wire, serve
from peerwire.extensions.ut_pex import PexMessage, PexPeer, UtPex
from peerwire.torrent.metainfo import Metainfo

from .clients import Peerwire
from .clients.aria2 import Aria2
from .clients.transmission import Transmission
from .content import digests
from .process import free_port

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.interop, pytest.mark.timeout(150)]

HOST = "127.0.0.1"

#: Another address of this machine: Transmission takes one peer of each.
ELSEWHERE = "127.0.0.2"


class TransmissionWithPex(Transmission):
    def _settings(self, port: int, rpc_port: int) -> dict[str, object]:
        return super()._settings(port, rpc_port) | {"pex-enabled": True}


class Aria2WithPex(Aria2):
    def _command(self, torrent: Path, folder: Path, port: int, options: list[str]) -> list[str]:
        return super()._command(torrent, folder, port, [*options, "--enable-peer-exchange=true"])


CLIENTS = {"transmission": TransmissionWithPex, "aria2": Aria2WithPex}


class Visitor:
    """A peer of ours from an address of its choice, which has nothing and exchanges peers."""

    def __init__(self, meta: Metainfo, host: str, listens: int) -> None:
        self.host = host
        self.wire = Wire(
            "initiator",
            meta.info_hash,
            num_pieces=meta.num_pieces,
            extensions=[functools.partial(UtPex, time.monotonic, port=listens)],
        )
        self.told = asyncio.Event()
        self.contacts: list[PexPeer] = []

    async def visit(self, port: int) -> None:
        """Stays until it is cancelled, or the connection ends."""
        reader, writer = await asyncio.open_connection(HOST, port, local_addr=(self.host, 0))
        try:
            writer.write(self.wire.data_to_send())
            while data := await reader.read(65536):
                self.wire.receive_data(data, time.monotonic())
                for event in self.wire.events_received():
                    if isinstance(event, PexMessage):
                        self.contacts += event.added
                        self.told.set()
                writer.write(self.wire.data_to_send())
        finally:
            writer.close()


@pytest.mark.parametrize("name", CLIENTS)
async def test_a_client_tells_of_whom_it_is_connected_to(name, client, contents, jail, tmp_path):
    client(name)  # is it here?
    content, port = contents["single"], free_port()
    meta = Metainfo.from_file(content.torrent)
    first, second = Visitor(meta, ELSEWHERE, 2222), Visitor(meta, HOST, 1111)
    with CLIENTS[name](tmp_path / "theirs", jail).seed(content.torrent, content.path, port):
        visits = []
        for visitor in (first, second):
            visits.append(asyncio.create_task(visitor.visit(port)))
            async with asyncio.timeout(30):
                await visitor.told.wait()
        for visit in visits:
            visit.cancel()
        await asyncio.gather(*visits, return_exceptions=True)
    assert PexPeer(ELSEWHERE, 2222) in second.contacts
    assert {peer.endpoint for peer in first.contacts} <= {(ELSEWHERE, 2222)}  # itself, at most


async def test_a_client_dials_whom_we_tell_of(client, contents, jail, tmp_path):
    client("aria2")  # Transmission takes no loopback address from a peer
    content, port = contents["single"], free_port()
    meta = Metainfo.from_file(content.torrent)

    async def handler(peer):
        peer.have_none()
        extension = peer.extension(UtPex)
        await peer.wait_until(lambda: extension.supported)
        extension.update(time.monotonic(), [PexPeer(HOST, port)])
        await peer.wait_closed()

    out = tmp_path / "out"
    with Peerwire(tmp_path / "ours", jail).seed(content.torrent, content.path, port):
        async with serve(
            handler,
            HOST,
            0,
            torrents={meta.info_hash: meta.num_pieces},
            extensions=[functools.partial(UtPex, time.monotonic)],
        ) as server:
            theirs = Aria2WithPex(tmp_path / "theirs", jail)
            with theirs.leech(content.torrent, out, (HOST, server.port)) as download:
                await asyncio.to_thread(download.wait)
    assert digests(out / content.path.name) == digests(content.path)
