"""The rows of the table: what comes, what becomes of it, and what bounds it."""

from __future__ import annotations

from .case import Row

__all__ = ["ROWS"]

ROWS = (
    Row(
        "handshake",
        "no handshake, one of another torrent, our own peer id, a second one, a message before it",
        "`InvalidHandshake` or `InfoHashMismatch`; a connection to ourselves is named as such",
        ("max_undecided",),
    ),
    Row(
        "framing",
        "a length prefix over the longest message",
        "`MessageTooBig` from the four bytes alone, before anything is held",
        ("max_message",),
    ),
)
