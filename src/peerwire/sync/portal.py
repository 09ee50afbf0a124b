"""The thread in which the event loop of all synchronous peers runs, and the way into it."""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import contextlib
import inspect
import os
import threading
from typing import TYPE_CHECKING, Any, TypeVar, overload

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import ParamSpec

    P = ParamSpec("P")

__all__ = ["Portal", "Remote", "shared_portal"]

T = TypeVar("T")

#: Seconds that the end of the interpreter waits for the thread.
STOP_TIMEOUT = 1.0


class Portal:
    """An event loop in a thread of its own, and calls into it that wait for their result."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="peerwire.sync", daemon=True)
        self._thread.start()

    @overload
    def call(self, function: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T: ...

    @overload
    def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T: ...

    def call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Calls a function in the thread of the event loop, and awaits what it returns.

        Interrupted while it waits, by Ctrl-C for instance, it cancels what it waits for.

        Args:
            function: What to call.
            args: With what.
            kwargs: With what, by name.

        Returns:
            The result, awaited if it is to be.

        Raises:
            RuntimeError: It is called by what runs in that thread itself, as a trace does, and
                would have to wait there.
        """
        if threading.current_thread() is self._thread:
            return _at_once(function(*args, **kwargs))
        call = _Call(lambda: function(*args, **kwargs))
        try:
            self._loop.call_soon_threadsafe(call.start)
            return call.result.result()
        except BaseException:
            if not call.result.done():
                self._loop.call_soon_threadsafe(call.cancel)
            raise

    def stop(self) -> None:
        """Ends the thread; what waits in it is cancelled."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(STOP_TIMEOUT)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            tasks = asyncio.all_tasks(self._loop)
            for task in tasks:
                task.cancel()
            self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
            self._loop.close()


class _Call:
    """One call on its way through a portal."""

    def __init__(self, function: Callable[[], Any]) -> None:
        self.result: concurrent.futures.Future[Any] = concurrent.futures.Future()
        self._function = function
        self._task: asyncio.Task[Any] | None = None
        self._cancelled = False

    def start(self) -> None:
        if not self._cancelled:
            self._task = asyncio.get_running_loop().create_task(self._run())

    def cancel(self) -> None:
        self._cancelled = True
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        try:
            result = self._function()
            if inspect.isawaitable(result):
                result = await result
        except BaseException as error:  # it belongs to who called, whatever it is
            self.result.set_exception(error)
            if isinstance(error, asyncio.CancelledError):
                raise
        else:
            self.result.set_result(result)


class Remote:
    """An object of the event loop's thread, whose attributes are got, set and called there.

    Args:
        portal: The way there.
        target: The object.
    """

    def __init__(self, portal: Portal, target: object) -> None:
        self.__dict__.update(_portal=portal, _target=target)

    def __getattr__(self, name: str) -> Any:
        value = self._portal.call(getattr, self._target, name)
        if not callable(value):
            return value
        return lambda *args, **kwargs: self._portal.call(value, *args, **kwargs)

    def __setattr__(self, name: str, value: object) -> None:
        self._portal.call(setattr, self._target, name, value)


_shared: Portal | None = None
_lock = threading.Lock()


def shared_portal() -> Portal:
    """Returns the portal of this process, and starts it if it is the first to be asked for."""
    global _shared
    with _lock:
        if _shared is None:
            _shared = Portal()
            atexit.register(_shared.stop)
        return _shared


def _forget() -> None:
    global _shared, _lock
    if _shared is not None:
        atexit.unregister(_shared.stop)
    _shared, _lock = None, threading.Lock()


with contextlib.suppress(AttributeError):  # where there is no fork
    os.register_at_fork(after_in_child=_forget)  # the thread stays with the parent


def _at_once(result: Any) -> Any:
    if inspect.isawaitable(result):
        if inspect.iscoroutine(result):
            result.close()
        raise RuntimeError(
            "this would wait in the thread that has to do it; a trace, a condition or an "
            "extension may look at a peer and send, but not wait"
        )
    return result
