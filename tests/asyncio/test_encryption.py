"""Encryption between `connect` and `serve`, and against peers that know nothing of it."""

from __future__ import annotations

import asyncio
import contextlib
from unittest import mock

import pytest

from peerwire import (
    ConnectionClosed,
    Encryption,
    EncryptionError,
    Interested,
    Limits,
    Peer,
    Request,
    Wire,
    connect,
    serve,
)
from peerwire.asyncio import connection
from peerwire.encryption import EncryptedWire
from peerwire.mse import CryptoMethod, Initiator, Responder, SkeyTable

from .raw import INFO_HASH, RAW_ID, greeting, turns, until

BLOCK = bytes(range(256)) * 64

#: Policies of who dials and who serves to what is spoken; None where they can't meet.
GRID = {
    ("off", "off"): "off",
    ("off", "prefer"): "off",
    ("off", "require"): None,
    ("prefer", "off"): "off",
    ("prefer", "prefer"): "plaintext",
    ("prefer", "require"): "rc4",
    ("require", "off"): None,
    ("require", "prefer"): "rc4",
    ("require", "require"): "rc4",
}


async def seed(peer):
    peer.have_all()
    async for message in peer:
        match message:
            case Interested():
                peer.unchoke()
            case Request():
                await peer.respond(message, BLOCK)


def serving(encryption, torrents=None):
    return serve(seed, "127.0.0.1", 0, torrents=torrents or {INFO_HASH: 4}, encryption=encryption)


@pytest.mark.parametrize(("policies", "spoken"), GRID.items())
async def test_policies(policies, spoken):
    ours, theirs = policies
    async with serving(theirs) as server:
        dialled = connect("127.0.0.1", server.port, INFO_HASH, num_pieces=4, encryption=ours)
        if spoken is None:
            with pytest.raises((ConnectionClosed, EncryptionError)):
                await dialled
            return
        async with dialled as peer:
            assert peer.encryption == spoken
            assert [there.encryption for there in server.peers] == [spoken]
            await peer.ready()
            assert await peer.request(3, 0, len(BLOCK)) == BLOCK
            into = bytearray(len(BLOCK))
            await peer.request(2, 0, len(BLOCK), into=into)
            assert into == BLOCK


async def test_the_default_is_to_prefer_it(monkeypatch):
    monkeypatch.undo()
    async with (
        serve(seed, "127.0.0.1", 0, torrents={INFO_HASH: 4}) as server,
        connect("127.0.0.1", server.port, INFO_HASH) as peer,
    ):
        assert peer.encryption == "plaintext"


async def test_many_connections_share_one_receive_buffer():
    """What one decrypts in place is nobody else's."""
    async with serving("require") as server:
        peers = [
            await connect("127.0.0.1", server.port, INFO_HASH, encryption="require")
            for _ in range(5)
        ]
        await asyncio.gather(*(peer.ready() for peer in peers))
        blocks = await asyncio.gather(
            *(peer.request(index, 0, len(BLOCK)) for peer in peers for index in range(4))
        )
        assert set(blocks) == {BLOCK}
        for peer in peers:
            await peer.close()


async def test_torrents_may_come_and_go():
    torrents = {bytes(20): 1}
    async with serving("require", torrents) as server:
        with pytest.raises(ConnectionClosed):
            await connect("127.0.0.1", server.port, INFO_HASH, encryption="require")
        torrents[INFO_HASH] = 4
        async with connect("127.0.0.1", server.port, INFO_HASH, encryption="require") as peer:
            assert peer.encryption == "rc4"
        del torrents[INFO_HASH]
        with pytest.raises(ConnectionClosed):
            await connect("127.0.0.1", server.port, INFO_HASH, encryption="require")


