"""Dialling: what `connect` returns, and what it says when there is no peer to be had."""

from __future__ import annotations

import asyncio
import errno
import re
import socket

import pytest

from peerwire import (
    ConnectionClosed,
    Handshake,
    Have,
    InfoHashMismatch,
    InvalidHandshake,
    Limits,
    LocalProtocolError,
    Peer,
    PeerTimeout,
    RemoteProtocolError,
    Reserved,
    Unchoke,
    connect,
)
from peerwire.handshake import PROTOCOL

from .raw import INFO_HASH, RAW_ID, greeting, turns

OUR_ID = b"-PW0100-ourselves123"


def unused_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


async def test_handshake_of_both_sides(serving):
    server, came = await serving(peer_id=RAW_ID)
    options = {"peer_id": OUR_ID, "num_pieces": 7, "reserved": Reserved.FAST | Reserved.DHT}
    async with connect("127.0.0.1", server.port, INFO_HASH, **options) as peer:
        assert isinstance(peer, Peer)
        assert peer.peer_id == RAW_ID == server.peer_id
        assert peer.info_hash == INFO_HASH
        assert peer.client == "unknown RW 0.0.0.1"
        assert peer.reserved == Reserved.FAST
        assert peer.fast
        assert peer.num_pieces == 7
        assert peer.address == ("127.0.0.1", server.port)
        assert repr(peer) == f"<Peer 127.0.0.1:{server.port} {peer.client}>"
        other = await came.get()
        assert other.peer_id == OUR_ID
        assert other.info_hash == INFO_HASH
        assert other.num_pieces == 1000
        assert other.handshake == Handshake(INFO_HASH, OUR_ID, Reserved.FAST | Reserved.DHT)


async def test_leaving_the_block_closes(serving):
    server, came = await serving()
    async with connect("127.0.0.1", server.port, INFO_HASH) as peer:
        other = await came.get()
    assert peer.closed.by == "us"
    assert peer.closed.reason == "done"
    await other.wait_closed()
    assert other.closed.by == "peer"


async def test_awaited_it_stays_open(serving):
    server, came = await serving()
    peer = await connect("127.0.0.1", server.port, INFO_HASH.hex())
    other = await came.get()
    assert peer.closed is None
    assert other.info_hash == INFO_HASH
    await peer.close("enough")
    assert peer.closed.reason == "enough"


async def test_an_info_hash_that_is_none_is_told_at_once():
    with pytest.raises(LocalProtocolError, match="no info-hash"):
        connect("127.0.0.1", 1, "abc")


async def test_a_peer_id_that_is_none_is_told_at_once():
    with pytest.raises(LocalProtocolError, match="peer id has 20 bytes"):
        connect("127.0.0.1", 1, INFO_HASH, peer_id=b"short")


async def test_messages_in_the_segment_of_the_handshake_are_not_lost(meet):
    peer, raw = await meet(Unchoke(), Have(3), Have(4))
    raw.close()
    assert [message async for message in peer] == [Unchoke(), Have(3), Have(4)]
    assert set(peer.peer_pieces) == {3, 4}


async def test_a_peer_that_says_goodbye_with_its_handshake(meet):
    port_peer, raw = await meet(Have(1))
    raw.close()
    await port_peer.wait_closed()
    assert [message async for message in port_peer] == [Have(1)]


