"""Peers that wait, against each other."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading

import pytest

import peerwire.sync
from peerwire import (
    ConnectionClosed,
    Extension,
    HashRange,
    Have,
    Interested,
    Limits,
    LocalProtocolError,
    Piece,
    PieceSet,
    Request,
    RequestTimeout,
)

INFO_HASH = bytes(range(20))
HOST = "127.0.0.1"
BLOCK = bytes(range(256)) * 64


class Echo(Extension):
    name = "xx_echo"

    def receive(self, payload):
        return payload

    def say(self, payload):
        self.send(payload)


def seed(peer):
    """Serves one piece of eight blocks to whoever asks."""
    peer.announce(PieceSet(1, [0]))
    for message in peer:
        match message:
            case Interested():
                peer.unchoke()
            case Request(begin=114688):  # the last of the eight
                peer.reject(message)
            case Request():
                peer.respond(message, BLOCK)


@pytest.fixture
def serve():
    servers = []

    def serve(handler, **options):
        options = {"torrents": {INFO_HASH: 1}, **options}
        servers.append(peerwire.sync.serve(handler, HOST, 0, **options))
        return servers[-1]

    yield serve
    for server in servers:
        server.close()


def test_a_block(serve):
    server = serve(seed)
    with peerwire.sync.connect(HOST, server.port, INFO_HASH, num_pieces=1) as peer:
        peer.ready(timeout=10)
        assert not peer.peer_choking
        assert peer.request(0, 0, 16384) == BLOCK
        room = bytearray(16384)
        view = peer.request(0, 16384, 16384, into=room)
        assert view.obj is room
        assert room == BLOCK
        assert peer.downloaded == 2 * 16384
        assert peer.stats().messages_received["piece"] == 2
    assert peer.closed.by == "us"


def test_many_requests_at_a_time(serve):
    server = serve(seed)
    with peerwire.sync.connect(HOST, server.port, INFO_HASH, num_pieces=1) as peer:
        peer.ready(timeout=10)
        asked = [peer.request_nowait(0, begin, 16384) for begin in range(0, 5 * 16384, 16384)]
        assert all(isinstance(request.begin, int) for request in peer.requests)
        blocks = {}
        for message in peer:
            if isinstance(message, Piece):
                blocks[message.begin] = message.block
                assert message.request in asked
            if len(blocks) == 5:
                break
        assert set(blocks.values()) == {BLOCK}
        assert peer.requests == []


def test_errors_are_those_of_the_asynchronous_peer(serve):
    server = serve(seed)
    with peerwire.sync.connect(HOST, server.port, INFO_HASH, num_pieces=1) as peer:
        peer.ready(timeout=10)
        with pytest.raises(peerwire.RequestRejected):
            peer.request(0, 7 * 16384, 16384)
        with pytest.raises(LocalProtocolError, match="in a torrent of 1 pieces"):
            peer.request(1, 0, 16384)
        with pytest.raises(TimeoutError):
            peer.wait_until(lambda: peer.uploaded > 0, timeout=0.01)
    with pytest.raises(ConnectionClosed):
        peer.request(0, 0, 16384)
    with pytest.raises(ConnectionClosed):
        peerwire.sync.connect(HOST, server.port, bytes(20))


def test_a_deadline(serve):
    release = threading.Event()

    def mute(peer):
        peer.announce(PieceSet(1, [0]))
        peer.unchoke()
        release.wait(10)

    server = serve(mute)
    with peerwire.sync.connect(HOST, server.port, INFO_HASH, num_pieces=1) as peer:
        peer.ready(timeout=10)
        with pytest.raises(RequestTimeout):
            peer.request(0, 0, 16384, timeout=0.01)
        release.set()


def test_what_is_told_of_pieces_is_a_copy(serve):
    told = threading.Event()

    def tell(peer):
        peer.have(3)
        told.wait(10)
        peer.have(4)
        for _ in peer:
            pass

    server = serve(tell, torrents={INFO_HASH: 10})
    with peerwire.sync.connect(HOST, server.port, INFO_HASH, num_pieces=10) as peer:
        peer.wait_until(lambda: 3 in peer.peer_pieces, timeout=10)
        pieces = peer.peer_pieces
        told.set()
        peer.wait_until(lambda: 4 in peer.peer_pieces, timeout=10)
        assert list(pieces) == [3]
        assert list(peer.peer_pieces) == [3, 4]


def test_an_iteration_ends_with_the_connection(serve):
    def say(peer):
        peer.have(0)

    server = serve(say)
    with peerwire.sync.connect(HOST, server.port, INFO_HASH) as peer:
        assert [message for message in peer if isinstance(message, Have)] == [Have(0)]
        assert list(peer) == []


def test_an_extension(serve):
    def answer(peer):
        for message in peer:
            if isinstance(message, bytes):
                peer.extension(Echo).say(message.upper())

    server = serve(answer, extensions=[Echo])
    with peerwire.sync.connect(HOST, server.port, INFO_HASH, extensions=[Echo]) as peer:
        echo = peer.extension(Echo)
        peer.wait_until(lambda: echo.supported, timeout=10)
        echo.say(b"hello")
        assert next(message for message in peer if isinstance(message, bytes)) == b"HELLO"
        with pytest.raises(LocalProtocolError, match="is not among"):
            peer.extension(type("Other", (Extension,), {"name": "xx_other"}))


def test_what_only_the_thread_of_the_loop_may_use(serve):
    server = serve(seed)
    with peerwire.sync.connect(HOST, server.port, INFO_HASH, num_pieces=1) as peer:

        async def fetch(other):
            await other.ready()
            return await other.request(0, 0, 16384)

        assert peer.call(fetch) == BLOCK
        assert peer.call(lambda other: other.wire.num_pieces) == 1


def test_keep_alives_can_be_switched_off(serve):
    server = serve(seed)
    with peerwire.sync.connect(HOST, server.port, INFO_HASH) as peer:
        assert peer.keep_alive
        peer.keep_alive = False
        assert not peer.call(lambda other: other.keep_alive)


def test_hash_requests_wait_as_well(serve):
    server = serve(seed)
    with (
        peerwire.sync.connect(HOST, server.port, INFO_HASH) as peer,
        pytest.raises(LocalProtocolError, match="not about a v2 info-hash"),
    ):
        peer.request_hashes(HashRange(bytes(32), 0, 0, 2, 0))


class TestServer:
    def test_its_peers_are_those_of_its_handlers(self, serve):
        here, go = threading.Event(), threading.Event()
        handled = []

        def handler(peer):
            handled.append(peer)
            here.set()
            go.wait(10)

        server = serve(handler, peer_id=b"x" * 20)
        assert server.peer_id == b"x" * 20
        assert server.sockets[0].getsockname()[1] == server.port
        with peerwire.sync.connect(HOST, server.port, INFO_HASH) as peer:
            assert here.wait(10)
            assert server.peers == set(handled)
            assert handled[0] != peer
            assert handled[0] != "a peer"
            assert repr(handled[0]).startswith("<Peer 127.0.0.1:")
            go.set()
            peer.wait_closed()

    def test_a_handler_that_fails_ends_its_peer_only(self, serve, caplog):
        def handler(peer):
            if peer.peer_id == b"b" * 20:
                raise ValueError("bad day")
            seed(peer)

        server = serve(handler)
        with peerwire.sync.connect(HOST, server.port, INFO_HASH, peer_id=b"b" * 20) as peer:
            peer.wait_closed()
        with peerwire.sync.connect(HOST, server.port, INFO_HASH, num_pieces=1) as peer:
            peer.ready(timeout=10)
            assert peer.request(0, 0, 16384) == BLOCK
        assert "bad day" in caplog.text

    def test_serve_forever_ends_when_it_is_closed(self, serve):
        server = serve(seed)
        port = server.port
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        server.close()
        thread.join(10)
        assert not thread.is_alive()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((HOST, port), 1)

    def test_a_handler_that_outlives_its_server_harms_nobody(self, serve, monkeypatch):
        monkeypatch.setattr("peerwire.asyncio.server.CLOSE_TIMEOUT", 0.01)
        go, here = threading.Event(), threading.Event()
        threads = []

        def handler(peer):
            threads.append(threading.current_thread())
            here.set()
            go.wait(10)

        with serve(handler) as server, peerwire.sync.connect(HOST, server.port, INFO_HASH):
            assert here.wait(10)
        go.set()
        threads[0].join(10)
        assert peerwire.sync.portal.shared_portal().call(len, "1") == 1


def test_ctrl_c_ends_a_wait():
    code = f"""
import peerwire.sync, sys
def mute(peer):
    for _ in peer: pass
with peerwire.sync.serve(mute, "127.0.0.1", 0) as server:
    with peerwire.sync.connect("127.0.0.1", server.port, {INFO_HASH!r}) as peer:
        try:
            print("waiting", flush=True)
            peer.ready()
        except KeyboardInterrupt:
            print("interrupted", peer.closed)
"""
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "waiting\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "interrupted None\n"
        assert process.wait(30) == 0


def test_limits_go_along(serve):
    server = serve(seed)
    limits = Limits(max_requests=1)
    with peerwire.sync.connect(HOST, server.port, INFO_HASH, num_pieces=1, limits=limits) as peer:
        peer.ready(timeout=10)
        peer.request_nowait(0, 7 * 16384, 16384)
        with pytest.raises(LocalProtocolError, match=r"requests are pending"):
            peer.request_nowait(0, 0, 16384)
