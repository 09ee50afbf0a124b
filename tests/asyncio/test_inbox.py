"""Iterating over a peer: order, end, and what becomes of messages that nobody reads."""

from __future__ import annotations

import asyncio

import pytest

from peerwire import (
    Bitfield,
    Choke,
    ConnectionClosed,
    Extended,
    Extension,
    Handshake,
    Have,
    Interested,
    Limits,
    Piece,
    RemoteProtocolError,
    Request,
    Reserved,
    Unchoke,
    Unknown,
    connect,
)
from peerwire.asyncio.inbox import Inbox

from .raw import INFO_HASH, turns, until

LIMITS = Limits(max_unread_messages=5, max_unread_bytes=1000)


@pytest.fixture
def inbox():
    return Inbox(LIMITS, lambda: None)


class TestInbox:
    """By itself: what waits in it, and for how long."""

    async def test_in_order(self, inbox):
        inbox.put(Have(1))
        inbox.put(Have(2))
        assert len(inbox) == 2
        reader = inbox.reader()
        assert [await anext(reader), await anext(reader)] == [Have(1), Have(2)]
        assert len(inbox) == 0

    async def test_without_a_reader_the_oldest_message_is_forgotten(self, inbox):
        for index in range(8):
            inbox.put(Have(index))
            assert not inbox.full
        assert [await inbox.get() for _ in range(5)] == [Have(n) for n in range(3, 8)]

    @pytest.mark.parametrize("make", [Bitfield, lambda bits: Unknown(99, bits)])
    async def test_without_a_reader_bytes_are_bounded_as_well(self, inbox, make):
        for index in range(5):
            inbox.put(Have(index))
        inbox.put(make(bytes(600)))
        inbox.put(make(bytes(600)))
        assert len(inbox) == 1
        inbox.put(make(bytes(1001)))
        assert len(inbox) == 0

    async def test_what_an_extension_made_weighs_what_it_was_told_to(self, inbox):
        inbox.weigh(100)  # of what was taken out already
        for text in ("a", "b", "c"):
            inbox.put(text)
            inbox.weigh(400)
        assert [await inbox.get() for _ in range(len(inbox))] == ["b", "c"]
        inbox.put("d")
        inbox.weigh(1000)
        assert len(inbox) == 1, "nothing is left of what was taken out"
        reader = inbox.reader()
        inbox.put("e")
        inbox.weigh(1)
        assert inbox.full
        assert await anext(reader) == "d"
        assert not inbox.full

    async def test_with_a_reader_nothing_is_forgotten_but_it_is_full(self, inbox):
        reader = inbox.reader()
        for index in range(5):
            inbox.put(Have(index))
        assert not inbox.full
        inbox.put(Have(5))
        assert inbox.full
        assert [await anext(reader) for _ in range(6)] == [Have(n) for n in range(6)]
        assert not inbox.full

    async def test_it_is_full_by_bytes_as_well(self, inbox):
        reader = inbox.reader()
        inbox.put(Unknown(99, bytes(1000)))
        assert not inbox.full
        inbox.put(Unknown(99, bytes(1)))
        assert inbox.full
        await anext(reader)
        assert not inbox.full

    async def test_room_is_told_of_once(self):
        told = []
        inbox = Inbox(LIMITS, lambda: told.append(len(inbox)))
        reader = inbox.reader()
        for index in range(8):
            inbox.put(Have(index))
        for _ in range(8):
            await anext(reader)
        assert told == [5]

    async def test_once_it_is_closed_nobody_needs_to_be_told(self):
        told = []
        inbox = Inbox(LIMITS, lambda: told.append("room"))
        reader = inbox.reader()
        for index in range(8):
            inbox.put(Have(index))
        inbox.close(ConnectionClosed("peer", "gone"))
        assert [message async for message in reader] == [Have(n) for n in range(8)]
        assert told == []

    async def test_it_is_full_for_nobody_once_the_reader_is_let_go(self, inbox):
        reader = inbox.reader()
        for index in range(6):
            inbox.put(Have(index))
        assert inbox.full
        del reader
        assert not inbox.full

    async def test_an_iteration_inside_another_does_not_end_it(self, inbox):
        outer = inbox.reader()
        inner = inbox.reader()
        del inner
        for index in range(8):
            inbox.put(Have(index))
        assert inbox.full
        assert await anext(outer) == Have(0)

    async def test_a_second_task_may_not_wait(self, inbox):
        reader = inbox.reader()
        waiting = asyncio.create_task(reader.__anext__())
        await turns(2)
        with pytest.raises(RuntimeError, match="another task is already waiting"):
            await anext(reader)
        inbox.put(Have(1))
        inbox.put(Have(2))
        assert await waiting == Have(1)

    async def test_a_wait_that_is_cancelled_leaves_the_next_one_alone(self, inbox):
        waiting = asyncio.create_task(inbox.get())
        await turns(2)
        waiting.cancel()
        inbox.put(Have(1))
        await turns(2)
        assert waiting.cancelled()
        assert await inbox.get() == Have(1)

    @pytest.mark.parametrize("by", ["us", "peer"])
    async def test_an_orderly_end_is_quiet(self, inbox, by):
        inbox.put(Have(1))
        inbox.close(ConnectionClosed(by, "done"))
        assert [message async for message in inbox.reader()] == [Have(1)]
        assert [message async for message in inbox.reader()] == []

    async def test_a_failure_is_raised_after_what_came_before_it(self, inbox):
        inbox.put(Have(1))
        closed = ConnectionClosed("us", "it broke a rule")
        closed.__cause__ = RemoteProtocolError("wrong", rule="BEP 3")
        inbox.close(closed)
        reader = inbox.reader()
        assert await anext(reader) == Have(1)
        for _ in range(2):
            with pytest.raises(ConnectionClosed) as caught:
                await anext(reader)
            assert caught.value is not closed
            assert caught.value.__cause__ is closed.__cause__

    async def test_a_lost_connection_is_a_failure(self, inbox):
        inbox.close(ConnectionClosed("network", "gone"))
        with pytest.raises(ConnectionClosed, match="gone"):
            await inbox.get()

    async def test_the_end_wakes_who_waits(self, inbox):
        waiting = asyncio.create_task(inbox.get())
        await turns(2)
        inbox.close(ConnectionClosed("network", "gone"))
        inbox.close(ConnectionClosed("network", "gone"))
        with pytest.raises(ConnectionClosed):
            await waiting


