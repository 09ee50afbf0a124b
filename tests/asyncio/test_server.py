"""Accepting peers: which torrents, how many, what becomes of their handlers, and the end."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import logging
import os
import socket
import weakref

import pytest

from peerwire import (
    ConnectionClosed,
    Have,
    Interested,
    LocalProtocolError,
    Piece,
    Request,
    Server,
    connect,
    serve,
)
from peerwire.asyncio.connection import CLOSE_TIMEOUT
from peerwire.asyncio.server import WARN_EVERY
from peerwire.limits import DEFAULT_LIMITS
from peerwire.mse import CryptoMethod, Initiator

from .raw import INFO_HASH, RAW_ID, greeting, turns, until

OTHER_HASH = bytes(range(100, 120))
OTHER_ID = b"-RW0002-abcdefghijkl"


async def idle(peer):
    """A handler that lets its peer do as it likes."""
    await peer.wait_closed()


async def test_many_torrents_on_one_port(serving):
    server, came = await serving(torrents={INFO_HASH: 10, OTHER_HASH: None})
    async with (
        connect("127.0.0.1", server.port, INFO_HASH),
        connect("127.0.0.1", server.port, OTHER_HASH),
    ):
        here = {peer.info_hash: peer for peer in (await came.get(), await came.get())}
        assert here[INFO_HASH].num_pieces == 10
        assert here[OTHER_HASH].num_pieces is None
        assert server.peers == set(here.values())


async def test_any_torrent(serving):
    server, came = await serving(torrents=None)
    async with connect("127.0.0.1", server.port, OTHER_HASH):
        peer = await came.get()
        assert peer.info_hash == OTHER_HASH
        assert peer.num_pieces is None


async def test_torrents_come_and_go(serving):
    torrents = {INFO_HASH: 1}
    server, came = await serving(torrents=torrents)
    torrents[OTHER_HASH] = 2
    async with connect("127.0.0.1", server.port, OTHER_HASH):
        assert (await came.get()).num_pieces == 2
    del torrents[OTHER_HASH]
    with pytest.raises(ConnectionClosed):
        await connect("127.0.0.1", server.port, OTHER_HASH)


async def test_a_torrent_that_is_not_served_gets_no_answer(serving, dial, caplog):
    caplog.set_level(logging.INFO, "peerwire.server")
    server, came = await serving()
    raw = await dial(server, greeting(OTHER_HASH))
    assert await raw.hear_end() == b""
    assert came.empty()
    assert f"asked for {OTHER_HASH.hex()}, which is not served" in caplog.text
    with pytest.raises(ConnectionClosed) as caught:
        await connect("127.0.0.1", server.port, OTHER_HASH)
    assert caught.value.by == "peer"


async def test_http_gets_no_answer(serving, dial):
    server, came = await serving()
    raw = await dial(server, b"GET /announce HTTP/1.1\r\n\r\n")
    assert await raw.hear_end() == b""
    assert came.empty()


async def test_ourselves(serving, dial):
    server, came = await serving(peer_id=RAW_ID)
    raw = await dial(server, greeting(peer_id=RAW_ID))
    assert await raw.hear_end() == b""
    assert came.empty()


async def test_silence_and_trickle_are_ended_by_the_same_deadline(serving, dial, clock):
    server, came = await serving()
    silent = await dial(server)
    trickling = await dial(server)
    for byte in greeting().encode()[:9]:
        trickling.say(bytes([byte]))
        await turns()
        await clock.advance(1)
    assert not silent.reader.at_eof()
    await clock.advance(1)
    assert await silent.hear_end() == b""
    assert await trickling.hear_end() == b""
    assert came.empty()


async def test_messages_in_the_segment_of_the_handshake(stack, dial):
    heard = asyncio.Queue()

    async def handler(peer):
        async for message in peer:
            heard.put_nowait(message)

    server = await stack.enter_async_context(serve(handler, "127.0.0.1", 0))
    raw = await dial(server, greeting(), Have(1), Interested())
    assert await heard.get() == Have(1)
    assert await heard.get() == Interested()
    assert (await raw.hear_handshake()).info_hash == INFO_HASH


async def test_a_rule_broken_in_the_segment_of_the_handshake(serving, dial, caplog):
    caplog.set_level(logging.INFO, "peerwire.server")
    server, came = await serving()
    raw = await dial(server, greeting(), Have(1000))
    await raw.hear_end()
    assert came.empty()
    assert "have 1000 in a torrent of 1000 pieces" in caplog.text


async def test_a_rule_broken_in_what_a_handshake_is_wrapped_in(serving, dial):
    server, came = await serving(torrents={INFO_HASH: 1, OTHER_HASH: 1}, encryption="prefer")
    raw = await dial(server)
    crooked = Initiator(INFO_HASH, CryptoMethod.RC4, greeting(OTHER_HASH).encode())
    raw.say(crooked.data_to_send())
    crooked.receive_data(await raw.reader.readexactly(96))
    raw.say(crooked.data_to_send())
    with contextlib.suppress(ConnectionResetError):
        await raw.hear_end()
    assert came.empty()


async def test_no_more_than_max_peers_and_then_again(serving, dial, clock, caplog):
    server, came = await serving(max_peers=2)
    first, second = await dial(server, greeting()), await dial(server, greeting(peer_id=OTHER_ID))
    await came.get(), await came.get()
    for _ in range(3):
        with pytest.raises(ConnectionClosed):
            await connect("127.0.0.1", server.port, INFO_HASH)
    (refused,) = caplog.messages  # there may be thousands of them
    assert refused.startswith("refused a peer: 2 are connected, the most that max_peers and")
    await clock.advance(WARN_EVERY)
    with pytest.raises(ConnectionClosed):
        await connect("127.0.0.1", server.port, INFO_HASH)
    assert len(caplog.messages) == 2
    first.close()
    await until(lambda: len(server.peers) == 1)
    await turns()
    async with connect("127.0.0.1", server.port, INFO_HASH) as peer:
        assert peer.closed is None
        assert (await came.get()).peer_id not in (RAW_ID, OTHER_ID)
    assert not second.reader.at_eof()


@pytest.mark.parametrize("said", [b"", b"\x13BitTorr", bytes(50)])
async def test_who_says_little_gives_way_to_others(serving, dial, said):
    """Or a few thousand connections that say nothing would keep everybody out."""
    server, came = await serving(max_peers=3, encryption="prefer")
    talking = await dial(server, greeting())
    await came.get()
    oldest, other = await dial(server, said), await dial(server, said)
    await turns()
    async with connect("127.0.0.1", server.port, INFO_HASH) as peer:
        await came.get()
        await until(oldest.reader.at_eof)
        assert not other.reader.at_eof()
        assert not talking.reader.at_eof()
        assert peer.closed is None


async def test_a_crowd_that_says_nothing(serving, dial, clock, stack, caplog):
    """1,000 at a server that holds 200; then the others, too, are closed on time."""
    server, came = await serving(max_peers=200)
    friend = await stack.enter_async_context(connect("127.0.0.1", server.port, INFO_HASH))
    theirs = await came.get()
    silent = [await dial(server) for _ in range(1000)]
    await turns()
    async with connect("127.0.0.1", server.port, INFO_HASH):
        await came.get()
        friend.have(7)
        await theirs.wait_until(lambda: 7 in theirs.peer_pieces)
    await until(lambda: [raw.reader.at_eof() for raw in silent] == [True] * 802 + [False] * 198)
    await clock.advance(DEFAULT_LIMITS.handshake_timeout)
    assert await asyncio.gather(*(raw.hear_end() for raw in silent)) == [b""] * 1000
    assert server.peers == {theirs}
    async with connect("127.0.0.1", server.port, INFO_HASH):
        await came.get()
    assert not caplog.messages


async def test_who_is_told_to_give_way_before_it_has_begun(serving, dial):
    server, came = await serving(max_peers=1)
    crowd = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(20)]
    for sock in crowd:
        sock.sendall(greeting().encode())
    peer = await came.get()  # one of them, and only one
    await turns()
    assert server.peers == {peer}
    for sock in crowd:
        sock.close()
    await peer.wait_closed()
    assert came.empty()


async def test_room_is_left_for_files(serving, dial, monkeypatch):
    """Whatever max_peers says: content could not be opened, nor the next peer be refused."""
    monkeypatch.setattr(os, "sysconf", {"SC_OPEN_MAX": 3}.__getitem__)
    server, came = await serving()
    for number in range(3):
        await dial(server, greeting(peer_id=b"%020d" % number))
    await came.get(), await came.get()
    await turns()
    assert len(server.peers) == 2


async def test_a_peer_that_leaves_before_it_is_taken_in(serving, monkeypatch, caplog):
    """macOS tells it on the way: options of a socket that was reset can't be set."""
    caplog.set_level(logging.INFO, "peerwire.server")
    server, came = await serving(max_peers=1)
    loop = asyncio.get_running_loop()

    async def fail(factory, sock):
        factory()
        raise OSError(errno.EINVAL, "Invalid argument")

    with monkeypatch.context() as patch:
        patch.setattr(loop, "connect_accepted_socket", fail)
        with pytest.raises(ConnectionClosed):
            await connect("127.0.0.1", server.port, INFO_HASH)
    assert "a peer left before it was taken in: [Errno 22] Invalid argument" in caplog.messages
    async with connect("127.0.0.1", server.port, INFO_HASH):
        await came.get()


