"""The hash requests of one wire: what we asked for (BEP 52, peer messages)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from .hashes import HashRange
from .requests import Outstanding

if TYPE_CHECKING:
    from .errors import PeerWireError

__all__ = ["HashRequestEnded", "OutgoingHashRequests", "PendingHashRequest"]


@dataclass(slots=True, eq=False)
class PendingHashRequest:
    """Hashes that were asked for and have not come.

    Attributes:
        range: Which hashes.
        deadline: When they are given up, on the clock that the wire is told; None for never.
        context: Whatever the caller wants to find here when the answer comes.
    """

    range: HashRange
    deadline: float | None = None
    context: object = None

    @property
    def key(self) -> HashRange:
        """What the request is found by."""
        return self.range

    def __str__(self) -> str:
        return f"hash request {self.range}"


@dataclass(slots=True)
class HashRequestEnded:
    """An event: this request gets no hashes.

    Attributes:
        request: The request, no longer pending.
        error: A `HashRequestFailed`, or the `ConnectionClosed` that ended all of them.
    """

    request: PendingHashRequest
    error: PeerWireError

    def __str__(self) -> str:
        return f"{self.request} ended: {self.error}"


class OutgoingHashRequests(Outstanding[HashRange, PendingHashRequest]):
    """What hashes we asked of the peer.

    Nothing takes a hash request back, so every one that is given up is still owed an answer.
    """

    __slots__ = ()

    _RULE: ClassVar[str] = "BEP 52, peer messages: hashes are known by what was asked for"
    _ADVICE: ClassVar[str] = "wait for its answer"
