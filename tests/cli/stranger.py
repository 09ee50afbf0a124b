"""A peer that says exactly what a test wants, for the verbs that dial one."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from peerwire import ProtocolError

from ..asyncio.raw import Raw

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

HOST = "127.0.0.1"


@contextlib.asynccontextmanager
async def stranger(talk: Callable[[Raw], Awaitable[None]]) -> AsyncIterator[tuple[str, int]]:
    """Listens, and lets each connection be talked to; it is closed when the talk ends."""
    tasks: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        with contextlib.suppress(OSError, EOFError, ProtocolError, asyncio.CancelledError):
            await talk(Raw(reader, writer))
        writer.transport.abort() if task.cancelling() else writer.close()

    server = await asyncio.start_server(handle, HOST, 0)
    try:
        yield server.sockets[0].getsockname()[:2]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
