"""Padding: the zeros between files that nobody needs to send (BEP 47, padding files)."""

from __future__ import annotations

import functools
import hashlib
from bisect import bisect_left
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .metainfo import Metainfo

__all__ = ["Padding", "sha1_of_zeros"]

#: Bytes hashed at a time.
_CHUNK = 256 * 1024


class Padding:
    """Tells how much of each piece is content, and how much the padding at its end.

    A pad file reaches to the end of a piece, so that the next file begins with one. One that does
    not (or has something behind it in the same piece) does nothing that BEP 47 knows of, and its
    bytes count as content where content follows.

    Args:
        metainfo: The torrent.
    """

    def __init__(self, metainfo: Metainfo) -> None:
        self._metainfo = metainfo
        # Where padding begins and ends; what adjoins is one.
        self._starts: list[int] = []
        self._ends: list[int] = []
        for file in metainfo.files:
            if not file.pad or not file.length:
                continue
            if self._ends and self._ends[-1] == file.offset:
                self._ends[-1] += file.length
            else:
                self._starts.append(file.offset)
                self._ends.append(file.offset + file.length)

    def content_size(self, index: int) -> int:
        """How many bytes a piece has before the padding at its end; all behind them are zeros.

        Raises:
            IndexError: There is no such piece.
        """
        size = self._metainfo.piece_size(index)
        start = index * self._metainfo.piece_length
        number = bisect_left(self._starts, start + size) - 1  # the last that begins before the end
        if number < 0 or self._ends[number] < start + size:
            return size
        return max(0, self._starts[number] - start)

    def pieces(self) -> Iterator[int]:
        """The pieces that are padding from end to end, ascending.

        No maker has a use for such, but a torrent may come with them.
        """
        piece_length = self._metainfo.piece_length
        for start, end in zip(self._starts, self._ends, strict=True):
            last = (
                self._metainfo.num_pieces if end == self._metainfo.length else end // piece_length
            )
            yield from range(-(-start // piece_length), last)


@functools.lru_cache(maxsize=4)
def sha1_of_zeros(size: int) -> bytes:
    """Returns the SHA-1 of so many zeros.

    Remembered, as a torrent of a few bytes may have a million pieces of half a gigabyte of padding.
    """
    zeros = bytes(min(size, _CHUNK))
    sha1 = hashlib.sha1(usedforsecurity=False)
    for begin in range(0, size, _CHUNK):
        sha1.update(zeros[: size - begin])
    return sha1.digest()
