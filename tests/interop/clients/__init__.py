"""The clients that peerwire is tried against, by name."""

from __future__ import annotations

from .aria2 import Aria2
from .base import Address, Client, Download, Encryption
from .bittorrent_protocol import BittorrentProtocol
from .libtorrent import Libtorrent
from .peerwire import Peerwire
from .transmission import Transmission

__all__ = ["CLIENTS", "Address", "Client", "Download", "Encryption", "Libtorrent", "Peerwire"]

CLIENTS: dict[str, type[Client]] = {
    client.name: client for client in (Libtorrent, Transmission, Aria2, BittorrentProtocol)
}
