"""One wire on one transport: bytes both ways, timers, and pressure back in both directions."""

from __future__ import annotations

import asyncio
import weakref
from typing import TYPE_CHECKING, Protocol, cast

from ..errors import PeerTimeout, RemoteProtocolError
from .turns import wait_for_turn

if TYPE_CHECKING:
    from ..encryption import EncryptedWire
    from ..errors import ConnectionClosed
    from ..state import Event

__all__ = ["Connection"]

#: Bytes of the receive buffer that all connections of an event loop share. A wire copies what it
#: keeps out of it before the next read, so that an idle connection needs none of its own. A turn
#: of the event loop costs as much as several blocks: with half of it, fetching takes a quarter
#: more CPU, with twice as much no less.
RECEIVE_BUFFER = 512 * 1024

#: Bytes of it that are read at a time from a peer that may begin an encrypted handshake: they may
#: have to wait, and thousands of peers may begin at once. What one says at a time is 636 at most.
OPENING_BUFFER = 4096

#: Seconds that a closing connection may take to send what is left, and the peer to close its
#: side, before it is cut off.
CLOSE_TIMEOUT = 5.0

_buffers: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, memoryview] = (
    weakref.WeakKeyDictionary()
)


def _receive_buffer(loop: asyncio.AbstractEventLoop) -> memoryview:
    # Event loops ask for the buffer, fill it and say so without a pause for another connection; a
    # proactor, too, whose reads in the background go to memory of its own.
    if loop not in _buffers:
        _buffers[loop] = memoryview(bytearray(RECEIVE_BUFFER))
    return _buffers[loop]


class Owner(Protocol):
    """Who is told what happens on a connection: one object, as a method kept has 64 bytes."""

    def _handle_events(self, events: list[Event]) -> None:
        """Told of the events of each read, timer or close."""

    def _handle_closed(self) -> None:
        """Told once that the wire is closed, after its last events."""

    def _may_read(self) -> bool:
        """Asked whether more is to be read from the peer."""


