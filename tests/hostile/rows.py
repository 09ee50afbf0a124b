"""The rows of the table: what comes, what becomes of it, and what bounds it."""

from __future__ import annotations

from .case import ALL, MAGNETS, SOCKETS, Row

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
    Row(
        "length",
        "a payload of the wrong length for its id",
        "`RemoteProtocolError` that names the id, the length, and where the right one stands",
        ("max_message",),
    ),
    Row(
        "range",
        "HAVE, request, suggest or allowed-fast of a piece that does not exist",
        "`RemoteProtocolError`, from when the piece count is known; before that, of a piece that"
        " no torrent is believed to have",
        ("max_pieces",),
    ),
    Row(
        "bitfield",
        "a bitfield of the wrong length, with spare bits set, late, or again and again",
        "`RemoteProtocolError`; a late one replaces what was known and is noted as a deviation,"
        " or ends a strict connection",
        ("max_pieces", "max_message"),
    ),
    Row(
        "request",
        "requests while choked, of no length, too long, past a piece, twice, too many",
        "rejected under BEP 6, dropped without; never queued beyond the limit",
        ("max_request", "max_request_hard", "max_peer_requests"),
    ),
    Row(
        "piece",
        "blocks never asked for, of another length, too late, of the wrong hash, or never any",
        "`RemoteProtocolError` under BEP 6; without it counted and ignored; who sends a piece with"
        " the wrong hash or lets everything time out is let go of",
        ("request_timeout", "max_requests"),
    ),
    Row(
        "fast",
        "messages of BEP 6 that were not agreed on, rejects of nothing, floods of advice",
        "`RemoteProtocolError`; the sets of suggested and allowed pieces are bounded",
        ("max_allowed_fast",),
    ),
    Row(
        "extended",
        "an extended handshake that is no bencode, nested without end, too big, too many, or of"
        " wrong types and numbers; messages of extensions that nobody has",
        "`RemoteProtocolError` where it can't be read; a value that makes no sense is left out"
        " and noted, the rest is used",
        ("max_extended_handshake",),
    ),
    Row(
        "metadata",
        "ut_metadata that is malformed, unasked, too early, too big, contradicts itself, does not"
        " hash, never comes, or is asked for over and over",
        "`RemoteProtocolError` that names the extension; what does not hash is thrown away, and the"
        " next peer asked; requests beyond a few copies are rejected",
        ("max_metadata", "max_metadata_copies"),
        ALL | MAGNETS,
    ),
    Row(
        "pex",
        "ut_pex that is malformed, too long, too often, or tells of addresses where nobody can be",
        "`RemoteProtocolError` that names the extension; 100 contacts a message are looked at,"
        " and those where no peer can be are left out",
        ("six messages in 60 s of 500 KiB",),
    ),
    Row(
        "small",
        "lt_donthave, upload_only and ut_holepunch of other lengths, types and pieces",
        "`RemoteProtocolError` that names the extension; what is said of third parties is handed"
        " on, and nobody is dialled for it",
    ),
    Row(
        "hashes",
        "the hash messages of v2 on a connection that is not, unasked, or asking for what no tree"
        " has",
        "`RemoteProtocolError`; a hash request that is not served is rejected, as it has to be",
        ("max_peer_hash_requests", "max_hash_requests"),
    ),
    Row(
        "mse",
        "an encrypted handshake with a weak key, no end of padding, the wrong torrent, more than"
        " was agreed on, or less encryption than is required",
        "`EncryptionError`, and no second attempt without encryption",
        ("handshake_timeout", "pads of 512 bytes", "an initial payload of 68 bytes"),
    ),
    Row(
        "unknown",
        "ids that nobody knows, and floods of messages that say nothing",
        "ignored; an application that does not read is handed the latest, one that reads too"
        " slowly stops the reading; a swarm bans who says far too much",
        ("max_unread_messages", "max_unread_bytes", "`max_chatter` of `SwarmLimits`"),
    ),
    Row(
        "silence",
        "no handshake, no message, or either of them a byte at a time",
        "`PeerTimeout` at a deadline that bytes do not put off",
        ("handshake_timeout", "idle_timeout"),
    ),
    Row(
        "reading",
        "a peer that asks for blocks, or for rejects, and reads nothing",
        "it is not read from any more once too much waits for it, and then `PeerTimeout`",
        ("write_buffer", "max_write_buffer", "send_timeout"),
        SOCKETS,
    ),
    Row(
        "leaving",
        "a close, half a close or a reset in each state",
        "the end is told, with who ended it and how far it was; requests end with it",
    ),
)
