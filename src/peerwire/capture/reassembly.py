"""Segments of one direction of a TCP connection to the bytes that it carried, in order.

Segments may come in any order, repeated, cut differently each time, and with numbers that wrap
around. Of what comes twice the first is taken, as it is the one that was handed out. What never
comes is a `Gap`: a receiver that was seen to acknowledge a byte has it, so where that byte was not
captured it will not be; and what waits behind a hole is bounded.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
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
        self._waiting: list[_Waiting] = []
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
        parts = self._in_order()
        while self._waiting:
            parts += self._skip()
        return parts

    def _insert(self, start: int, end: int, data: bytes | None) -> None:
        """Lets what of it is new wait."""
        at = max(start, self.position)
        waiting = self._waiting
        index = bisect_left(waiting, at, key=lambda piece: piece.start)
        if index:
            at = max(at, waiting[index - 1].end)
        while at < end:
            following = waiting[index] if index < len(waiting) else None
            stop = end if following is None else min(end, following.start)
            if at < stop:
                part = None if data is None else data[at - start : stop - start]
                waiting.insert(index, _Waiting(at, stop, part))
                self.held += _cost(waiting[index])
                index += 1
            if following is None:
                return
            at = max(at, following.end)
            index += 1

    def _take(self) -> list[Part]:
        parts = self._in_order()
        while self._waiting and self._is_lost():
            parts += self._skip()
        return parts

    def _is_lost(self) -> bool:
        """Whether the hole before what waits will not be filled."""
        if self.held > self._max_held:
            return True
        return self._patience <= 0 and self._acknowledged >= self._waiting[0].start

    def _skip(self) -> list[Part]:
        hole = Gap(self._waiting[0].start - self.position)
        self.position = self._waiting[0].start
        return [hole, *self._in_order()]

    def _in_order(self) -> list[Part]:
        """Takes out what waits no more, as there is no hole before it."""
        parts: list[Part] = []
        count = 0
        for count, piece in enumerate(self._waiting):  # noqa: B007
            if piece.start != self.position:
                break
            parts.append(Gap(piece.end - piece.start) if piece.data is None else piece.data)
            self.position = piece.end
            self.held -= _cost(piece)
        else:
            count = len(self._waiting)
        del self._waiting[:count]
        if parts or not self._waiting:
            self._patience = PATIENCE
        return parts


def _cost(piece: _Waiting) -> int:
    return _OVERHEAD + (0 if piece.data is None else len(piece.data))
