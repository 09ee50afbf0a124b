"""What other processes have used of the processors, where /proc tells it."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["cpu_seconds"]


def cpu_seconds(pid: int) -> float:
    """Returns the CPU seconds of a process, all of its threads, in steps of 10 ms.

    One that has ended can still be asked about until somebody has waited for it.
    """
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    user, system = fields[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
