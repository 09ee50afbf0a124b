"""The BitTorrent peer wire protocol for Python: the public names, nothing else."""

from importlib import import_module
from typing import TYPE_CHECKING

from .version import __version__

if TYPE_CHECKING:
    from .asyncio.client import connect
    from .asyncio.peer import Peer
    from .asyncio.server import ServedTorrent, Server, serve
    from .encryption import Encryption
    from .errors import (
        BencodeError,
        ConnectionClosed,
        DownloadFailed,
        EncryptionError,
        HashRequestFailed,
        HashRequestRejected,
        HashRequestTimeout,
        InfoHashMismatch,
        InvalidHandshake,
        LocalProtocolError,
        MessageTooBig,
        MetainfoError,
        PeerChoked,
        PeerTimeout,
        PeerWireError,
        ProtocolError,
        RemoteProtocolError,
        RequestCancelled,
        RequestFailed,
        RequestRejected,
        RequestTimeout,
        StorageError,
    )
    from .extensions.base import Extension
    from .extensions.handshake import ExtendedHandshake
    from .handshake import Handshake, Reserved, generate_peer_id
    from .hash_requests import HashRequestEnded, PendingHashRequest
    from .hashes import HashRange
    from .limits import Limits
    from .messages import (
        AllowedFast,
        Bitfield,
        Cancel,
        Choke,
        Extended,
        Hashes,
        HashReject,
        HashRequest,
        Have,
        HaveAll,
        HaveNone,
        Interested,
        KeepAlive,
        Message,
        NotInterested,
        Piece,
        Port,
        Reject,
        Request,
        Suggest,
        Unchoke,
        Unknown,
    )
    from .observe import Observer
    from .pieces import PieceSet
    from .requests import PendingRequest, RequestEnded
    from .state import Role, State
    from .stats import WireStats
    from .trace import TraceLines, trace_line
    from .wire import Wire

__all__ = [
    "__version__",
    # a connection on asyncio
    "connect",
    "serve",
    "Peer",
    "Server",
    "ServedTorrent",
    # a connection without I/O
    "Wire",
    "Encryption",
    "Role",
    "State",
    "Limits",
    "Handshake",
    "Reserved",
    "PieceSet",
    "PendingRequest",
    "RequestEnded",
    "HashRange",
    "PendingHashRequest",
    "HashRequestEnded",
    "generate_peer_id",
    "Extension",
    "ExtendedHandshake",
    "WireStats",
    "TraceLines",
    "trace_line",
    # a connection heard by a third
    "Observer",
    # messages
    "Message",
    "KeepAlive",
    "Choke",
    "Unchoke",
    "Interested",
    "NotInterested",
    "Have",
    "Bitfield",
    "Request",
    "Piece",
    "Cancel",
    "Port",
    "Suggest",
    "HaveAll",
    "HaveNone",
    "Reject",
    "AllowedFast",
    "HashRequest",
    "Hashes",
    "HashReject",
    "Extended",
    "Unknown",
    # errors
    "PeerWireError",
    "ProtocolError",
    "LocalProtocolError",
    "RemoteProtocolError",
    "InvalidHandshake",
    "InfoHashMismatch",
    "MessageTooBig",
    "EncryptionError",
    "PeerTimeout",
    "RequestFailed",
    "RequestRejected",
    "RequestTimeout",
    "RequestCancelled",
    "PeerChoked",
    "HashRequestFailed",
    "HashRequestRejected",
    "HashRequestTimeout",
    "ConnectionClosed",
    "BencodeError",
    "MetainfoError",
    "StorageError",
    "DownloadFailed",
]

#: Where each name is from. It is loaded when it is first used: a program that needs one part of the
#: package, as `peerwire --help` does, does not wait for all of it.
_MODULES = {
    ".asyncio.client": ("connect",),
    ".asyncio.peer": ("Peer",),
    ".asyncio.server": (
        "ServedTorrent",
        "Server",
        "serve",
    ),
    ".encryption": ("Encryption",),
    ".errors": (
        "BencodeError",
        "ConnectionClosed",
        "DownloadFailed",
        "EncryptionError",
        "HashRequestFailed",
        "HashRequestRejected",
        "HashRequestTimeout",
        "InfoHashMismatch",
        "InvalidHandshake",
        "LocalProtocolError",
        "MessageTooBig",
        "MetainfoError",
        "PeerChoked",
        "PeerTimeout",
        "PeerWireError",
        "ProtocolError",
        "RemoteProtocolError",
        "RequestCancelled",
        "RequestFailed",
        "RequestRejected",
        "RequestTimeout",
        "StorageError",
    ),
    ".extensions.base": ("Extension",),
    ".extensions.handshake": ("ExtendedHandshake",),
    ".handshake": (
        "Handshake",
        "Reserved",
        "generate_peer_id",
    ),
    ".hash_requests": (
        "HashRequestEnded",
        "PendingHashRequest",
    ),
    ".hashes": ("HashRange",),
    ".limits": ("Limits",),
    ".messages": (
        "AllowedFast",
        "Bitfield",
        "Cancel",
        "Choke",
        "Extended",
        "HashReject",
        "HashRequest",
        "Hashes",
        "Have",
        "HaveAll",
        "HaveNone",
        "Interested",
        "KeepAlive",
        "Message",
        "NotInterested",
        "Piece",
        "Port",
        "Reject",
        "Request",
        "Suggest",
        "Unchoke",
        "Unknown",
    ),
    ".observe": ("Observer",),
    ".pieces": ("PieceSet",),
    ".requests": (
        "PendingRequest",
        "RequestEnded",
    ),
    ".state": (
        "Role",
        "State",
    ),
    ".stats": ("WireStats",),
    ".trace": (
        "TraceLines",
        "trace_line",
    ),
    ".wire": ("Wire",),
}

_HOMES = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name], __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
