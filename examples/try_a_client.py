"""Tries a client: serves it a torrent, is difficult on purpose, and holds it to the rules.

    python examples/try_a_client.py COMMAND...

COMMAND fetches a torrent; in it {torrent}, {port} and {folder} are replaced. Without one,
`peerwire get` is tried.
"""

from __future__ import annotations

import asyncio
import random
import sys
import tempfile
from pathlib import Path

import peerwire
from peerwire.torrent.create import create
from peerwire.torrent.metainfo import Metainfo

GET = [sys.executable, "-m", "peerwire", "get", "{torrent}", "--peer", "127.0.0.1:{port}"]
GET += ["-o", "{folder}"]


class DifficultSeed:
    """Serves right blocks, but chokes after every eighth, and rejects what was under way."""

    def __init__(self, metainfo: Metainfo, content: bytes) -> None:
        self.metainfo = metainfo
        self.content = content
        self.served = 0
        self.chokes = 0
        self.complaints: list[str] = []

    async def __call__(self, peer: peerwire.Peer) -> None:
        peer.have_all()
        try:
            await self._serve(peer)
        except peerwire.ConnectionClosed as closed:  # because of a violation, or a failure
            self.complaints.append(str(closed))

    async def _serve(self, peer: peerwire.Peer) -> None:
        async for message in peer:
            match message:
                case peerwire.Interested():
                    peer.unchoke()
                case peerwire.Request(index, begin, length) if still_asked_for(peer, message):
                    at = index * self.metainfo.piece_length + begin
                    await peer.respond(message, self.content[at : at + length])
                    self.served += 1
                    if self.served % 8 == 0:
                        peer.choke()  # which rejects all that is asked for and not answered
                        self.chokes += 1
                        peer.unchoke()


def still_asked_for(peer: peerwire.Peer, request: peerwire.Request) -> bool:
    """Whether it was not taken back, nor rejected by a choke, since it was said."""
    return (request.index, request.begin, request.length) in peer.peer_requests


async def run(command: list[str]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = folder / "content.bin"
        source.write_bytes(random.Random(1).randbytes(700_000))
        metainfo = create(source)
        torrent = folder / "content.torrent"
        torrent.write_bytes(metainfo.to_bytes())
        seed = DifficultSeed(metainfo, source.read_bytes())
        serving = peerwire.serve(
            seed,
            "127.0.0.1",
            0,
            torrents={metainfo.info_hash: metainfo.num_pieces},
            strict=True,  # what deployed clients are forgiven is a violation, too
            trace=peerwire.TraceLines(lambda line: print(line[:100])),
        )
        async with serving as server:
            names = {"torrent": torrent, "port": server.port, "folder": folder / "got"}
            words = [word.format(**names) for word in command]
            client = await asyncio.create_subprocess_exec(*words)
            status = await asyncio.wait_for(client.wait(), 60)
        got = next((folder / "got").rglob("*.bin"), None)
        right = got is not None and got.read_bytes() == seed.content
    print(f"it ended with status {status}, and was choked {seed.chokes} times")
    print(*(seed.complaints or ["no rule was broken"]), sep="\n")
    print(f"the content is {'right' if right else 'wrong'}")


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1:] or GET))
