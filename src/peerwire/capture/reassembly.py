"""Segments of one direction of a TCP connection to the bytes that it carried, in order.

Segments may come in any order, repeated, cut differently each time, and with numbers that wrap
around. Of what comes twice the first is taken, as it is the one that was handed out. What never
comes is a `Gap`: a receiver that was seen to acknowledge a byte has it, so where that byte was not
captured it will not be; and what waits behind a hole is bounded.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Final, NamedTuple, TypeAlias

__all__ = ["Gap", "Part", "Reassembly"]

#: Segments for which a hole that was acknowledged is waited for all the same: captures reorder
#: packets a little, those of several interfaces or queues in particular.
PATIENCE: Final = 16

#: Bytes that wait behind a hole; one window of a fast connection.
MAX_HELD: Final = 8 * 1024 * 1024

#: Bytes that a piece that waits costs beside its own.
_OVERHEAD: Final = 128

_MODULUS: Final = 1 << 32


@dataclass(frozen=True, slots=True)
class Gap:
    """So many bytes were not captured."""

    count: int


#: What a direction carried: bytes, or where there should be some.
Part: TypeAlias = bytes | Gap


class _Waiting(NamedTuple):
    """Bytes behind a hole, or (None) bytes that are known to be missing there."""

    start: int
    end: int
    data: bytes | None


class _Ranges:
    """Ranges of positions, none of which touches another.

    They are kept as their edges in ascending order: where the first begins, where it ends, where
    the next begins. To add one costs as much as there are holes in it, and then they are gone.
    """

    def __init__(self) -> None:
        self._edges: list[int] = []

    def add(self, start: int, end: int) -> list[tuple[int, int]]:
        """Adds a range that is not empty, and returns what of it is new."""
        edges = self._edges
        first, last = bisect_left(edges, start), bisect_right(edges, end)
        # Behind an even number of edges all ranges have ended: there it has an edge of its own.
        begin = [] if first % 2 else [start]
        stop = [] if last % 2 else [end]
        bounds = [*begin, *edges[first:last], *stop]
        edges[first:last] = begin + stop
        return [(a, b) for a, b in zip(bounds[::2], bounds[1::2], strict=True) if a < b]

    def forget(self, position: int, keep: int) -> None:
        """Forgets what ends at a position or before it, where no more than so many begin behind it.

        Done once that is half of the list: what is taken from its front moves all the rest.
        """
        if len(self._edges) > 4 * keep:
            del self._edges[: bisect_right(self._edges, position)]


class Reassembly:
    """One direction of a TCP connection.

    Positions are counted from its first byte and never wrap.

    Args:
        max_held: Bytes that may wait behind a hole before it is given up.

    Attributes:
        held: What waits behind a hole costs so many bytes.
        position: Bytes told so far, those of gaps included.
        origin: The sequence number of position 0; None before the first segment.
    """

    def __init__(self, max_held: int = MAX_HELD) -> None:
        self.held = 0
        self.position = 0
        self.origin: int | None = None
        self._max_held = max_held
        self._waiting: list[_Waiting] = []  # a heap; no two of them overlap
        self._seen = _Ranges()  # of all that waits, and of some that did
        self._acknowledged = 0
        self._patience = PATIENCE

    @property
    def behind(self) -> bool:
        """Whether something waits behind a hole."""
        return bool(self._waiting)

    def begin(self, seq: int) -> None:
        """Says the number of the first byte, which follows that of the SYN."""
        if self.origin is None:
            self.origin = seq

    def position_of(self, seq: int) -> int:
        """Returns where the byte of a number is, taken to be less than 2^31 away."""
        if self.origin is None:
            self.origin = seq  # the beginning was not captured: it begins here
        ahead = (seq - self.origin - self.position) % _MODULUS
        return self.position + (ahead if ahead < _MODULUS // 2 else ahead - _MODULUS)

    def receive(self, seq: int, data: bytes, length: int | None = None) -> list[Part]:
        """Takes in a segment and returns what is now in order.

        Args:
            seq: The number of its first byte.
            data: Its bytes, as far as they were captured.
            length: How many there were, if more.
        """
        start = self.position_of(seq)
        middle = start + len(data)
        self._insert(start, middle, data)
        if length is not None and length > len(data):
            self._insert(middle, start + length, None)
        if self._waiting:
            self._patience -= 1
        return self._take()

    def acknowledge(self, ack: int) -> list[Part]:
        """Takes in what the receiver has, and returns what is now in order."""
        if self.origin is None:
            return []
        self._acknowledged = max(self._acknowledged, self.position_of(ack))
        return self._take()

    def flush(self) -> list[Part]:
        """Gives up all holes and returns what waited behind them."""
        return self._take(all_holes=True)

    def _insert(self, start: int, end: int, data: bytes | None) -> None:
        """Lets what of it is new wait."""
        begin = max(start, self.position)
        for at, stop in self._seen.add(begin, end) if begin < end else ():
            piece = _Waiting(at, stop, None if data is None else data[at - start : stop - start])
            heappush(self._waiting, piece)
            self.held += _cost(piece)

    def _take(self, *, all_holes: bool = False) -> list[Part]:
        """Takes out what waits no more: there is no hole before it, or it is given up."""
        parts: list[Part] = []
        waiting = self._waiting
        while waiting and (all_holes or waiting[0].start == self.position or self._is_lost()):
            piece = heappop(waiting)
            if piece.start > self.position:
                parts.append(Gap(piece.start - self.position))
            parts.append(Gap(piece.end - piece.start) if piece.data is None else piece.data)
            self.position = piece.end
            self.held -= _cost(piece)
            self._patience = PATIENCE
        self._seen.forget(self.position, keep=len(waiting))
        return parts

    def _is_lost(self) -> bool:
        """Whether the hole before what waits will not be filled."""
        if self.held > self._max_held:
            return True
        return self._patience <= 0 and self._acknowledged >= self._waiting[0].start


def _cost(piece: _Waiting) -> int:
    return _OVERHEAD + (0 if piece.data is None else len(piece.data))
