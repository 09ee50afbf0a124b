"""What version of a client is here."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING, Final

from .clients.bittorrent_protocol import PACKAGE, wanted_version

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["COMMANDS", "first_version", "version"]

#: What tells it, by the name of a client, or of what one needs.
COMMANDS: Final[dict[str, Sequence[str]]] = {
    "peerwire": [sys.executable, "-m", "peerwire", "--version"],
    "libtorrent": [sys.executable, "-c", "import libtorrent; print(libtorrent.__version__)"],
    "transmission": ["transmission-daemon", "--version"],
    "aria2": ["aria2c", "--version"],
    "rtorrent": ["rtorrent", "-h"],
    "node": ["node", "--version"],
}


def version(name: str) -> str:
    """Returns the version; empty if it does not tell."""
    if name == PACKAGE:  # the only one that is available
        return wanted_version()
    done = subprocess.run(COMMANDS[name], capture_output=True, text=True, timeout=30, check=False)
    return first_version(done.stdout + done.stderr)


def first_version(text: str) -> str:
    """Returns the first thing that looks like a version, or nothing."""
    found = re.search(r"\d+(?:\.\d+)+", text)
    return found[0] if found else ""
