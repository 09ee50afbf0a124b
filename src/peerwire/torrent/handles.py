"""Handles: a bounded number of open files, shared by threads."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Handle", "Handles"]


class Handle:
    """One open file, for the length of a ``with`` block: it stays open until its last user is done.

    It is made by `Handles.use`; entering it gives the file descriptor.
    """

    __slots__ = ("_lock", "_retired", "descriptor", "users", "writable")

    def __init__(self, descriptor: int, writable: bool, lock: threading.Lock) -> None:
        self.descriptor = descriptor
        self.writable = writable
        self.users = 0
        self._retired = False
        self._lock = lock

    def __enter__(self) -> int:
        return self.descriptor

    def __exit__(self, *exc_info: object) -> None:
        with self._lock:
            self.users -= 1
            self._close_if_done()

    def retire(self) -> None:
        """Close the file, now or after its last user. The lock is held."""
        self._retired = True
        self._close_if_done()

    def _close_if_done(self) -> None:
        if self._retired and not self.users:
            os.close(self.descriptor)


class Handles:
    """Keeps the files used last open, each once, for any number of threads.

    Args:
        open_file: Opens the file of a number, for writing too if asked, and returns its
            descriptor. It is called by one thread at a time.
        limit: Most files kept open. While more threads than that are each at another file, theirs
            are open beyond it.
    """

    def __init__(self, open_file: Callable[[int, bool], int], limit: int) -> None:
        if limit < 1:
            raise ValueError(f"a limit of {limit} open files leaves none to use")
        self._open_file = open_file
        self._limit = limit
        self._lock = threading.Lock()
        self._handles: OrderedDict[int, Handle] = OrderedDict()

    def use(self, number: int, *, write: bool = False) -> Handle:
        """Return the file's handle, to be entered at once: ``with handles.use(3) as descriptor``.

        Raises:
            Whatever `open_file` does.
        """
        with self._lock:
            handle = self._handles.get(number)
            if handle is None or (write and not handle.writable):
                handle = self._replace(number, handle, write)
            handle.users += 1
            self._handles.move_to_end(number)
            if len(self._handles) > self._limit:
                self._handles.popitem(last=False)[1].retire()
            return handle

    def close(self) -> None:
        """Close every file, those in use when their users are done. Later uses open anew."""
        with self._lock:
            while self._handles:
                self._handles.popitem()[1].retire()

    def _replace(self, number: int, old: Handle | None, write: bool) -> Handle:
        handle = Handle(self._open_file(number, write), write, self._lock)
        self._handles[number] = handle
        if old is not None:
            old.retire()
        return handle
