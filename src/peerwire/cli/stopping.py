"""How verbs end that go on until they are told to stop."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable

__all__ = ["any_of", "stop_on_signals"]


def stop_on_signals() -> asyncio.Event:
    """Returns what is set by Ctrl-C, or by a request to terminate."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


async def any_of(*things: Awaitable[Any], timeout: float | None = None) -> bool:
    """Waits until one of several things is over, and cancels the others.

    Args:
        things: What is waited for.
        timeout: Seconds to wait at most; None for ever.

    Returns:
        Whether one of them was over in time.

    Raises:
        Exception: What one of them has raised.
    """
    waiting = [asyncio.ensure_future(thing) for thing in things]
    try:
        done, _ = await asyncio.wait(waiting, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        for thing in done:
            thing.result()
    finally:
        for thing in waiting:
            thing.cancel()
    return bool(done)
