"""The clients that are asked, and what version of them is here."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING, Final

from tests.interop.clients import CLIENTS, Libtorrent, Peerwire
from tests.interop.clients.bittorrent_protocol import PACKAGE, wanted_version
from tests.interop.clients.rtorrent import Rtorrent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.interop.clients import Client

__all__ = ["KINDS", "SEEDS", "called", "kinds"]

SEEDS: Final[dict[str, type[Client]]] = {"peerwire": Peerwire} | CLIENTS | {"rtorrent": Rtorrent}

#: What tells the version, where it is a program that does.
VERSION: Final[dict[str, Sequence[str]]] = {
    "peerwire": [sys.executable, "-m", "peerwire", "--version"],
    "libtorrent": [sys.executable, "-c", "import libtorrent; print(libtorrent.__version__)"],
    "transmission": ["transmission-daemon", "--version"],
    "aria2": ["aria2c", "--version"],
    "rtorrent": ["rtorrent", "-h"],
}

#: Kinds of torrents that a client of v1 takes, a hybrid being one of v1 to it.
KINDS: Final = ("v1", "private", "hybrid")

#: Those who take a torrent of v2 alone.
V2: Final = (Libtorrent.name,)


def kinds(name: str) -> tuple[str, ...]:
    """Returns the kinds of torrents that a client is asked with, in this order."""
    return (*KINDS, "v2") if name in V2 else KINDS


def called(name: str) -> str:
    """Returns its name and version, as ``aria2 1.36.0``."""
    if name == PACKAGE:  # the only one that is available
        return f"npm {PACKAGE} {wanted_version()}"
    done = subprocess.run(VERSION[name], capture_output=True, text=True, timeout=30, check=False)
    return f"{name} {first_version(done.stdout + done.stderr)}".strip()


def first_version(text: str) -> str:
    """Returns the first thing that looks like a version, or nothing."""
    found = re.search(r"\d+(?:\.\d+)+", text)
    return found[0] if found else ""
