"""What a peer said and the application has not read yet, within bounds."""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from typing import TYPE_CHECKING, Any, TypeAlias

from ..messages import Bitfield, Extended, Unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from ..errors import ConnectionClosed
    from ..limits import Limits

__all__ = ["Inbox", "Received", "Reader"]

#: What iterating over a peer yields: a `Message`, an `ExtendedHandshake`, a `RequestEnded`, or
#: whatever an extension makes of its messages.
Received: TypeAlias = object

#: The bytes that an item holds of its own; those of blocks are bounded by the requests for them.
_PAYLOADS: dict[type, Callable[[Any], int]] = {
    Bitfield: lambda item: len(item.bits),
    Extended: lambda item: len(item.payload),
    Unknown: lambda item: len(item.payload),
}


class _Weighty:
    """An item that holds bytes of its own."""

    __slots__ = ("item", "size")

    def __init__(self, item: Received, size: int) -> None:
        self.item = item
        self.size = size


class Reader:
    """One iteration over the messages of a peer.

    Args:
        inbox: Where they wait.
    """

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox

    def __aiter__(self) -> Reader:
        return self

    def __anext__(self) -> Coroutine[None, None, Received]:
        return self._inbox.get()


class Inbox:
    """Messages waiting for the application.

    While someone reads, a full inbox is to stop the reading from the socket: that is the pressure
    back on the peer. While nobody does, an application that only awaits requests must not be
    stopped by messages it never asked to see: then a full inbox forgets its oldest. What they said
    is in the peer's state by then.

    Args:
        limits: How many messages and payload bytes may wait.
        on_room: Called when there is room again.
    """

    __slots__ = (
        "_bytes",
        "_closed",
        "_items",
        "_limits",
        "_on_room",
        "_over",
        "_reader",
        "_waiter",
    )

    def __init__(self, limits: Limits, on_room: Callable[[], None]) -> None:
        # None while there are none: an empty deque has 760 bytes, and most peers are idle.
        self._items: deque[Received] | None = None
        self._bytes = 0  # of those that are weighty
        self._over = False  # whether there is more than the limits allow
        self._limits = limits
        self._on_room = on_room
        self._reader: weakref.ref[Reader] | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._closed: ConnectionClosed | None = None

    def __len__(self) -> int:
        return len(self._items) if self._items is not None else 0

    @property
    def full(self) -> bool:
        """Whether a reader has fallen so far behind that no more is to be read for it."""
        return self._over and self._is_read()

    def reader(self) -> Reader:
        """Begins to read, or joins who does. When all have let the object go, reading has ended."""
        reader = self._reader() if self._reader is not None else None
        if reader is None:
            reader = Reader(self)
            self._reader = weakref.ref(reader)
        return reader

    def put(self, item: Received) -> None:
        """Adds what came; forgets the oldest when there is no room and nobody reads."""
        if self._items is None:
            self._items = deque()
        self._items.append(item)
        measure = _PAYLOADS.get(type(item))
        if measure is not None:
            self.weigh(measure(item))
        elif self._exceeds():
            self._forget()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def weigh(self, size: int) -> None:
        """Counts bytes that the newest items hold and do not tell of: an extension made them."""
        if self._items is not None:
            self._items.append(_Weighty(self._items.pop(), size))
            self._bytes += size
            if self._exceeds():
                self._forget()

    async def get(self) -> Received:
        """Takes out the oldest, waiting for one if need be.

        Raises:
            StopAsyncIteration: The connection was closed in good order.
            ConnectionClosed: It failed, or the peer broke a rule.
            RuntimeError: Another task is waiting.
        """
        while self._items is None:
            if self._closed is not None:
                if self._closed.by == "network" or self._closed.__cause__ is not None:
                    raise self._closed.again()
                raise StopAsyncIteration
            if self._waiter is not None:
                raise RuntimeError("another task is already waiting for this peer's next message")
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        item = self._take(self._items)
        if self._over and not self._exceeds():
            self._over = False
            self._on_room()
        return item

    def close(self, closed: ConnectionClosed) -> None:
        """Lets the reader end once it has read what is left."""
        self._closed = closed
        self._on_room = _not_told  # a closed connection reads on anyway, and is not to be kept
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _take(self, items: deque[Received]) -> Received:
        item = items.popleft()
        while type(item) is _Weighty:  # an extension's may have been weighed twice
            self._bytes -= item.size
            item = item.item
        if not items:
            self._items = None
        return item

    def _forget(self) -> None:
        """Forgets the oldest, beyond the limits, unless somebody reads."""
        self._over = True
        if self._is_read():
            return
        while self._items is not None and self._exceeds():
            self._take(self._items)
        self._over = False

    def _exceeds(self) -> bool:
        items, limits = self._items, self._limits
        return items is not None and (
            len(items) > limits.max_unread_messages or self._bytes > limits.max_unread_bytes
        )

    def _is_read(self) -> bool:
        return self._reader is not None and self._reader() is not None


def _not_told() -> None:
    pass