async def test_another_torrent_inside_than_outside_ends_that_peer_only():
    other = b"o" * 20
    handled = []

    async def handle(peer):
        handled.append(peer)
        await peer.wait_closed()

    torrents = {INFO_HASH: 4, other: 4}
    async with serve(handle, "127.0.0.1", 0, torrents=torrents, encryption="prefer") as server:
        crooked = Initiator(INFO_HASH, CryptoMethod.RC4, greeting(other, peer_id=RAW_ID).encode())
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(crooked.data_to_send())
        crooked.receive_data(await reader.readexactly(96))
        writer.write(crooked.data_to_send())
        with contextlib.suppress(ConnectionResetError):
            await reader.read()  # to its end, which comes without our doing
        writer.close()
        async with connect("127.0.0.1", server.port, INFO_HASH, encryption="prefer") as peer:
            assert peer.encryption == "plaintext"
            assert [there.info_hash for there in handled] == [INFO_HASH]


@pytest.mark.parametrize("policy", ["prefer", "require"])
async def test_a_peer_that_closes_on_what_it_does_not_understand(policy, caplog):
    caplog.set_level("INFO", "peerwire.client")
    heard = []

    async def answer(reader, writer):
        first = await reader.readexactly(68)
        heard.append(first[:20])
        if first.startswith(b"\x13BitTorrent protocol"):
            writer.write(greeting(peer_id=RAW_ID).encode())
            await reader.read()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        if policy == "require":
            with pytest.raises(ConnectionClosed):
                await connect("127.0.0.1", port, INFO_HASH, encryption=policy)
            assert len(heard) == 1
        else:
            async with connect("127.0.0.1", port, INFO_HASH, encryption=policy) as peer:
                assert peer.encryption == "off"
            assert len(heard) == 2
            assert "dialling plainly" in caplog.text
        assert not heard[0].startswith(b"\x13BitTorrent")


async def test_handshakes_that_come_at_once_share_no_turn_of_the_event_loop(stack, monkeypatch):
    """Where nothing else takes any time."""
    monkeypatch.setattr("peerwire.asyncio.turns.monotonic", lambda: 0.0)
    turn, done = 0, []

    async def count():
        nonlocal turn
        while True:
            turn += 1
            await asyncio.sleep(0)

    def trace(mark, what, now):
        if str(what).startswith("encrypted handshake done"):
            done.append(turn)

    server = await stack.enter_async_context(
        serve(seed, "127.0.0.1", 0, torrents={INFO_HASH: 4}, encryption="require", trace=trace)
    )
    peers = []
    for _ in range(10):
        peer = Initiator(INFO_HASH, CryptoMethod.RC4, greeting().encode())
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        stack.callback(writer.close)
        writer.write(peer.data_to_send())
        peer.receive_data(await reader.readexactly(96))
        peers.append((peer, reader, writer))
    counting = asyncio.ensure_future(count())
    for peer, _, writer in peers:
        writer.write(peer.data_to_send())
    for peer, reader, _ in peers:
        while peer.method is None:
            peer.receive_data(await reader.read(1000))
    counting.cancel()
    assert len(done) == len(set(done)) == 10


@pytest.mark.parametrize("timeout", [4.0, 60.0])
async def test_a_peer_that_says_nothing_is_dialled_plainly_while_there_is_time(
    timeout, listen, clock
):
    port, came = await listen()
    dialling = asyncio.ensure_future(
        connect("127.0.0.1", port, INFO_HASH, encryption="prefer", timeout=timeout)
    )
    silent = await came.get()
    await silent.reader.readexactly(96)
    await turns(10)
    await clock.advance(min(timeout / 2, Limits().handshake_timeout) - 0.001)
    assert came.empty()
    await clock.advance(0.002)
    plain = await came.get()
    assert await plain.hear_handshake()
    plain.say(greeting())
    async with await dialling as peer:
        assert peer.encryption == "off"
        plain.close()


async def test_a_peer_that_closes_after_the_encrypted_handshake_is_not_dialled_plainly(listen):
    port, came = await listen()
    dialling = asyncio.ensure_future(connect("127.0.0.1", port, INFO_HASH, encryption="prefer"))
    raw = await came.get()
    responder = Responder(SkeyTable([INFO_HASH]), CryptoMethod.PLAINTEXT)
    while responder.method is None:
        responder.receive_data(await raw.reader.read(1000))
        raw.say(responder.data_to_send())
    raw.close()
    with pytest.raises(ConnectionClosed, match="bytes into its handshake"):
        await dialling
    assert came.empty()


