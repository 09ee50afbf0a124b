"""The wire under trio: a downloader without asyncio, on the sans-I/O core.

The peer that it fetches from runs in a thread beside it.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
from collections.abc import AsyncGenerator

import trio

import peerwire
import peerwire.sync

PIECE_LENGTH = 64 * 1024
BLOCK_LENGTH = 16 * 1024
PIECES = [bytes([number]) * PIECE_LENGTH for number in range(4)]
INFO_HASH = hashlib.sha1(b"".join(PIECES)).digest()


async def events(wire: peerwire.Wire, stream: trio.SocketStream) -> AsyncGenerator[object, None]:
    """Moves bytes and time between a wire and a socket, and yields what happens."""
    while wire.closed is None:
        if to_send := wire.data_to_send():
            await stream.send_all(to_send)
        due = wire.next_timer()
        data = None
        with trio.move_on_at(math.inf if due is None else due):
            data = await stream.receive_some()
        if data is None:
            wire.handle_timer(trio.current_time())
        elif data:
            wire.receive_data(data, trio.current_time())
        else:
            wire.receive_eof()
        for event in wire.events_received():
            yield event
    raise wire.closed


async def fetch(host: str, port: int) -> list[bytes]:
    """Fetches every piece from a peer, eight blocks under way at a time."""
    wire = peerwire.Wire("initiator", INFO_HASH, num_pieces=len(PIECES), now=trio.current_time())
    content = [bytearray(PIECE_LENGTH) for _ in PIECES]
    wanted = [(i, at) for i in range(len(PIECES)) for at in range(0, PIECE_LENGTH, BLOCK_LENGTH)]
    asked = iter(wanted)
    left = len(wanted)

    def ask_for_more() -> None:
        while len(wire.requests) < 8 and (block := next(asked, None)):
            wire.send_request(*block, BLOCK_LENGTH, deadline=trio.current_time() + 30)

    async with (
        await trio.open_tcp_stream(host, port) as stream,
        contextlib.aclosing(events(wire, stream)) as said,
    ):
        async for event in said:
            match event:
                case peerwire.Handshake():
                    print("talking to", event.client)
                case peerwire.Bitfield() | peerwire.HaveAll():
                    wire.send_interested()
                case peerwire.Unchoke():
                    ask_for_more()
                case peerwire.Piece(index, begin, block):
                    content[index][begin : begin + len(block)] = block
                    left -= 1
                    if not left:
                        return [bytes(piece) for piece in content]
                    ask_for_more()
                case peerwire.RequestEnded(_, error):
                    raise error
    raise AssertionError("the events end with the connection, which raises")


def seed(peer: peerwire.sync.Peer) -> None:
    peer.have_all()
    for message in peer:
        match message:
            case peerwire.Interested():
                peer.unchoke()
            case peerwire.Request(index, begin, length):
                peer.respond(message, PIECES[index][begin : begin + length])


if __name__ == "__main__":
    torrents = {INFO_HASH: len(PIECES)}
    with peerwire.sync.serve(seed, "127.0.0.1", 0, torrents=torrents) as server:
        content = trio.run(fetch, "127.0.0.1", server.port)
    print(f"fetched {sum(map(len, content))} bytes under trio, right: {content == PIECES}")
