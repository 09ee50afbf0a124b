"""What can go wrong, as one tree.

::

    PeerWireError
    ├── ProtocolError              a rule of the protocol was broken
    │   ├── LocalProtocolError     by the caller; nothing was sent
    │   └── RemoteProtocolError    by the peer; the wire is over
    │       ├── InvalidHandshake
    │       ├── InfoHashMismatch
    │       ├── MessageTooBig
    │       ├── EncryptionError
    │       └── PeerTimeout
    ├── RequestFailed              one block will not come
    │   ├── RequestRejected
    │   ├── RequestTimeout
    │   ├── RequestCancelled
    │   └── PeerChoked
    ├── HashRequestFailed          the hashes of one hash request will not come
    │   ├── HashRequestRejected
    │   └── HashRequestTimeout
    ├── ConnectionClosed           the connection is gone: who ended it, and why
    ├── BencodeError               bytes that are not bencode
    ├── MetainfoError              a .torrent that can't be trusted or used
    ├── StorageError               the disk did not do what was asked
    └── DownloadFailed             no peer is left to have the rest of the content from

Nothing a peer sends makes the library raise anything that is not in this tree.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from .hashes import HashRange

__all__ = [
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


class PeerWireError(Exception):
    """The root of every error this package raises on purpose.

    All of them can be pickled, so that they come back from another process as they were.
    """

    def __reduce__(self) -> str | tuple[Any, ...]:
        return _restore, (type(self), self.args, self.__dict__)


class ProtocolError(PeerWireError):
    """A rule of the protocol was broken.

    Args:
        message: What was wrong and what the rule is.
        rule: Where the rule stands, for instance ``"BEP 3, peer messages"``.
    """

    def __init__(self, message: str, *, rule: str) -> None:
        super().__init__(f"{message} ({rule})")
        self.rule = rule


class LocalProtocolError(ProtocolError):
    """The caller asked for what the protocol does not allow; nothing was sent."""


class RemoteProtocolError(ProtocolError):
    """The peer broke a rule; the wire parses nothing after it."""


class InvalidHandshake(RemoteProtocolError):
    """The first 68 bytes are not a BitTorrent handshake we can accept (BEP 3)."""


class InfoHashMismatch(RemoteProtocolError):
    """The peer's handshake names a torrent that this side does not serve (BEP 3)."""


class MessageTooBig(RemoteProtocolError):
    """A length prefix announces more than ``Limits.max_message`` bytes."""


class EncryptionError(RemoteProtocolError):
    """The encrypted handshake failed, or what both sides want of encryption does not meet."""


class PeerTimeout(RemoteProtocolError):
    """The peer was silent, or did not read, for longer than its `Limits` allow."""


class RequestFailed(PeerWireError):
    """A block that was asked for will not come.

    Args:
        reason: Why not.
        index: Piece index of the request.
        begin: Offset in the piece, in bytes.
        length: Length of the block, in bytes.
    """

    def __init__(self, reason: str, index: int, begin: int, length: int) -> None:
        super().__init__(f"request for piece {index}, bytes {begin}+{length}: {reason}")
        self.reason = reason
        self.index = index
        self.begin = begin
        self.length = length


class RequestRejected(RequestFailed):
    """The peer rejected the request (BEP 6)."""


class RequestTimeout(RequestFailed):
    """No answer came by the request's deadline."""


class RequestCancelled(RequestFailed):
    """This side cancelled the request (BEP 3, cancel)."""


class PeerChoked(RequestFailed):
    """The peer chokes this side, which drops what was asked of it (BEP 3, choke)."""


class HashRequestFailed(PeerWireError):
    """Hashes that were asked for will not come.

    Args:
        reason: Why not.
        range: What was asked for.
    """

    def __init__(self, reason: str, range: HashRange) -> None:  # noqa: A002 - the field's name
        super().__init__(f"hash request {range}: {reason}")
        self.reason = reason
        self.range = range


class HashRequestRejected(HashRequestFailed):
    """The peer rejected the hash request (BEP 52)."""


class HashRequestTimeout(HashRequestFailed):
    """No answer came by the hash request's deadline."""


class ConnectionClosed(PeerWireError):
    """The connection to the peer has ended.

    The error that ended it, where there was one, is chained as ``__cause__``.

    Args:
        by: ``"us"``, ``"peer"``, or ``"network"`` when the transport failed.
        reason: Why, in a few words.
        last_message: The name of the last message received, if there was one.
    """

    def __init__(
        self,
        by: Literal["us", "peer", "network"],
        reason: str,
        *,
        last_message: str | None = None,
    ) -> None:
        ended_by = {"us": "closed by us", "peer": "closed by the peer", "network": "lost"}[by]
        last = f"; its last message was {last_message}" if last_message else ""
        super().__init__(f"connection {ended_by}: {reason}{last}")
        self.by = by
        self.reason = reason
        self.last_message = last_message

    def again(self) -> ConnectionClosed:
        """Returns the same error anew, cause included, for the next one who has to be told."""
        error = ConnectionClosed(self.by, self.reason, last_message=self.last_message)
        error.__cause__ = self.__cause__
        return error


class BencodeError(PeerWireError, ValueError):
    """Bytes that are not valid bencode, or nested or large beyond the bound (BEP 3)."""


class MetainfoError(PeerWireError, ValueError):
    """A .torrent that is malformed, dangerous, or contradicts itself (BEP 3)."""


class StorageError(PeerWireError, OSError):
    """The disk did not do what was asked; the operating system's error is chained."""

    __reduce__ = OSError.__reduce__  # which knows of the file's name


class DownloadFailed(PeerWireError):
    """No peer is left to have the rest of the content from."""


def _restore(
    kind: type[PeerWireError], args: tuple[object, ...], state: dict[str, object]
) -> PeerWireError:
    """Makes an error anew without asking its class for the arguments that became its text."""
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error
