"""All hostile cases, a module for each group of rows."""

from __future__ import annotations

from . import framing, handshake

__all__ = ["CASES"]

CASES = (
    *handshake.CASES,
    *framing.CASES,
)
