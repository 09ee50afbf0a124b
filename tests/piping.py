"""Two wires that talk to each other, and two peers, for tests that show what each can do."""

from __future__ import annotations

import asyncio
import contextlib

import peerwire as pw
from peerwire.extensions.base import Extension

INFO_HASH = b"01234567890123456789"
PEER_ID = b"12345678901234567890"
BASE, FAST = pw.Reserved(0), pw.Reserved.FAST


def pipe(a: pw.Wire, b: pw.Wire, now: float = 0.0) -> None:
    """Lets two wires say what they have to say to each other."""
    for _ in range(100):
        to_b, to_a = a.data_to_send(), b.data_to_send()
        if not to_b and not to_a:
            return
        b.receive_data(to_b, now)
        a.receive_data(to_a, now)
    raise AssertionError("they never come to an end")


def wires(reserved: pw.Reserved = FAST, **options) -> tuple[pw.Wire, pw.Wire]:
    """Two wires, the second unchoked by the first, after their handshakes."""
    a = pw.Wire("initiator", INFO_HASH, PEER_ID, reserved=reserved, **options)
    b = pw.Wire("responder", INFO_HASH, reserved=reserved, **options)
    pipe(a, b)
    a.send_unchoke()
    pipe(a, b)
    a.events_received()
    b.events_received()
    return a, b


def said(a: pw.Wire, b: pw.Wire) -> list[object]:
    """The events of `b` once `a` has said what it had to say."""
    pipe(a, b)
    return b.events_received()


@contextlib.asynccontextmanager
async def peers(**options):
    """Two peers: the one that dialled, unchoked, and the one that was dialled."""
    came = asyncio.get_running_loop().create_future()

    async def handler(peer):
        peer.unchoke()
        came.set_result(peer)
        await peer.wait_closed()

    options = {"reserved": FAST} | options
    async with (
        pw.serve(handler, "127.0.0.1", 0, torrents={INFO_HASH: 100}, **options) as server,
        pw.connect("127.0.0.1", server.port, INFO_HASH, num_pieces=100, **options) as peer,
    ):
        await peer.wait_until(lambda: not peer.peer_choking)
        yield peer, await came


async def first(peer, kind):
    """The next message of a kind."""
    return await anext(message async for message in peer if isinstance(message, kind))


class Chat(Extension):
    """An extension that carries text."""

    name = "xx_chat"

    def receive(self, payload: bytes) -> str:
        return payload.decode()
