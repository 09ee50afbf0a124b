"""Costly steps, of which an event loop takes one a turn, lest many at once stop all else."""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["wait_for_turn"]

#: What waits in each loop. Weakly: a loop that is closed while steps wait is to go all the same.
_waiting: weakref.WeakKeyDictionary[
    asyncio.AbstractEventLoop, deque[weakref.WeakMethod[Callable[[], None]]]
] = weakref.WeakKeyDictionary()


def wait_for_turn(step: Callable[[], None]) -> None:
    """Calls a method soon, in a turn of the running loop that no other such step has.

    Between two steps everything else that is ready gets its turn.

    Args:
        step: A method of some object; nothing is called once that is gone.
    """
    loop = asyncio.get_running_loop()
    queue = _waiting.setdefault(loop, deque())
    queue.append(weakref.WeakMethod(step))
    if len(queue) == 1:
        loop.call_soon(_take_one, loop)


def _take_one(loop: asyncio.AbstractEventLoop) -> None:
    queue = _waiting[loop]
    step = queue[0]()
    try:
        if step is not None:
            step()
    finally:
        queue.popleft()
        if queue:
            loop.call_soon(_take_one, loop)
