"""Handles: a bounded number of open files, shared by threads."""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Handle", "Handles"]

#: No descriptor left, for this process or for all of them.
_EXHAUSTED = (errno.EMFILE, errno.ENFILE)


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
        """Close the file, now or after its last user. Once only, and the lock is held."""
        self._retired = True
        self._close_if_done()

    def _close_if_done(self) -> None:
        if self._retired and not self.users:
            os.close(self.descriptor)


class Handles:
    """Keeps the files used last open, each once, for any number of threads.

    Where the system gives no more descriptors, files that are open make room for the one that is
    needed, so that a process that its connections have filled still gets to its content.

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
            self._handles.move_to_end(number)
            if len(self._handles) > self._limit:
                self._retire_oldest()
            handle.users += 1  # last: where a file can't be closed in good order, nobody uses this
            return handle

    def close(self) -> None:
        """Close every file, those in use when their users are done. Later uses open anew."""
        with self._lock, contextlib.ExitStack() as stack:  # all of them, should one raise
            while self._handles:
                stack.callback(self._handles.popitem()[1].retire)

    def _replace(self, number: int, old: Handle | None, write: bool) -> Handle:
        handle = Handle(self._open(number, write), write, self._lock)
        if old is not None and self._handles.pop(number, None) is old:
            old.retire()
        self._handles[number] = handle
        return handle

    def _open(self, number: int, write: bool) -> int:
        while True:
            try:
                return self._open_file(number, write)
            except OSError as error:
                if error.errno not in _EXHAUSTED or not self._handles:
                    raise
            self._retire_oldest()

    def _retire_oldest(self) -> None:
        self._handles.popitem(last=False)[1].retire()
