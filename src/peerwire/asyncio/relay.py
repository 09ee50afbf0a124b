"""Somebody between two peers, on sockets: what one says the other hears."""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
from typing import TYPE_CHECKING, Final, Protocol, cast

from ..errors import EncryptionError
from ..interception import other
from ..state import Role

if TYPE_CHECKING:
    from ..extensions.compact import Endpoint
    from ..interception import Interception
    from ..messages import Buffer

__all__ = ["Ear", "Relay"]

#: Bytes that wait for a side that reads too slowly, above which nothing more is read from the
#: other. A read more than that, at most 256 KiB, is what a side can make us hold.
WRITE_BUFFER: Final = 256 * 1024

#: Bytes that were never read are dropped, and the peer is told so by a RST (socket(7), SO_LINGER).
_NO_LINGER: Final = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)


class Ear(Protocol):
    """Who is told what passes through a `Relay`, once it is on its way."""

    def opened(self, initiator: Endpoint, responder: Endpoint) -> None:
        """There are connections to both sides, whose addresses these are."""

    def said(self, sender: Role, data: Buffer) -> None:
        """A side said this, in clear."""

    def ended(self, side: Role, how: str) -> None:
        """A side says nothing more, because it did this."""

    def broken(self, error: EncryptionError) -> None:
        """The connection can't go on."""


class _End(asyncio.Protocol):
    """The connection to one side."""

    def __init__(self, relay: Relay, role: Role) -> None:
        self.role = role
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.ended = False
        self._relay = relay
        self._transport: asyncio.Transport | None = None

    # The transport calls these

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=WRITE_BUFFER)
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self.read(False)

    def data_received(self, data: bytes) -> None:
        self._relay._pass_on(self, data)

    def eof_received(self) -> bool:
        self._relay._end(self, "closed")
        return True  # it may still be spoken to

    def pause_writing(self) -> None:
        self._relay._other(self).read(False)

    def resume_writing(self) -> None:
        self._relay._other(self).read(True)

    def connection_lost(self, exc: Exception | None) -> None:
        self._relay._lose(self, exc)
        self.lost.set_result(None)

    # The relay calls these

    @property
    def _open(self) -> asyncio.Transport | None:
        if self._transport is None or self._transport.is_closing():
            return None
        return self._transport

    @property
    def was_made(self) -> bool:
        return self._transport is not None

    @property
    def address(self) -> Endpoint:
        assert self._transport is not None, "it is asked for once there is a connection"
        host, port, *_ = self._transport.get_extra_info("socket").getpeername()
        return host, port

    def hold(self) -> None:
        """Reads nothing, until the other side is there."""
        self.read(True)  # asyncio of Python 3.11.2 forgets what it was told while it was made
        self.read(False)

    def read(self, on: bool) -> None:
        transport = self._open
        if transport is None:
            return
        if on:
            transport.resume_reading()
        else:
            transport.pause_reading()

    def write(self, data: Buffer) -> None:
        transport = self._open
        if transport is not None and not self._relay._other(self).ended:
            transport.write(data)

    def write_eof(self) -> None:
        transport = self._open
        if transport is None:
            return
        try:
            transport.write_eof()
        except OSError:  # it has left, but the event loop has not seen that yet
            self._relay._lose(self, ConnectionResetError())
            transport.abort()

    def close(self) -> None:
        """Lets go of it once all is sent."""
        transport = self._open
        if transport is not None:
            transport.close()

    def cut(self, *, reset: bool = False) -> None:
        """Lets go of it at once, perhaps as a connection that is reset."""
        if self._transport is None:
            return
        if reset:
            sock = self._transport.get_extra_info("socket")
            try:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            except OSError:
                pass  # it is gone already
        self._transport.abort()


class Relay:
    """Stands between the two sides of one connection, until both have ended it.

    Bytes are passed on as soon as they come. A side that reads slowly slows the other: no more than
    a few hundred KiB are held. One that closes its direction can still be spoken to, and one that
    resets its connection has the other's reset.

    Args:
        interception: What reads on the way.
        ear: Who is told.
    """

    def __init__(self, interception: Interception, ear: Ear) -> None:
        self._interception = interception
        self._ear = ear
        self._ends = {role: _End(self, role) for role in Role}
        self._reached = False

    async def run(
        self, connection: socket.socket, host: str, port: int, *, timeout: float = 15.0
    ) -> None:
        """Dials the responder, and passes on what is said until both connections are over.

        Args:
            connection: The initiator's, just accepted. It is reset if the responder can't be
                reached, as it would have been there.
            host: The responder's address or name.
            port: Its TCP port.
            timeout: Seconds that reaching it may take.

        Raises:
            OSError: It can't be reached; or one of both left before anything was said.
        """
        loop = asyncio.get_running_loop()
        near, far = self._ends.values()
        try:
            await loop.connect_accepted_socket(lambda: near, connection)
            near.hold()
            async with asyncio.timeout(timeout):
                await loop.create_connection(lambda: far, host, port)
            if near.lost.done():
                return
            far.hold()
            self._ear.opened(near.address, far.address)
            self._reached = True
            for end in self._ends.values():
                end.read(True)
            await asyncio.wait([end.lost for end in self._ends.values()])
        finally:
            made = [end for end in self._ends.values() if end.was_made]
            for end in made:
                end.cut(reset=not self._reached)
            if made:
                await asyncio.wait([end.lost for end in made])
            else:
                connection.close()

    # Called by the two ends

    def _other(self, end: _End) -> _End:
        return self._ends[other(end.role)]

    def _pass_on(self, end: _End, data: bytes) -> None:
        try:
            heard = self._interception.receive_data(end.role, data)
        except EncryptionError as error:
            self._ear.broken(error)
            for each in self._ends.values():
                each.cut(reset=True)
            return
        self._deliver(heard)

    def _deliver(self, heard: list[tuple[Role, Buffer]]) -> None:
        for end in self._ends.values():
            for data in self._interception.data_to_send(end.role):
                end.write(data)
        for sender, data in heard:
            self._ear.said(sender, data)

    def _end(self, end: _End, how: str) -> None:
        if end.ended:
            return
        self._deliver(self._interception.receive_eof(end.role))
        end.ended = True
        self._ear.ended(end.role, how)
        to = self._other(end)
        to.write_eof()
        if to.ended:
            end.close()
            to.close()

    def _lose(self, end: _End, error: Exception | None) -> None:
        if error is None:
            self._tell_end(end, "was cut off here")
            return
        reset = isinstance(error, ConnectionError)
        self._tell_end(end, "reset the connection" if reset else f"was lost: {error}")
        to = self._other(end)
        self._tell_end(to, "was reset")
        to.cut(reset=True)

    def _tell_end(self, end: _End, how: str) -> None:
        if self._reached and not end.ended:
            end.ended = True
            self._ear.ended(end.role, how)
