"""PieceSet: which pieces somebody has, a set of ints that is also the wire's bitfield (BEP 3)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, MutableSet, Sequence, Set
from typing import Any, Self

__all__ = ["PieceSet"]

#: For each value of a byte, the offsets of its set bits, high bit first.
_OFFSETS = tuple(
    tuple(offset for offset in range(8) if byte & 0x80 >> offset) for byte in range(256)
)


def _bytes_for(size: int) -> int:
    """How many bytes the bitfield of `size` pieces has."""
    return (size + 7) // 8


def _mask(size: int, width: int) -> int:
    """The number whose first `size` bits, of `width` bytes, are set."""
    return ((1 << size) - 1) << (8 * width - size)


def _settled(value: int, width: int, size: int | None) -> int:
    """Cut the endless set that a negative value is to `size`; a finite one has to fit."""
    if size is None:
        return value
    mask = _mask(size, width)
    if value >= 0 and value & ~mask:
        spare = value & ~mask
        last = 8 * width - (spare & -spare).bit_length()
        raise ValueError(f"the bit of piece {last} is set, and there are {size} pieces")
    return value & mask


class PieceSet(MutableSet[int]):
    """A set of piece indices, held as the bits that the wire's bitfield has.

    It is made for the sets that a swarm has in thousands: an empty one and a complete one hold no
    bits at all. Sets may be made before the piece count is known, as a magnet link's peers speak
    before its metadata does: `size` is then None, have-all is a set of every index, and
    `set_size` settles it.

    Operators (``- & | ^ <= ==``) accept any set; between two PieceSets they cost a few
    operations on one big integer each.

    A set of unknown size grows to hold whatever index it is given: whoever adds what a stranger
    sent bounds it first (``Limits.max_pieces``).

    Args:
        size: How many pieces the torrent has, or None while that is not known.
        pieces: The indices to start with.

    Raises:
        ValueError: `size` is negative.
        IndexError: One of `pieces` is negative, or not below `size`.
    """

    __slots__ = ("_bitfield_width", "_bits", "_count", "_inverted", "_size")

    # Bits are marks, the high bit of the first byte is piece 0; those beyond the end of _bits
    # are zero. A mark says that the piece is held or, when inverted, that it is missing. _count
    # is the number of marks and stays below a known size: a set that fills up turns over.

    def __init__(self, size: int | None = None, pieces: Iterable[int] = ()) -> None:
        if size is not None and size < 0:
            raise ValueError(f"a torrent can't have {size} pieces")
        self._size = size
        self._bits = bytearray()
        self._count = 0
        self._inverted = False
        self._bitfield_width: int | None = None
        self.update(pieces)

    @classmethod
    def full(cls, size: int | None = None) -> Self:
        """Make the set of all pieces, which costs nothing whether `size` is known or not."""
        pieces = cls(size)
        pieces._inverted = True
        return pieces

    @classmethod
    def from_bitfield(cls, data: bytes | bytearray | memoryview, size: int | None) -> Self:
        """Make the set that a bitfield describes (BEP 3, peer messages).

        Args:
            data: The bitfield's bytes, copied.
            size: The torrent's piece count. None holds all bits until `set_size` judges them.

        Raises:
            ValueError: The bitfield is of the wrong length, or has spare bits set.
        """
        pieces = cls()
        pieces._bitfield_width = len(data)
        pieces._assign(int.from_bytes(data), len(data))
        if size is not None:
            pieces.set_size(size)
        return pieces

    @classmethod
    def _from_iterable(cls, it: Iterable[Any]) -> PieceSet:  # type: ignore[override]
        return PieceSet(None, it)

    @property
    def size(self) -> int | None:
        """How many pieces the torrent has, None while that is not known."""
        return self._size

    @property
    def complete(self) -> bool:
        """Whether every piece is held; of unknown size, only have-all is complete."""
        if self._size is None:
            return self._inverted and not self._count
        return len(self) == self._size

    @property
    def missing(self) -> PieceSet:
        """The pieces that are not held, as a new set."""
        rest = self.copy()
        rest._bitfield_width = None
        rest._inverted = not self._inverted
        return rest

    def set_size(self, size: int) -> None:
        """Say how many pieces the torrent has, once that is known.

        On error the set is unchanged.

        Raises:
            ValueError: The size is known to be another one, a piece is held that is beyond it,
                or the bitfield this set came from is not one for this many pieces (BEP 3).
        """
        if self._size == size:
            return
        if self._size is not None or size < 0:
            raise ValueError(f"the size of {self!r} can't become {size}")
        width = _bytes_for(size)
        if self._bitfield_width not in (None, width):
            raise ValueError(
                f"a bitfield of {self._bitfield_width} bytes, where {size} pieces take {width}"
            )
        width = max(width, len(self._bits))
        value = _settled(self._value(width), width, size)
        self._size = size
        self._assign(value, width)

    def add(self, value: int) -> None:
        """Add the piece of this index.

        Raises:
            IndexError: The index is negative, or not below `size`.
        """
        if value < 0 or (self._size is not None and value >= self._size):
            raise IndexError(f"piece {value} of {self!r}")
        if self._inverted:
            self._unmark(value)
        else:
            self._mark(value)

    def discard(self, value: int) -> None:
        """Take the piece of this index out; one that is not held, or can't be, is no error."""
        if value not in self:
            return
        if self._inverted:
            self._mark(value)
        else:
            self._unmark(value)

    def update(self, pieces: Iterable[int]) -> None:
        """Add many pieces; another PieceSet is added in one go.

        Raises:
            IndexError: An index is negative, or not below `size`; those before it were added.
            ValueError: `pieces` is a PieceSet with a piece that is not below `size`.
        """
        if not isinstance(pieces, PieceSet):
            for index in pieces:
                self.add(index)
            return
        width = self._width(pieces)
        value = self._value(width) | pieces._value(width)
        self._assign(_settled(value, width, self._size), width)

    def add_new(self, indices: Sequence[int]) -> list[int]:
        """Add many pieces and tell which of them were not held, in order.

        Raises:
            IndexError: An index is negative, or not below `size`; nothing was added.
        """
        if not indices:
            return []
        highest = max(indices)
        if min(indices) < 0 or (self._size is not None and highest >= self._size):
            raise IndexError(f"pieces {min(indices)} to {highest} of {self!r}")
        if self._inverted:
            new = []
            for index in indices:
                if index not in self:
                    self.add(index)
                    new.append(index)
            return new
        return self._mark_new(indices, highest)

    def add_range(self, start: int, stop: int) -> None:
        """Add the pieces from `start` up to, not including, `stop`.

        Raises:
            IndexError: `start` is negative, or `stop` beyond `size`.
        """
        if start >= stop:
            return
        if start < 0 or (self._size is not None and stop > self._size):
            raise IndexError(f"pieces {start} to {stop - 1} of {self!r}")
        width = max(self._width(), _bytes_for(stop))
        run = _mask(stop, width) & ~_mask(start, width)
        self._assign(self._value(width) | run, width)

    def clear(self) -> None:
        """Take every piece out; the size stays."""
        self._bitfield_width = None
        self._assign(0, 0)

    def copy(self) -> PieceSet:
        """Make a set of the same pieces and size."""
        twin = PieceSet(self._size)
        twin._bitfield_width = self._bitfield_width
        twin._bits = self._bits.copy()
        twin._count = self._count
        twin._inverted = self._inverted
        return twin

    def __contains__(self, value: object) -> bool:
        if not isinstance(value, int) or value < 0:
            return False
        if self._size is not None and value >= self._size:
            return False
        byte = value >> 3
        marked = byte < len(self._bits) and self._bits[byte] & 0x80 >> (value & 7) != 0
        return marked != self._inverted

    def __len__(self) -> int:
        """How many pieces are held.

        Raises:
            ValueError: Have-all of a torrent whose piece count is not known.
        """
        if not self._inverted:
            return self._count
        return self._known_size() - self._count

    def __bool__(self) -> bool:
        return self._size != 0 if self._inverted else self._count > 0

    def __iter__(self) -> Iterator[int]:
        """The indices held, ascending, as they were when the iteration began.

        Raises:
            ValueError: Have-all of a torrent whose piece count is not known.
        """
        data = bytes(self) if self._inverted else bytes(self._bits)
        for number, byte in enumerate(data):
            if byte:
                first = 8 * number
                for offset in _OFFSETS[byte]:
                    yield first + offset

    def __bytes__(self) -> bytes:
        """The wire's bitfield, its spare bits zero (BEP 3, peer messages).

        Raises:
            ValueError: The piece count is not known.
        """
        width = _bytes_for(self._known_size())
        return self._value(width).to_bytes(width)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, PieceSet):
            width = self._width(other)
            return self._value(width) == other._value(width)
        if not isinstance(other, Set):
            return NotImplemented
        if self._inverted and self._size is None:
            return False
        return len(self) == len(other) and all(index in self for index in other)

    __hash__ = None  # type: ignore[assignment]  # it changes

    def __sub__(self, other: Set[Any]) -> PieceSet:
        others = self._alike(other)
        width = self._width(others)
        return self._derived(self._value(width) & ~others._value(width), width, others)

    def __and__(self, other: Set[Any]) -> PieceSet:
        others = self._alike(other)
        width = self._width(others)
        return self._derived(self._value(width) & others._value(width), width, others)

    def __or__(self, other: Set[Any]) -> PieceSet:
        others = other if isinstance(other, PieceSet) else PieceSet(self._size, other)
        width = self._width(others)
        return self._derived(self._value(width) | others._value(width), width, others)

    def __ior__(self, other: Set[Any]) -> Self:
        self.update(other)
        return self

    def isdisjoint(self, other: Iterable[Any]) -> bool:
        """Tell whether no piece is in both."""
        if not isinstance(other, PieceSet):
            return not any(index in self for index in other)
        width = self._width(other)
        return self._value(width) & other._value(width) == 0

    def __repr__(self) -> str:
        if self._size is not None:
            return f"<PieceSet {len(self)}/{self._size}>"
        if not self._inverted:
            return f"<PieceSet {self._count}/?>"
        return f"<PieceSet all but {self._count}/?>" if self._count else "<PieceSet all/?>"

    def _known_size(self) -> int:
        if self._size is None:
            raise ValueError("the torrent's piece count is not known yet: see set_size")
        return self._size

    def _mark(self, index: int) -> None:
        byte = index >> 3
        bit = 0x80 >> (index & 7)
        if byte >= len(self._bits):
            self._bits.extend(bytes(byte + 1 - len(self._bits)))
        if self._bits[byte] & bit:
            return
        self._bits[byte] |= bit
        self._count += 1
        if self._count == self._size:
            self._turn_over()

    def _mark_new(self, indices: Iterable[int], highest: int) -> list[int]:
        """Mark many: a third of what it takes to ask for each, and to mark it."""
        bits = self._bits
        if highest >> 3 >= len(bits):
            bits.extend(bytes((highest >> 3) + 1 - len(bits)))
        new = []
        for index in indices:
            byte, bit = index >> 3, 0x80 >> (index & 7)
            marked = bits[byte]
            if not marked & bit:
                bits[byte] = marked | bit
                new.append(index)
        self._count += len(new)
        if self._count == self._size:
            self._turn_over()
        return new

    def _unmark(self, index: int) -> None:
        byte = index >> 3
        bit = 0x80 >> (index & 7)
        if byte < len(self._bits) and self._bits[byte] & bit:
            self._bits[byte] ^= bit
            self._count -= 1

    def _turn_over(self) -> None:
        """Say "all are marked" by marking none, with the meaning of a mark reversed."""
        self._bits = bytearray()
        self._count = 0
        self._inverted = not self._inverted

    def _width(self, other: PieceSet | None = None) -> int:
        """The bytes that hold all that is known of this set, and of the other."""
        width = max(len(self._bits), _bytes_for(self._size or 0))
        return width if other is None else max(width, other._width())

    def _value(self, width: int) -> int:
        """The set as a number of `width` bytes, negative where it has no end."""
        value = int.from_bytes(self._bits) << 8 * (width - len(self._bits))
        if not self._inverted:
            return value
        return ~value if self._size is None else _mask(self._size, width) & ~value

    def _assign(self, value: int, width: int) -> None:
        """Become the set that `_value` would tell as this number."""
        if self._size is not None and width > _bytes_for(self._size):
            value >>= 8 * (width - _bytes_for(self._size))  # it was wider while that was unknown
            width = _bytes_for(self._size)
        self._inverted = value < 0
        if self._inverted:
            value = ~value
        self._bits = bytearray(value.to_bytes(width)) if value else bytearray()
        self._count = value.bit_count()
        if self._count == self._size:
            self._turn_over()

    def _derived(self, value: int, width: int, other: PieceSet) -> PieceSet:
        size = self._size if self._size is not None else other._size
        result = PieceSet(size)
        result._assign(_settled(value, width, size), width)
        return result

    def _alike(self, other: Set[Any]) -> PieceSet:
        """What of the other set can matter here, as a PieceSet."""
        if isinstance(other, PieceSet):
            return other
        return PieceSet(self._size, (index for index in other if index in self))
