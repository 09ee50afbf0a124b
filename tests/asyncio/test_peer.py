"""A peer: its state, what it can be told, how it is answered, and its rates."""

from __future__ import annotations

import asyncio

import pytest

from peerwire import (
    AllowedFast,
    Bitfield,
    Cancel,
    Choke,
    ConnectionClosed,
    Have,
    HaveAll,
    HaveNone,
    Interested,
    KeepAlive,
    LocalProtocolError,
    NotInterested,
    Piece,
    PieceSet,
    Port,
    Reject,
    RemoteProtocolError,
    Request,
    Reserved,
    Suggest,
    Unchoke,
    connect,
)
from peerwire.extensions.base import Extension

from .raw import INFO_HASH, turns, until

BLOCK = bytes(range(256)) * 64


class TestState:
    async def test_flags_on_both_sides(self, link):
        left, right = await link()
        assert (left.am_choking, left.am_interested) == (True, False)
        assert (left.peer_choking, left.peer_interested) == (True, False)
        left.unchoke()
        left.interested()
        assert (left.am_choking, left.am_interested) == (False, True)
        await right.wait_until(lambda: right.peer_interested)
        assert not right.peer_choking
        left.choke()
        left.not_interested()
        assert (left.am_choking, left.am_interested) == (True, False)
        await right.wait_until(lambda: not right.peer_interested)
        assert right.peer_choking

    async def test_a_snapshot_tells_all_of_it(self, link):
        left, right = await link()
        right.unchoke()
        left.interested()
        await until(lambda: right.peer_interested and not left.peer_choking)
        stats = left.stats()
        assert stats.am_interested
        assert not stats.peer_choking
        assert stats.messages_sent["interested"] == 1
        assert stats.messages_received["unchoke"] == 1
        assert (stats.upload_rate, stats.download_rate) == (left.upload_rate, left.download_rate)

    async def test_flags_are_reset_at_the_end(self, link):
        left, right = await link()
        for peer in (left, right):
            peer.unchoke()
            peer.interested()
        await left.wait_until(lambda: left.peer_interested)
        await right.wait_until(lambda: right.peer_interested)
        await left.close()
        await right.wait_closed()
        for peer in (left, right):
            assert (peer.am_choking, peer.am_interested) == (True, False)
            assert (peer.peer_choking, peer.peer_interested) == (True, False)

    @pytest.mark.parametrize(
        ("say", "heard"),
        [
            (lambda peer: peer.unchoke(), Unchoke()),
            (lambda peer: (peer.interested(), peer.not_interested()), Interested()),
            (lambda peer: peer.have(3), Have(3)),
            (lambda peer: peer.bitfield(b"\x80\0"), Bitfield(b"\x80\0")),
            (lambda peer: peer.have_all(), HaveAll()),
            (lambda peer: peer.have_none(), HaveNone()),
            (lambda peer: peer.announce(PieceSet(9, [8])), Bitfield(b"\0\x80")),
            (lambda peer: peer.announce(PieceSet.full(9)), HaveAll()),
            (lambda peer: peer.suggest(4), Suggest(4)),
            (lambda peer: peer.allowed_fast(5), AllowedFast(5)),
            (lambda peer: peer.port(6881), Port(6881)),
            (lambda peer: peer.send_keep_alive(), KeepAlive()),
        ],
    )
    async def test_a_method_for_every_message(self, meet, say, heard):
        peer, raw = await meet(num_pieces=9)
        say(peer)
        assert await raw.hear() == heard

    async def test_choke_and_not_interested(self, meet):
        peer, raw = await meet()
        peer.unchoke()
        peer.interested()
        peer.choke()
        peer.not_interested()
        heard = [await raw.hear() for _ in range(4)]
        assert heard == [Unchoke(), Interested(), Choke(), NotInterested()]

    async def test_what_the_peer_says_is_remembered(self, meet):
        peer, _ = await meet(HaveAll(), AllowedFast(2), Suggest(1), num_pieces=9)
        await peer.wait_until(lambda: 2 in peer.peer_allowed_fast)
        assert peer.peer_pieces.complete

    async def test_the_piece_count_may_come_later(self, meet):
        peer, _raw = await meet(Bitfield(b"\xff\x80"))
        await peer.wait_until(lambda: 8 in peer.peer_pieces)
        assert peer.num_pieces is None
        peer.set_num_pieces(9)
        assert peer.num_pieces == 9
        assert peer.peer_pieces.complete

    async def test_a_piece_count_that_does_not_fit_ends_the_peer(self, meet):
        peer, raw = await meet(Bitfield(b"\xff\x80"))
        await peer.wait_until(lambda: 8 in peer.peer_pieces)
        with pytest.raises(RemoteProtocolError):
            peer.set_num_pieces(8)
        await peer.wait_closed()
        assert isinstance(peer.closed.__cause__, RemoteProtocolError)
        assert await raw.hear_end() == b""

    async def test_nothing_can_be_said_after_the_end(self, link):
        left, _ = await link()
        await left.close("that was it")
        with pytest.raises(ConnectionClosed, match="that was it"):
            left.have(1)
        with pytest.raises(ConnectionClosed, match="that was it"):
            await left.drain()

    async def test_a_peer_closes_at_the_end_of_its_block(self, serving):
        server, _ = await serving()
        async with await connect("127.0.0.1", server.port, INFO_HASH) as peer:
            assert peer.closed is None
        assert peer.closed.by == "us"


