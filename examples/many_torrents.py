"""Many torrents on one port: a library that serves whatever is put into it, while it runs."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from pathlib import Path

import peerwire
from peerwire.extensions.ut_metadata import UtMetadata
from peerwire.swarm.swarm import Swarm
from peerwire.torrent.create import create
from peerwire.torrent.disk import Disk
from peerwire.torrent.metainfo import Metainfo
from peerwire.torrent.storage import Storage


class Library:
    """Torrents that are served. `torrents` is what `serve` looks into at each handshake."""

    def __init__(self) -> None:
        self.torrents: dict[bytes, int] = {}
        self._swarms: dict[bytes, Swarm] = {}
        self._stack = contextlib.AsyncExitStack()

    async def add(self, metainfo: Metainfo, folder: Path) -> None:
        """Serves a torrent from now on; what of it is not on disk, or not right, is not served."""
        disk = await self._stack.enter_async_context(Disk(Storage(metainfo, folder)))
        have = await disk.verify()
        nothing = peerwire.PieceSet(metainfo.num_pieces)  # to be fetched
        swarm = await self._stack.enter_async_context(Swarm(metainfo, disk, have, wanted=nothing))
        self._swarms[metainfo.info_hash] = swarm
        self.torrents[metainfo.info_hash] = metainfo.num_pieces

    def remove(self, info_hash: bytes) -> None:
        """Lets nobody else in for a torrent; who is here stays."""
        del self.torrents[info_hash]

    async def welcome(self, peer: peerwire.Peer) -> None:
        """What `serve` calls for each peer: hands it to the torrent that it came for."""
        swarm = self._swarms[peer.info_hash]
        peer.extension(UtMetadata).metadata = swarm.metainfo.info
        if peer.wire.extended:
            peer.send_extended_handshake()  # anew: the first could not know the torrent
        await swarm.welcome(peer)

    async def aclose(self) -> None:
        await self._stack.aclose()


async def fetch(metainfo: Metainfo, folder: Path, port: int) -> None:
    have = peerwire.PieceSet(metainfo.num_pieces)
    async with (
        Disk(Storage(metainfo, folder)) as disk,
        Swarm(metainfo, disk, have) as swarm,
    ):
        swarm.dial("127.0.0.1", port)
        await swarm.wait_complete()
    print(f"fetched {metainfo.name}, {metainfo.length} bytes")


async def made_up(folder: Path) -> None:
    shelf, target = folder / "shelf", folder / "target"
    shelf.mkdir()
    target.mkdir()
    names = [f"book {number}.txt" for number in range(5)]
    for name in names:
        (shelf / name).write_text(f"{name}\n" * 20_000)
    books = [create(shelf / name) for name in names]

    library = Library()
    async with (
        contextlib.aclosing(library),
        peerwire.serve(
            library.welcome,
            "127.0.0.1",
            0,
            torrents=library.torrents,
            extensions=[UtMetadata],
        ) as server,
    ):
        for book in books:  # the server is there already
            await library.add(book, shelf)
        await asyncio.gather(*(fetch(book, target, server.port) for book in books))
        library.remove(books[0].info_hash)
        try:
            await peerwire.connect("127.0.0.1", server.port, books[0].info_hash)
        except peerwire.ConnectionClosed as closed:
            print(f"{books[0].name} is gone: {closed}")
    same = [(target / name).read_bytes() == (shelf / name).read_bytes() for name in names]
    print(f"{sum(same)} of {len(books)} books are the same")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(made_up(Path(folder)))
