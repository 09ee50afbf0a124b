"""One wire on one transport: timers, pressure in both directions, and how a connection ends."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading

import pytest

from peerwire import (
    ConnectionClosed,
    Have,
    KeepAlive,
    Limits,
    Peer,
    PeerTimeout,
    Piece,
    Reject,
    Request,
    Role,
    Unchoke,
    Wire,
    connect,
    serve,
)
from peerwire.asyncio.connection import CLOSE_TIMEOUT
from peerwire.encryption import EncryptedWire, Encryption

from .raw import INFO_HASH, greeting, turns, until


def plain(wire):
    return EncryptedWire(wire, Encryption.OFF)


BLOCK = bytes(16384)
LIMITS = Limits(
    write_buffer=128 * 1024, max_write_buffer=256 * 1024, max_peer_requests=100, idle_timeout=1000
)


def waiting_to_be_sent(peer):
    """Returns the bytes that our transport holds for a peer that does not read."""
    return peer._connection._transport.get_write_buffer_size()


async def unreading(meet):
    """Returns us and a raw peer that reads nothing, with little room in the system between."""
    peer, raw = await meet(small=True, limits=LIMITS)
    sock = peer._connection._transport.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16 * 1024)
    raw.writer.transport.pause_reading()
    return peer, raw


async def stuffed(meet):
    """Returns us and a raw peer that reads nothing, and for which we have more than it takes."""
    peer, raw = await unreading(meet)
    peer.unchoke()
    reader = aiter(peer)
    index = 0
    while peer._connection.writable:
        raw.say(Request(index, 0, len(BLOCK)))
        request = await anext(reader)
        peer.respond(request, BLOCK)
        await turns(1)
        index += 1
    return peer, raw


class TestKeepAlive:
    async def test_sent_when_there_is_nothing_else_to_say(self, meet, clock):
        peer, raw = await meet()
        await clock.advance(30)
        for _ in range(3):
            assert await raw.hear() == KeepAlive()
            raw.say(KeepAlive())
            assert await anext(aiter(peer)) == KeepAlive()
            await clock.advance(30)
            await clock.advance(30)

    async def test_not_when_there_is(self, meet, clock):
        peer, raw = await meet()
        peer.have(0)
        await clock.advance(30)
        peer.have(1)
        await clock.advance(30)
        assert [await raw.hear(), await raw.hear()] == [Have(0), Have(1)]
        await clock.advance(30)
        assert await raw.hear() == KeepAlive()

    async def test_off_and_on_again(self, meet, clock):
        peer, raw = await meet()
        assert peer.keep_alive
        peer.keep_alive = False
        await clock.advance(90)
        peer.have(7)
        assert await raw.hear() == Have(7)
        peer.keep_alive = True
        assert peer.keep_alive
        for _ in range(2):
            raw.say(Have(1))
            await turns()
            await clock.advance(30)
        assert await raw.hear() == KeepAlive()


class TestPressure:
    """Whoever is slow is waited for, and costs a bounded amount of memory meanwhile."""

    async def test_drain_waits_for_a_peer_that_does_not_read(self, meet):
        peer, raw = await stuffed(meet)
        draining = [asyncio.create_task(peer.drain()) for _ in range(3)]
        await turns()
        assert not any(task.done() for task in draining)
        draining[0].cancel()
        await turns()
        assert draining[0].cancelled()
        assert LIMITS.write_buffer < waiting_to_be_sent(peer)
        assert waiting_to_be_sent(peer) <= LIMITS.write_buffer + 2 * len(BLOCK)
        raw.writer.transport.resume_reading()
        assert await raw.hear() == Unchoke()
        while not draining[1].done():
            assert type(await raw.hear()) is Piece
        await draining[2]
        await peer.drain()

    async def test_awaiting_an_answer_waits_as_well(self, meet):
        peer, raw = await stuffed(meet)
        raw.say(Request(5000, 0, len(BLOCK)))
        async for request in peer:
            answering = asyncio.ensure_future(peer.respond(request, BLOCK))
            break
        await turns()
        assert not answering.done()
        raw.writer.transport.resume_reading()
        assert await raw.hear() == Unchoke()
        while not answering.done():
            assert type(await raw.hear()) is Piece

    async def test_many_answers_are_sent_before_the_task_gives_way(self, meet):
        peer, raw = await unreading(meet)
        peer.unchoke()
        raw.say(*(Request(index, 0, len(BLOCK)) for index in range(90)))
        await until(lambda: len(peer.peer_requests) == 90)
        for request in list(peer.peer_requests):
            peer.respond(request, BLOCK)  # never awaited
            if not peer._connection.writable:
                break
        assert len(peer.peer_requests) > 0, "the transport told of its pressure at once"
        raw.writer.transport.resume_reading()
        await raw.hear()

    async def test_a_flood_of_requests_to_reject_stops_being_read(self, meet):
        peer, raw = await unreading(meet)
        flood = Request(0, 0, 100).encode() * 10_000
        for _ in range(20):
            raw.say(flood)
            await turns(20)
        read = peer.wire.messages_received["request"]
        assert read < 100_000
        assert waiting_to_be_sent(peer) > LIMITS.max_write_buffer
        assert waiting_to_be_sent(peer) < LIMITS.max_write_buffer + 512 * 1024, "one more read"
        await turns(1000)
        assert peer.wire.messages_received["request"] == read
        raw.writer.transport.resume_reading()
        await raw.reader.readexactly(200_000 * len(Reject(0, 0, 100).encode()))
        assert peer.wire.messages_received["request"] == 200_000

    async def test_a_peer_that_never_reads_is_not_waited_for_for_ever(self, meet, clock):
        peer, raw = await stuffed(meet)
        draining = asyncio.create_task(peer.drain())
        for _ in range(2):
            await clock.advance(59)
            raw.say(KeepAlive())
            await until(lambda: not raw.writer.transport.get_write_buffer_size())
            await turns()
        assert not draining.done()
        await clock.advance(2)
        with pytest.raises(ConnectionClosed, match=r"took \d+ bytes in 120 s") as caught:
            await draining
        assert isinstance(caught.value.__cause__, PeerTimeout)
        assert caught.value.__cause__.rule == "Limits.send_timeout"
        await peer.wait_closed()

    async def test_a_peer_that_reads_slowly_is_waited_for(self, meet, clock):
        peer, raw = await stuffed(meet)
        draining = asyncio.create_task(peer.drain())
        await turns()
        enough = waiting_to_be_sent(peer) - LIMITS.max_request
        raw.writer.transport.resume_reading()
        await until(lambda: waiting_to_be_sent(peer) <= enough)
        raw.writer.transport.pause_reading()
        assert not draining.done(), "it took so little that there is no room yet"
        await clock.advance(120)
        assert not draining.done()
        await clock.advance(120)
        with pytest.raises(ConnectionClosed, match="took 0 bytes in 120 s"):
            await draining
        await peer.wait_closed()

    async def test_keep_alives_to_a_peer_that_does_not_read_are_still_sent(self, meet, clock):
        peer, raw = await stuffed(meet)
        before = waiting_to_be_sent(peer)
        for _ in range(3):
            await clock.advance(30)
            raw.say(KeepAlive())
            await until(lambda: not raw.writer.transport.get_write_buffer_size())
            await turns()
        assert waiting_to_be_sent(peer) > before
        assert peer.closed is None

    @pytest.mark.parametrize(
        "end",
        [
            lambda _peer, raw: raw.reset(),
            lambda _peer, raw: raw.writer.write_eof(),
            lambda _peer, raw: raw.say(b"\xff\xff\xff\xff"),
            lambda peer, _raw: peer.wire.close("enough") or peer.send_soon(),
        ],
        ids=["reset", "ended its direction only", "broke a rule", "closed by us"],
    )
    async def test_the_end_of_the_connection_ends_the_wait(self, meet, clock, end):
        peer, raw = await stuffed(meet)
        peer.send_soon = peer._connection.settle_soon
        draining = asyncio.create_task(peer.drain())
        await turns()
        assert not draining.done()
        end(peer, raw)
        with pytest.raises(ConnectionClosed):
            await draining
        await turns()
        await clock.advance(CLOSE_TIMEOUT)  # for what was still to be sent
        await peer.wait_closed()

    async def test_nobody_waits_for_what_is_said_last(self, meet, clock):
        peer, _ = await unreading(meet)
        for index in range(100_000):
            peer.have(index)
        peer.wire.close("enough")
        with pytest.raises(ConnectionClosed, match="enough"):
            await peer.drain()
        assert waiting_to_be_sent(peer) > LIMITS.write_buffer
        await clock.advance(CLOSE_TIMEOUT)


class TestTheEnd:
    async def test_what_was_said_arrives(self, meet):
        peer, raw = await meet()
        for index in range(5):
            peer.have(index)
        closing = asyncio.create_task(peer.close())
        said = b"".join(Have(index).encode() for index in range(5))
        assert await raw.hear_end() == said
        raw.close()
        await closing

    async def test_what_was_said_arrives_though_the_peer_talks_on(self, meet):
        peer, raw = await meet()
        peer.unchoke()
        for index in range(64):
            raw.say(Request(index, 0, len(BLOCK)))
        requests = aiter(peer)
        for _ in range(64):
            peer.respond(await anext(requests), BLOCK)
        raw.say(*(Have(index) for index in range(50_000)))  # nobody will ever read it
        closing = asyncio.create_task(peer.close())
        assert await raw.hear() == Unchoke()
        for index in range(64):
            assert await raw.hear() == Piece(index, 0, BLOCK)
            raw.say(Have(index))
        assert await raw.hear_end() == b""
        raw.close()
        await closing
        assert peer.closed.by == "us"

    async def test_a_peer_that_does_not_read_is_cut_off(self, meet, clock):
        peer, _raw = await stuffed(meet)
        closing = asyncio.create_task(peer.close())
        await turns()
        await clock.advance(CLOSE_TIMEOUT - 0.1)
        assert not closing.done()
        await clock.advance(0.1)
        await closing
        assert peer._connection._transport is None

    async def test_a_peer_that_does_not_close_is_cut_off(self, meet, clock):
        peer, raw = await meet()
        closing = asyncio.create_task(peer.close())
        assert await raw.hear_end() == b""
        await clock.advance(CLOSE_TIMEOUT)
        await closing

    async def test_it_is_cut_off_though_nobody_waits_for_it(self, meet, clock):
        peer, raw = await meet()
        closing = asyncio.create_task(peer.close())
        await raw.hear_end()
        closing.cancel()
        await turns()
        assert closing.cancelled()
        assert peer._connection._transport is not None
        await clock.advance(CLOSE_TIMEOUT)
        await peer.wait_closed()

    async def test_what_was_held_back_does_not_hide_the_end_of_the_peer(self, meet):
        peer, raw = await meet(limits=Limits(max_unread_messages=5))
        reader = aiter(peer)
        raw.say(*(Have(index) for index in range(100_000)))
        raw.writer.write_eof()
        await until(lambda: "have" in peer.wire.messages_received)
        await turns(1000)
        await peer.close()
        assert peer.closed.by == "us"
        assert await anext(reader) == Have(0)

    async def test_a_peer_that_ended_its_direction_is_sent_what_is_left(self, meet):
        peer, raw = await meet()
        peer.have(3)
        raw.writer.write_eof()
        assert await raw.hear_end() == Have(3).encode()
        await peer.wait_closed()
        assert peer.closed.by == "peer"

    async def test_a_peer_that_broke_a_rule_is_cut_off_at_once(self, meet):
        peer, raw = await stuffed(meet)
        raw.say(b"\xff\xff\xff\xff")
        await peer.wait_closed()
        raw.writer.transport.resume_reading()
        with contextlib.suppress(ConnectionResetError):
            await raw.hear_end()

    async def test_a_reset_that_the_event_loop_has_not_seen_yet(self):
        loop = asyncio.get_running_loop()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.setblocking(False)
            dialling = asyncio.ensure_future(connect(*listener.getsockname(), INFO_HASH))
            sock, _ = await loop.sock_accept(listener)
        sock.sendall(greeting().encode())
        peer = await dialling
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
        await peer.close()
        assert peer.closed.by == "us"

    async def test_closing_twice(self, meet):
        peer, raw = await meet()
        closings = [asyncio.create_task(peer.close(reason)) for reason in ("first", "second")]
        await raw.hear_end()
        raw.close()
        await asyncio.gather(*closings)
        await peer.close("third")
        assert peer.closed.reason == "first"

    async def test_no_network_below(self):
        ours, theirs = socket.socketpair()
        peer = Peer(plain(Wire(Role.INITIATOR, INFO_HASH, now=asyncio.get_running_loop().time())))
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: peer._connection, sock=ours)
        assert peer.address == ("", 0)
        with theirs:
            theirs.sendall(greeting().encode() + Have(1).encode())
            await peer.wait_until(lambda: 1 in peer.peer_pieces)
        await peer.wait_closed()

    async def test_a_connection_that_never_was_can_be_closed(self):
        peer = Peer(plain(Wire(Role.INITIATOR, INFO_HASH, now=asyncio.get_running_loop().time())))
        await peer.close()
        peer._connection.abort()
        assert peer.closed.by == "us"


async def exchange() -> list[bytes]:
    """Two peers move some blocks, one message in many segments and many in one among them."""

    async def handler(peer):
        peer.unchoke()
        async for message in peer:
            if isinstance(message, Request):
                await peer.respond(message, message.index.to_bytes(4) * 4096)

    async with (
        serve(handler, "127.0.0.1", 0, torrents={INFO_HASH: 200}) as server,
        connect("127.0.0.1", server.port, INFO_HASH, num_pieces=200) as peer,
    ):
        await peer.ready()
        return await asyncio.gather(*(peer.request(index, 0, 16384) for index in range(200)))


EXCHANGED = [index.to_bytes(4) * 4096 for index in range(200)]


class TestEventLoops:
    async def test_the_connections_of_one_share_a_buffer(self, link):
        left, right = await link()
        buffer = left._connection.get_buffer(-1)
        assert right._connection.get_buffer(-1) is buffer

    def test_those_of_two_threads_do_not(self):
        results, buffers = [], []
        together = threading.Barrier(2, timeout=30)

        async def main():
            wire = Wire(Role.INITIATOR, INFO_HASH)
            buffers.append(Peer(plain(wire))._connection.get_buffer(-1))
            together.wait()
            results.extend([await exchange() for _ in range(3)])

        threads = [threading.Thread(target=asyncio.run, args=[main()]) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=30)
        assert results == [EXCHANGED] * 6
        assert buffers[0].obj is not buffers[1].obj

    def test_uvloop(self):
        uvloop = pytest.importorskip("uvloop", reason="uvloop is not installed")
        assert uvloop.run(exchange()) == EXCHANGED


async def test_the_end_is_traced_at_its_time(meet, clock):
    seen = []
    peer, _raw = await meet(trace=lambda mark, what, now: seen.append((str(what), now)))
    await clock.advance(7)
    at = clock.now
    closing = asyncio.create_task(peer.close("enough"))
    await turns()
    assert ("connection closed by us: enough", at) in seen
    await clock.advance(CLOSE_TIMEOUT)
    await closing
