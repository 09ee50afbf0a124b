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

#: After these some come no more: libtorrent bans for what is false, and does not dial itself again.
_LAST = [case for case in CORE if case.id in {f"bep3/leecher/{n}" for n in (12, 26, 29)}]

CASES: tuple[Case, ...] = (
    *(case for case in CORE if case not in _LAST),
    *FAST,
    *MAGNET,
    *EXTENDED,
    *ENCRYPTION,
    *_LAST,
)
