"""What happens, as a line for people."""

from __future__ import annotations

import socket
from types import SimpleNamespace

import pytest

from peerwire import (
    ConnectionClosed,
    DownloadFailed,
    Encryption,
    InfoHashMismatch,
    StorageError,
)
from peerwire.swarm.events import (
    DialFailed,
    DiskFailed,
    PeerBanned,
    PeerJoined,
    PeerLeft,
    PieceCorrupt,
    PieceVerified,
    explained,
    why,
    written,
)

ONE = SimpleNamespace(address=("127.0.0.1", 6881), client="libtorrent 2.0.11", encryption="off")
SIX = SimpleNamespace(address=("::1", 6881), client="unknown client", encryption="rc4")
PLACE = ("example.org", 6881)


def closed(by, reason, cause=None):
    error = ConnectionClosed(by, reason, last_message="choke")
    error.__cause__ = cause
    return error


REFUSED = closed(
    "network",
    "127.0.0.1:9: [Errno 111] Connect call failed ('127.0.0.1', 9)",
    ConnectionRefusedError(111, "Connect call failed ('127.0.0.1', 9)"),
)


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (PeerJoined(ONE, True), "connected to 127.0.0.1:6881, libtorrent 2.0.11"),
        (PeerJoined(SIX, False), "connection from [::1]:6881, unknown client, encrypted"),
        (PeerLeft(ONE, closed("us", "done")), "closed 127.0.0.1:6881, libtorrent 2.0.11: done"),
        (
            PeerLeft(ONE, closed("peer", "end of stream")),
            "closed by 127.0.0.1:6881, libtorrent 2.0.11: end of stream",
        ),
        (
            PeerLeft(ONE, closed("network", "[Errno 104] ...", ConnectionResetError(104, "..."))),
            "lost 127.0.0.1:6881, libtorrent 2.0.11: Connection reset by peer",
        ),
        (
            DialFailed(PLACE, REFUSED, 1, False),
            "no connection to example.org:6881: Connection refused; trying again",
        ),
        (
            DialFailed(PLACE, closed("peer", "0 bytes into its handshake"), 5, True),
            "no connection to example.org:6881: it closed the connection, "
            "0 bytes into its handshake; giving up",
        ),
        (PieceVerified(7), "piece 7 verified"),
        (PieceCorrupt(7, [ONE], ONE), "piece 7 is corrupt, sent by 127.0.0.1:6881 alone"),
        (
            PieceCorrupt(7, [ONE, SIX], None),
            "piece 7 is corrupt, sent by 127.0.0.1:6881, [::1]:6881; it will show who lied",
        ),
        (
            PeerBanned(PLACE, "it lied"),
            "banned example.org:6881: it lied",
        ),
        (
            DiskFailed(7, StorageError("can't read /x: gone")),
            "piece 7 is not served any more: can't read /x: gone",
        ),
    ],
)
def test_the_line(event, line):
    assert str(event) == line


def test_why_there_is_no_connection():
    nobody = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    assert why(closed("network", "x:1: ...", nobody)) == "Name or service not known"
    late = closed("us", "no connection and handshake within 15 s", TimeoutError())
    assert why(late) == "no connection and handshake within 15 s"
    mismatch = InfoHashMismatch("another torrent", rule="BEP 3")
    assert why(mismatch) == "another torrent (BEP 3)"
    assert why(DownloadFailed("nobody")) == "nobody"


def test_what_it_may_mean_that_there_is_no_handshake():
    hung_up = explained(closed("peer", "0 bytes into its handshake"), Encryption.PREFER)
    assert why(hung_up) == (
        "it closed the connection, 0 bytes into its handshake; "
        "perhaps it lacks this torrent, or is this very client"
    )
    was_reset = closed("network", "[Errno 104] ...", ConnectionResetError(104, "..."))
    told = explained(was_reset, Encryption.OFF)
    assert why(told) == (
        "Connection reset by peer; "
        "perhaps it lacks this torrent, or wants encryption, or is this very client"
    )
    assert told.__cause__ is was_reset.__cause__
    mismatch = InfoHashMismatch("another torrent", rule="BEP 3")
    for error in (REFUSED, mismatch):  # which speak for themselves
        assert explained(error, Encryption.OFF) is error


def test_addresses():
    assert written(("127.0.0.1", 1)) == "127.0.0.1:1"
    assert written(("::1", 1)) == "[::1]:1"
