"""How verbs end that go on until they are told to."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from peerwire.cli.stopping import any_of, stop_on_signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal(number):
    stop = stop_on_signals()
    assert not stop.is_set()
    os.kill(os.getpid(), number)
    async with asyncio.timeout(30):
        await stop.wait()


async def test_the_first_that_is_over():
    never, over = asyncio.Event(), asyncio.Event()
    over.set()
    waiting = asyncio.ensure_future(never.wait())
    assert await any_of(waiting, over.wait())
    await asyncio.wait([waiting])
    assert waiting.cancelled()


async def test_none_in_time():
    waiting = asyncio.get_running_loop().create_future()
    assert not await any_of(waiting, timeout=0)
    assert waiting.cancelled()


async def test_what_one_raises():
    failed = asyncio.get_running_loop().create_future()
    failed.set_exception(OSError("gone"))
    with pytest.raises(OSError, match="gone"):
        await any_of(asyncio.Event().wait(), failed)