class TestWaiting:
    async def test_ready(self, link):
        left, right = await link()

        async def unchoke():
            await right.wait_until(lambda: right.peer_interested)
            right.unchoke()

        await asyncio.gather(left.ready(), unchoke())
        assert not left.peer_choking

    async def test_not_ready_in_time(self, meet, clock):
        peer, _ = await meet()
        waiting = asyncio.create_task(peer.ready(timeout=7))
        await turns()
        await clock.advance(6.9)
        assert not waiting.done()
        await clock.advance(0.1)
        with pytest.raises(TimeoutError):
            await waiting
        assert peer.closed is None

    async def test_never_ready(self, meet):
        peer, raw = await meet()
        waiting = asyncio.create_task(peer.ready())
        assert await raw.hear() == Interested()
        raw.close()
        with pytest.raises(ConnectionClosed, match="end of stream"):
            await waiting

    async def test_what_is_true_is_not_waited_for(self, meet):
        peer, _ = await meet()
        await peer.wait_until(lambda: True, timeout=0)

    async def test_many_wait_and_one_gives_up(self, meet):
        peer, raw = await meet()
        waiting = [
            asyncio.create_task(peer.wait_until(lambda n=n: n in peer.peer_pieces))
            for n in range(3)
        ]
        await turns()
        waiting[0].cancel()
        raw.say(Have(1))
        await waiting[1]
        assert waiting[0].cancelled()
        assert not waiting[2].done()
        raw.say(Have(2))
        await waiting[2]

    async def test_a_condition_that_raises_ends_the_wait_and_nothing_else(self, meet):
        peer, raw = await meet()
        other = asyncio.create_task(peer.wait_until(lambda: 5 in peer.peer_pieces))
        waiting = asyncio.create_task(peer.wait_until(lambda: 4 in peer.peer_pieces and 1 / 0 > 0))
        await turns()
        raw.say(Have(4))
        with pytest.raises(ZeroDivisionError):
            await waiting
        raw.say(Have(5))
        await other
        assert peer.closed is None


