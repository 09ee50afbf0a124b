"""A magnet resolver: a magnet link, and peers that know the torrent, become a .torrent.

    python examples/magnet_resolver.py MAGNET OUT.torrent HOST:PORT...

Without arguments it serves a torrent on this machine, and resolves its link.
"""

from __future__ import annotations

import asyncio
import functools
import sys
import tempfile
from pathlib import Path

import peerwire
from peerwire.extensions.ut_metadata import UtMetadata
from peerwire.swarm.metadata import fetch_metadata
from peerwire.torrent.create import create
from peerwire.torrent.magnet import Magnet
from peerwire.torrent.metainfo import Metainfo


async def resolve(link: str, peers: list[tuple[str, int]]) -> Metainfo:
    """Returns what a link stands for, verified by its info-hash.

    Raises:
        MetainfoError: It is no magnet link.
        DownloadFailed: No peer gave the metadata; the message says why, for each.
    """
    magnet = Magnet.parse(link)
    info = await fetch_metadata(
        magnet.wire_info_hash,
        [*magnet.peers, *peers],  # a link may name peers itself
        info_hash_v2=magnet.info_hash_v2,
        within=60,
    )
    return Metainfo.from_info(info, trackers=tuple((url,) for url in magnet.trackers))


async def made_up() -> None:
    with tempfile.TemporaryDirectory() as folder:
        content = Path(folder, "hello.txt")
        content.write_text("hello, " * 10_000)
        metainfo = create(content)
    knows_it = functools.partial(UtMetadata, metainfo.info)
    async with peerwire.serve(
        peerwire.Peer.wait_closed,  # metadata is served by itself
        "127.0.0.1",
        0,
        torrents={metainfo.info_hash: metainfo.num_pieces},
        extensions=[knows_it],
    ) as server:
        link = Magnet(info_hash=metainfo.info_hash, peers=(("127.0.0.1", server.port),))
        print(link)
        found = await resolve(str(link), [])
    print(f"it is {found.name}, {found.length} bytes in {found.num_pieces} pieces")


async def main(link: str, out: str, *peers: str) -> None:
    addresses = [(host, int(port)) for host, _, port in (peer.rpartition(":") for peer in peers)]
    metainfo = await resolve(link, addresses)
    Path(out).write_bytes(metainfo.to_bytes())
    print(f"{out}: {metainfo.name}")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]) if len(sys.argv) > 1 else made_up())
