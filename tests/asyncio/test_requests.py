"""Requests that can be awaited, or met while iterating, and what ends them."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest

from peerwire import (
    AllowedFast,
    Cancel,
    Choke,
    ConnectionClosed,
    Have,
    Limits,
    LocalProtocolError,
    PeerChoked,
    Piece,
    Reject,
    RemoteProtocolError,
    Request,
    RequestCancelled,
    RequestEnded,
    RequestRejected,
    RequestTimeout,
    Unchoke,
)

from .raw import turns

BLOCK = bytes(range(256)) * 64


async def unchoked(meet, **options):
    """Returns us and a raw peer that lets us make requests."""
    peer, raw = await meet(Unchoke(), **options)
    await peer.wait_until(lambda: not peer.peer_choking)
    return peer, raw


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
