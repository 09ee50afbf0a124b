"""The results as lines for people, and as records for scripts."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from ...version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .contest import Result

__all__ = ["HEADINGS", "cells", "machine", "record", "table"]

HEADINGS = ("what", "peerwire", "beside", "ratio", "to reach", "")

#: Packages that have a part in the figures.
PACKAGES = ("cryptography", "uvloop")

#: Where Linux names its processors.
CPUINFO = Path("/proc/cpuinfo")


def machine() -> dict[str, str]:
    """Returns what was measured on: hardware and versions."""
    found = {
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "system": platform.platform(),
        "python": platform.python_version(),
        "peerwire": __version__,
    }
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def _processor() -> str:
    lines = CPUINFO.read_text().splitlines() if CPUINFO.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def cells(result: Result) -> tuple[str, ...]:
    """Returns a result as the cells under `HEADINGS`."""
    unit, mark = result.kind.unit, result.row.mark
    beside = "" if result.other is None else f"{result.beside} {_number(result.other)}"
    ratio = "" if result.ratio is None else f"{result.ratio:.2f}"
    sign = "≥" if result.kind.more_is_better else "≤"
    judged = "" if result.row.beside else f" {unit}"
    to_reach = "" if mark is None else f"{sign} {mark:g}{judged}"
    verdict = {True: "reached", False: "missed", None: ""}[result.reached]
    return (result.row.what, f"{_number(result.figure)} {unit}", beside, ratio, to_reach, verdict)


def _number(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:#.3g}"


def table(results: Sequence[Result]) -> str:
    """Returns the results as a table."""
    rows = [HEADINGS, *map(cells, results)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
    return "\n".join(lines)


def record(result: Result) -> dict[str, object]:
    """Returns a result with stable keys."""
    return {
        "row": result.row.what,
        "figure": round(result.figure, 4),
        "unit": result.kind.unit,
        "beside": result.beside,
        "other": None if result.other is None else round(result.other, 4),
        "ratio": None if result.ratio is None else round(result.ratio, 4),
        "mark": result.row.mark,
        "reached": result.reached,
        "runs": result.runs,
    }
