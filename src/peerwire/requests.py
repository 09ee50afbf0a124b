"""The requests of one wire: what we asked for, and what we were asked for.

The tables are keyed by what names an answer, (index, begin, length) for a block, so that finding a
request costs the same however many are outstanding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeAlias, TypeVar

from .errors import LocalProtocolError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .errors import PeerWireError
    from .messages import Request

__all__ = [
    "BlockKey",
    "IncomingRequests",
    "OutgoingRequests",
    "Outstanding",
    "PendingRequest",
    "RequestEnded",
]

#: Piece index, offset in the piece and length, in bytes: what names a block.
BlockKey: TypeAlias = tuple[int, int, int]


@dataclass(slots=True, eq=False)
class PendingRequest:
    """A block that was asked for and has not come.

    Attributes:
        index: Piece index.
        begin: Offset in the piece, in bytes.
        length: Length, in bytes.
        deadline: When it is given up, on the clock that the wire is told; None for never.
        into: Where the block is to be written; None to receive it as bytes.
        context: Whatever the caller wants to find here when the answer comes.
    """

    index: int
    begin: int
    length: int
    deadline: float | None = None
    into: memoryview | None = None
    context: object = None

    @property
    def key(self) -> BlockKey:
        """What the request is found by."""
        return (self.index, self.begin, self.length)

    def __str__(self) -> str:
        return f"request {self.index}:{self.begin}+{self.length}"


@dataclass(slots=True)
class RequestEnded:
    """An event: this request gets no block.

    Attributes:
        request: The request, no longer pending.
        error: A `RequestFailed`, or the `ConnectionClosed` that ended all of them.
    """

    request: PendingRequest
    error: PeerWireError

    def __str__(self) -> str:
        return f"{self.request} ended: {self.error}"


class _Pending(Protocol):
    """A request that has not been answered."""

    @property
    def key(self) -> Any:
        """What its answer is known by."""

    @property
    def deadline(self) -> float | None:
        """When it is given up; None for never."""


K = TypeVar("K")
R = TypeVar("R", bound=_Pending)


class Outstanding(Generic[K, R]):
    """What was asked of the peer, by what the answer is known by.

    A request that was given up may still be owed an answer; it is remembered as abandoned so that
    the answer is not taken for a violation.

    Args:
        max_abandoned: How many of those are remembered. Of the oldest beyond, only the number of
            answers owed is: that many answers to whatever are let pass.

    Attributes:
        pending: The requests that wait, by their key, the oldest first; to be looked at only.
    """

    __slots__ = ("_abandoned", "_earliest", "_forgotten", "_max_abandoned", "pending")

    _RULE: ClassVar[str]
    _ADVICE: ClassVar[str]

    def __init__(self, max_abandoned: int) -> None:
        self.pending: dict[K, R] = {}
        self._abandoned: dict[K, int] = {}
        self._forgotten = 0
        self._max_abandoned = max_abandoned
        self._earliest: float | None = None

    def __len__(self) -> int:
        return len(self.pending)

    def __iter__(self) -> Iterator[R]:
        return iter(self.pending.values())

    def __contains__(self, key: K) -> bool:
        return key in self.pending

    @property
    def next_deadline(self) -> float | None:
        """No deadline is earlier. It may be that of a request already answered.

        Keeping it a bound and not the exact minimum makes an answer cost nothing here; `expire`,
        called too early at most once per timeout, finds the next one.
        """
        return self._earliest

    def add(self, request: R) -> None:
        """Remembers a request.

        Raises:
            LocalProtocolError: The same is asked for already: its answer could not be told from
                the other's.
        """
        key = request.key
        if key in self.pending:
            raise LocalProtocolError(
                f"{request} is pending already; {self._ADVICE}", rule=self._RULE
            )
        self.pending[key] = request
        if request.deadline is None:
            return
        if self._earliest is None or request.deadline < self._earliest:
            self._earliest = request.deadline

    def get(self, key: K) -> R | None:
        """Returns the pending request that is known by this; None when there is none."""
        return self.pending.get(key)

    def answered(self, key: K) -> R | None:
        """Takes out the request that is answered; None when there is none."""
        return self.pending.pop(key, None)

    def rejected(self, key: K) -> R | None:
        """Takes out the request that a reject answers; None when it was given up before.

        Raises:
            KeyError: It was never made.
        """
        # An abandoned request is older than a pending one for the same: it is answered first.
        if key in self.pending and key not in self._abandoned:
            return self.pending.pop(key)
        if self.forgive(key):
            return None
        raise KeyError(key)

    def abandon(self, key: K, *, owed: bool) -> R | None:
        """Takes a request back; None when it is not pending.

        Args:
            key: The request.
            owed: Whether the peer will answer all the same (BEP 6, cancel).
        """
        request = self.pending.pop(key, None)
        if request is not None and owed:
            self._abandoned[key] = self._abandoned.get(key, 0) + 1
            if len(self._abandoned) > self._max_abandoned:
                self._forgotten += self._abandoned.pop(next(iter(self._abandoned)))
        return request

    def forgive(self, key: K) -> bool:
        """Whether this answer was still owed to a request that was taken back; now it is not."""
        count = self._abandoned.pop(key, 0)
        if count > 1:
            self._abandoned[key] = count - 1
        if count:
            return True
        if not self._forgotten:
            return False
        self._forgotten -= 1
        return True

    def expire(self, now: float) -> list[R]:
        """Returns the pending requests whose deadline has come, the oldest first.

        They stay pending until they are taken back with `abandon`.
        """
        if self._earliest is None or now < self._earliest:
            return []
        deadlines = [r.deadline for r in self if r.deadline is not None and r.deadline > now]
        self._earliest = min(deadlines, default=None)
        return [r for r in self if r.deadline is not None and r.deadline <= now]

    def clear(self) -> list[R]:
        """Forgets everything and returns what was pending, the oldest first."""
        ended = list(self.pending.values())
        self.pending.clear()
        self._abandoned.clear()
        self._forgotten = 0
        self._earliest = None
        return ended


class OutgoingRequests(Outstanding[BlockKey, PendingRequest]):
    """What blocks we asked of the peer.

    Under BEP 6, one that was taken back is still owed an answer, a piece or a reject.
    """

    __slots__ = ()

    _RULE: ClassVar[str] = "BEP 3, peer messages: an answer is known by index, begin and length"
    _ADVICE: ClassVar[str] = "cancel it first or wait for its answer"


class IncomingRequests:
    """What the peer asked of us and has not been answered, the oldest first.

    Attributes:
        pending: The requests, by their key; to be looked at only.
    """

    __slots__ = ("pending",)

    def __init__(self) -> None:
        self.pending: dict[BlockKey, Request] = {}

    def __len__(self) -> int:
        return len(self.pending)

    def __iter__(self) -> Iterator[Request]:
        return iter(self.pending.values())

    def __contains__(self, key: BlockKey) -> bool:
        return key in self.pending

    def get(self, key: BlockKey) -> Request | None:
        """Returns the pending request for a block; None when there is none."""
        return self.pending.get(key)

    def add(self, request: Request) -> None:
        """Remembers a request that is not there yet."""
        self.pending[request.index, request.begin, request.length] = request

    def take(self, key: BlockKey) -> Request | None:
        """Takes out a request, to answer or to drop it; None when it is not pending."""
        return self.pending.pop(key, None)

    def clear(self) -> list[Request]:
        """Forgets everything and returns what was pending, the oldest first."""
        dropped = list(self.pending.values())
        self.pending.clear()
        return dropped
