"""Our side on loopback: served, seeding, or fetching, with somebody beside the hostile peer."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import pytest

from ..garbage import light
from ..swarm.conftest import clock, tidy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ..swarm.conftest import Clock

__all__ = ["clock", "light", "stack", "tidy"]


@pytest.fixture
async def stack(tidy: object, clock: Clock) -> AsyncIterator[contextlib.AsyncExitStack]:
    """Closes what a test opened, if need be by letting the timers go off."""
    stack = contextlib.AsyncExitStack()
    yield stack
    closing = asyncio.create_task(stack.aclose())
    for _ in range(10):
        for _ in range(1000):
            if closing.done():
                break
            await asyncio.sleep(0)
        else:
            await clock.advance(6)
    await closing
