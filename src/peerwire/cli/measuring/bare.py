"""Programs on bare sockets: what the others are measured beside, and by.

The seeder has every frame ready, and the leecher counts blocks and nothing else, so neither is
what limits a client at the other end.
"""

from __future__ import annotations

import socket
import time
from pathlib import Path
from struct import Struct
from typing import Any

from ... import bencode
from ...handshake import HANDSHAKE_LENGTH, Handshake, Reserved, generate_peer_id
from ...limits import BLOCK_LENGTH
from ...messages import Bitfield, Extended, Interested, Piece, Request, Unchoke
from .child import say

__all__ = ["HOST", "PIPELINE", "bare_leech", "bare_seed", "idle_dial", "raw_receive", "raw_send"]

HOST = "127.0.0.1"

#: Bytes that are read or written at a time.
CHUNK = 256 * 1024

PIPELINE = 250

_LENGTH_AND_ID = Struct(">IB")
_REQUEST = Struct(">IBIII")

#: An extended handshake as libtorrent's (BEP 10).
_EXTENDED: dict[bytes, Any] = {
    b"m": {
        b"lt_donthave": 7,
        b"upload_only": 3,
        b"ut_holepunch": 4,
        b"ut_metadata": 2,
        b"ut_pex": 1,
    },
    b"complete_ago": 1,
    b"metadata_size": 20_000,
    b"p": 6881,
    b"reqq": 2000,
    b"v": b"libtorrent/2.1.1",
}

_FRAME = len(Piece.header(0, 0, BLOCK_LENGTH)) + BLOCK_LENGTH


def raw_send(total: int) -> None:
    """Sends so many bytes to whoever connects."""
    with socket.create_server((HOST, 0)) as listener:
        say(port=listener.getsockname()[1])
        connection, _ = listener.accept()
    data = memoryview(bytes(CHUNK))
    cpu = time.process_time()
    with connection:
        for begin in range(0, total, CHUNK):
            connection.sendall(data[: total - begin])
    say(cpu=time.process_time() - cpu)


def raw_receive(port: int) -> None:
    """Receives until the end."""
    buffer = bytearray(CHUNK)
    received = 0
    with socket.create_connection((HOST, port)) as connection:
        started, cpu = time.perf_counter(), time.process_time()
        while count := connection.recv_into(buffer):
            received += count
        say(
            bytes=received,
            seconds=time.perf_counter() - started,
            cpu=time.process_time() - cpu,
        )


def bare_seed(content: str, info_hash: str, piece_length: int, connections: int) -> None:
    """Serves a file of whole blocks to one connection after the other; says when each first asks.

    Args:
        content: Path of the file; its length is a multiple of 16 KiB.
        info_hash: As hex.
        piece_length: In bytes, a multiple of 16 KiB.
        connections: How many to serve.
    """
    frames = memoryview(_frames(Path(content), piece_length))
    with socket.create_server((HOST, 0)) as listener:
        say(port=listener.getsockname()[1])
        for _ in range(connections):
            connection, _ = listener.accept()
            _Serving(connection, frames, bytes.fromhex(info_hash), piece_length).run()