class Connection(asyncio.BufferedProtocol):
    """Moves bytes between a wire and a transport, and tells its owner what happened.

    Args:
        layer: The wire behind its encryption, if it has any.
        owner: Who is told.

    Attributes:
        lost: Done when the transport is gone.
        address: The peer's IP address and port, once there is a transport.
    """

    def __init__(self, layer: EncryptedWire, owner: Owner) -> None:
        self.wire = layer.wire
        self._layer = layer
        self.loop = asyncio.get_running_loop()
        self.lost: asyncio.Future[None] = self.loop.create_future()
        self.address = ("", 0)
        self._owner = owner
        self._told_closed = False
        self._transport: asyncio.Transport | None = None
        self._buffer = _receive_buffer(self.loop)
        self._timer: asyncio.TimerHandle | None = None
        self._cut_off: asyncio.TimerHandle | None = None  # there once the transport is to end
        self._settle_handle: asyncio.Handle | None = None
        self._writable: asyncio.Future[None] | None = None  # there while the peer reads too slowly
        self._stall_timer: asyncio.TimerHandle | None = None  # there just as long
        self._written = 0  # bytes given to the transport
        self._reading = True
        self._held_back = False
        self._waiting = b""  # what was read and has to wait for its turn

    # The transport calls these

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Starts: an initiator's handshake goes out, the handshake's deadline runs."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by its class
        self._transport.set_write_buffer_limits(high=self.wire.limits.write_buffer)
        name = transport.get_extra_info("peername")
        if isinstance(name, tuple):  # a Unix socket's is a string
            self.address = (name[0], name[1])
            self.wire.extensions.yourip = name[0].partition("%")[0]  # no IPv6 scope
        self.settle()

    def get_buffer(self, _sizehint: int) -> memoryview:
        """Returns where the transport is to put what it reads."""
        return self._buffer[:OPENING_BUFFER] if self._layer.is_opening else self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Gives the wire what was read; what may cost a key exchange waits for its turn."""
        data = self._buffer[:nbytes]
        if self._waiting:  # a proactor goes on with what it has read already
            self._waiting += data
        elif self._transport is not None and self._layer.is_costly(data):
            self._transport.pause_reading()
            self._waiting = bytes(data)
            wait_for_turn(self._take_turn)
        else:
            self._receive(data)

    def eof_received(self) -> None:
        """Ends the wire; the transport closes itself."""
        self.wire.receive_eof()
        self.settle()

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends the wire if nothing did before, and releases who waits."""
        self.wire.receive_eof(exc if isinstance(exc, OSError) else None)
        self._transport = None
        self.settle()
        for timer in (self._timer, self._cut_off):
            if timer is not None:
                timer.cancel()
        self.resume_writing()
        self.lost.set_result(None)
        # Nobody is told any more: so who was goes when it is let go, garbage collector or not.
        del self._owner

    def pause_writing(self) -> None:
        """The peer reads too slowly: `drain` waits from now on, though not for ever."""
        self._writable = self.loop.create_future()
        self._expect_progress()

    def resume_writing(self) -> None:
        """The peer has caught up."""
        if self._writable is not None:
            self._writable.set_result(None)
            self._writable = None
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None
        self.update_reading()

    # The owner calls these

    def settle(self) -> None:
        """Hands out events, sends what is to be sent, and sets the timer: after any change."""
        if self._settle_handle is not None:
            self._settle_handle.cancel()
            self._settle_handle = None
        self._tell()
        self._flush()

    def settle_soon(self) -> None:
        """Does so once the running task gives way: one write for many messages."""
        if self._settle_handle is None:
            self.wire.now = self.loop.time()  # for all that is said until then
            self._settle_handle = self.loop.call_soon(self.settle)

    @property
    def writable(self) -> bool:
        """Whether nobody has to wait for the peer: it keeps up, or the wire is closed."""
        return self._writable is None or self.wire.closed is not None

    async def drain(self) -> None:
        """Waits until the peer has read enough for more to be sent, or the wire is closed."""
        self.settle()
        while self._writable is not None and self.wire.closed is None:
            await asyncio.shield(self._writable)

    def update_reading(self) -> None:
        """Reads on or not: an application that does not read, or a peer that doesn't, stops it."""
        if self._transport is None or self._transport.is_closing():
            return
        closed = self.wire.closed is not None  # then what comes is dropped, until the peer's end
        wanted = closed or self._owner._may_read()
        if wanted == self._held_back:  # a peer that does not read, though, is not waited for
            self._held_back = not wanted
            self.wire.hold_back(not wanted, self.loop.time())
            self._set_timer()
        reading = closed or (wanted and not self._overflowing(self._transport))
        if reading == self._reading:
            return
        self._reading = reading
        if reading:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    async def close(self) -> None:
        """Waits until a closed wire's last bytes are sent and the transport is gone."""
        self.settle()
        if self._transport is not None:
            await asyncio.shield(self.lost)

    def abort(self) -> None:
        """Cuts the transport off."""
        if self._transport is not None:
            self._transport.abort()

    # Inside

    def _take_turn(self) -> None:
        data, self._waiting = self._waiting, b""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()
            self._receive(data)

    def _receive(self, data: bytes | memoryview) -> None:
        try:
            self._layer.receive_data(data, self.loop.time())
        except RemoteProtocolError:
            pass  # it is in `wire.closed` now, and `settle` acts on it
        self.settle()

    def _tell(self) -> None:
        while events := self.wire.events_received():
            self._owner._handle_events(events)
        closed = self.wire.closed
        if closed is not None and not self._told_closed:
            self._told_closed = True
            if isinstance(closed.__cause__, RemoteProtocolError):
                closed.__cause__.__traceback__ = None  # it leads back to this connection
            self._owner._handle_closed()
            self.resume_writing()

    def _flush(self) -> None:
        transport = self._transport
        if transport is None or transport.is_closing() or self._cut_off is not None:
            return
        # Not `writelines`: in CPython 3.12.0 to 3.13.1 it never asks to pause (CVE-2024-12254), it
        # holds on to thousands of small buffers, and where it is faster, it is hardly so.
        data = self._layer.data_to_send()
        self._written += len(data)
        transport.write(data)
        if self.wire.closed is not None:
            self._finish(transport, self.wire.closed)
        else:
            self._set_timer()
            self.update_reading()

    def _finish(self, transport: asyncio.Transport, closed: ConnectionClosed) -> None:
        """Lets go of the transport: at once of a peer that broke a rule, politely otherwise."""
        self._cut_off = self.loop.call_later(CLOSE_TIMEOUT, transport.abort)
        if isinstance(closed.__cause__, RemoteProtocolError):
            transport.abort()
        elif closed.by == "us":
            # A socket that is closed before all was read resets the connection, and what is on
            # its way to the peer is lost. So only our direction ends; the peer's end is awaited.
            try:
                transport.write_eof()
            except OSError:
                transport.abort()  # reset, but the event loop has not seen it yet
        else:
            transport.close()

    def _expect_progress(self) -> None:
        assert self._transport is not None, "only a transport asks to pause"
        taken = self._written - self._transport.get_write_buffer_size()
        wait = self.wire.limits.send_timeout
        self._stall_timer = self.loop.call_later(wait, self._check_progress, taken)

    def _check_progress(self, taken_before: int) -> None:
        assert self._transport is not None, "the timer ends with the transport"
        waiting = self._transport.get_write_buffer_size()
        taken = self._written - waiting - taken_before
        limits = self.wire.limits
        if taken >= limits.max_request:
            self._expect_progress()
            return
        error = PeerTimeout(
            f"took {taken} bytes in {limits.send_timeout:g} s, and {waiting} wait for it; "
            f"a peer that is served takes {limits.max_request} in that time",
            rule="Limits.send_timeout",
        )
        self.wire.close(str(error), error)
        self.settle()

    def _overflowing(self, transport: asyncio.Transport) -> bool:
        if self._writable is None:
            return False
        return transport.get_write_buffer_size() > self.wire.limits.max_write_buffer

    def _set_timer(self) -> None:
        due, timer = self._layer.next_timer(), self._timer
        if due is None or (timer is not None and timer.when() <= due):
            return  # it will look again when it goes off: cheaper than moving it each time
        if timer is not None:
            timer.cancel()
        self._timer = self.loop.call_at(due, self._handle_timer)

    def _handle_timer(self) -> None:
        self._timer = None
        try:
            self._layer.handle_timer(self.loop.time())
        except RemoteProtocolError:
            pass  # it is in `wire.closed` now, and `settle` acts on it
        self.settle()
