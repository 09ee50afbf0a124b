"""What was measured with: hardware, versions, and who is missing."""

from __future__ import annotations

import re
import subprocess
from importlib.metadata import version
from typing import TYPE_CHECKING

from tests.interop.clients import CLIENTS
from tests.interop.clients.bittorrent_protocol import wanted_version
from tests.interop.clients.rtorrent import Rtorrent

from peerwire.cli.measuring.table import machine as ours

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["machine", "missing"]

#: What each client is asked to tell its version with.
ASKED = {
    "transmission": ["transmission-daemon", "--version"],
    "aria2": ["aria2c", "--version"],
    "rtorrent": ["rtorrent", "-h"],
    "node": ["node", "--version"],
}

KINDS = CLIENTS | {Rtorrent.name: Rtorrent}


def missing() -> dict[str, str]:
    """Returns what is lacking of each client that is not installed."""
    reasons = {name: kind.available() for name, kind in KINDS.items()}
    return {name: reason for name, reason in reasons.items() if reason is not None}


def machine(lacking: Iterable[str]) -> dict[str, str]:
    """Returns what was measured on and with."""
    found = ours()
    for name in KINDS:
        if name in lacking:
            found[name] = "not installed"
        elif name == "libtorrent":
            found[name] = version(name)
        elif name == "bittorrent-protocol":
            found[name] = f"{wanted_version()} on node {_says('node')}"
        else:
            found[name] = _says(name)
    return found


def _says(name: str) -> str:
    done = subprocess.run(ASKED[name], capture_output=True, text=True, check=False, timeout=30)
    match = re.search(r"\d+(\.\d+)+", done.stdout + done.stderr)
    return match[0] if match else "of unknown version"