def _frames(content: Path, piece_length: int) -> bytearray:
    """Returns the messages that carry a file, one after the other."""
    size = content.stat().st_size
    frames = bytearray(size // BLOCK_LENGTH * _FRAME)
    position = 0
    with content.open("rb") as file:
        for offset in range(0, size, BLOCK_LENGTH):
            index, begin = divmod(offset, piece_length)
            frames[position : position + 13] = Piece.header(index, begin, BLOCK_LENGTH)
            file.readinto(memoryview(frames)[position + 13 : position + _FRAME])
            position += _FRAME
    return frames


class _Serving:
    """One connection of the bare seeder."""

    def __init__(
        self, connection: socket.socket, frames: memoryview, info_hash: bytes, piece_length: int
    ) -> None:
        self._connection = connection
        self._frames = frames
        self._info_hash = info_hash
        self._blocks_a_piece = piece_length // BLOCK_LENGTH
        self._asked = False

    def run(self) -> None:
        """Greets, unchokes, and answers requests until the end."""
        try:
            with self._connection as connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if self._greet(connection):
                    self._serve(connection)
        except OSError:
            pass  # the leecher has everything, and is gone

    def _greet(self, connection: socket.socket) -> bool:
        theirs = connection.recv(HANDSHAKE_LENGTH, socket.MSG_WAITALL)
        if theirs[1:20] != b"BitTorrent protocol":
            return False  # encrypted: aria2 comes again without
        handshake = Handshake(self._info_hash, generate_peer_id(), Reserved(0))
        num_blocks = len(self._frames) // _FRAME
        num_pieces = -(-num_blocks // self._blocks_a_piece)
        bits = ((1 << num_pieces) - 1 << -num_pieces % 8).to_bytes(-(-num_pieces // 8), "big")
        connection.sendall(handshake.encode() + Bitfield(bits).encode() + Unchoke().encode())
        return True

    def _serve(self, connection: socket.socket) -> None:
        pending = b""
        while data := connection.recv(CHUNK):
            pending += data
            position = 0
            start = stop = 0  # blocks to send, one after the other
            while len(pending) - position >= 5:
                length, message_id = _LENGTH_AND_ID.unpack_from(pending, position)
                if length == 0:
                    position += 4
                    continue
                if len(pending) - position < 4 + length:
                    break
                if message_id == Request.id:
                    block = self._block(pending, position)
                    if block != stop:
                        self._send(connection, start, stop)
                        start = block
                    stop = block + 1
                position += 4 + length
            self._send(connection, start, stop)
            pending = pending[position:]

    def _block(self, data: bytes, position: int) -> int:
        _, _, index, begin, length = _REQUEST.unpack_from(data, position)
        assert length == BLOCK_LENGTH
        assert begin % BLOCK_LENGTH == 0
        if not self._asked:
            self._asked = True
            say(asked_at=time.monotonic())
        block: int = index * self._blocks_a_piece + begin // BLOCK_LENGTH
        return block

    def _send(self, connection: socket.socket, start: int, stop: int) -> None:
        connection.sendall(self._frames[start * _FRAME : stop * _FRAME])


def bare_leech(
    port: int, info_hash: str, length: int, piece_length: int, pipeline: int = PIPELINE
) -> None:
    """Asks for every block of a torrent and counts those that come.

    Args:
        port: Where the seeder is.
        info_hash: As hex.
        length: Of the content, in bytes; a multiple of 16 KiB.
        piece_length: In bytes, a multiple of 16 KiB.
        pipeline: Requests under way at a time.
    """
    num_blocks = length // BLOCK_LENGTH
    places = (divmod(block * BLOCK_LENGTH, piece_length) for block in range(num_blocks))
    requests = memoryview(b"".join(Request(*place, BLOCK_LENGTH).encode() for place in places))
    handshake = Handshake(bytes.fromhex(info_hash), generate_peer_id(), Reserved(0))
    with socket.create_connection((HOST, port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(handshake.encode())
        connection.recv(HANDSHAKE_LENGTH, socket.MSG_WAITALL)
        connection.sendall(Interested().encode())  # aria2 takes nothing before its own handshake
        counter = _Counter(connection)
        while not counter.unchoked:
            counter.read()
        say(asked_at=time.monotonic())
        started, cpu = time.perf_counter(), time.process_time()
        asked = 0
        while counter.blocks < num_blocks:
            until = counter.blocks + pipeline
            if asked < min(until, num_blocks):
                connection.sendall(requests[asked * _REQUEST.size : until * _REQUEST.size])
                asked = min(until, num_blocks)
            counter.read()
        say(
            bytes=length,
            seconds=time.perf_counter() - started,
            cpu=time.process_time() - cpu,
        )


def idle_dial(port: int, count: int, info_hash: str) -> None:
    """Has so many peers say what peers say first, and then nothing until the server has enough.

    Args:
        port: Where the server is.
        count: Connections to open.
        info_hash: As hex.
    """
    allow_many_files()
    reserved = Reserved.EXTENSION | Reserved.FAST
    rest = Extended(0, bencode.encode(_EXTENDED)).encode() + Interested().encode()
    connections = []
    for _ in range(count):
        connection = socket.create_connection((HOST, port))
        handshake = Handshake(bytes.fromhex(info_hash), generate_peer_id(), reserved)
        connection.sendall(handshake.encode() + rest)
        connections.append(connection)
    for connection in connections:
        connection.recv(HANDSHAKE_LENGTH, socket.MSG_WAITALL)
    say(connected=count)
    for connection in connections:
        with connection:
            while connection.recv(CHUNK):
                pass  # an extended handshake, perhaps


def allow_many_files() -> None:
    """Lets this process have as many connections as the system allows it."""
    import resource

    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


class _Counter:
    """Counts the blocks that come over a connection."""

    def __init__(self, connection: socket.socket) -> None:
        self.blocks = 0
        self.unchoked = False
        self._connection = connection
        self._buffer = memoryview(bytearray(2 * CHUNK))
        self._kept = 0  # bytes of an incomplete message at the start of the buffer

    def read(self) -> None:
        """Waits for more, and counts.

        Raises:
            ConnectionResetError: There is no more.
        """
        buffer, position = self._buffer, 0
        count = self._connection.recv_into(buffer[self._kept :])
        if not count:
            raise ConnectionResetError("the seeder has closed the connection")
        end = self._kept + count
        while end - position >= 5:
            length, message_id = _LENGTH_AND_ID.unpack_from(buffer, position)
            if length == 0:
                position += 4
                continue
            if end - position < 4 + length:
                break
            if message_id == Piece.id:
                self.blocks += 1
            elif message_id == Unchoke.id:
                self.unchoked = True
            position += 4 + length
        self._kept = end - position
        buffer[: self._kept] = bytes(buffer[position:end])
