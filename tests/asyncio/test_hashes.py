"""Hash requests that can be awaited, and peers of v2 and hybrid torrents (BEP 52)."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest

from peerwire import (
    Choke,
    ConnectionClosed,
    Handshake,
    Hashes,
    HashRange,
    HashReject,
    HashRequest,
    HashRequestRejected,
    HashRequestTimeout,
    InfoHashMismatch,
    Limits,
    LocalProtocolError,
    RemoteProtocolError,
    Reserved,
    ServedTorrent,
    connect,
)

from .raw import INFO_HASH, RAW_ID, turns, until

V1 = INFO_HASH
V2 = bytes(range(100, 132))
SAID = V2[:20]

RANGE = HashRange(bytes(range(32)), 1, 4, 2, 3)
OTHER = HashRange(bytes(range(32)), 1, 6, 2, 3)
HASHES = [bytes([n]) * 32 for n in range(5)]


@pytest.fixture
def meet_v2(meet):
    """Connects us to a raw peer, about a v2 torrent."""

    async def meet_v2(*first, **options):
        return await meet(*first, info_hash_v2=INFO_HASH, **options)

    return meet_v2


@pytest.fixture
def link_v2(link):
    """Connects two peers, both ours, about a v2 torrent."""

    async def link_v2(**options):
        torrents = {INFO_HASH: ServedTorrent(1000, INFO_HASH)}
        left = {"info_hash_v2": INFO_HASH, **options}
        return await link(left=left, right={"torrents": torrents, **options})

    return link_v2


class TestAsking:
    async def test_hashes_are_awaited(self, meet_v2):
        peer, raw = await meet_v2()
        assert peer.v2
        answer = peer.request_hashes(RANGE)
        assert [request.range for request in peer.hash_requests] == [RANGE]
        assert await raw.hear() == HashRequest(RANGE)
        raw.say(Hashes(RANGE, HASHES))
        assert await answer == HASHES
        assert len(peer.hash_requests) == 0

    async def test_answers_find_who_asked_in_any_order(self, meet_v2):
        peer, raw = await meet_v2()
        first, second = peer.request_hashes(RANGE), peer.request_hashes(OTHER)
        raw.say(Hashes(OTHER, HASHES[::-1]), Hashes(RANGE, HASHES))
        assert await first == HASHES
        assert await second == HASHES[::-1]

    async def test_hashes_that_somebody_awaits_are_not_iterated_over(self, meet_v2):
        peer, raw = await meet_v2()
        answer = peer.request_hashes(RANGE)
        raw.say(Hashes(RANGE, HASHES), Choke())
        async for message in peer:
            assert message == Choke()
            break
        assert await answer == HASHES

    async def test_hashes_that_the_wire_was_asked_for_are_iterated_over(self, meet_v2):
        peer, raw = await meet_v2()
        request = peer.wire.send_hash_request(RANGE)
        raw.say(Hashes(RANGE, HASHES))
        async for message in peer:
            assert message == Hashes(RANGE, HASHES)
            assert message.request is request
            break

    async def test_a_reject_is_raised(self, meet_v2):
        peer, raw = await meet_v2()
        answer = peer.request_hashes(RANGE)
        raw.say(HashReject(RANGE))
        with pytest.raises(HashRequestRejected, match=r"layer 1 4\+2 proof 3") as error:
            await answer
        assert error.value.range == RANGE

    async def test_each_request_has_its_own_deadline(self, meet_v2, clock):
        peer, _ = await meet_v2(limits=Limits(request_timeout=30.0))
        usual, short = peer.request_hashes(RANGE), peer.request_hashes(OTHER, timeout=5.0)
        await clock.advance(5.0)
        with pytest.raises(HashRequestTimeout):
            await short
        assert not usual.done()
        await clock.advance(25.0)
        with pytest.raises(HashRequestTimeout):
            await usual

    async def test_the_end_of_the_connection_is_raised(self, meet_v2):
        peer, raw = await meet_v2()
        answer = peer.request_hashes(RANGE)
        await raw.hear()
        raw.close()
        with pytest.raises(ConnectionClosed, match="closed by the peer"):
            await answer
        with pytest.raises(ConnectionClosed, match="closed by the peer"):
            await peer.request_hashes(RANGE)

    async def test_nobody_is_warned_of_what_nobody_awaits(self, meet_v2):
        peer, raw = await meet_v2()
        answer = weakref.ref(peer.request_hashes(RANGE))
        raw.say(HashReject(RANGE))
        await until(lambda: len(peer.hash_requests) == 0)
        gc.collect()
        assert answer() is None

    async def test_an_answer_that_nobody_waits_for_any_more_is_dropped(self, meet_v2):
        peer, raw = await meet_v2()
        gone, left = peer.request_hashes(RANGE), peer.request_hashes(OTHER)
        gone.cancel()
        left.cancel()
        raw.say(Hashes(RANGE, HASHES), HashReject(OTHER))
        await until(lambda: len(peer.hash_requests) == 0)
        assert peer.closed is None

    async def test_wrong_use_is_raised_at_once(self, meet, meet_v2):
        peer, _ = await meet_v2(limits=Limits(max_hash_requests=1))
        pending = peer.request_hashes(RANGE)
        with pytest.raises(LocalProtocolError, match="1 hash requests are pending"):
            peer.request_hashes(OTHER)
        assert not pending.done()
        peer, _ = await meet()
        assert not peer.v2
        with pytest.raises(LocalProtocolError, match="not about a v2 info-hash"):
            peer.request_hashes(RANGE)

    async def test_hashes_that_were_not_asked_for_end_the_connection(self, meet_v2):
        peer, raw = await meet_v2()
        answer = peer.request_hashes(RANGE)
        raw.say(Hashes(OTHER, HASHES))
        with pytest.raises(ConnectionClosed) as error:
            await answer
        assert isinstance(error.value.__cause__, RemoteProtocolError)


class TestAnswering:
    async def test_requests_are_iterated_over_and_answered(self, link_v2):
        left, right = await link_v2()
        assert left.v2
        assert right.v2
        answers = [left.request_hashes(wanted) for wanted in (RANGE, OTHER)]
        async for message in right:
            assert message in right.peer_hash_requests
            if message.range == RANGE:
                await right.respond_hashes(message, HASHES)
            else:
                assert right.reject_hashes(message)
                break
        assert await answers[0] == HASHES
        with pytest.raises(HashRequestRejected):
            await answers[1]
        assert list(right.peer_hash_requests) == []

    async def test_a_request_is_answered_once(self, link_v2):
        left, right = await link_v2()
        answer = left.request_hashes(RANGE)
        async for message in right:
            right.respond_hashes(message, HASHES)
            right.respond_hashes(message, HASHES)
            assert not right.reject_hashes(message)
            break
        assert await answer == HASHES
        await turns()
        assert left.closed is None

    async def test_too_few_hashes_are_no_answer(self, link_v2):
        left, right = await link_v2()
        answer = left.request_hashes(RANGE)
        async for message in right:
            with pytest.raises(LocalProtocolError, match="takes 5 of 32 bytes"):
                right.respond_hashes(message, HASHES[:3])
            right.reject_hashes(message)
            break
        with pytest.raises(HashRequestRejected):
            await answer

    async def test_many_hashes_are_sent_before_the_task_gives_way(self, meet_v2):
        wide = HashRange(bytes(32), 0, 0, 512, 0)
        peer, raw = await meet_v2(HashRequest(wide), limits=Limits(write_buffer=16 * 1024))
        await peer.wait_until(lambda: len(peer.peer_hash_requests) == 1)
        peer.respond_hashes(HashRequest(wide), [bytes(32)] * 512)
        assert peer.wire.data_to_send() == b""
        assert await raw.hear() == Hashes(wide, [bytes(32)] * 512)


class TestUpgrade:
    """Both roles of the upgrade path, on sockets."""

    @pytest.fixture
    def hybrid(self):
        served = ServedTorrent(8, V2)
        return {V1: served, SAID: served}

    @pytest.mark.parametrize("encryption", ["off", "require"])
    @pytest.mark.parametrize(
        ("dialled_with", "v2"),
        [
            ({"info_hash": V1}, False),
            ({"info_hash": V1, "info_hash_v2": V2}, True),
            ({"info_hash": V2}, True),
            ({"info_hash": V2.hex()}, True),
            ({"info_hash": SAID, "info_hash_v2": SAID}, True),
        ],
    )
    async def test_a_hybrid_is_asked_for_by_either_info_hash(
        self, serving, hybrid, dialled_with, v2, encryption
    ):
        server, came = await serving(torrents=hybrid, encryption=encryption)
        async with connect("127.0.0.1", server.port, **dialled_with, encryption=encryption) as left:
            right = await came.get()
            assert left.v2 is right.v2 is v2
            assert left.wire.info_hash == right.wire.info_hash == (SAID if v2 else V1)
            assert right.num_pieces == 8

    async def test_a_server_of_the_v1_side_alone_does_not_upgrade(self, serving):
        server, came = await serving(torrents={V1: 8})
        async with connect("127.0.0.1", server.port, V1, info_hash_v2=V2) as left:
            assert not (await came.get()).v2
            assert not left.v2
        with pytest.raises(ConnectionClosed):
            await connect("127.0.0.1", server.port, V2)

    async def test_an_answer_with_neither_is_a_mismatch(self, listen):
        port, came = await listen()
        dialling = connect("127.0.0.1", port, V1, info_hash_v2=V2, encryption="off")
        task = asyncio.create_task(dialling.__aenter__())
        raw = await came.get()
        heard = await raw.hear_handshake()
        assert (heard.info_hash, heard.reserved & Reserved.V2) == (V1, Reserved.V2)
        raw.say(Handshake(bytes(20), RAW_ID))
        with pytest.raises(InfoHashMismatch):
            await task

    async def test_who_serves_anything_takes_hash_requests_for_anything(self, serving, dial):
        server, came = await serving(torrents=None)
        raw = await dial(server, Handshake(SAID, RAW_ID), HashRequest(RANGE))
        peer = await came.get()
        await peer.wait_until(lambda: len(peer.peer_hash_requests) == 1)
        assert (await raw.hear_handshake()).info_hash == SAID

    async def test_a_hash_request_about_v1_ends_the_connection(self, serving, dial, hybrid):
        server, came = await serving(torrents=hybrid)
        raw = await dial(server, Handshake(V1, RAW_ID))
        peer = await came.get()
        raw.say(HashRequest(RANGE))
        await raw.hear_end()
        assert "not about a v2 info-hash" in str(peer.closed)

    def test_what_is_no_info_hash_is_refused_at_once(self):
        with pytest.raises(LocalProtocolError, match="v2 info-hash has 20 bytes, not 5"):
            ServedTorrent(1, bytes(5))
        with pytest.raises(LocalProtocolError, match="v2 info-hash has 20 bytes, not 5"):
            connect("127.0.0.1", 1, V1, info_hash_v2=bytes(5))
