"""Accepting peers: which torrents, how many, what becomes of their handlers, and the end."""

from __future__ import annotations

import asyncio
import logging

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

from .raw import INFO_HASH, RAW_ID, greeting, turns, until

OTHER_HASH = bytes(range(100, 120))


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


async def test_no_more_than_max_peers_and_then_again(serving, dial, caplog):
    server, came = await serving(max_peers=2)
    first = await dial(server, greeting())
    await dial(server)  # one that has not said a word counts, too
    await came.get()
    await turns()
    with pytest.raises(ConnectionClosed):
        await connect("127.0.0.1", server.port, INFO_HASH)
    assert "refused a peer: 2 are connected" in caplog.text
    first.close()
    await until(lambda: not server.peers)
    await turns()
    async with connect("127.0.0.1", server.port, INFO_HASH) as peer:
        assert peer.closed is None
        assert (await came.get()).peer_id != RAW_ID


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
    closing = asyncio.create_task(server.close())
    assert await raw.hear_end() == b""
    raw.close()
    await closing


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
