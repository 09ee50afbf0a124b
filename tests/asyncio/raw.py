"""The other end of a connection, which says exactly what a test wants, byte by byte."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import TYPE_CHECKING

from peerwire import Handshake, Message, Reserved
from peerwire.framing import Framing

if TYPE_CHECKING:
    from collections.abc import Callable

INFO_HASH = bytes(range(20))
RAW_ID = b"-RW0001-abcdefghijkl"


def greeting(
    info_hash: bytes = INFO_HASH, *, peer_id: bytes = RAW_ID, fast: bool = True
) -> Handshake:
    """Returns a handshake that our side takes."""
    return Handshake(info_hash, peer_id, Reserved.FAST if fast else Reserved(0))


class Raw:
    """A socket with somebody at it who knows the encoding of messages, and no rules."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def say(self, *what: bytes | Message | Handshake) -> None:
        """Sends all of it as one segment, where that is possible."""
        self.writer.write(b"".join(w if isinstance(w, bytes) else w.encode() for w in what))

    async def hear_handshake(self) -> Handshake:
        return Handshake.decode(await self.reader.readexactly(68))

    async def hear(self) -> Message:
        """Returns the next message."""
        length = await self.reader.readexactly(4)
        body = await self.reader.readexactly(int.from_bytes(length))
        (message,) = Framing(1 << 20).receive(length + body)
        return message

    async def hear_end(self) -> bytes:
        """Returns what comes before the end of the connection."""
        return await self.reader.read()

    def close(self) -> None:
        """Ends the connection in good order."""
        self.writer.close()

    def reset(self) -> None:
        """Ends the connection with a RST."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


def small_socket() -> socket.socket:
    """Returns a socket with so little room that a peer that does not read is noticed soon."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
    sock.setblocking(False)
    return sock


async def until(condition: Callable[[], bool]) -> None:
    """Lets the event loop go round until something is true."""
    for _ in range(100_000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never came true")


async def turns(count: int = 50) -> None:
    """Lets the event loop go round, without a clock: for what is *not* to happen."""
    for _ in range(count):
        await asyncio.sleep(0)
