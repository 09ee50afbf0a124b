"""An event loop that does not wait: when nothing is under way, its clock goes on to what is next.

Both ends of each connection are in this process, so that silence needs no time to be sure of, and
what is done takes next to none. Cases are asked with the deadlines that they have, and nothing
depends on how busy the machine is.
"""

from __future__ import annotations

import asyncio
import selectors
import socket
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine

T = TypeVar("T")

#: Seconds in which what the kernel has is delivered. That is seen to by a byte sent after it.
GRACE = 0.0005

#: Seconds from one look at the clock to the next, so that what came sooner can be told.
TICK = 1e-6


class Selector(selectors.DefaultSelector):
    """Waits for what is under way, and skips the time in which nothing is.

    Attributes:
        skipped: Seconds that were not waited.
    """

    def __init__(self) -> None:
        super().__init__()
        self.skipped = 0.0
        with socket.create_server(("127.0.0.1", 0)) as server:
            self._near = socket.create_connection(server.getsockname())
            self._far, _ = server.accept()

    def select(self, timeout=None):
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        self._near.send(b".")
        self._far.recv(1)
        if ready := super().select(GRACE):
            return ready
        self.skipped += timeout
        return []

    def close(self) -> None:
        self._near.close()
        self._far.close()
        super().close()


class Loop(asyncio.SelectorEventLoop):
    """The loop."""

    def __init__(self) -> None:
        self._skipping = Selector()
        super().__init__(self._skipping)

    def time(self) -> float:
        self._skipping.skipped += TICK
        return self._skipping.skipped


def run(main: Coroutine[object, object, T]) -> T:
    """Returns what comes of it, without waiting."""
    with asyncio.Runner(loop_factory=Loop) as runner:
        return runner.run(main)