async def test_a_socket_that_is_lost(serving, caplog):
    server, came = await serving()
    serving_on = asyncio.create_task(server.serve_forever())
    async with connect("127.0.0.1", server.port, INFO_HASH) as peer:
        theirs = await came.get()
        server.sockets[0].shutdown(socket.SHUT_RDWR)
        with pytest.raises(OSError, match="Invalid argument"):
            await serving_on
        with pytest.raises(OSError, match="Invalid argument"):
            await server.serve_forever()
        assert caplog.messages == ["no peer can connect any more: [Errno 22] Invalid argument"]
        peer.have(3)
        await theirs.wait_until(lambda: 3 in theirs.peer_pieces)
    await server.close()
    await server.serve_forever()


async def test_a_handler_that_returns_closes_its_peer(stack, dial):
    async def handler(peer):
        peer.have(5)

    server = await stack.enter_async_context(serve(handler, "127.0.0.1", 0))
    raw = await dial(server, greeting())
    await raw.hear_handshake()
    assert await raw.hear_end() == Have(5).encode()


@pytest.mark.parametrize("mistake", [ValueError("mine"), LocalProtocolError("mine", rule="x")])
async def test_a_handler_that_fails_ends_only_its_peer(stack, caplog, mistake):
    async def handler(peer):
        async for message in peer:
            if message == Have(13):
                raise mistake

    server = await stack.enter_async_context(serve(handler, "127.0.0.1", 0))
    async with (
        connect("127.0.0.1", server.port, INFO_HASH) as good,
        connect("127.0.0.1", server.port, INFO_HASH) as bad,
    ):
        bad.have(13)
        await bad.wait_closed()
        (record,) = caplog.records
        assert record.levelno == logging.ERROR
        assert record.exc_info[1] is mistake
        assert "the handler of <Peer 127.0.0.1:" in record.getMessage()
        good.have(1)
        await good.drain()
        assert good.closed is None


