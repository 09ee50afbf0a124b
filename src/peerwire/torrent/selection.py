"""Some files of a torrent, and the pieces it takes to have them (BEP 53)."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from ..errors import MetainfoError
from ..pieces import PieceSet

if TYPE_CHECKING:
    from collections.abc import Callable

    from .metainfo import Metainfo

__all__ = ["Selection", "select"]


@dataclasses.dataclass(frozen=True, slots=True)
class Selection:
    """Some files of a torrent.

    Attributes:
        metainfo: The torrent without the empty files that were not selected, for `Storage`: a file
            that holds bytes is made when the first of them comes, an empty one at once.
        pieces: The pieces that hold a byte of them. At its ends a file shares pieces with others,
            of which then a part comes, too.
    """

    metainfo: Metainfo
    pieces: PieceSet


def select(metainfo: Metainfo, selects: Callable[[int], bool]) -> Selection:
    """Selects files of a torrent.

    Args:
        metainfo: The torrent.
        selects: Whether a file is selected, by its index from 0, pad files counted:
            `Magnet.selects`.

    Raises:
        MetainfoError: There is no file among those selected.
    """
    numbers = [number for number, file in enumerate(metainfo.files) if selects(number)]
    if all(metainfo.files[number].pad for number in numbers):
        raise MetainfoError(
            f"no file is selected: {metainfo.name!r:.80} has {len(metainfo.files)}, "
            "counted from 0 (BEP 53)"
        )
    pieces = PieceSet(metainfo.num_pieces)
    for number in numbers:
        file = metainfo.files[number]
        if file.length:
            end = file.offset + file.length
            pieces.add_range(file.offset // metainfo.piece_length, -(-end // metainfo.piece_length))
    selected = set(numbers)
    kept = (file for n, file in enumerate(metainfo.files) if file.length or n in selected)
    return Selection(dataclasses.replace(metainfo, files=tuple(kept)), pieces)
