"""The conformance suite: cases by specification, and what asks a peer about them.

`Runner` asks a peer; `SEED_CASES` has the cases. docs/how-to/write-a-check.md shows how to write
one.
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
from .cases import SEED_CASES
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
    "SEED_CASES",
]