async def test_what_a_peer_did_wrong_is_no_failure_of_the_handler(stack, dial, caplog):
    caplog.set_level(logging.INFO, "peerwire.server")

    async def handler(peer):
        async for _ in peer:
            pass

    server = await stack.enter_async_context(serve(handler, "127.0.0.1", 0))
    raw = await dial(server, greeting())
    await raw.hear_handshake()
    raw.say(b"\0\0\0\2\0\0")
    await raw.hear_end()
    await turns()
    (record,) = caplog.records
    assert record.levelno == logging.INFO
    assert record.exc_info is None
    assert f"<Peer 127.0.0.1:{raw.writer.get_extra_info('sockname')[1]} " in record.getMessage()
    assert "message id 0" in record.getMessage()


async def test_close_ends_iterations_and_waits_for_what_handlers_do_after(stack):
    ended = []

    async def handler(peer):
        async for _ in peer:
            pass
        await turns(3)
        ended.append(peer)

    server = await serve(handler, "127.0.0.1", 0)
    peers = [
        await stack.enter_async_context(connect("127.0.0.1", server.port, INFO_HASH))
        for _ in range(3)
    ]
    await server.close()
    assert len(ended) == 3
    assert {peer.closed.reason for peer in ended} == {"the server is closing"}
    assert server.peers == set()
    assert server.sockets == ()
    for peer in peers:
        await peer.wait_closed()
    with pytest.raises(ConnectionClosed):
        await connect("127.0.0.1", peers[0].address[1], INFO_HASH)


