"""The bare seeder and the bare leecher, with each other and with odd ends."""

from __future__ import annotations

import socket
import threading

import pytest

from peerwire.cli.measuring.bare import bare_leech
from peerwire.cli.measuring.child import ours
from peerwire.cli.measuring.content import MIB, Content
from peerwire.handshake import Handshake, generate_peer_id
from peerwire.messages import Have, KeepAlive, Piece, Request, Unchoke

BLOCK = 16 * 1024
HOST = "127.0.0.1"


@pytest.fixture
def content(tmp_path):
    return Content.make(tmp_path, 2 * MIB)


def take(connection, length):
    return connection.recv(length, socket.MSG_WAITALL)


def test_with_each_other(inside, content):
    with inside(content.bare_seed(connections=2)) as seeder:
        port = seeder.read()["port"]
        for length, expected in ((None, 2 * MIB), (MIB, MIB)):
            with inside(content.bare_leech(port, length)) as leecher:
                assert leecher.read()["asked_at"] <= seeder.read()["asked_at"]
                assert leecher.read()["bytes"] == expected


def test_the_seeder_serves_what_is_asked_for(inside, content):
    data, metainfo = content.path.read_bytes(), content.metainfo
    with inside(content.bare_seed(connections=1)) as seeder:
        port = seeder.read()["port"]
        with socket.create_connection((HOST, port)) as connection:
            connection.sendall(Handshake(metainfo.info_hash, generate_peer_id()).encode())
            Handshake.decode(take(connection, 68))
            bits = -(-metainfo.num_pieces // 8)
            take(connection, 5 + bits + len(Unchoke().encode()))
            wanted = [(3, 0), (0, 0), (1, 0)]
            asked = b"".join(Request(*place, BLOCK).encode() for place in wanted)
            connection.sendall(KeepAlive().encode() + Have(1).encode() + asked[:-3])
            connection.sendall(asked[-3:])
            for index, begin in wanted:
                start = index * metainfo.piece_length + begin
                frame = Piece(index, begin, data[start : start + BLOCK]).encode()
                assert take(connection, len(frame)) == frame
        assert "asked_at" in seeder.read()


def test_the_seeder_closes_on_what_is_no_handshake(inside, content):
    with (
        inside(content.bare_seed(connections=1)) as seeder,
        socket.create_connection((HOST, seeder.read()["port"])) as connection,
    ):
        connection.sendall(bytes(68))
        assert connection.recv(1) == b""


def test_the_seeder_goes_on_after_a_leecher_that_is_gone(inside, content):
    with inside(content.bare_seed(connections=2)) as seeder:
        port = seeder.read()["port"]
        with socket.create_connection((HOST, port)) as connection:
            linger = b"\1\0\0\0\0\0\0\0"
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            connection.sendall(Handshake(content.metainfo.info_hash, generate_peer_id()).encode())
            take(connection, 68)
        with inside(content.bare_leech(port)) as leecher:
            leecher.read()
            assert leecher.read()["bytes"] == 2 * MIB


def test_the_leecher_counts_nothing_but_blocks(inside):
    info_hash = bytes(20)
    with socket.create_server((HOST, 0)) as listener:
        port = listener.getsockname()[1]
        options = {"info_hash": info_hash.hex(), "length": 2 * BLOCK, "piece_length": BLOCK}
        with inside(ours("bare_leech", port=port, **options)) as leecher:
            connection, _ = listener.accept()
            with connection:
                take(connection, 68)
                connection.sendall(Handshake(info_hash, generate_peer_id()).encode())
                take(connection, 5)
                connection.sendall(KeepAlive().encode() + Unchoke().encode())
                leecher.read()
                take(connection, 2 * 17)
                frames = Have(1).encode() + Piece(0, 0, bytes(BLOCK)).encode()
                frames += Piece(1, 0, bytes(BLOCK)).encode()
                connection.sendall(frames[:20_000])
                connection.sendall(frames[20_000:])
                assert leecher.read()["bytes"] == 2 * BLOCK


def test_the_leecher_says_that_the_seeder_is_gone():
    def leave():
        with listener.accept()[0] as connection:
            connection.sendall(Handshake(bytes(20), generate_peer_id()).encode())
            take(connection, 68 + 5)

    with socket.create_server((HOST, 0)) as listener:
        port = listener.getsockname()[1]
        leaving = threading.Thread(target=leave)
        leaving.start()
        with pytest.raises(ConnectionResetError, match="the seeder has closed"):
            bare_leech(port, bytes(20).hex(), BLOCK, BLOCK)
        leaving.join()
