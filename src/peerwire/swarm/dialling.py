"""Whom to dial, when again, and when no more."""

from __future__ import annotations

import asyncio
import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import ConnectionClosed, PeerTimeout, PeerWireError, RemoteProtocolError
from .events import DialFailed, explained

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection

    from ..asyncio.peer import Peer
    from ..encryption import Encryption

__all__ = ["Dialling", "Redial", "Unwanted"]


class Unwanted(PeerWireError):
    """A connection that is not kept, and whose address is not to be dialled again."""


@dataclass(frozen=True, slots=True)
class Redial:
    """How often an address is dialled that gives no connection, or loses it.

    Attributes:
        attempts: Failures in a row before it is given up. A connection that brought at least one
            block begins the count anew.
        wait: Seconds before the second attempt; doubled for each further one.
        max_wait: The most of them.
    """

    attempts: int = 5
    wait: float = 1.0
    max_wait: float = 30.0

    def pause(self, failures: int) -> float:
        """Returns the seconds to wait after so many failures in a row."""
        doublings = min(failures - 1, 32)  # beyond, a float may overflow
        return float(min(self.wait * 2**doublings, self.max_wait))


class Dialling:
    """The addresses that a swarm dials, a task for each.

    Args:
        connect: Connects to a host and port.
        exchange: Exchanges pieces with who is there until the connection ends; told whether our
            own side has asked for the address. Raises `Unwanted` where it is not to be kept.
        redial: How often to dial an address.
        encryption: How `connect` dials it.
        enough: Says whether nobody is needed any more.
        on_failed: Told of each dial that came to nothing.
        on_end: Told that an address is not dialled any more; of the error, if that is ours.

    Attributes:
        failures: What came of each address when it was dialled last, of those that did not work
            and were not hearsay.
    """

    def __init__(
        self,
        connect: Callable[[str, int], Awaitable[Peer]],
        exchange: Callable[[Peer, bool], Awaitable[None]],
        redial: Redial,
        encryption: Encryption,
        *,
        enough: Callable[[], bool],
        on_failed: Callable[[DialFailed], None],
        on_end: Callable[[BaseException | None], None],
    ) -> None:
        self.failures: dict[tuple[str, int], PeerWireError] = {}
        self._connect = connect
        self._exchange = exchange
        self._redial = redial
        self._encryption = encryption
        # Whoever is there may never have asked for it.
        self._redial_hearsay = dataclasses.replace(redial, attempts=min(2, redial.attempts))
        self._enough = enough
        self._on_failed = on_failed
        self._on_end = on_end
        self._dials: dict[asyncio.Task[None], tuple[str, int]] = {}

    @property
    def addresses(self) -> Collection[tuple[str, int]]:
        """Those that are dialled, or connected to, or waited for to be dialled again."""
        return self._dials.values()

    def dial(self, address: tuple[str, int], *, hearsay: bool = False) -> None:
        """Connects to an address, again and again while it is worth it.

        Args:
            address: Host and port.
            hearsay: Whether it is only known from another peer, who may have made it up.
        """
        redial = self._redial_hearsay if hearsay else self._redial
        task = asyncio.get_running_loop().create_task(self._dial(address, redial, hearsay))
        self._dials[task] = address
        task.add_done_callback(self._ended)

    def cancel(self) -> set[asyncio.Task[None]]:
        """Stops dialling; returns what is to be waited for."""
        tasks = set(self._dials)
        for task in tasks:
            task.cancel()
        return tasks

    async def _dial(self, address: tuple[str, int], redial: Redial, hearsay: bool) -> None:
        failures = 0
        while not self._enough():
            connected, error = await self._dial_once(address, invited=not hearsay)
            if self._enough():
                return
            brought = connected is not None and connected.downloaded > 0
            failures = 1 if brought else failures + 1
            gives_up = failures >= redial.attempts or _hopeless(error)
            if gives_up or connected is None:  # else PeerLeft has told it
                self._on_failed(DialFailed(address, error, failures, gives_up))
            self._remember(address, error, hearsay)
            if gives_up:
                return
            await asyncio.sleep(redial.pause(failures))

    def _remember(self, address: tuple[str, int], error: PeerWireError, hearsay: bool) -> None:
        if not hearsay:  # that it leads nowhere is no news
            self.failures[address] = error

    async def _dial_once(
        self, address: tuple[str, int], *, invited: bool
    ) -> tuple[Peer | None, PeerWireError]:
        """Returns who was exchanged with, if anybody was, and what ended it."""
        try:
            peer = await self._connect(*address)
        except PeerWireError as error:
            return None, explained(error, self._encryption)
        try:
            await self._exchange(peer, invited)
        except Unwanted as error:
            await peer.close(str(error))
            return None, error
        assert peer.closed is not None
        return peer, peer.closed

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._dials[task]
        if not task.cancelled():
            self._on_end(task.exception())


def _hopeless(error: PeerWireError) -> bool:
    """Whether dialling again would only bring the same."""
    cause = error.__cause__ if isinstance(error, ConnectionClosed) else error
    if isinstance(cause, PeerTimeout):
        return False  # silence passes, a client that breaks rules remains
    return isinstance(cause, RemoteProtocolError | Unwanted)
