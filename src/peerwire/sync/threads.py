"""A thread for each peer that comes."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import TYPE_CHECKING

from .peer import Peer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ..asyncio.peer import Peer as AsyncPeer
    from .portal import Portal

__all__ = ["in_threads"]


def in_threads(
    portal: Portal, handler: Callable[[Peer], None]
) -> Callable[[AsyncPeer], Awaitable[None]]:
    """Returns a handler for asyncio that runs one which waits, in a thread for each peer.

    No pool: a handler lasts as long as its connection, and those beyond its size would wait.
    """

    def handle(peer: AsyncPeer) -> Awaitable[None]:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()

        def settle(error: BaseException | None) -> None:
            if done.done():
                return  # the server gave the handler up
            if error is None:
                done.set_result(None)
            else:
                done.set_exception(error)

        def run() -> None:
            error: BaseException | None = None
            try:
                handler(Peer(portal, peer))
            except BaseException as raised:  # the server logs it
                error = raised
            with contextlib.suppress(RuntimeError):  # the interpreter ends, and the loop is gone
                loop.call_soon_threadsafe(settle, error)

        threading.Thread(target=run, name=f"peerwire.sync {peer!r}", daemon=True).start()
        return done

    return handle
