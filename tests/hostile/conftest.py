"""Our side on loopback: served, seeding, or fetching, with somebody beside the hostile peer."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from typing import TYPE_CHECKING

import pytest

from ..swarm.conftest import clock, tidy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from ..swarm.conftest import Clock

__all__ = ["clock", "light", "stack", "tidy"]


@pytest.fixture(autouse=True, scope="module")
def light() -> Iterator[None]:
    """Lets the collection of garbage after each test pass over what was there before all of them.

    That is a hundred thousand objects of modules and cases, and a thousand times to look at them.
    """
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


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