async def test_close_cancels_handlers_that_hang(clock, stack):
    cancelled = asyncio.Event()

    async def handler(peer):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    server = await serve(handler, "127.0.0.1", 0)
    peer = await stack.enter_async_context(connect("127.0.0.1", server.port, INFO_HASH))
    closing = asyncio.create_task(server.close())
    await peer.wait_closed()
    await turns()
    assert not closing.done()
    await clock.advance(CLOSE_TIMEOUT)
    await closing
    assert cancelled.is_set()


async def test_close_ends_those_in_their_handshake(dial):
    server = await serve(idle, "127.0.0.1", 0)
    raw = await dial(server, greeting().encode()[:30])
    await turns()
    await server.close()  # at once, although it does not close its side
    assert await raw.hear_end() == b""


async def test_close_does_not_wait_for_peers_that_never_close(clock, dial, serving):
    server, came = await serving()
    raw = await dial(server, greeting())
    await came.get()
    await raw.hear_handshake()
    closing = asyncio.create_task(server.close())
    assert await raw.hear_end() == b""
    raw.say(Have(1), Have(2))  # it talks on, to nobody
    await turns()
    assert not closing.done()
    await clock.advance(CLOSE_TIMEOUT)
    await closing


async def test_a_handler_may_close_the_server(stack):
    async def handler(peer):
        await server.close()
        await server.close()
        closed.set()

    closed = asyncio.Event()
    server = await serve(handler, "127.0.0.1", 0)
    peer = await stack.enter_async_context(connect("127.0.0.1", server.port, INFO_HASH))
    await server.serve_forever()
    await closed.wait()
    await peer.wait_closed()


async def test_closing_twice_waits_for_the_same_end(stack):
    going_on = asyncio.Event()

    async def handler(peer):
        await going_on.wait()

    server = await serve(handler, "127.0.0.1", 0)
    peer = await stack.enter_async_context(connect("127.0.0.1", server.port, INFO_HASH))
    closings = [asyncio.create_task(server.close()) for _ in range(2)]
    await peer.wait_closed()
    await turns()
    assert not any(closing.done() for closing in closings)
    going_on.set()
    await asyncio.gather(*closings)
    await server.close()


async def test_a_close_that_is_cancelled_still_ends_serve_forever(dial):
    server = await serve(idle, "127.0.0.1", 0)
    raw = await dial(server, greeting())
    await raw.hear_handshake()
    closing = asyncio.create_task(server.close())
    await raw.hear_end()
    closing.cancel()
    await server.serve_forever()
    with pytest.raises(asyncio.CancelledError):
        await closing
    raw.close()
    await until(lambda: not server.peers)


async def test_serve_forever_ends_with_the_server(serving):
    server, _ = await serving()
    serving_on = [asyncio.create_task(server.serve_forever()) for _ in range(2)]
    await turns()
    serving_on[0].cancel()
    await turns()
    assert serving_on[0].cancelled()
    assert not serving_on[1].done()
    async with connect("127.0.0.1", server.port, INFO_HASH) as peer:
        assert peer.closed is None
    await server.close()
    await serving_on[1]


async def test_an_address_that_is_taken(serving):
    server, _ = await serving()
    with pytest.raises(OSError, match="address already in use"):
        await serve(idle, "127.0.0.1", server.port)


