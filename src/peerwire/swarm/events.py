"""What happens in a swarm, told to whoever runs it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from ..asyncio.peer import Peer
    from ..errors import ConnectionClosed, PeerWireError, StorageError

__all__ = [
    "DialFailed",
    "DiskFailed",
    "PeerJoined",
    "PeerLeft",
    "PieceCorrupt",
    "PieceVerified",
    "SwarmEvent",
    "written",
]


@dataclass(slots=True)
class PeerJoined:
    """A peer is connected; `dialled` tells who opened the connection."""

    peer: Peer
    dialled: bool

    def __str__(self) -> str:
        way = "connected to" if self.dialled else "connection from"
        return f"{way} {written(self.peer.address)}, {self.peer.client}"


@dataclass(slots=True)
class PeerLeft:
    """A connection has ended, and why."""

    peer: Peer
    closed: ConnectionClosed

    def __str__(self) -> str:
        return f"{written(self.peer.address)}, {self.peer.client}: {self.closed}"


@dataclass(slots=True)
class DialFailed:
    """There was no connection to be had with an address."""

    address: tuple[str, int]
    error: PeerWireError
    gives_up: bool

    def __str__(self) -> str:
        last = "giving up" if self.gives_up else "trying again"
        return f"{written(self.address)}: {self.error}; {last}"


@dataclass(slots=True)
class PieceVerified:
    """A piece is on disk and its hash is right."""

    index: int

    def __str__(self) -> str:
        return f"piece {self.index} verified"


@dataclass(slots=True)
class PieceCorrupt:
    """A piece has the wrong hash. It is fetched again.

    Attributes:
        index: The piece.
        peers: Who sent parts of it.
        guilty: The one who sent all of it, and is dropped; None while several share the blame.
    """

    index: int
    peers: list[Peer]
    guilty: Peer | None

    def __str__(self) -> str:
        if self.guilty is not None:
            return f"piece {self.index} is corrupt, dropping {written(self.guilty.address)}"
        suspects = ", ".join(written(peer.address) for peer in self.peers)
        return f"piece {self.index} is corrupt, sent by {suspects}; one of them will send it alone"


@dataclass(slots=True)
class DiskFailed:
    """The content could not be read or written."""

    error: StorageError

    def __str__(self) -> str:
        return str(self.error)


SwarmEvent: TypeAlias = (
    PeerJoined | PeerLeft | DialFailed | PieceVerified | PieceCorrupt | DiskFailed
)


def written(host_port: tuple[str, int]) -> str:
    """Returns an address as it is written, IPv6 in brackets."""
    host, port = host_port
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
