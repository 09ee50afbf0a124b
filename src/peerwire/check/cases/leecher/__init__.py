"""The rules of the side that downloads, for a peer that connects to us and wants the torrent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .core import CASES as CORE
from .encryption import CASES as ENCRYPTION
from .extended import CASES as EXTENDED
from .fast import CASES as FAST
from .metadata import CASES as MAGNET

if TYPE_CHECKING:
    from ...case import Case

__all__ = ["CASES"]

#: After what is false nobody comes back who bans for it, as libtorrent does.
_LAST = tuple(case for case in CORE if case.id in ("bep3/leecher/12", "bep3/leecher/26"))

CASES: tuple[Case, ...] = (
    *(case for case in CORE if case not in _LAST),
    *FAST,
    *MAGNET,
    *EXTENDED,
    *ENCRYPTION,
    *_LAST,
)
