"""The peer of a case at a real socket."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from typing import TYPE_CHECKING, cast

from peerwire import Port

from .case import Act, Pause, Reply

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from peerwire import Peer

    from .case import Step

__all__ = ["Stranger", "listen", "small_socket", "turns", "until"]

#: What no script says.
MARK = Port(4242)

#: Seconds that pass at once: a neighbour that is served in between is never silent for long.
TICK = 25.0


class Stranger(asyncio.Protocol):
    """Plays a script, and keeps what it hears.

    Attributes:
        heard: All bytes that it was sent, and read.
        connected: Done once it is connected.
        ended: Done once the connection is gone.
    """

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.heard = bytearray()
        self.connected: asyncio.Future[None] = loop.create_future()
        self.ended: asyncio.Future[None] = loop.create_future()
        self._transport: asyncio.Transport | None = None

    @property
    def transport(self) -> asyncio.Transport:
        assert self._transport is not None, "it is connected"
        return self._transport

    @property
    def port(self) -> int:
        """Its own TCP port."""
        return int(self.transport.get_extra_info("sockname")[1])

    # What the transport calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self.connected.set_result(None)

    def data_received(self, data: bytes) -> None:
        self.heard += data

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended.set_result(None)

    # What a test calls

    async def play(
        self,
        script: tuple[Step, ...],
        *,
        advance: Callable[[float], Awaitable[None]],
        meanwhile: Callable[[], Awaitable[None]],
    ) -> None:
        """Plays a script to its end, or to that of the connection.

        Args:
            script: What to do.
            advance: Lets the clock move on.
            meanwhile: Called after each step and tick.
        """
        for step in script:
            await self._do(step, advance, meanwhile)
            await self._settle()
            await meanwhile()

    async def mark(self, peer: Peer) -> None:
        """Says something that changes nothing, and waits until `peer`, our side, has taken it in.

        So all that was said before has been, too, and the connection is there still.
        """
        self._say(MARK.encode())
        await until(lambda: peer.wire.last_message == MARK.name)

    async def hear_end(self) -> None:
        """Waits until the connection is gone, which who does not listen would not learn."""
        if not self.ended.done():
            self.transport.resume_reading()
        await until(self.ended.done)

    def close(self) -> None:
        """Lets go of the connection."""
        self.transport.abort()

    # Inside

    async def _do(
        self,
        step: Step,
        advance: Callable[[float], Awaitable[None]],
        meanwhile: Callable[[], Awaitable[None]],
    ) -> None:
        match step:
            case Reply(make):
                await until(lambda: self.ended.done() or make(bytes(self.heard)) is not None)
                self._say(make(bytes(self.heard)) or b"")
            case Pause(seconds):
                while seconds > 0:
                    await advance(min(TICK, seconds))
                    seconds -= TICK
                    await meanwhile()
            case Act.CLOSE:
                await turns(5)  # or what it has not read yet would reset the connection
                self.transport.close()
            case Act.SHUTDOWN:
                self.transport.write_eof()
            case Act.RESET:
                sock = self.transport.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.transport.abort()
            case Act.DEAF:
                self.transport.pause_reading()
            case bytes():
                self._say(step)
            case _:
                self._say(step.encode())

    def _say(self, data: bytes) -> None:
        if not self.ended.done():
            self.transport.write(data)

    async def _settle(self) -> None:
        """Waits until what was said is on its way, or is not taken."""
        for _ in range(1000):
            if self.ended.done() or not self.transport.get_write_buffer_size():
                break
            await asyncio.sleep(0)
        await turns(5)


async def listen(stranger: Stranger, *, small: bool = False) -> asyncio.Server:
    """Puts a stranger where it can be dialled, once: close what is returned when it was."""
    sock = small_socket() if small else socket.socket()
    sock.setblocking(False)
    sock.bind(("127.0.0.1", 0))
    return await asyncio.get_running_loop().create_server(lambda: stranger, sock=sock)


def small_socket() -> socket.socket:
    """Returns a socket with so little room that who does not read at it is noticed soon."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
    sock.setblocking(False)
    return sock


async def until(condition: Callable[[], object]) -> None:
    """Lets the event loop and the disk's threads go on until something is true."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        await asyncio.sleep(0)


async def turns(count: int) -> None:
    """Lets the event loop go round."""
    for _ in range(count):
        await asyncio.sleep(0)
