"""What all rings have: what our side tells, whether it is what was expected, what is held."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from peerwire import ConnectionClosed
from peerwire.asyncio.connection import RECEIVE_BUFFER

from .weight import check_counts

if TYPE_CHECKING:
    from collections.abc import Callable

    from peerwire import Peer

    from .case import Case, Seen

__all__ = ["HOST", "Record", "check_held", "fulfilled", "settle"]

HOST = "127.0.0.1"

#: Seconds after which what has not happened will not happen; nothing that succeeds waits for them.
PATIENCE = 10.0

#: Messages of one read of the socket, which is not stopped in the middle: keep-alives, at most.
ONE_READ = RECEIVE_BUFFER // 4

#: Bytes that may wait for a peer beyond the limit above which it is not read from any more: what
#: one read of the socket makes us answer.
SLACK = 512 * 1024


@dataclass
class Record:
    """What our side told of itself.

    Attributes:
        notes: Lines of the trace that are marked as errors or deviations.
        ends: How connections ended that were not ended in good order by us.
    """

    notes: list[str] = field(default_factory=list)
    ends: list[ConnectionClosed] = field(default_factory=list)

    def trace(self, mark: str, what: object, _now: float) -> None:
        """Is given to our side."""
        if mark == "!":
            self.notes.append(str(what))
        if isinstance(what, ConnectionClosed):
            self.ends.append(what)


def fulfilled(case: Case, seen: Seen) -> bool:
    """Whether it is what was expected."""
    try:
        case.expect.check(seen)
    except AssertionError:
        return False
    return True


async def settle(condition: Callable[[], bool]) -> None:
    """Lets the event loop and the disk's threads go on until something is true, or never will."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() >= deadline:
            return
        await asyncio.sleep(0)


def check_held(peer: Peer) -> None:
    """Asserts that what is kept of a peer, and for it, is within its limits."""
    limits = peer.wire.limits
    check_counts(peer.wire)
    inbox = peer._inbox
    assert len(inbox) <= limits.max_unread_messages + ONE_READ
    assert inbox._bytes <= limits.max_unread_bytes + limits.max_message
    transport = peer._connection._transport
    if transport is not None and not transport.is_closing():
        assert transport.get_write_buffer_size() <= limits.max_write_buffer + SLACK
