"""Two peers on this machine: one serves four pieces, the other fetches and verifies them."""

from __future__ import annotations

import asyncio
import hashlib
import random

import peerwire

PIECE_LENGTH = 64 * 1024
BLOCK_LENGTH = 16 * 1024
CONTENT = random.Random(3).randbytes(4 * PIECE_LENGTH)
PIECES = [CONTENT[at : at + PIECE_LENGTH] for at in range(0, len(CONTENT), PIECE_LENGTH)]
HASHES = [hashlib.sha1(piece).digest() for piece in PIECES]
INFO_HASH = hashlib.sha1(b"".join(HASHES)).digest()  # a .torrent's is that of its info dictionary


async def seed(peer: peerwire.Peer) -> None:
    """Serves a peer until it goes: what `serve` calls for each that comes."""
    peer.announce(peerwire.PieceSet.full(len(PIECES)))
    async for message in peer:
        match message:
            case peerwire.Interested():
                peer.unchoke()
            case peerwire.Request(index, begin, length):
                await peer.respond(message, PIECES[index][begin : begin + length])


async def fetch(peer: peerwire.Peer, index: int) -> bytes:
    """Returns a piece, once its hash is right. Its blocks are all asked for at once."""
    begins = range(0, PIECE_LENGTH, BLOCK_LENGTH)
    blocks = await asyncio.gather(*(peer.request(index, at, BLOCK_LENGTH) for at in begins))
    piece = b"".join(blocks)
    if hashlib.sha1(piece).digest() != HASHES[index]:
        raise ValueError(f"piece {index} from {peer.address} does not have its hash")
    return piece


async def main() -> None:
    torrents = {INFO_HASH: len(PIECES)}
    async with (
        peerwire.serve(seed, "127.0.0.1", 0, torrents=torrents) as server,
        peerwire.connect("127.0.0.1", server.port, INFO_HASH, num_pieces=len(PIECES)) as peer,
    ):
        await peer.ready()
        print(f"{peer.client} at {peer.address[0]} has {len(peer.peer_pieces)} pieces")
        content = b"".join([await fetch(peer, index) for index in peer.peer_pieces])
        print(f"fetched {peer.downloaded} bytes, verified: {content == CONTENT}")


if __name__ == "__main__":
    asyncio.run(main())
