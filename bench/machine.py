"""What was measured with: hardware, versions, and who is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.interop.clients import CLIENTS
from tests.interop.clients.bittorrent_protocol import PACKAGE
from tests.interop.clients.rtorrent import Rtorrent
from tests.interop.versions import version

from peerwire.cli.measuring.table import machine as ours

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["machine", "missing"]

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
        elif name == PACKAGE:
            found[name] = f"{version(name)} on node {version('node')}"
        else:
            found[name] = version(name)
    return found
