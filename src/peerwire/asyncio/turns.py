"""Costly steps, which take turns with all else on an event loop, lest many at once stop it."""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from time import monotonic  # not the loop's: uvloop's stands still during a turn
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["wait_for_turn"]


class _Queue:
    """What waits in one loop."""

    __slots__ = ("left_at", "steps")

    def __init__(self) -> None:
        self.steps: deque[weakref.WeakMethod[Callable[[], None]]] = deque()
        self.left_at = 0.0  # when all else began to have its turn


#: Weakly: a loop that is closed while steps wait is to go all the same.
_waiting: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Queue] = weakref.WeakKeyDictionary()


def wait_for_turn(step: Callable[[], None]) -> None:
    """Calls a method soon, after all that is ready had its turn.

    A turn is one step, and more while they have not taken as long as everything else did since the
    last: with one alone, a loop that is so busy that it goes round ten times a second would let
    ten peers in.

    Args:
        step: A method of some object; nothing is called once that is gone.
    """
    loop = asyncio.get_running_loop()
    queue = _waiting.setdefault(loop, _Queue())
    queue.steps.append(weakref.WeakMethod(step))
    if len(queue.steps) == 1:
        _give_way(loop, queue)


def _give_way(loop: asyncio.AbstractEventLoop, queue: _Queue) -> None:
    queue.left_at = monotonic()
    loop.call_soon(_take_turn, loop)


def _take_turn(loop: asyncio.AbstractEventLoop) -> None:
    queue = _waiting[loop]
    now = monotonic()
    until = now + (now - queue.left_at)
    try:
        _take_one(queue)
        while queue.steps and monotonic() < until:
            _take_one(queue)
    finally:
        if queue.steps:
            _give_way(loop, queue)


def _take_one(queue: _Queue) -> None:
    step = queue.steps[0]()
    try:
        if step is not None:
            step()
    finally:
        queue.steps.popleft()
