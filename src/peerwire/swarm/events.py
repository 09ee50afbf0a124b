"""What happens in a swarm, told to whoever runs it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from ..encryption import Encryption
from ..errors import ConnectionClosed

if TYPE_CHECKING:
    from ..asyncio.peer import Peer
    from ..errors import PeerWireError, StorageError

__all__ = [
    "DialFailed",
    "DiskFailed",
    "NoHandshake",
    "PeerBanned",
    "PeerJoined",
    "PeerLeft",
    "PieceCorrupt",
    "PieceVerified",
    "SwarmEvent",
    "explained",
    "system_says",
    "why",
    "written",
]


@dataclass(slots=True)
class PeerJoined:
    """A peer is connected; `dialled` tells who opened the connection."""

    peer: Peer
    dialled: bool

    def __str__(self) -> str:
        way = "connected to" if self.dialled else "connection from"
        spoken = _SPOKEN[self.peer.encryption]
        return f"{way} {_who(self.peer)}{spoken}"


@dataclass(slots=True)
class PeerLeft:
    """A connection has ended, and why."""

    peer: Peer
    closed: ConnectionClosed

    def __str__(self) -> str:
        if self.closed.by == "peer":
            return f"closed by {_who(self.peer)}: {self.closed.reason}"
        how = "closed" if self.closed.by == "us" else "lost"
        return f"{how} {_who(self.peer)}: {why(self.closed)}"


@dataclass(slots=True)
class DialFailed:
    """There was no connection to be had with an address, or it is given up.

    Attributes:
        address: Host and port, as they were given.
        error: Why.
        failures: How many in a row these are.
        gives_up: Whether it is not dialled again.
    """

    address: tuple[str, int]
    error: PeerWireError
    failures: int
    gives_up: bool

    def __str__(self) -> str:
        last = "giving up" if self.gives_up else "trying again"
        return f"no connection to {written(self.address)}: {why(self.error)}; {last}"


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
        guilty: The one who sent all of it; None if several did. Who lied is told by `PeerBanned`,
            as soon as it is known.
    """

    index: int
    peers: list[Peer]
    guilty: Peer | None

    def __str__(self) -> str:
        if self.guilty is not None:
            return f"piece {self.index} is corrupt, sent by {written(self.guilty.address)} alone"
        suspects = ", ".join(written(peer.address) for peer in self.peers)
        return f"piece {self.index} is corrupt, sent by {suspects}; it will show who lied"


@dataclass(slots=True)
class PeerBanned:
    """A peer has lied or was a nuisance; it is not exchanged with any more.

    Attributes:
        address: Where it was connected, when it did.
        reason: What it did.
    """

    address: tuple[str, int]
    reason: str

    def __str__(self) -> str:
        return f"banned {written(self.address)}: {self.reason}"


@dataclass(slots=True)
class DiskFailed:
    """A piece of a complete torrent could not be read; it is not served any more."""

    index: int
    error: StorageError

    def __str__(self) -> str:
        return f"piece {self.index} is not served any more: {self.error}"


SwarmEvent: TypeAlias = (
    PeerJoined | PeerLeft | PeerBanned | DialFailed | PieceVerified | PieceCorrupt | DiskFailed
)


def written(host_port: tuple[str, int]) -> str:
    """Returns an address as it is written, IPv6 in brackets."""
    host, port = host_port
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


#: What else it may mean that somebody hangs up on us, by how we have dialled.
_UNLIKE = {
    Encryption.OFF: ", or wants encryption",
    Encryption.PREFER: "",  # it was dialled both ways
    Encryption.REQUIRE: ", or speaks no encryption",
}


class NoHandshake(ConnectionClosed):
    """The peer ended the connection in place of a handshake.

    Clients do so without a word to whoever asks for a torrent that they don't have, and to
    themselves.

    Args:
        closed: How it ended.
        encryption: How it was dialled.
    """

    def __init__(self, closed: ConnectionClosed, encryption: Encryption) -> None:
        super().__init__(closed.by, closed.reason, last_message=closed.last_message)
        self.__cause__ = closed.__cause__
        self.means = f"perhaps it lacks this torrent{_UNLIKE[encryption]}, or is this very client"


def explained(error: PeerWireError, encryption: Encryption) -> PeerWireError:
    """Returns why there was no connection to be had, with what it may mean.

    Args:
        error: What `connect` has raised.
        encryption: What was given to it.
    """
    if not isinstance(error, ConnectionClosed):
        return error
    # A connection that is closed before all of ours was read is reset.
    hung_up = error.by == "peer" or isinstance(error.__cause__, ConnectionResetError)
    return NoHandshake(error, encryption) if hung_up else error


def why(error: PeerWireError) -> str:
    """Returns what went wrong in a few words, for a line that tells already where."""
    told = _why(error)
    return f"{told}; {error.means}" if isinstance(error, NoHandshake) else told


def _why(error: PeerWireError) -> str:
    if not isinstance(error, ConnectionClosed):
        return str(error)
    cause = error.__cause__
    if isinstance(cause, OSError) and cause.errno:
        return system_says(cause)
    return f"it closed the connection, {error.reason}" if error.by == "peer" else error.reason


def system_says(error: OSError) -> str:
    """Returns what the system calls an error, without what event loops add to it."""
    number = error.errno or 0
    if number > 0:
        return os.strerror(number)
    return error.strerror or str(error)  # a resolver's, which has a text of its own


#: What a connection speaks, for people.
_SPOKEN = {"off": "", "plaintext": ", behind an encrypted handshake", "rc4": ", encrypted"}


def _who(peer: Peer) -> str:
    return f"{written(peer.address)}, {peer.client}"
