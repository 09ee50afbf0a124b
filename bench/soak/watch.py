"""What there is to see of a server: how its connections end, what it holds, how late it is."""

from __future__ import annotations

import array
import asyncio
import ctypes
import gc
import logging
import os
import statistics
import sys
import time
import tracemalloc
from collections import Counter
from typing import TYPE_CHECKING, Any

from peerwire import Peer, RemoteProtocolError, Wire
from peerwire.asyncio.connection import Connection

if TYPE_CHECKING:
    from collections.abc import Callable

    from peerwire import ConnectionClosed
    from peerwire.encryption import EncryptedWire

__all__ = ["Complaints", "Watch", "how_it_ended", "resident"]

#: Seconds between two looks at how late the event loop is.
TICK = 0.01

#: What of a connection must not outlive it.
PARTS = (Peer, Wire, Connection, asyncio.Transport)

#: What gives free memory back to the system, in glibc; others have nothing of that kind.
_trim = getattr(ctypes.CDLL(None), "malloc_trim", lambda _: None)

#: Complaints that are kept; the rest are only counted.
KEPT = 10


def resident() -> int:
    """Returns the bytes of memory that this process has."""
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def how_it_ended(closed: ConnectionClosed) -> str:
    """Names the error's class and the rule, or, where no rule was broken, who closed."""
    cause = closed.__cause__
    if isinstance(cause, RemoteProtocolError):
        return f"{type(cause).__name__}: {cause.rule}"
    return f"closed by {closed.by}" + (f": {type(cause).__name__}" if cause is not None else "")