class TestIteration:
    """Over a peer."""

    async def test_messages_can_be_matched(self, meet):
        peer, raw = await meet(
            Interested(), Have(7), Request(1, 2, 3), Unknown(77, b"abc"), fast=False
        )
        raw.close()
        seen = []
        async for message in peer:
            match message:
                case Have(index):
                    seen.append(index)
                case Unknown(id=77, payload=payload):
                    seen.append(payload)
                case Interested():
                    seen.append("interested")
                case other:
                    raise AssertionError(other)
        assert seen == ["interested", 7, b"abc"]  # the request came while choked: it is dropped

    async def test_it_ends_quietly_when_we_close(self, meet):
        peer, raw = await meet(Have(1))
        async for message in peer:
            assert message == Have(1)
            raw.close()
            await peer.close()
        assert peer.closed.by == "us"

    @pytest.mark.parametrize(
        ("end", "cause"),
        [
            (lambda raw: raw.reset(), ConnectionResetError),
            (lambda raw: raw.say(b"\xff\xff\xff\xff"), RemoteProtocolError),
        ],
    )
    async def test_it_raises_when_the_connection_fails(self, meet, end, cause):
        peer, raw = await meet(Have(1))
        reader = aiter(peer)
        assert await anext(reader) == Have(1)
        end(raw)
        with pytest.raises(ConnectionClosed) as caught:
            await anext(reader)
        assert isinstance(caught.value.__cause__, cause)
        assert caught.value.last_message == "have"

    async def test_silence_is_a_failure(self, meet, clock):
        peer, raw = await meet()
        await clock.advance(119)
        assert peer.closed is None
        await clock.advance(1)
        with pytest.raises(ConnectionClosed) as caught:
            await anext(aiter(peer))
        assert isinstance(caught.value.__cause__, RemoteProtocolError)
        await raw.hear_end()

    async def test_a_trickling_message_is_silence(self, meet, clock):
        peer, raw = await meet(Have(0))
        for byte in Piece(0, 0, bytes(100)).encode()[:13]:
            await clock.advance(9)
            raw.say(bytes([byte]))
            await turns()
        await clock.advance(3)
        await peer.wait_closed()
        assert "no message for 120 s" in peer.closed.reason

    async def test_only_one_task_at_a_time(self, meet):
        peer, raw = await meet()
        first = asyncio.create_task(anext(aiter(peer)))
        await turns(2)
        with pytest.raises(RuntimeError, match="another task"):
            await anext(aiter(peer))
        raw.say(Have(1))
        assert await first == Have(1)

    async def test_it_may_be_left_and_taken_up_again(self, meet):
        peer, raw = await meet(Have(1), Have(2), Have(3))
        async for message in peer:
            if message == Have(1):
                break
        raw.close()
        assert [message async for message in peer] == [Have(2), Have(3)]

    async def test_a_flood_that_nobody_reads_does_not_stall_requests(self, meet):
        limits = Limits(max_unread_messages=50)
        peer, raw = await meet(Unchoke(), limits=limits)
        await peer.wait_until(lambda: not peer.peer_choking)
        answer = peer.request(0, 0, 100)
        raw.say(*(Have(index) for index in range(100_000)), Piece(0, 0, bytes(100)))
        assert await answer == bytes(100)
        assert len(peer.peer_pieces) == 100_000
        raw.close()
        assert [message async for message in peer] == [Have(n) for n in range(99_950, 100_000)]

    async def test_a_slow_reader_holds_up_the_peer_and_loses_nothing(self, meet):
        limits = Limits(max_unread_messages=50)
        peer, raw = await meet(limits=limits)
        reader = aiter(peer)
        raw.say(*(Have(index) for index in range(100_000)))
        raw.writer.write_eof()
        assert await anext(reader) == Have(0)
        await turns(1000)
        read = peer.wire.messages_received["have"]
        assert read < 75_000, "one read takes 512 KiB in at most"
        await turns(1000)
        assert peer.wire.messages_received["have"] == read
        rest = [message async for message in reader]
        assert rest == [Have(index) for index in range(1, 100_000)]

    async def test_a_slow_reader_does_not_make_its_peer_a_silent_one(self, meet, clock):
        peer, raw = await meet(limits=Limits(max_unread_messages=50))
        peer.keep_alive = False
        reader = aiter(peer)
        raw.say(*(Have(index) for index in range(100_000)))
        assert await anext(reader) == Have(0)
        await turns(1000)
        await clock.advance(1000.0)
        assert peer.closed is None
        for index in range(1, 100_000):
            assert await anext(reader) == Have(index)
        await clock.advance(119.0)
        assert peer.closed is None
        await clock.advance(1.0)
        with pytest.raises(ConnectionClosed, match="no message for 120 s"):
            await anext(reader)

    @pytest.mark.parametrize(
        "wait",
        [
            lambda peer: peer.wait_until(lambda: 99_999 in peer.peer_pieces),
            lambda peer: peer.wait_closed(),
        ],
        ids=["wait_until", "wait_closed"],
    )
    async def test_who_leaves_an_iteration_that_lags_is_told_of_the_rest(self, meet, wait):
        peer, raw = await meet(limits=Limits(max_unread_messages=50))
        reader = aiter(peer)
        raw.say(*(Have(index) for index in range(100_000)))
        raw.writer.write_eof()
        await until(lambda: "have" in peer.wire.messages_received)
        await turns(1000)
        del reader
        raw.close()
        await wait(peer)
        assert len(peer.peer_pieces) == 100_000

    async def test_a_slow_reader_holds_up_bytes_as_well(self, meet):
        peer, raw = await meet()
        reader = aiter(peer)
        raw.say(*[Unknown(99, bytes(1_000_000))] * 20)
        draining = asyncio.create_task(raw.writer.drain())
        await until(lambda: peer.wire.messages_received.get("unknown", 0) > 4)
        await turns(1000)
        assert peer.wire.messages_received["unknown"] == 5, "max_unread_bytes is 4 MiB"
        assert not draining.done()
        for _ in range(20):
            assert len((await anext(reader)).payload) == 1_000_000
        await draining

    async def test_a_reader_that_left_holds_up_no_request(self, meet):
        peer, raw = await meet(Unchoke(), limits=Limits(max_unread_messages=5))
        await peer.wait_until(lambda: not peer.peer_choking)
        reader = aiter(peer)
        raw.say(*(Have(index) for index in range(100_000)), Piece(0, 0, bytes(100)))
        await turns(1000)
        del reader
        assert await peer.request(0, 0, 100) == bytes(100)

    async def test_a_choke_ends_the_wait_of_an_inner_iteration(self, meet):
        peer, raw = await meet(Choke(), Have(1), Unchoke(), Have(2))
        raw.close()
        seen = []
        async for message in peer:
            seen.append(message)
            if message == Choke():
                async for inner in peer:
                    if inner == Unchoke():
                        break
        assert seen == [Choke(), Have(2)]

    async def test_what_an_extension_tells_is_bounded_as_well(self, listen, stack):
        """Its events may hold whatever their messages did, and what that is only it knows."""

        class Echo(Extension):
            name = "xx_echo"

            def receive(self, payload):
                return payload

        port, came = await listen()
        dialling = asyncio.create_task(
            stack.enter_async_context(connect("127.0.0.1", port, INFO_HASH, extensions=[Echo]))
        )
        raw = await came.get()
        await raw.hear_handshake()
        raw.say(Handshake(INFO_HASH, bytes(20), Reserved.EXTENSION).encode())
        peer = await dialling
        stack.callback(raw.close)
        raw.say(*[Extended(1, bytes(1_000_000))] * 20, Have(1))
        await peer.wait_until(lambda: 1 in peer.peer_pieces)
        assert [await anext(aiter(peer)) for _ in range(len(peer._inbox))] == [
            *[bytes(1_000_000)] * 4,
            Have(1),
        ]
