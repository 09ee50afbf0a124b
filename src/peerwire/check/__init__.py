"""The conformance suite: cases by specification, and what asks a peer about them.

`Runner` asks a peer that serves a torrent the `SEED_CASES`; `LeecherRunner` asks one that connects
to us the `LEECHER_CASES`. docs/how-to/write-a-check.md shows how to write one.
"""

from __future__ import annotations

from .case import (
    INFO,
    MUST,
    SHOULD,
    Case,
    Cases,
    Closed,
    Deviates,
    Inconclusive,
    Lax,
    NotApplicable,
    Result,
    Verdict,
)
from .cases import LEECHER_CASES, SEED_CASES
from .leechers import LeecherRunner
from .probe import Probe, Silent
from .runner import Run, Runner

__all__ = [
    "Case",
    "Cases",
    "MUST",
    "SHOULD",
    "INFO",
    "Probe",
    "Deviates",
    "Closed",
    "Silent",
    "Lax",
    "NotApplicable",
    "Inconclusive",
    "Verdict",
    "Result",
    "Run",
    "Runner",
    "LeecherRunner",
    "SEED_CASES",
    "LEECHER_CASES",
]
