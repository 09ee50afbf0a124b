"""Peers with one defect each, and what the cases are to say of them."""

from __future__ import annotations

from . import (
    availability,
    blocks,
    encryption,
    extended,
    fast,
    messages,
    metadata,
    opening,
    robustness,
    torrents,
)
from .rows import ROWS, Row

__all__ = [
    "ROWS",
    "Row",
    "availability",
    "blocks",
    "encryption",
    "extended",
    "fast",
    "messages",
    "metadata",
    "opening",
    "robustness",
    "torrents",
]
