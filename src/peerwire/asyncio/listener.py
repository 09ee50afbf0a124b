"""Accepting connections, and going on whatever the machine lacks for a while."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterable

__all__ = ["Listener", "accepts_a_turn", "bind", "most_connections"]

logger = logging.getLogger("peerwire.server")

#: Seconds until it is tried again when there was no descriptor or memory for a connection.
PAUSE = 1.0

#: Most connections accepted in one turn of the loop: a burst of thousands is to leave time for
#: those that are there.
ACCEPTS_A_TURN = 64

#: The share of the descriptors a process may have that connections may take. libtorrent gives them
#: 80 %; we keep 64 files open, a quarter of macOS's 256.
SHARE = 0.7

#: Turns in which what is accepted must fit into the rest: a refused connection gives its descriptor
#: back some turns later, and half of the rest may be in use.
TURNS_TO_CLOSE = 16

#: The socket listens no more, and never will: closed or shut down, here or by the system.
_LOST = {errno.EBADF, errno.EINVAL, errno.ENOTSOCK}

#: Errors of one connection that was about to be accepted; accept(2) tells them as its own.
_OF_ONE = {
    errno.ECONNABORTED,
    errno.EHOSTDOWN,
    errno.EHOSTUNREACH,
    errno.ENETDOWN,
    errno.ENETUNREACH,
    errno.ENOPROTOOPT,
    errno.EOPNOTSUPP,
    errno.EPERM,
    errno.EPROTO,
}


def most_connections() -> int | None:
    """Returns how many connections leave room for files; None where the system sets no limit."""
    descriptors = _most_descriptors()
    return None if descriptors is None else max(1, int(descriptors * SHARE))


def accepts_a_turn() -> int:
    """Returns how many connections to accept before the loop gets to close what is too much."""
    descriptors = _most_descriptors()
    if descriptors is None:
        return ACCEPTS_A_TURN
    return min(ACCEPTS_A_TURN, max(1, int(descriptors * (1 - SHARE)) // TURNS_TO_CLOSE))


def _most_descriptors() -> int | None:
    sysconf = getattr(os, "sysconf", None)  # Windows has none, nor the limit
    most = -1 if sysconf is None else int(sysconf("SC_OPEN_MAX"))
    return most if most > 0 else None


async def bind(host: str | None, port: int, backlog: int) -> list[socket.socket]:
    """Returns sockets that listen on each address of a host, None for all of this machine.

    Raises:
        OSError: The address can't be listened on.
    """
    # asyncio resolves and binds; only its accepting is not ours, so it never begins.
    bound = await asyncio.get_running_loop().create_server(
        asyncio.Protocol, host, port, start_serving=False
    )
    sockets = [sock.dup() for sock in bound.sockets]
    bound.close()
    try:
        for sock in sockets:
            sock.setblocking(False)
            sock.listen(backlog)
    except OSError:
        for sock in sockets:
            sock.close()
        raise
    return sockets


class Listener:
    """Accepts connections on sockets until it is closed or loses one of them.

    asyncio's own server reports a lack of descriptors as an unhandled exception, accepts as many
    connections in one go as its backlog is long before it asks what to do with them, and never
    says that its socket is gone.

    Args:
        sockets: They listen already and do not block; they are closed with this.
        accepted: Given each connection.
        starved: Called when there is no descriptor or memory for one more, to make room.

    Attributes:
        sockets: Where it listens.
        lost: Gets the `OSError` of a socket that listens no more; cancelled at the close.
    """

    def __init__(
        self,
        sockets: Iterable[socket.socket],
        *,
        accepted: Callable[[socket.socket], None],
        starved: Callable[[], object],
    ) -> None:
        self.sockets = tuple(sockets)
        self._accepted = accepted
        self._starved = starved
        self._burst = accepts_a_turn()
        self._starving = False
        self._closing = False
        self._loop = asyncio.get_running_loop()
        self.lost: asyncio.Future[None] = self._loop.create_future()
        self._tasks = [self._loop.create_task(self._listen(sock)) for sock in self.sockets]
        for task in self._tasks:
            task.add_done_callback(self._ended)

    async def close(self) -> None:
        """Stops listening. What waits to be accepted is reset by the system."""
        if self._closing:
            return
        self._closing = True
        # So that none is lost on its way to a task: what was accepted already, that one closes.
        with contextlib.suppress(NotImplementedError):  # a proactor's
            for sock in self.sockets:
                self._loop.remove_reader(sock)
        await asyncio.sleep(0)
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)
        for sock in self.sockets:
            sock.close()
        self.lost.cancel()

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or self._closing or self.lost.done():
            return
        error = task.exception()
        assert error is not None, "it goes on for ever"
        logger.error("no peer can connect any more: %s", error)
        self.lost.set_exception(error)
        self.lost.exception()  # who does not wait for it is not to be warned of it

    async def _listen(self, sock: socket.socket) -> None:
        while True:
            for _ in range(self._burst):
                connection = await self._accept(sock)
                if connection is None:
                    break
                if self._closing:
                    connection.close()
                    return
                self._accepted(connection)
            await asyncio.sleep(0)

    async def _accept(self, sock: socket.socket) -> socket.socket | None:
        try:
            connection, _ = await self._loop.sock_accept(sock)
        except OSError as error:
            if error.errno in _LOST:
                raise
            if error.errno not in _OF_ONE:
                await self._pause(error)
            return None
        self._starving = False
        return connection

    async def _pause(self, error: OSError) -> None:
        if not self._starving:  # once, however long it lasts
            self._starving = True
            logger.warning(
                "can't accept a peer: %s; trying again every %g s", error.strerror, PAUSE
            )
        self._starved()
        await asyncio.sleep(PAUSE)
