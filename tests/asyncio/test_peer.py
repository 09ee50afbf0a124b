"""A peer: its state, what it can be told, and requests that can be awaited."""

from __future__ import annotations

import asyncio
import gc
import weakref

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
    Limits,
    LocalProtocolError,
    NotInterested,
    PeerChoked,
    Piece,
    PieceSet,
    Port,
    Reject,
    RemoteProtocolError,
    Request,
    RequestCancelled,
    RequestEnded,
    RequestRejected,
    RequestTimeout,
    Suggest,
    Unchoke,
    connect,
)

from .raw import INFO_HASH, greeting, turns, until

BLOCK = bytes(range(256)) * 64


async def unchoked(meet, **options):
    """Returns us and a raw peer that lets us make requests."""
    peer, raw = await meet(Unchoke(), **options)
    await peer.wait_until(lambda: not peer.peer_choking)
    return peer, raw


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


class TestRequest:
    async def test_answered(self, meet):
        peer, raw = await unchoked(meet)
        answer = peer.request(1, 16384, len(BLOCK))
        assert await raw.hear() == Request(1, 16384, len(BLOCK))
        assert len(peer.requests) == 1
        raw.say(Piece(1, 16384, BLOCK))
        assert await answer == BLOCK
        assert len(peer.requests) == 0
        assert peer.downloaded == len(BLOCK)

    async def test_into_memory_of_the_caller(self, meet):
        peer, raw = await unchoked(meet)
        piece = bytearray(3 * len(BLOCK))
        middle = memoryview(piece)[len(BLOCK) : 2 * len(BLOCK)]
        answer = peer.request(0, len(BLOCK), len(BLOCK), into=middle)
        raw.say(Piece(0, len(BLOCK), BLOCK))
        view = await answer
        assert view == BLOCK
        assert view.obj is piece
        assert piece == bytes(len(BLOCK)) + BLOCK + bytes(len(BLOCK))

    async def test_rejected(self, meet):
        peer, raw = await unchoked(meet)
        answer = peer.request(0, 0, 100)
        raw.say(Reject(0, 0, 100))
        with pytest.raises(RequestRejected, match="the peer rejected it") as caught:
            await answer
        assert (caught.value.index, caught.value.begin, caught.value.length) == (0, 0, 100)

    async def test_each_times_out_by_its_own_deadline(self, meet, clock):
        limits = Limits(request_timeout=30)
        peer, raw = await unchoked(meet, limits=limits)
        slow = peer.request(0, 0, 100)
        slower = peer.request(1, 0, 100, timeout=45)
        quick = peer.request(2, 0, 100, timeout=5)
        for index in range(3):
            assert await raw.hear() == Request(index, 0, 100)
        for answer, wait in ((quick, 5), (slow, 25), (slower, 15)):
            await clock.advance(wait - 0.5)
            assert not answer.done()
            await clock.advance(0.5)
            with pytest.raises(RequestTimeout):
                await answer
        heard = [await raw.hear() for _ in range(3)]
        assert heard == [Cancel(2, 0, 100), Cancel(0, 0, 100), Cancel(1, 0, 100)]
        assert peer.closed is None

    async def test_a_late_answer_is_no_violation(self, meet, clock):
        peer, raw = await unchoked(meet)
        answer = peer.request(0, 0, 100, timeout=1)
        await turns()
        await clock.advance(1)
        with pytest.raises(RequestTimeout):
            await answer
        raw.say(Piece(0, 0, bytes(100)), Have(1))
        await peer.wait_until(lambda: 1 in peer.peer_pieces)
        assert peer.downloaded == 0
        assert peer.wire.wasted == 100

    async def test_while_choked_it_fails_and_is_not_sent(self, meet):
        peer, raw = await meet(AllowedFast(3))
        await peer.wait_until(lambda: 3 in peer.peer_allowed_fast)
        with pytest.raises(PeerChoked):
            await peer.request(0, 0, 100)
        peer.request(3, 0, 100)
        assert await raw.hear() == Request(3, 0, 100)

    async def test_choked_meanwhile_without_fast(self, meet):
        peer, raw = await unchoked(meet, fast=False)
        answers = [peer.request(index, 0, 100) for index in range(3)]
        raw.say(Choke())
        for answer in answers:
            with pytest.raises(PeerChoked):
                await answer

    async def test_choked_meanwhile_under_fast(self, meet):
        peer, raw = await unchoked(meet)
        answers = [peer.request(index, 0, 100) for index in range(2)]
        raw.say(Choke())
        await peer.wait_until(lambda: peer.peer_choking)
        assert len(peer.requests) == 2
        raw.say(Piece(0, 0, bytes(100)), Reject(1, 0, 100))
        assert await answers[0] == bytes(100)
        with pytest.raises(RequestRejected):
            await answers[1]

    async def test_cancelled_by_name(self, meet):
        peer, raw = await unchoked(meet)
        answer = peer.request(0, 0, 100)
        assert peer.cancel(0, 0, 100)
        assert not peer.cancel(0, 0, 100)
        with pytest.raises(RequestCancelled):
            await answer
        assert [await raw.hear(), await raw.hear()] == [Request(0, 0, 100), Cancel(0, 0, 100)]

    async def test_drain_does_not_keep_a_cancelled_request_waiting(self, meet):
        peer, _ = await unchoked(meet)
        answer = peer.request(0, 0, 100)
        peer.cancel(0, 0, 100)
        await peer.drain()
        assert isinstance(answer.exception(), RequestCancelled)

    async def test_cancelled_by_its_future(self, meet):
        peer, raw = await unchoked(meet)
        answer = peer.request(0, 0, 100)
        assert answer.cancel()
        assert not answer.cancel()
        assert len(peer.requests) == 0
        assert [await raw.hear(), await raw.hear()] == [Request(0, 0, 100), Cancel(0, 0, 100)]

    async def test_cancelled_by_its_task(self, meet):
        peer, raw = await unchoked(meet)

        async def download():
            await peer.request(0, 0, 100)

        task = asyncio.create_task(download())
        assert await raw.hear() == Request(0, 0, 100)
        task.cancel()
        assert await raw.hear() == Cancel(0, 0, 100)
        assert task.cancelled()

    async def test_a_timeout_around_it_cancels_it(self, meet, clock):
        peer, raw = await unchoked(meet)

        async def download():
            async with asyncio.timeout(2):
                await peer.request(0, 0, 100)

        task = asyncio.create_task(download())
        assert await raw.hear() == Request(0, 0, 100)
        await clock.advance(2)
        with pytest.raises(TimeoutError):
            await task
        assert await raw.hear() == Cancel(0, 0, 100)

    async def test_cancelling_a_gather_cancels_each(self, meet):
        peer, raw = await unchoked(meet)
        blocks = asyncio.gather(*(peer.request(index, 0, 100) for index in range(3)))
        for index in range(3):
            assert await raw.hear() == Request(index, 0, 100)
        blocks.cancel()
        for index in range(3):
            assert await raw.hear() == Cancel(index, 0, 100)
        with pytest.raises(asyncio.CancelledError):
            await blocks

    async def test_cancelling_an_old_answer_leaves_a_new_request_alone(self, meet):
        peer, raw = await unchoked(meet)
        old = peer.request(0, 0, 100)
        old.cancel()
        new = peer.request(0, 0, 100)
        old.cancel()
        asyncio.Future.cancel(old)
        assert len(peer.requests) == 1
        raw.say(Reject(0, 0, 100), Piece(0, 0, bytes(100)))
        assert await new == bytes(100)

    async def test_cancelled_in_the_moment_of_the_end(self, meet):
        peer, raw = await unchoked(meet)
        answer = peer.request(0, 0, 100)
        peer.wire.close("enough")
        assert answer.cancel()
        raw.close()
        await peer.close()
        assert answer.cancelled()

    async def test_a_future_that_the_caller_settled_is_left_alone(self, meet):
        peer, raw = await unchoked(meet)
        answer = peer.request(0, 0, 100)
        answer.set_result(b"mine")
        raw.say(Piece(0, 0, bytes(100)), Have(1))
        await peer.wait_until(lambda: 1 in peer.peer_pieces)
        assert await answer == b"mine"

    async def test_250_at_once(self, link):
        left, right = await link()
        right.unchoke()
        await left.ready()

        async def serve():
            async for message in right:
                if isinstance(message, Request):
                    await right.respond(message, message.index.to_bytes(4) * 4096)

        serving = asyncio.create_task(serve())
        blocks = await asyncio.gather(*(left.request(n, 0, 16384) for n in range(250)))
        assert blocks == [n.to_bytes(4) * 4096 for n in range(250)]
        assert left.downloaded == right.uploaded == 250 * 16384
        assert len(left.requests) == len(right.peer_requests) == 0
        await left.close()
        await serving

    async def test_too_many(self, meet):
        peer, _ = await unchoked(meet, limits=Limits(max_requests=2))
        peer.request(0, 0, 100)
        peer.request(1, 0, 100)
        with pytest.raises(LocalProtocolError, match="2 requests are pending"):
            peer.request(2, 0, 100)

    async def test_the_same_twice(self, meet):
        peer, _ = await unchoked(meet)
        peer.request(0, 0, 100)
        with pytest.raises(LocalProtocolError, match="pending already"):
            peer.request(0, 0, 100)

    async def test_memory_that_does_not_fit(self, meet):
        peer, raw = await unchoked(meet)
        with pytest.raises(LocalProtocolError, match="into="):
            peer.request(0, 0, 100, into=bytearray(99))
        peer.have(0)
        assert await raw.hear() == Have(0)

    async def test_a_block_is_let_go_with_its_last_reference(self, meet):
        peer, raw = await unchoked(meet)
        gc.disable()
        try:
            answer = peer.request(0, 0, 100)
            raw.say(Piece(0, 0, bytes(100)))
            await answer
            gone = weakref.ref(answer)
            del answer
            await turns(3)
            assert gone() is None
        finally:
            gc.enable()