class TestNoPeer:
    """Each way not to get a peer, with the error that names it."""

    @pytest.fixture
    def answered(self, listen, stack):
        """Dials a raw peer that answers with some bytes; returns the error."""

        async def answered(*answer, **options):
            port, came = await listen()
            dialling = asyncio.ensure_future(connect("127.0.0.1", port, INFO_HASH, **options))
            raw = await came.get()
            await raw.hear_handshake()
            raw.say(*answer)
            if not answer:
                raw.close()
            with pytest.raises((ConnectionClosed, RemoteProtocolError)) as caught:
                await dialling
            await raw.hear_end()
            return caught.value

        return answered

    async def test_another_torrent(self, answered):
        error = await answered(greeting(bytes(20)))
        assert isinstance(error, InfoHashMismatch)
        assert bytes(20).hex() in str(error)
        assert INFO_HASH.hex() in str(error)

    async def test_ourselves(self, answered):
        error = await answered(greeting(peer_id=OUR_ID), peer_id=OUR_ID)
        assert isinstance(error, InvalidHandshake)
        assert "connection to ourselves" in str(error)

    async def test_http(self, answered):
        error = await answered(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        assert isinstance(error, InvalidHandshake)
        assert "it looks like HTTP" in str(error)

    async def test_a_rule_broken_in_the_segment_of_the_handshake(self, answered):
        error = await answered(greeting(), b"\0\0\0\2\0\0")  # a choke with a payload
        assert type(error) is RemoteProtocolError
        assert "message id 0" in str(error)

    async def test_closed_instead_of_an_answer(self, answered):
        error = await answered()
        assert isinstance(error, ConnectionClosed)
        assert error.by == "peer"
        assert error.reason == "0 bytes into its handshake"

    async def test_reset_instead_of_an_answer(self, listen):
        port, came = await listen()
        dialling = asyncio.ensure_future(connect("127.0.0.1", port, INFO_HASH))
        raw = await came.get()
        raw.reset()
        with pytest.raises(ConnectionClosed) as caught:
            await dialling
        assert caught.value.by == "network"
        assert isinstance(caught.value.__cause__, ConnectionResetError)

    async def test_silence(self, listen, clock):
        port, came = await listen()
        dialling = asyncio.ensure_future(connect("127.0.0.1", port, INFO_HASH))
        raw = await came.get()
        await raw.hear_handshake()
        await clock.advance(Limits().handshake_timeout)
        with pytest.raises(PeerTimeout, match="within 10 s, 0 bytes of it came"):
            await dialling
        await raw.hear_end()

    async def test_trickling_does_not_put_off_the_deadline(self, listen, clock):
        port, came = await listen()
        limits = Limits(handshake_timeout=20)
        dialling = asyncio.ensure_future(
            connect("127.0.0.1", port, INFO_HASH, limits=limits, timeout=100)
        )
        raw = await came.get()
        await raw.hear_handshake()
        for byte in greeting().encode()[:19]:
            raw.say(bytes([byte]))
            await turns()
            await clock.advance(1)
            assert not dialling.done()
        await clock.advance(1)
        with pytest.raises(PeerTimeout, match="within 20 s, 19 bytes of it came"):
            await dialling

    async def test_our_own_timeout(self, listen, clock):
        port, came = await listen()
        dialling = asyncio.ensure_future(connect("127.0.0.1", port, INFO_HASH, timeout=3))
        raw = await came.get()
        await raw.hear_handshake()
        raw.say(PROTOCOL)
        await clock.advance(3)
        with pytest.raises(ConnectionClosed) as caught:
            await dialling
        assert caught.value.by == "us"
        assert caught.value.reason == "no connection and handshake within 3 s"
        assert isinstance(caught.value.__cause__, TimeoutError)
        await raw.hear_end()

    async def test_refused(self):
        with pytest.raises(ConnectionClosed) as caught:
            await connect("127.0.0.1", unused_port(), INFO_HASH)
        assert caught.value.by == "network"
        assert isinstance(caught.value.__cause__, ConnectionRefusedError)

    async def test_a_name_that_is_none(self):
        with pytest.raises(ConnectionClosed, match=re.escape("a..b:6881")) as caught:
            await connect("a..b", 6881, INFO_HASH)
        assert caught.value.by == "network"

    async def test_the_operating_system_timed_out(self, monkeypatch):
        async def create_connection(*_args):
            raise TimeoutError(errno.ETIMEDOUT, "Connection timed out")

        loop = asyncio.get_running_loop()
        monkeypatch.setattr(loop, "create_connection", create_connection)
        with pytest.raises(ConnectionClosed, match="Connection timed out") as caught:
            await connect("127.0.0.1", 6881, INFO_HASH)
        assert caught.value.by == "network"

    async def test_no_answer_to_the_dialling(self, monkeypatch, clock):
        async def create_connection(*_args):
            await asyncio.Event().wait()

        loop = asyncio.get_running_loop()
        monkeypatch.setattr(loop, "create_connection", create_connection)
        dialling = asyncio.ensure_future(connect("127.0.0.1", 6881, INFO_HASH))
        await clock.advance(0)
        await clock.advance(15)
        with pytest.raises(ConnectionClosed, match="no connection and handshake within 15 s"):
            await dialling

    async def test_the_time_for_the_handshake_begins_with_the_connection(
        self, listen, monkeypatch, clock
    ):
        port, came = await listen()
        loop = asyncio.get_running_loop()
        really = loop.create_connection

        async def create_connection(*args):
            await clock.advance(14)
            return await really(*args)

        monkeypatch.setattr(loop, "create_connection", create_connection)
        dialling = asyncio.ensure_future(connect("127.0.0.1", port, INFO_HASH))
        raw = await came.get()
        raw.say(greeting())
        peer = await dialling
        assert peer.closed is None
        raw.close()
        await peer.close()

    async def test_cancelled(self, listen):
        port, came = await listen()
        dialling = asyncio.ensure_future(connect("127.0.0.1", port, INFO_HASH))
        raw = await came.get()
        await raw.hear_handshake()
        dialling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await dialling
        assert await raw.hear_end() == b""
