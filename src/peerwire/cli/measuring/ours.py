"""Programs of peerwire: one side of a connection each."""

from __future__ import annotations

import asyncio
import gc
import os
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

from ...asyncio.client import connect
from ...asyncio.server import serve
from ...limits import BLOCK_LENGTH
from ...messages import Interested, Piece, Request
from .bare import HOST, PIPELINE, allow_many_files
from .child import say

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterator
    from typing import Any

    from ...asyncio.peer import Peer

__all__ = [
    "INFO_HASH",
    "handshake_dial",
    "handshake_serve",
    "idle_serve",
    "wire_leech",
    "wire_seed",
]


def _on_uvloop(main: Coroutine[Any, Any, None]) -> None:
    import uvloop

    uvloop.run(main)


#: Event loops to run on, by name.
_LOOPS: dict[str, Callable[[Coroutine[Any, Any, None]], None]] = {
    "asyncio": asyncio.run,
    "uvloop": _on_uvloop,
}

INFO_HASH = bytes(range(20))
NUM_PIECES = 1000
TORRENTS = {INFO_HASH: NUM_PIECES}
BLOCKS_A_PIECE = 64


def wire_seed(encryption: str = "off", loop: str = "asyncio") -> None:
    """Answers every request of one peer with the same block."""
    _LOOPS[loop](_wire_seed(encryption))


async def _wire_seed(encryption: str) -> None:
    block = bytes(BLOCK_LENGTH)
    done = asyncio.Event()

    async def handle(peer: Peer) -> None:
        cpu = time.process_time()
        peer.unchoke()
        async for message in peer:
            if isinstance(message, Request):
                await peer.respond(message, block)
        say(cpu=time.process_time() - cpu)
        done.set()

    async with serve(handle, HOST, 0, torrents=TORRENTS, encryption=encryption) as server:
        say(port=server.port)
        await done.wait()


def wire_leech(
    port: int, total: int, how: str, encryption: str = "off", loop: str = "asyncio"
) -> None:
    """Fetches so many bytes in blocks and drops them.

    Args:
        port: Where the seeder is.
        total: In bytes, a multiple of 16 KiB.
        how: "into", "await" or "iterate".
        encryption: The policy.
        loop: "asyncio" or "uvloop".
    """
    _LOOPS[loop](_wire_leech(port, total // BLOCK_LENGTH, _HOW[how], encryption))


async def _wire_leech(
    port: int,
    count: int,
    fetch: Callable[[Peer, int], Awaitable[None]],
    encryption: str,
) -> None:
    async with connect(HOST, port, INFO_HASH, encryption=encryption) as peer:
        await peer.ready()
        started, cpu = time.perf_counter(), time.process_time()
        await fetch(peer, count)
        say(
            bytes=count * BLOCK_LENGTH,
            seconds=time.perf_counter() - started,
            cpu=time.process_time() - cpu,
        )


def _places(count: int) -> Iterator[tuple[int, int]]:
    """Yields piece index and begin of so many blocks."""
    for number in range(count):
        index, block = divmod(number, BLOCKS_A_PIECE)
        yield index % NUM_PIECES, block * BLOCK_LENGTH


async def _fetch_into(peer: Peer, count: int) -> None:
    room = memoryview(bytearray(PIPELINE * BLOCK_LENGTH))
    slots = [room[n * BLOCK_LENGTH : (n + 1) * BLOCK_LENGTH] for n in range(PIPELINE)]
    waiting: deque[asyncio.Future[memoryview]] = deque()
    for number, (index, begin) in enumerate(_places(count)):
        if len(waiting) == PIPELINE:
            await waiting.popleft()
        slot = slots[number % PIPELINE]
        waiting.append(peer.request(index, begin, BLOCK_LENGTH, into=slot))
    for block in waiting:
        await block


async def _fetch_await(peer: Peer, count: int) -> None:
    waiting: deque[asyncio.Future[bytes]] = deque()
    for index, begin in _places(count):
        if len(waiting) == PIPELINE:
            await waiting.popleft()
        waiting.append(peer.request(index, begin, BLOCK_LENGTH))
    for block in waiting:
        await block


async def _fetch_iterate(peer: Peer, count: int) -> None:
    room = memoryview(bytearray(PIPELINE * BLOCK_LENGTH))
    places = _places(count)
    slots = (room[n * BLOCK_LENGTH : (n + 1) * BLOCK_LENGTH] for n in range(PIPELINE))
    for slot, (index, begin) in zip(slots, places, strict=False):
        peer.request_nowait(index, begin, BLOCK_LENGTH, into=slot)
    left, messages = count, aiter(peer)
    while left:
        message = await anext(messages)
        if not isinstance(message, Piece):
            continue
        left -= 1
        assert message.request is not None
        place = next(places, None)
        if place is not None:
            peer.request_nowait(*place, BLOCK_LENGTH, into=message.request.into)


_HOW = {"into": _fetch_into, "await": _fetch_await, "iterate": _fetch_iterate}


def idle_serve(count: int) -> None:
    """Says how much memory each of so many peers takes that have said their handshake."""
    allow_many_files()
    asyncio.run(_idle_serve(count))


async def _idle_serve(count: int) -> None:
    left = count
    last = asyncio.Event()

    async def handle(peer: Peer) -> None:
        nonlocal left
        async for message in peer:
            left -= isinstance(message, Interested)
            if not left:
                last.set()

    async with serve(handle, HOST, 0, torrents=TORRENTS) as server:
        before = _resident()
        say(port=server.port)
        await last.wait()
        gc.collect()
        say(bytes=_resident() - before, peers=count)


def _resident() -> int:
    """Returns the bytes of memory that this process has, without what the kernel holds for it."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE")


def handshake_serve(encryption: str, count: int) -> None:
    """Answers so many handshakes."""
    asyncio.run(_handshake_serve(encryption, count))


async def _handshake_serve(encryption: str, count: int) -> None:
    left = count
    last = asyncio.Event()

    async def handle(peer: Peer) -> None:
        nonlocal left
        await peer.wait_closed()
        left -= 1
        if not left:
            last.set()

    async with serve(handle, HOST, 0, torrents=TORRENTS, encryption=encryption) as server:
        say(port=server.port)
        await last.wait()


def handshake_dial(port: int, encryption: str, count: int, at_a_time: int) -> None:
    """Dials so many times, and leaves after the handshake.

    Args:
        port: Where the server is.
        encryption: The policy.
        count: Handshakes.
        at_a_time: How many are under way.
    """
    asyncio.run(_handshake_dial(port, encryption, count, at_a_time))


async def _handshake_dial(port: int, encryption: str, count: int, at_a_time: int) -> None:
    slots = asyncio.Semaphore(at_a_time)

    async def dial() -> None:
        async with slots, connect(HOST, port, INFO_HASH, encryption=encryption):
            pass

    started = time.perf_counter()
    await asyncio.gather(*(dial() for _ in range(count)))
    say(handshakes=count, seconds=time.perf_counter() - started)
