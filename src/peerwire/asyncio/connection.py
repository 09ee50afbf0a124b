"""One wire on one transport: bytes both ways, timers, and pressure back in both directions."""

from __future__ import annotations

import asyncio
import weakref
from typing import TYPE_CHECKING

from ..errors import RemoteProtocolError
from ..state import State

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..state import Event
    from ..wire import Wire

__all__ = ["Connection"]

#: Bytes of the receive buffer that all connections of an event loop share. A wire copies what it
#: keeps out of it before the next read, so that an idle connection needs none of its own.
RECEIVE_BUFFER = 256 * 1024

#: Seconds that a closing connection may take to send what is left before it is cut off.
CLOSE_TIMEOUT = 5.0

_buffers: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, memoryview] = (
    weakref.WeakKeyDictionary()
)


def _receive_buffer(loop: asyncio.AbstractEventLoop) -> memoryview:
    if not hasattr(loop, "add_reader"):
        return memoryview(bytearray(RECEIVE_BUFFER))  # a proactor fills buffers behind our back
    if loop not in _buffers:
        _buffers[loop] = memoryview(bytearray(RECEIVE_BUFFER))
    return _buffers[loop]


class Connection(asyncio.BufferedProtocol):
    """Moves bytes between a wire and a transport, and tells its owner what happened.

    Args:
        wire: The wire.
        on_events: Told of the events of each read, timer or close.
        on_closed: Told once that the wire is closed, after its last events.
        may_read: Asked whether more is to be read from the peer.
    """

    def __init__(
        self,
        wire: Wire,
        *,
        on_events: Callable[[list[Event]], None],
        on_closed: Callable[[], None],
        may_read: Callable[[], bool],
    ) -> None:
        self.wire = wire
        self.loop = asyncio.get_running_loop()
        self.lost: asyncio.Future[None] = self.loop.create_future()
        self._on_events = on_events
        self._on_closed = on_closed
        self._told_closed = False
        self._may_read = may_read
        self._transport: asyncio.Transport | None = None
        self._buffer = _receive_buffer(self.loop)
        self._timer: asyncio.TimerHandle | None = None
        self._flush_handle: asyncio.Handle | None = None
        self._writable: asyncio.Future[None] | None = None  # there while the peer reads too slowly
        self._reading = True

    # The transport calls these

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Starts: an initiator's handshake goes out, the handshake's deadline runs."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(high=self.wire.limits.write_buffer)
        self.flush()

    def get_buffer(self, _sizehint: int) -> memoryview:
        """Returns where the transport is to put what it reads."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Gives the wire what was read."""
        try:
            self.wire.receive_data(self._buffer[:nbytes], self.loop.time())
        except RemoteProtocolError:
            pass  # it is in `wire.closed` now, and `settle` acts on it
        self.settle()

    def eof_received(self) -> None:
        """Ends the wire; the transport closes itself."""
        self.wire.receive_eof()
        self.settle()

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends the wire if nothing did before, and releases who waits."""
        self.wire.receive_eof(exc if isinstance(exc, OSError) else None)
        self._transport = None
        self.settle()
        if self._timer is not None:
            self._timer.cancel()
        self.resume_writing()
        self.lost.set_result(None)

    def pause_writing(self) -> None:
        """The peer reads too slowly: `drain` waits from now on."""
        self._writable = self.loop.create_future()

    def resume_writing(self) -> None:
        """The peer has caught up."""
        if self._writable is not None:
            self._writable.set_result(None)
            self._writable = None
        self.update_reading()

    # The owner calls these

    def settle(self) -> None:
        """Hands out events, sends what is to be sent, and sets the timer: after any change."""
        self._tell()
        self.flush()

    def flush_soon(self) -> None:
        """Sends what is to be sent once the running task gives way: one write for many messages."""
        if self._flush_handle is None:
            self._flush_handle = self.loop.call_soon(self.settle)

    def flush(self) -> None:
        """Sends what is to be sent now."""
        if self._flush_handle is not None:
            self._flush_handle.cancel()
            self._flush_handle = None
        if self._transport is None:
            return
        buffers = self.wire.buffers_to_send()
        if buffers:
            self._transport.writelines(buffers)
        if self.wire.state is State.CLOSED:
            self._finish()
        else:
            self._set_timer()
            self.update_reading()

    async def drain(self) -> None:
        """Waits until the peer has read enough for more to be sent."""
        self.flush()
        while self._writable is not None:
            await asyncio.shield(self._writable)

    @property
    def writable(self) -> bool:
        """Whether the peer keeps up with what is sent."""
        return self._writable is None

    def update_reading(self) -> None:
        """Reads on or not: an application that does not read, or a peer that doesn't, stops it."""
        if self._transport is None or self._transport.is_closing():
            return
        reading = self._may_read() and not self._overflowing()
        if reading == self._reading:
            return
        self._reading = reading
        if reading:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    async def close(self) -> None:
        """Closes the transport once what is left was sent, or after five seconds without it."""
        self.settle()
        if self._transport is None:
            return
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await asyncio.shield(self.lost)
        except TimeoutError:
            self.abort()
            await asyncio.shield(self.lost)

    def abort(self) -> None:
        """Cuts the transport off."""
        if self._transport is not None:
            self._transport.abort()

    def peer_address(self) -> tuple[str, int] | None:
        """Returns the peer's IP address and port; None when the transport has none to tell."""
        name = None if self._transport is None else self._transport.get_extra_info("peername")
        return (name[0], name[1]) if isinstance(name, tuple) else None

    # Inside

    def _tell(self) -> None:
        while events := self.wire.events_received():
            self._on_events(events)
        if self.wire.state is State.CLOSED and not self._told_closed:
            self._told_closed = True
            self._on_closed()

    def _finish(self) -> None:
        """Lets go of the transport: at once of a peer that broke a rule, politely otherwise."""
        assert self._transport is not None
        closed = self.wire.closed
        if closed is not None and isinstance(closed.__cause__, RemoteProtocolError):
            self._transport.abort()
        else:
            self._transport.close()

    def _overflowing(self) -> bool:
        if self._writable is None or self._transport is None:
            return False
        return self._transport.get_write_buffer_size() > self.wire.limits.max_write_buffer

    def _set_timer(self) -> None:
        due = self.wire.next_timer()
        if due is None:
            return
        if self._timer is not None:
            if self._timer.when() <= due:
                return  # it will look again when it goes off: cheaper than moving it each time
            self._timer.cancel()
        self._timer = self.loop.call_at(due, self._handle_timer)

    def _handle_timer(self) -> None:
        self._timer = None
        try:
            self.wire.handle_timer(self.loop.time())
        except RemoteProtocolError:
            pass  # it is in `wire.closed` now, and `settle` acts on it
        self.settle()
