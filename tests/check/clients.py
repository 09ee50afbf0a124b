"""The clients that are asked, and what they take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.interop.clients import CLIENTS, Libtorrent, Peerwire
from tests.interop.clients.bittorrent_protocol import PACKAGE
from tests.interop.clients.rtorrent import Rtorrent
from tests.interop.versions import version

if TYPE_CHECKING:
    from tests.interop.clients import Client

__all__ = ["ASKED", "KINDS", "called", "kinds"]

ASKED: Final[dict[str, type[Client]]] = {"peerwire": Peerwire} | CLIENTS | {"rtorrent": Rtorrent}

#: Kinds of torrents that a client of v1 takes, a hybrid being one of v1 to it.
KINDS: Final = ("v1", "private", "hybrid")

#: Those who take a torrent of v2 alone.
V2: Final = (Libtorrent.name,)


def kinds(name: str) -> tuple[str, ...]:
    """Returns the kinds of torrents that a client is asked with, in this order."""
    return (*KINDS, "v2") if name in V2 else KINDS


def called(name: str) -> str:
    """Returns its name and version, as ``aria2 1.36.0``."""
    return f"{f'npm {name}' if name == PACKAGE else name} {version(name)}".strip()