class TestRequestNowait:
    async def test_answers_are_met_while_iterating(self, meet):
        peer, raw = await unchoked(meet)
        first = peer.request_nowait(0, 0, 100, context="mine")
        second = peer.request_nowait(1, 0, 100)
        third = peer.request_nowait(2, 0, 100, into=bytearray(100))
        for index in range(3):
            assert await raw.hear() == Request(index, 0, 100)
        raw.say(Piece(1, 0, b"b" * 100), Reject(0, 0, 100), Piece(2, 0, b"c" * 100))
        raw.close()
        answers = [m async for m in peer if isinstance(m, Piece | RequestEnded)]
        assert [a.request for a in answers] == [second, first, third]
        assert answers[0].block == b"b" * 100
        assert answers[1].request.context == "mine"
        assert isinstance(answers[1].error, RequestRejected)
        assert answers[2].block.obj == bytearray(b"c" * 100)

    async def test_those_pending_end_before_the_iteration_does(self, meet):
        peer, raw = await unchoked(meet)
        request = peer.request_nowait(0, 0, 100)
        await raw.hear()
        raw.close()
        *_, last = [message async for message in peer]
        assert last.request is request
        assert isinstance(last.error, ConnectionClosed)

    async def test_it_fails_at_once(self, meet):
        peer, _ = await meet()
        with pytest.raises(PeerChoked):
            peer.request_nowait(0, 0, 100)

    async def test_it_times_out(self, meet, clock):
        peer, _ = await unchoked(meet)
        request = peer.request_nowait(0, 0, 100, timeout=4)
        await turns()
        await clock.advance(4)
        reader = aiter(peer)
        assert await anext(reader) == Unchoke()
        ended = await anext(reader)
        assert ended.request is request
        assert isinstance(ended.error, RequestTimeout)


