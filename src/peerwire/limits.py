"""Every bound on what a peer may make this side hold or do, each with its reason."""

from __future__ import annotations

import dataclasses

__all__ = ["BLOCK_LENGTH", "DEFAULT_LIMITS", "Limits"]

#: The length of a block that every deployed client requests and serves (BEP 3), in bytes.
BLOCK_LENGTH = 16 * 1024


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The bounds that one wire holds its peer and itself to.

    Lengths are bytes, times seconds, the rest counts. Defaults are libtorrent's where it has one.

    Attributes:
        max_message: Longest message accepted, its id included. A bitfield that the torrent's
            piece count needs is accepted beyond it. libtorrent and rakshasa: 1 MiB.
        max_pieces: Highest piece count believed while the torrent's own is not known, so that one
            HAVE can't allocate for 2^32 pieces. libtorrent refuses torrents with more.
        max_request: Longest block served. Deployed clients ask for 16 KiB; libtorrent and
            Transmission serve no more.
        max_request_hard: Longest block that is a request at all, whatever `max_request` allows:
            what webtorrent and rakshasa still serve.
        max_peer_requests: Requests of the peer held unanswered; more are dropped (BEP 3).
            libtorrent: 2000.
        max_requests: Requests outstanding to the peer. libtorrent: 500.
        max_peer_hash_requests: Hash requests of the peer held unanswered; more are rejected
            (BEP 52). libtorrent makes two at a time, anacrolix those of all files at once.
        max_hash_requests: Hash requests outstanding to the peer. libtorrent: 2; a few more keep
            a distant peer busy, and eight answers are 128 KiB.
        max_allowed_fast: Pieces remembered of those the peer allows while choked, and of those it
            suggests. Sets are advice (BEP 6); deployed clients send ten or fewer.
        max_extended_handshake: Longest extended handshake read (BEP 10), in bytes. Deployed
            clients send under 1 KiB; unknown keys are kept.
        max_metadata: Longest metadata fetched or served (BEP 9). libtorrent believes in no more:
            4 MiB, the hashes of 200,000 pieces.
        max_metadata_copies: How often a peer may fetch our metadata; requests beyond are rejected
            (BEP 9, reject). More than once, as clients ask anew for what is late.
        max_undecided: Bytes held of a peer that talks on before its handshake was answered:
            a bitfield of the largest size and the messages that usually follow it.
        handshake_timeout: From the start until the peer's handshake is complete, however its
            bytes trickle. libtorrent: 10.
        idle_timeout: Without one complete message, however the bytes of the next trickle.
            libtorrent: 120.
        keep_alive: This side is never silent for longer. BEP 3 says two minutes; peers
            that drop after 120 s want less. libtorrent: 60.
        send_timeout: While what is sent to the peer piles up, it has to take `max_request` bytes
            of it in every such span. The time that its silence is allowed.
        request_timeout: From a request until it is given up, unless the request has its own.
            webtorrent: 30.
        max_unread_messages: Messages held for an application that does not read them.
        max_unread_bytes: The same, in payload bytes: four of the longest messages.
        write_buffer: Bytes waiting for a peer that does not read, above which `drain` waits.
            libtorrent's send watermark ends at 500 KiB.
        max_write_buffer: Bytes waiting for such a peer above which nothing more is read from it,
            so that it can't grow by asking for rejects. An application that awaits `drain`
            never comes near.
    """

    max_message: int = 1024 * 1024
    max_pieces: int = 2 * 1024 * 1024
    max_request: int = BLOCK_LENGTH
    max_request_hard: int = 128 * 1024
    max_peer_requests: int = 2000
    max_requests: int = 500
    max_peer_hash_requests: int = 500
    max_hash_requests: int = 8
    max_allowed_fast: int = 100
    max_extended_handshake: int = 64 * 1024
    max_metadata: int = 4 * 1024 * 1024
    max_metadata_copies: int = 3
    max_undecided: int = 1024 * 1024 + 64 * 1024
    handshake_timeout: float = 10.0
    idle_timeout: float = 120.0
    keep_alive: float = 60.0
    send_timeout: float = 120.0
    request_timeout: float = 30.0
    max_unread_messages: int = 4096
    max_unread_bytes: int = 4 * 1024 * 1024
    write_buffer: int = 512 * 1024
    max_write_buffer: int = 4 * 1024 * 1024

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value <= 0:
                raise ValueError(f"Limits.{field.name} is {value}; a limit is above zero")


DEFAULT_LIMITS = Limits()