class Complaints(logging.Handler):
    """Whatever is raised and caught by nobody, of the event loop, of handlers, of finalizers.

    Attributes:
        kept: The first of them.
        count: How many there are.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.kept: list[str] = []
        self.count = 0

    def install(self) -> None:
        """Listens to all loggers and to the running event loop."""
        logging.basicConfig(handlers=[self], level=logging.WARNING)
        logging.captureWarnings(True)
        asyncio.get_running_loop().set_exception_handler(self._from_loop)

    def emit(self, record: logging.LogRecord) -> None:
        """Keeps what was logged as a warning, or as worse."""
        self.setFormatter(logging.Formatter("%(name)s: %(message)s"))
        self.add(self.format(record))

    def add(self, complaint: str) -> None:
        """Keeps one."""
        self.count += 1
        if len(self.kept) < KEPT:
            self.kept.append(complaint)

    def _from_loop(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.add(f"event loop: {context['message']}: {context.get('exception')!r}")


class Watch:
    """Counts what connections do, and looks at this process now and then.

    Attributes:
        ends: How many connections ended, by the peer's address and by how.
        connections: How many there were.
        samples: Seconds since the beginning, bytes of memory, connections.
        late: Seconds that the event loop was late, each time that was looked.
        worked: What of those it worked itself, the machine being busy with other things as well.
        longest_collection: Seconds that the longest garbage collection took.
    """

    def __init__(self) -> None:
        self.ends: Counter[tuple[str, str]] = Counter()
        self.connections = 0
        self.samples: list[tuple[float, int, int]] = []
        self.late = array.array("d")
        self.worked = array.array("d")
        self.longest_collection = 0.0
        self._collecting_since = 0.0
        self._disturbed = False  # by the watch itself, since it looked at the time
        self._live: set[Peer] = set()
        self._ended: Counter[str] = Counter()  # what was moved by connections that are over
        self._files = len(os.listdir("/proc/self/fd"))
        self._tasks = len(asyncio.all_tasks())
        self._allocated: tracemalloc.Snapshot | None = None

    def peer_class(self) -> type[Peer]:
        """Returns a `Peer` that is watched: a server does not tell of those in their handshake."""
        watch = self

        class WatchedPeer(Peer):
            def __init__(
                self, layer: EncryptedWire, on_handshake: Callable[[Peer], None] | None = None
            ) -> None:
                super().__init__(layer, on_handshake)
                watch.connections += 1
                watch._live.add(self)

            def _handle_closed(self) -> None:
                super()._handle_closed()
                watch._over(self)

        return WatchedPeer

    async def look(self, every: float) -> None:
        """Looks at memory now and then, and at the time all the time, until cancelled."""
        gc.callbacks.append(self._collecting)
        try:
            await self._look(every)
        finally:
            gc.callbacks.remove(self._collecting)

    async def _look(self, every: float) -> None:
        loop = asyncio.get_running_loop()
        began = next_at = loop.time()
        while True:
            if loop.time() >= next_at:
                self.samples.append((loop.time() - began, resident(), len(self._live)))
                next_at = loop.time() + every
            asked, worked = loop.time(), time.thread_time()
            await asyncio.sleep(TICK)
            late = loop.time() - asked - TICK
            if not self._disturbed:
                self.late.append(late)
                self.worked.append(min(late, time.thread_time() - worked))
            self._disturbed = False

    def in_use(self) -> dict[str, int]:
        """Returns bytes of memory, all that is garbage or free given back, and what is there.

        Blocks are what Python has allocated, of whatever size: a leak is among them, and what is
        scattered over memory is not.
        """
        self._disturbed = True
        gc.collect()
        _trim(0)
        return {
            "bytes": resident(),
            "blocks": sys.getallocatedblocks(),
            "connections": len(self._live),
        }

    def moved(self) -> dict[str, int]:
        """Returns what all connections together have moved so far."""
        total = self._ended.copy()
        for peer in self._live:
            total.update(_moved(peer))
        return dict(total)

    def lag(self) -> dict[str, float]:
        """Returns how late the event loop was, in seconds."""
        late = sorted(self.late) or [0.0]
        return {
            "median": statistics.median(late),
            "99 %": late[len(late) * 99 // 100],
            "most": late[-1],
            "most by its own work": max(self.worked, default=0.0),
            "longest garbage collection": self.longest_collection,
        }

    async def everybody_left(self, patience: float) -> None:
        """Waits until there is no connection any more, or patience is at its end."""
        deadline = asyncio.get_running_loop().time() + patience
        while self._live or len(asyncio.all_tasks()) > self._tasks + 1:
            if asyncio.get_running_loop().time() > deadline:
                return
            await asyncio.sleep(0.1)
        await asyncio.sleep(0.1)

    def left(self) -> dict[str, int]:
        """Returns what is there now that was not at the beginning, of this task's loop."""
        gc.collect()
        kinds = Counter(
            part.__name__
            for thing in gc.get_objects()
            for part in PARTS
            if isinstance(thing, part) and type(thing).__name__ != "_UnixReadPipeTransport"
        )
        return {
            "files": len(os.listdir("/proc/self/fd")) - self._files,
            "tasks": len(asyncio.all_tasks()) - self._tasks,
            **kinds,
        }

    def remember_allocations(self) -> None:
        """Begins to compare: what is there now is not growth."""
        gc.collect()
        self._allocated = tracemalloc.take_snapshot()

    def growth(self, lines: int = 20) -> list[str]:
        """Returns what has grown most since then, by the line that allocated it."""
        if self._allocated is None:
            return []
        gc.collect()
        now = tracemalloc.take_snapshot()
        return [str(line) for line in now.compare_to(self._allocated, "lineno")[:lines]]

    def _collecting(self, phase: str, _info: dict[str, int]) -> None:
        if phase == "start":
            self._collecting_since = time.perf_counter()
        elif not self._disturbed:
            took = time.perf_counter() - self._collecting_since
            self.longest_collection = max(self.longest_collection, took)

    def _over(self, peer: Peer) -> None:
        assert peer.closed is not None, "it is told when it is over"
        self._live.discard(peer)
        self._ended.update(_moved(peer))
        self.ends[peer.address[0], how_it_ended(peer.closed)] += 1


def _moved(peer: Peer) -> dict[str, int]:
    wire = peer.wire
    return {
        "messages received": sum(wire.messages_received.values()),
        "messages sent": sum(wire.messages_sent.values()),
        "blocks received": wire.messages_received.get("piece", 0),
        "blocks sent": wire.messages_sent.get("piece", 0),
        "bytes received": wire.downloaded,
        "bytes sent": wire.uploaded,
    }
