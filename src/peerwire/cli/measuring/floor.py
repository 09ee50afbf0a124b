"""What fetching a torrent costs at the least: reading it, hashing it and writing it."""

from __future__ import annotations

import hashlib
import os
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from ...handshake import HANDSHAKE_LENGTH, Handshake, Reserved, generate_peer_id
from ...limits import BLOCK_LENGTH
from ...messages import Interested, Piece, Request
from ...torrent.metainfo import Metainfo
from .bare import HOST, PIPELINE
from .child import say

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future

__all__ = ["bare_get"]

_HEADER = len(Piece.header(0, 0, BLOCK_LENGTH))

#: Threads that hash and write, and pieces that may wait for them.
WORKERS = 2
WAITING = 8


def bare_get(port: int, torrent: str, out: str) -> None:
    """Fetches a torrent of whole pieces from the bare seeder, which answers in order, and verifies.

    Blocks are read right to where they are written from, and nothing that comes is looked at: so
    it is no client, but what a client can't be faster than with this interpreter's threads.

    Args:
        port: Where the seeder is.
        torrent: Path of the .torrent.
        out: Where to write the content.
    """
    meta = Metainfo.from_file(torrent)
    handshake = Handshake(meta.info_hash, generate_peer_id(), Reserved(0))
    bitfield = 5 + (meta.num_pieces + 7) // 8
    with socket.create_connection((HOST, port)) as connection, Path(out).open("wb") as file:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        os.truncate(file.fileno(), meta.length)
        connection.sendall(handshake.encode() + Interested().encode())
        connection.recv(HANDSHAKE_LENGTH + bitfield + 5, socket.MSG_WAITALL)
        started, cpu = time.monotonic(), time.process_time()
        _fetch(meta, connection, file.fileno())
        say(
            bytes=meta.length,
            seconds=time.monotonic() - started,
            cpu=time.process_time() - cpu,
        )


def _fetch(meta: Metainfo, connection: socket.socket, file: int) -> None:
    size = meta.piece_length
    blocks = size // BLOCK_LENGTH
    requests = _requests(meta)
    connection.sendall(b"".join(islice(requests, max(1, PIPELINE // blocks))))
    free = [_Room(size) for _ in range(WAITING)]
    with ThreadPoolExecutor(WORKERS) as pool:
        waiting: list[tuple[_Room, Future[bool]]] = []
        for index in range(meta.num_pieces):
            if not free:
                room, right = waiting.pop(0)
                assert right.result(), "the piece has its hash"
                free.append(room)
            room = free.pop()
            room.read(connection)
            connection.sendall(next(requests, b""))
            waiting.append((room, pool.submit(_write, room, meta, index, file)))
        assert all(right.result() for _, right in waiting), "the piece has its hash"


def _requests(meta: Metainfo) -> Iterator[bytes]:
    """Yields the requests for each piece."""
    size = meta.piece_length
    for index in range(meta.num_pieces):
        begins = range(0, size, BLOCK_LENGTH)
        yield b"".join(Request(index, begin, BLOCK_LENGTH).encode() for begin in begins)


class _Room:
    """Memory for a piece, and for the headers between its blocks.

    Args:
        size: Of the piece, in bytes.
    """

    def __init__(self, size: int) -> None:
        self.memory = memoryview(bytearray(size))
        self._parts: list[memoryview] = []
        for begin in range(0, size, BLOCK_LENGTH):
            self._parts.append(memoryview(bytearray(_HEADER)))
            self._parts.append(self.memory[begin : begin + BLOCK_LENGTH])
        self._total = sum(map(len, self._parts))

    def read(self, connection: socket.socket) -> None:
        """Reads the messages that carry the piece."""
        count, *_ = connection.recvmsg_into(self._parts, 0, socket.MSG_WAITALL)
        assert count == self._total, "the bare seeder sends everything"


def _write(room: _Room, meta: Metainfo, index: int, file: int) -> bool:
    os.pwrite(file, room.memory, index * meta.piece_length)
    return hashlib.sha1(room.memory).digest() == meta.piece_hash(index)