class TestTheEndOfRequests:
    """However the connection ends, whoever awaits a block is told, and why."""

    @pytest.mark.parametrize(
        ("end", "by", "cause"),
        [
            (lambda _peer, raw: raw.close(), "peer", type(None)),
            (lambda _peer, raw: raw.reset(), "network", ConnectionResetError),
            (lambda _peer, raw: raw.say(b"\0\0\0\2\0\0"), "us", RemoteProtocolError),
            (lambda _peer, raw: raw.say(b"\0\0"), "peer", type(None)),
        ],
        ids=["closed", "reset", "broke a rule", "in the middle of a message"],
    )
    async def test_by_the_peer(self, meet, end, by, cause):
        peer, raw = await unchoked(meet)
        answers = [peer.request(index, 0, 100) for index in range(3)]
        waiting = asyncio.gather(*answers, return_exceptions=True)
        for _ in range(3):
            await raw.hear()
        end(peer, raw)
        if by == "peer":
            raw.close()
        errors = await waiting
        assert [type(error) for error in errors] == [ConnectionClosed] * 3
        assert len(set(map(id, errors))) == 3, "each waiter gets an error of its own"
        for error in errors:
            assert error.by == by
            assert isinstance(error.__cause__, cause)
            assert error.last_message == "unchoke"
        with pytest.raises(ConnectionClosed):
            await peer.request(0, 0, 100)

    async def test_by_us(self, meet):
        peer, raw = await unchoked(meet)
        answer = peer.request(0, 0, 100)
        closing = asyncio.create_task(peer.close("enough"))
        with pytest.raises(ConnectionClosed, match="closed by us: enough"):
            await answer
        await raw.hear_end()
        raw.close()
        await closing

    async def test_nobody_has_to_listen(self, meet):
        peer, raw = await unchoked(meet)
        for index in range(3):
            peer.request(index, 0, 100)
        raw.say(Reject(0, 0, 100))
        raw.close()
        await peer.wait_closed()  # the fixture `tidy` would tell of an error that nobody retrieved


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


async def test_greeting_is_what_connect_takes(meet):
    peer, _ = await meet()
    assert peer.handshake == greeting()
    await until(lambda: peer.closed is None)
