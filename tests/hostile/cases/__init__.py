"""All hostile cases, a module for each group of rows."""

from __future__ import annotations

from . import (
    blocks,
    extended,
    fast,
    framing,
    handshake,
    hashes,
    leaving,
    lengths,
    magnets,
    mse,
    pieces_known,
    reading,
    requests,
    silence,
    unknown,
    ut,
)

__all__ = ["CASES"]

CASES = (
    *handshake.CASES,
    *framing.CASES,
    *lengths.CASES,
    *pieces_known.CASES,
    *requests.CASES,
    *blocks.CASES,
    *fast.CASES,
    *extended.CASES,
    *ut.CASES,
    *magnets.CASES,
    *hashes.CASES,
    *unknown.CASES,
    *mse.CASES,
    *silence.CASES,
    *leaving.CASES,
    *reading.CASES,
)