async def test_300_clients_at_once(stack):
    async def handler(peer):
        peer.unchoke()
        async for message in peer:
            if isinstance(message, Request):
                await peer.respond(message, message.index.to_bytes(4) * 256)

    server = await stack.enter_async_context(
        serve(handler, "127.0.0.1", 0, torrents={INFO_HASH: 300})
    )

    async def client(number):
        async with connect("127.0.0.1", server.port, INFO_HASH) as peer:
            await peer.ready()
            await everybody.wait()
            return await peer.request(number, 0, 1024)

    everybody = asyncio.Barrier(300)
    blocks = await asyncio.gather(*(client(number) for number in range(300)))
    assert blocks == [number.to_bytes(4) * 256 for number in range(300)]
    await until(lambda: not server.peers)


@pytest.mark.parametrize("started", [False, True])
async def test_it_is_the_server_that_async_with_gives(started):
    serving = serve(idle, "127.0.0.1", 0)
    async with await serving if started else serving as server:
        assert isinstance(server, Server)
        assert len(server.peer_id) == 20
        assert server.sockets[0].getsockname() == ("127.0.0.1", server.port)
    assert server.sockets == ()


async def test_a_piece_nobody_asked_for_ends_the_peer(serving, dial):
    server, came = await serving()
    raw = await dial(server, greeting())
    peer = await came.get()
    raw.say(Piece(0, 0, b"surprise"))
    await peer.wait_closed()
    assert peer.closed.by == "us"
    assert "not asked for" in peer.closed.reason


GREETING = greeting().encode()
BROKEN = b"\0\0\0\2\0\0"  # a choke with a payload


@pytest.mark.parametrize(
    "said",
    [
        [],
        [b"\x13Bit"],
        [GREETING],
        [GREETING, Have(1).encode() * 3],
        [GREETING + BROKEN],
        [GREETING, BROKEN],
        [greeting(OTHER_HASH).encode()],
        [b"GET / HTTP/1.1\r\n"],
    ],
    ids=lambda said: b" ".join(said).hex()[-8:] or "nothing",
)
@pytest.mark.parametrize("leaves", [True, False])
async def test_who_has_gone_takes_no_garbage_collector_to_be_gone(
    serving, dial, clock, said, leaves
):
    """With thousands that come and go, it would have work for a second at a time."""
    server, came = await serving()
    raw = await dial(server)
    await until(lambda: server._connected)
    (here,) = map(weakref.ref, server._connected)
    gc.disable()
    try:
        for words in said:
            raw.say(words)
            await turns()
        if leaves:
            raw.close()
        else:
            await clock.advance(1000)
        await until(lambda: not server._connected)
        while not came.empty():
            came.get_nowait()
        await turns()
        assert here() is None
    finally:
        gc.enable()


def tracing(lines):
    """What keeps lines."""
    return lambda mark, what, now: lines.append(f"{mark} {what}")


async def test_a_trace_of_all_peers(serving, dial):
    lines = []
    server, came = await serving(trace=tracing(lines))
    for peer_id in RAW_ID, OTHER_ID:
        await dial(server, greeting(peer_id=peer_id), Have(1))
        await came.get()
    await until(lambda: lines.count("< have 1") == 2)


async def test_a_trace_for_each_peer(serving, dial):
    lines = {}

    def trace_for(address):
        return tracing(lines.setdefault(address, []))

    server, came = await serving(trace_for=trace_for)
    for index, peer_id in enumerate((RAW_ID, OTHER_ID)):
        await dial(server, greeting(peer_id=peer_id), Have(index))
        address = (await came.get()).address
        await until(lambda index=index, kept=lines[address]: f"< have {index}" in kept)
    said = [[line for line in kept if "have" in line] for kept in lines.values()]
    assert said == [["< have 0"], ["< have 1"]]


async def test_no_trace_for_some(serving, dial):
    server, came = await serving(trace_for=lambda address: None)
    await dial(server, greeting())
    assert (await came.get()).wire.trace is None


async def test_a_trace_for_who_has_left_already(serving):
    addresses = []
    server, _ = await serving(trace_for=addresses.append)
    left = socket.socket()  # as one that was reset before it was accepted: it has no peer
    left.setblocking(False)
    server._take_in(left)
    await until(lambda: not server._connected)
    assert addresses == [("", 0)]


def test_one_kind_of_trace():
    with pytest.raises(ValueError, match="give one of them"):
        serve(idle, trace=tracing([]), trace_for=lambda address: None)