async def test_a_peer_that_is_slow_after_the_encrypted_handshake_is_waited_for(listen, clock):
    port, came = await listen()
    dialling = asyncio.ensure_future(
        connect("127.0.0.1", port, INFO_HASH, encryption="prefer", timeout=4.0)
    )
    raw = await came.get()
    responder = Responder(SkeyTable([INFO_HASH]), CryptoMethod.PLAINTEXT)
    while responder.method is None:
        responder.receive_data(await raw.reader.read(1000))
        raw.say(responder.data_to_send())
    await turns(10)
    await clock.advance(3.0)
    raw.say(greeting())
    async with await dialling as peer:
        assert peer.encryption == "plaintext"
        assert came.empty()
        raw.close()


async def test_a_peer_that_breaks_the_rules_of_encryption_is_not_dialled_plainly(listen):
    port, came = await listen()
    dialling = asyncio.ensure_future(connect("127.0.0.1", port, INFO_HASH, encryption="prefer"))
    raw = await came.get()
    raw.say(bytes(96))
    with pytest.raises(EncryptionError, match="public key"):
        await dialling
    assert came.empty()
    raw.close()


async def test_dialling_that_is_given_up_leaves_nothing(listen):
    port, came = await listen()
    dialling = asyncio.ensure_future(connect("127.0.0.1", port, INFO_HASH, encryption="prefer"))
    raw = await came.get()
    dialling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await dialling
    with contextlib.suppress(ConnectionResetError):
        await raw.reader.read()
    raw.close()


@pytest.fixture
def held_up(monkeypatch):
    """The steps that wait for their turn, which does not come."""
    steps = []
    monkeypatch.setattr(connection, "wait_for_turn", steps.append)
    return steps


async def test_a_turn_that_comes_after_the_connection_is_gone(listen, held_up):
    port, came = await listen()
    dialling = asyncio.ensure_future(connect("127.0.0.1", port, INFO_HASH, encryption="require"))
    raw = await came.get()
    raw.say(bytes(96))
    await until(lambda: held_up)
    dialling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await dialling
    held_up[0]()
    await turns(3)
    held_up[0]()
    with contextlib.suppress(ConnectionResetError):
        await raw.reader.read()
    assert len(held_up) == 1


async def test_who_waits_for_a_turn_is_read_little_of(listen, held_up):
    port, came = await listen()
    dialling = asyncio.ensure_future(connect("127.0.0.1", port, INFO_HASH, encryption="require"))
    raw = await came.get()
    raw.say(b"\5" * 1_000_000)
    await until(lambda: held_up)
    await turns(20)
    waiting = held_up[0].__self__
    assert 0 < len(waiting._waiting) <= 4096
    assert len(held_up) == 1
    held_up[0]()
    with pytest.raises(EncryptionError, match="within 512 bytes"):
        await dialling
    assert not waiting._waiting
    raw.close()


async def test_what_is_read_while_it_waits_waits_behind_it(held_up):
    """As where a proactor has read more than it was given room for."""
    responder = Peer(
        EncryptedWire(Wire("responder", None), Encryption.REQUIRE, torrents=SkeyTable([INFO_HASH]))
    )._connection
    initiator = Initiator(INFO_HASH, CryptoMethod.RC4, greeting().encode())
    sent = []
    transport = mock.Mock(is_closing=lambda: False, write=lambda data: sent.append(bytes(data)))
    transport.get_extra_info.return_value = None
    responder.connection_made(transport)

    def feed(data):
        room = responder.get_buffer(-1)
        room[: len(data)] = data
        responder.buffer_updated(len(data))

    first = initiator.data_to_send()
    feed(first[:60])
    feed(first[60:])
    assert len(held_up) == 1
    held_up.pop()()
    initiator.receive_data(b"".join(sent))
    feed(initiator.data_to_send())
    held_up.pop()()
    assert responder.wire.peer_handshake.info_hash == INFO_HASH
    responder.connection_lost(None)


async def test_a_policy_that_is_none():
    with pytest.raises(ValueError, match="maybe"):
        connect("127.0.0.1", 1, INFO_HASH, encryption="maybe")
