"""All cases of the suite, in the order in which they are listed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .additions import CASES as ADDITIONS
from .availability import CASES as AVAILABILITY
from .blocks import CASES as BLOCKS
from .encryption import CASES as ENCRYPTION
from .extended import CASES as EXTENDED
from .fast import CASES as FAST
from .handshake import CASES as HANDSHAKE
from .hashes import CASES as HASHES
from .leecher import CASES as LEECHER
from .messages import CASES as MESSAGES
from .metadata import CASES as METADATA
from .robustness import CASES as ROBUSTNESS
from .upgrade import CASES as UPGRADE

if TYPE_CHECKING:
    from ..case import Case

__all__ = ["LEECHER_CASES", "SEED_CASES"]

#: The cases for a peer that serves the whole torrent.
SEED_CASES: tuple[Case, ...] = (
    *HANDSHAKE,
    *MESSAGES,
    *AVAILABILITY,
    *BLOCKS,
    *FAST,
    *METADATA,
    *EXTENDED,
    *ADDITIONS,
    *HASHES,
    *UPGRADE,
    *ENCRYPTION,
    *ROBUSTNESS,
)

#: The cases for a peer that connects to us and fetches the torrent.
LEECHER_CASES: tuple[Case, ...] = LEECHER