class TestAnswering:
    async def test_respond(self, meet):
        peer, raw = await meet()
        peer.unchoke()
        raw.say(Request(4, 0, len(BLOCK)))
        request = await anext(aiter(peer))
        assert request == Request(4, 0, len(BLOCK))
        assert list(peer.peer_requests) == [request]
        await peer.respond(request, memoryview(BLOCK))
        assert len(peer.peer_requests) == 0
        assert await raw.hear() == Unchoke()
        assert await raw.hear() == Piece(4, 0, BLOCK)
        assert peer.uploaded == len(BLOCK)

    async def test_not_to_a_request_that_was_taken_back(self, meet):
        peer, raw = await meet(fast=False)
        peer.unchoke()
        raw.say(Request(4, 0, 100), Cancel(4, 0, 100))
        reader = aiter(peer)
        request = await anext(reader)
        assert await anext(reader) == Cancel(4, 0, 100)
        await peer.respond(request, bytes(100))
        peer.have(1)
        assert [await raw.hear(), await raw.hear()] == [Unchoke(), Have(1)]
        assert peer.uploaded == 0

    async def test_not_with_another_length(self, meet):
        peer, raw = await meet()
        peer.unchoke()
        raw.say(Request(4, 0, 100))
        request = await anext(aiter(peer))
        with pytest.raises(LocalProtocolError, match="a block of 99 bytes for request 4:0"):
            peer.respond(request, bytes(99))
        assert list(peer.peer_requests) == [request]

    async def test_reject(self, meet):
        peer, raw = await meet()
        peer.unchoke()
        raw.say(Request(4, 0, 100))
        request = await anext(aiter(peer))
        assert peer.reject(request)
        assert not peer.reject(request)
        assert [await raw.hear(), await raw.hear()] == [Unchoke(), Reject(4, 0, 100)]

    async def test_the_block_of_the_caller_is_never_changed(self, link):
        left, right = await link()
        right.unchoke()
        await left.ready()
        answer = left.request(0, 0, len(BLOCK))
        request = await anext(m async for m in right if isinstance(m, Request))
        block = bytearray(BLOCK)
        await right.respond(request, block)
        assert await answer == BLOCK
        assert block == BLOCK


class Chat(Extension):
    """An extension that carries text."""

    name = "xx_chat"

    def receive(self, payload):
        return payload.decode()


class TestExtensions:
    """What `Peer` passes on; the extension protocol itself is the wire's."""

    @pytest.fixture
    async def chatting(self, link):
        options = {"reserved": Reserved.EXTENSION, "extensions": [Chat]}
        left, right = await link(left=options, right=options)
        await left.wait_until(lambda: left.extension(Chat).supported)
        return left, right

    async def test_what_an_extension_says_is_met_while_iterating(self, chatting):
        left, right = chatting
        left.extension(Chat).send(b"hello")
        assert await anext(m async for m in right if isinstance(m, str)) == "hello"

    async def test_one_that_was_not_given(self, meet):
        peer, _ = await meet()
        with pytest.raises(LocalProtocolError):
            peer.extension(Chat)

    async def test_the_handshake_tells_of_each_other(self, chatting):
        _left, right = chatting
        await right.wait_until(lambda: right.extended_handshake is not None)
        for peer in chatting:
            assert peer.extended_handshake.yourip == "127.0.0.1"
            assert peer.client == peer.extended_handshake.v

    async def test_it_is_sent_anew(self, chatting):
        left, right = chatting
        left.wire.extensions.ours.p = 6881
        left.send_extended_handshake()
        told = right.wire.extensions
        await right.wait_until(lambda: told.peer is not None and told.peer.p == 6881)

    async def test_switched_off_and_on_again(self, chatting):
        left, right = chatting
        for on in (False, True):
            right.switch_extension(Chat, on)
            await left.wait_until(lambda on=on: left.extension(Chat).supported is on)


class TestRates:
    async def test_bytes_a_second_over_the_last_five(self, link, clock):
        left, right = await link()
        right.unchoke()
        await left.ready()
        requests = (m async for m in right if isinstance(m, Request))
        for index in range(4):
            await clock.advance(1)
            answer = left.request(index, 0, 10_000)
            await right.respond(await anext(requests), bytes(10_000))
            await answer
        assert left.downloaded == right.uploaded == 40_000
        assert left.download_rate == pytest.approx(10_000)
        assert right.upload_rate == pytest.approx(10_000)
        assert left.upload_rate == right.download_rate == 0
        await clock.advance(5)
        assert left.download_rate == right.upload_rate == 0
        await requests.aclose()
