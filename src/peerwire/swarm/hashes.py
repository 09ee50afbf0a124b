"""Fetching the hashes of a v2 torrent's files from a peer (BEP 52)."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from ..errors import RemoteProtocolError
from ..torrent.hashing import layer_requests, verified
from ..torrent.merkle import piece_layer

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence

    from ..asyncio.peer import Peer
    from ..hashes import HashRange

__all__ = ["fetch_layer", "fetch_piece_layer"]


async def fetch_piece_layer(
    peer: Peer, pieces_root: bytes, length: int, piece_length: int, *, timeout: float | None = None
) -> bytes:
    """Fetches the hashes of a file's pieces, as a .torrent has them (BEP 52, piece layers).

    Args:
        peer: Who is asked; `Peer.v2` has to be true of it.
        pieces_root: The root of the file's tree, 32 bytes.
        length: Of the file, in bytes.
        piece_length: Bytes.
        timeout: Seconds for each request; `Limits.request_timeout` if None.

    Returns:
        32 bytes for each piece; nothing for a file not longer than one, whose root is its hash.

    Raises:
        MetainfoError: The piece length is none.
        HashRequestFailed, RemoteProtocolError, ConnectionClosed, LocalProtocolError: As
            `fetch_layer`.
    """
    return await fetch_layer(peer, pieces_root, piece_layer(piece_length), length, timeout=timeout)


async def fetch_layer(
    peer: Peer, pieces_root: bytes, base_layer: int, length: int, *, timeout: float | None = None
) -> bytes:
    """Fetches a whole layer of a file's tree, verified part by part against the root (BEP 52).

    As many requests are under way as `Limits.max_hash_requests` allows, those of others included.

    Args:
        peer: Who is asked; `Peer.v2` has to be true of it.
        pieces_root: The root of the file's tree, 32 bytes.
        base_layer: Which layer; the leaves, one for 16 KiB, are 0.
        length: Of the file, in bytes.
        timeout: Seconds for each request; `Limits.request_timeout` if None.

    Returns:
        The hashes, 32 bytes each, without padding; nothing if the tree is not higher than that.

    Raises:
        HashRequestFailed: The peer rejected a request or did not answer it in time.
        RemoteProtocolError: It sent hashes that do not lead to the root; it is gone.
        ConnectionClosed: The connection ended.
        LocalProtocolError: The connection is not about a v2 info-hash, or the same is being asked
            for already.
    """
    pending: deque[tuple[HashRange, asyncio.Future[Sequence[bytes]]]] = deque()
    parts: list[bytes] = []
    for wanted in layer_requests(pieces_root, base_layer, length):
        while not _has_room(peer):
            if pending:
                parts.append(await _take(peer, *pending.popleft(), length))
            else:
                await peer.wait_until(lambda: _has_room(peer))
        pending.append((wanted, peer.request_hashes(wanted, timeout=timeout)))
    while pending:
        parts.append(await _take(peer, *pending.popleft(), length))
    return b"".join(parts)


def _has_room(peer: Peer) -> bool:
    return len(peer.hash_requests) < peer.wire.limits.max_hash_requests


async def _take(
    peer: Peer, asked: HashRange, answer: asyncio.Future[Sequence[bytes]], length: int
) -> bytes:
    """Returns the part of the layer that an answer brings, if it is right."""
    hashes = await answer
    try:
        return verified(asked, hashes, length)
    except RemoteProtocolError as error:
        await peer.close(str(error))
        raise
