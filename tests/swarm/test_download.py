"""Fetching: of whom, how much at once, and what becomes of blocks that are wrong or do not come."""

from __future__ import annotations

import asyncio
import errno
import functools

import pytest

from peerwire import (
    AllowedFast,
    Cancel,
    Choke,
    Have,
    Interested,
    Limits,
    NotInterested,
    Piece,
    Reject,
    Request,
    Reserved,
    StorageError,
    Unchoke,
)
from peerwire.extensions.lt_donthave import LtDontHave
from peerwire.swarm import download
from peerwire.swarm.events import PeerLeft, PieceCorrupt, PieceVerified
from peerwire.torrent.storage import Storage

from .conftest import BLOCK, HOST, Gate, everything, make_torrent, some, turns, until

FIRST_ID = b"-RW0001-aaaaaaaaaaaa"
SECOND_ID = b"-RW0001-bbbbbbbbbbbb"


def answer(torrent, request, *, wrong=False):
    block = torrent.block(request.index, request.begin, request.length)
    return Piece(request.index, request.begin, bytes(len(block)) if wrong else block)


async def hear_requests(raw, count):
    return [await raw.hear_only(Request) for _ in range(count)]


async def give_all(torrent, raw, *, wrong=False):
    """Answers whatever is asked for, until the connection ends."""
    try:
        while True:
            raw.say(answer(torrent, await raw.hear_only(Request), wrong=wrong))
    except asyncio.IncompleteReadError:
        pass


@pytest.fixture
def giving(stack):
    """Lets a raw peer answer whatever it is asked for, right or wrong."""

    def giving(torrent, raw, **options):
        task = asyncio.create_task(give_all(torrent, raw, **options))
        stack.push_async_callback(asyncio.wait, [task])
        stack.callback(raw.close)

    return giving


# Interest


async def test_interest_is_kept_up_to_date(join, raw, giving):
    torrent = make_torrent(2 * BLOCK)
    taker = await join(torrent)
    peer = await raw(taker, some(torrent), Unchoke())
    await turns()
    assert not taker.peer().am_interested
    peer.say(Have(1))
    assert await peer.hear_only(Interested) == Interested()
    peer.say(answer(torrent, await peer.hear_only(Request)))
    # It has nothing more that we want ...
    assert await peer.hear_only(NotInterested) == NotInterested()
    peer.say(Have(0))
    # ... and now it has again.
    assert await peer.hear_only(Interested) == Interested()
    peer.say(answer(torrent, await peer.hear_only(Request)))
    await taker.swarm.wait_complete()
    assert await peer.hear_only(NotInterested) == NotInterested()


async def test_a_bitfield_in_mid_session_is_taken_for_what_the_peer_has_now(join, raw):
    torrent = make_torrent(3 * BLOCK)
    taker = await join(torrent)
    peer = await raw(taker, some(torrent, 0), Unchoke())
    assert (await peer.hear_only(Request)).index == 0
    peer.say(some(torrent, 0, 2))
    assert (await peer.hear_only(Request)).index == 2


async def test_a_have_and_a_close_in_one_segment(join, raw):
    torrent = make_torrent(2 * BLOCK)
    taker = await join(torrent)
    peer = await raw(taker, some(torrent, 0), Unchoke())
    request = await peer.hear_only(Request)
    # The block counts, although the connection is gone by the time the HAVE is looked at.
    wire = taker.peer().wire
    wire.receive_data(Have(1).encode() + answer(torrent, request).encode(), wire.now)
    wire.receive_eof()
    peer.close()
    await until(lambda: taker.told(PeerLeft))
    await until(lambda: taker.told(PieceVerified))


# Choking


@pytest.mark.parametrize("fast", [True, False])
async def test_a_choke_midway(join, raw, fast):
    torrent = make_torrent(4 * BLOCK, 4 * BLOCK)
    taker = await join(torrent)
    peer = await raw(taker, everything(torrent, fast=fast), Unchoke(), fast=fast)
    first, *rest = await hear_requests(peer, 4)
    peer.say(answer(torrent, first), Choke())
    if fast:
        peer.say(*(Reject(r.index, r.begin, r.length) for r in rest))
    await until(lambda: not len(taker.peer().requests))
    peer.say(Unchoke())
    again = await hear_requests(peer, 3)
    assert sorted(r.begin for r in again) == sorted(r.begin for r in rest)
    peer.say(*(answer(torrent, request) for request in again))
    await taker.swarm.wait_complete()
    assert torrent.is_in(taker.root)


async def test_a_choke_is_answered_for_under_fast(join, raw):
    torrent = make_torrent(4 * BLOCK, 4 * BLOCK)
    taker = await join(torrent)
    peer = await raw(taker, everything(torrent), Unchoke())
    requests = await hear_requests(peer, 4)
    # BEP 6: a choke ends no request; these are answered after it.
    peer.say(Choke(), *(answer(torrent, request) for request in requests))
    await taker.swarm.wait_complete()
    assert taker.sent("request").total() == 4


async def test_pieces_that_are_allowed_while_choked(join, raw):
    torrent = make_torrent(3 * BLOCK)
    taker = await join(torrent)
    peer = await raw(taker, everything(torrent), AllowedFast(1))
    request = await peer.hear_only(Request)
    assert request.index == 1
    peer.say(answer(torrent, request))
    await until(lambda: taker.told(PieceVerified))
    await turns()
    assert taker.sent("request").total() == 1


async def test_an_allowed_piece_that_is_rejected_is_asked_for_after_the_unchoke(join, raw):
    torrent = make_torrent(2 * BLOCK)
    taker = await join(torrent)
    peer = await raw(taker, everything(torrent), AllowedFast(1))
    request = await peer.hear_only(Request)
    peer.say(Reject(request.index, request.begin, request.length))
    await until(lambda: not taker.peer().peer_allowed_fast)
    await turns()
    assert taker.sent("request").total() == 1
    peer.say(Unchoke())
    assert {r.index for r in await hear_requests(peer, 2)} == {0, 1}


# Rejects


async def test_a_peer_that_rejects_everything_is_let_go(join, raw):
    torrent = make_torrent(10 * BLOCK)
    taker = await join(torrent)
    peer = await raw(taker, everything(torrent), Unchoke())
    rejected = 0
    try:
        while True:
            request = await peer.hear_only(Request)
            peer.say(Reject(request.index, request.begin, request.length))
            rejected += 1
    except asyncio.IncompleteReadError:
        peer.close()
    await until(lambda: taker.told(PeerLeft))
    assert rejected == 10
    assert taker.told(PeerLeft)[0].closed.reason == (
        "it rejects the requests for all that it has of use"
    )


async def test_a_piece_that_is_rejected_comes_from_another(join, raw, giving):
    torrent = make_torrent(2 * BLOCK)
    taker = await join(torrent)
    peer = await raw(taker, everything(torrent), Unchoke(), peer_id=FIRST_ID)
    for request in await hear_requests(peer, 2):
        refused = request.index == 1
        peer.say(Reject(1, request.begin, request.length) if refused else answer(torrent, request))
    other = await raw(taker, some(torrent, 1), Unchoke(), peer_id=SECOND_ID)
    giving(torrent, other)
    await taker.swarm.wait_complete()
    assert torrent.is_in(taker.root)
    # That it refused a piece is nothing against it once the piece is here.
    await turns()
    assert not [left for left in taker.told(PeerLeft) if left.peer.peer_id == FIRST_ID]


async def test_rejects_right_before_a_choke_are_forgotten(join, raw):
    torrent = make_torrent(4 * BLOCK)
    taker = await join(torrent)
    peer = await raw(taker, everything(torrent), Unchoke())
    requests = await hear_requests(peer, 4)
    # Transmission says it in this order, and in one segment.
    peer.say(*(Reject(r.index, r.begin, r.length) for r in requests), Choke())
    await until(lambda: taker.peer().peer_choking)
    await turns()
    assert taker.peer().am_interested
    peer.say(Unchoke())
    assert len(await hear_requests(peer, 4)) == 4


async def test_choke_rejects_and_unchoke_at_once(join, raw):
    torrent = make_torrent(4 * BLOCK)
    taker = await join(torrent)
    peer = await raw(taker, everything(torrent), Unchoke())
    requests = await hear_requests(peer, 4)
    peer.say(Choke(), *(Reject(r.index, r.begin, r.length) for r in requests), Unchoke())
    assert len(await hear_requests(peer, 4)) == 4


async def test_a_peer_that_rejects_what_is_too_much_for_it(join, acting):
    torrent = make_torrent(64 * BLOCK, 4 * BLOCK)

    async def handler(peer):
        peer.have_all()
        peer.unchoke()
        async for message in peer:
            if isinstance(message, Request):
                block = torrent.block(message.index, message.begin, message.length)
                await peer.respond(message, block)

    # It rejects what is beyond, and does not say so before (BEP 10: reqq).
    limits = Limits(max_peer_requests=download.MIN_PIPELINE)
    port = await acting(torrent, handler, limits=limits, reserved=Reserved.FAST)
    taker = await join(torrent)
    taker.swarm.dial(HOST, port)
    await taker.swarm.wait_complete()
    assert ("<", "reject") in {(mark, what.split()[0]) for mark, what in taker.log}
    assert not taker.told(PeerLeft)


async def test_a_reject_of_a_piece_that_the_peer_has_no_more(join, raw):
    torrent = make_torrent(2 * BLOCK)
    taker = await join(torrent)
    peer = await raw(taker, some(torrent, 1), Unchoke())
    request = await peer.hear_only(Request)
    peer.say(some(torrent, 0), Reject(request.index, request.begin, request.length))
    peer.say(answer(torrent, await peer.hear_only(Request)))
    await until(lambda: taker.told(PieceVerified))
    await turns()
    assert not taker.told(PeerLeft)  # it has nothing for us, but refuses nothing either


async def test_a_piece_that_was_rejected_and_is_gone_is_not_asked_for_again(join, acting):
    torrent = make_torrent(4 * BLOCK)
    asked = []

    async def handler(peer):
        peer.have_all()
        peer.unchoke()
        async for message in peer:
            if not isinstance(message, Request):
                continue
            asked.append(message.index)
            if message.index != 2:
                await peer.respond(message, torrent.piece(message.index))
                continue
            peer.reject(message)
            peer.extension(LtDontHave).dont_have(2)
            peer.choke()  # which makes good for other rejects
            peer.unchoke()

    make = functools.partial(LtDontHave, torrent.meta.num_pieces)
    port = await acting(torrent, handler, extensions=[make])
    taker = await join(torrent)
    taker.swarm.dial(HOST, port)
    await until(lambda: len(taker.swarm.have) == 3)
    await turns()
    assert asked.count(2) == 1


# Silence


async def test_what_a_silent_peer_holds_up_comes_from_another(join, raw, giving, clock):
    torrent = make_torrent(8 * BLOCK, 4 * BLOCK)
    taker = await join(torrent)
    silent = await raw(taker, everything(torrent), Unchoke(), peer_id=FIRST_ID)
    held_up = await hear_requests(silent, 4)
    await clock.advance(20)
    other = await raw(taker, everything(torrent), Unchoke(), peer_id=SECOND_ID)
    asked = await hear_requests(other, 4)
    other.say(answer(torrent, asked[0]), answer(torrent, asked[1]))
    await turns()
    assert taker.sent("request").total() == 8  # all is asked for, and the other has work to do
    await clock.advance(11)  # now the silent one is late, the other is not
    offered = await hear_requests(other, 4)
    assert {request.begin for request in offered} == {request.begin for request in held_up}
    assert [await silent.hear_only(Cancel) for _ in held_up]
    other.say(*(answer(torrent, request) for request in [*asked[2:], *held_up]))
    await taker.swarm.wait_complete()
    assert torrent.is_in(taker.root)


async def test_a_peer_that_never_answers_is_let_go(join, raw, clock):
    torrent = make_torrent(8 * BLOCK, 4 * BLOCK)
    taker = await join(torrent)
    silent = await raw(taker, everything(torrent), Unchoke())
    for _ in range(download.MAX_STALLS):
        assert not taker.told(PeerLeft)
        await hear_requests(silent, 4)
        await clock.advance(30)
    await silent.hear_until_end()
    silent.close()
    await until(lambda: taker.told(PeerLeft))
    (left,) = taker.told(PeerLeft)
    assert left.closed.reason == "it let all requests time out, 3 times in a row"


async def test_a_block_makes_good_for_earlier_silence(join, raw, clock):
    torrent = make_torrent(8 * BLOCK, 4 * BLOCK)
    taker = await join(torrent)
    slow = await raw(taker, everything(torrent), Unchoke())
    for _ in range(2):
        for _ in range(download.MAX_STALLS - 1):
            requests = await hear_requests(slow, 4)
            await clock.advance(30)
        requests = await hear_requests(slow, 4)
        slow.say(*(answer(torrent, request) for request in requests))
    await taker.swarm.wait_complete()
    assert not taker.told(PeerLeft)


# Many peers


async def test_what_was_asked_of_those_who_leave_is_asked_of_who_has_nothing_to_do(join, raw):
    torrent = make_torrent(BLOCK)
    taker = await join(torrent)
    leavers = []
    for number in range(3):  # as many as are asked for the same block in the endgame
        peer_id = b"-RW0001-%012d" % number
        leavers.append(await raw(taker, everything(torrent), Unchoke(), peer_id=peer_id))
        await leavers[-1].hear_only(Request)
    idle = await raw(taker, everything(torrent), Unchoke(), peer_id=SECOND_ID)
    await until(lambda: len(taker.swarm.peers) == 4)
    await turns()
    assert taker.sent("request").total() == 3
    for peer in leavers:
        peer.close()
    idle.say(answer(torrent, await idle.hear_only(Request)))
    await taker.swarm.wait_complete()


async def test_a_peer_that_closes_in_the_middle_of_a_block(join, raw, giving):
    torrent = make_torrent(2 * BLOCK, 2 * BLOCK)
    taker = await join(torrent)
    leaver = await raw(taker, everything(torrent), Unchoke(), peer_id=FIRST_ID)
    block = answer(torrent, await leaver.hear_only(Request)).encode()
    leaver.say(block[:5000])
    leaver.close()
    await until(lambda: taker.told(PeerLeft))
    assert taker.told(PeerLeft)[0].closed.reason == "in the middle of a message"
    giving(torrent, await raw(taker, everything(torrent), Unchoke(), peer_id=SECOND_ID))
    await taker.swarm.wait_complete()
    assert torrent.is_in(taker.root)


# The endgame


@pytest.fixture
def endgame(join, raw):
    """Two peers of whom the same only block was asked; the first one's is written in place."""

    async def endgame(torrent):
        taker = await join(torrent)
        first = await raw(taker, everything(torrent), Unchoke(), peer_id=FIRST_ID)
        request = await first.hear_only(Request)
        second = await raw(taker, everything(torrent), Unchoke(), peer_id=SECOND_ID)
        assert await second.hear_only(Request) == request
        peers = {peer.peer_id: peer for peer in taker.swarm.peers}
        return taker, request, (peers[FIRST_ID], first), (peers[SECOND_ID], second)

    return endgame


def receive_at_once(*what):
    """Gives wires what came for them before anybody looks at any of it."""
    for peer, message in what:
        peer.wire.receive_data(message.encode(), peer.wire.now)
    for peer, _ in what:
        peer.send_keep_alive()  # so that it looks


@pytest.mark.parametrize("first_answers", [True, False])
async def test_duplicates_are_cancelled_and_late_ones_change_nothing(endgame, first_answers):
    torrent = make_torrent(BLOCK)
    taker, request, *both = await endgame(torrent)
    (_, quick), (_, late) = both if first_answers else reversed(both)
    quick.say(answer(torrent, request))
    assert await late.hear_only(Cancel) == Cancel(request.index, request.begin, request.length)
    late.say(answer(torrent, request, wrong=True))
    await taker.swarm.wait_complete()
    await turns()
    assert torrent.is_in(taker.root)
    assert not taker.told(PieceCorrupt)


@pytest.mark.parametrize("first_is_right", [True, False])
async def test_of_two_answers_at_once_the_first_counts(endgame, first_is_right):
    torrent = make_torrent(BLOCK)
    taker, request, *both = await endgame(torrent)
    (right, _), (wrong, _) = both if first_is_right else reversed(both)
    receive_at_once(
        (right, answer(torrent, request)), (wrong, answer(torrent, request, wrong=True))
    )
    await taker.swarm.wait_complete()
    assert torrent.is_in(taker.root)


@pytest.mark.parametrize("first_is_right", [True, False])
async def test_of_two_answers_at_once_nobody_is_blamed_for_the_others(endgame, first_is_right):
    torrent = make_torrent(BLOCK)
    taker, request, *both = await endgame(torrent)
    (right, giver), (wrong, _) = both if first_is_right else reversed(both)
    receive_at_once(
        (wrong, answer(torrent, request, wrong=True)), (right, answer(torrent, request))
    )
    await until(lambda: taker.told(PieceCorrupt))
    assert taker.told(PieceCorrupt) == [PieceCorrupt(0, [wrong], wrong)]
    giver.say(answer(torrent, await giver.hear_only(Request)))
    await taker.swarm.wait_complete()


async def test_an_answer_while_the_other_who_was_asked_is_leaving(endgame):
    torrent = make_torrent(BLOCK)
    taker, request, (leaving, _), (giving, _) = await endgame(torrent)
    leaving.wire.receive_eof()
    receive_at_once((giving, answer(torrent, request)))
    await taker.swarm.wait_complete()
    assert giving in taker.swarm.peers


# Wrong pieces


async def test_a_wrong_piece_of_one_peer(join, raw):
    torrent = make_torrent(2 * BLOCK, 2 * BLOCK)
    taker = await join(torrent)
    liar = await raw(taker, everything(torrent), Unchoke(), peer_id=FIRST_ID)
    liar.say(*(answer(torrent, r, wrong=True) for r in await hear_requests(liar, 2)))
    await until(lambda: taker.told(PieceCorrupt))
    (corrupt,) = taker.told(PieceCorrupt)
    assert corrupt.guilty is corrupt.peers[0]
    honest = await raw(taker, everything(torrent), Unchoke(), peer_id=SECOND_ID)
    honest.say(*(answer(torrent, request) for request in await hear_requests(honest, 2)))
    await taker.swarm.wait_complete()
    assert torrent.is_in(taker.root)


async def test_a_wrong_piece_of_two_peers_is_asked_of_one_alone(join, raw):
    torrent = make_torrent(2 * BLOCK, 2 * BLOCK)
    taker = await join(torrent)
    liar = await raw(taker, everything(torrent), Unchoke(), peer_id=FIRST_ID)
    one, two = await hear_requests(liar, 2)
    honest = await raw(taker, everything(torrent), Unchoke(), peer_id=SECOND_ID)
    await hear_requests(honest, 2)
    liar.say(answer(torrent, one, wrong=True))
    await honest.hear_only(Cancel)
    honest.say(answer(torrent, two))
    await until(lambda: taker.told(PieceCorrupt))
    # The liar came first, so it is asked for all of it; nobody else is. It lies again.
    liar.say(*(answer(torrent, r, wrong=True) for r in await hear_requests(liar, 2)))
    honest.say(*(answer(torrent, request) for request in await hear_requests(honest, 2)))
    await taker.swarm.wait_complete()
    assert torrent.is_in(taker.root)
    first, second = taker.told(PieceCorrupt)
    assert first.guilty is None
    assert {peer.peer_id for peer in first.peers} == {FIRST_ID, SECOND_ID}
    assert second.guilty is not None
    assert second.guilty.peer_id == FIRST_ID


async def test_on_parole_and_silent(join, raw, clock, giving):
    torrent = make_torrent(2 * BLOCK, 2 * BLOCK)
    taker = await join(torrent)
    liar = await raw(taker, everything(torrent), Unchoke(), peer_id=FIRST_ID)
    one, two = await hear_requests(liar, 2)
    honest = await raw(taker, everything(torrent), Unchoke(), peer_id=SECOND_ID)
    await hear_requests(honest, 2)
    liar.say(answer(torrent, one, wrong=True))
    await honest.hear_only(Cancel)
    honest.say(answer(torrent, two))
    await until(lambda: taker.told(PieceCorrupt))
    # The liar came first, so it is asked for all of it; nobody else is. It keeps silent.
    await hear_requests(liar, 2)
    await clock.advance(30)
    giving(torrent, honest)
    await taker.swarm.wait_complete()
    assert torrent.is_in(taker.root)


# How much at once


async def test_a_pipeline_grows_while_nothing_is_known_and_then_by_the_rate(join, raw, clock):
    torrent = make_torrent(400 * BLOCK, 4 * BLOCK)
    taker = await join(torrent)
    peer = await raw(taker, everything(torrent), Unchoke())
    depth = download.MIN_PIPELINE
    while depth < 64:
        requests = await hear_requests(peer, depth - depth // 2 if depth > 4 else depth)
        assert len(taker.peer().requests) == depth
        waiting = list(taker.peer().requests)[: depth // 2]
        peer.say(*(answer(torrent, request) for request in waiting))
        depth *= 2
        await until(lambda depth=depth: len(taker.peer().requests) == depth)
    assert requests
    # 62 blocks in ten seconds make three seconds of it 18; and what is pending is more.
    await clock.advance(10)
    waiting = list(taker.peer().requests)
    peer.say(*(answer(torrent, request) for request in waiting[:-10]))
    await until(lambda: len(taker.peer().requests) < 32)


async def test_no_more_is_asked_than_the_peer_takes(join, acting):
    torrent = make_torrent(40 * BLOCK)
    most = 0

    async def handler(peer):
        nonlocal most
        peer.have_all()
        peer.unchoke()
        async for message in peer:
            if isinstance(message, Request):
                most = max(most, len(peer.peer_requests))
                await peer.respond(message, torrent.piece(message.index))

    port = await acting(torrent, handler, limits=Limits(max_peer_requests=2))
    taker = await join(torrent)
    taker.swarm.dial(HOST, port)
    await taker.swarm.wait_complete()
    assert most == 2
    assert taker.sent("request").total() == 40


# The disk


async def test_nothing_more_is_asked_for_while_the_disk_is_behind(join, seed, monkeypatch):
    monkeypatch.setattr(download, "MAX_UNWRITTEN", 4 * BLOCK)
    torrent = make_torrent(40 * BLOCK)
    giver, taker = await seed(torrent), await join(torrent, storage=Gate)
    taker.swarm.dial(HOST, giver.port)
    await until(lambda: taker.swarm.peers and taker.peer().downloaded >= 4 * BLOCK)
    await until(lambda: not len(taker.peer().requests))
    await turns()
    assert taker.peer().downloaded < 20 * BLOCK
    assert not taker.swarm.have
    taker.swarm.disk.storage.opened.set()
    await taker.swarm.wait_complete()
    assert torrent.is_in(taker.root)


class Full(Storage):
    def write(self, index, begin, data):
        cause = OSError(errno.ENOSPC, "No space left on device")
        raise StorageError("can't write: No space left on device") from cause


async def test_a_disk_that_is_full(join, seed):
    torrent = make_torrent(4 * BLOCK)
    giver, taker = await seed(torrent), await join(torrent, storage=Full)
    taker.swarm.dial(HOST, giver.port)
    with pytest.raises(StorageError, match="No space left"):
        await taker.swarm.wait_complete()
    assert not taker.told(PieceVerified)


async def test_what_has_come_is_written_before_a_swarm_is_closed(join, seed):
    torrent = make_torrent(BLOCK)
    giver, taker = await seed(torrent), await join(torrent, storage=Gate)
    taker.swarm.dial(HOST, giver.port)
    await until(lambda: taker.swarm.peers and taker.peer().downloaded == BLOCK)
    closing = asyncio.create_task(taker.swarm.close())
    await turns()
    assert not closing.done()
    taker.swarm.disk.storage.opened.set()
    await closing
    assert torrent.is_in(taker.root)


async def test_pieces_that_wait_for_the_disk_are_written_together(join, raw):
    """And each is judged by itself, the wrong one as well."""
    torrent = make_torrent(8 * BLOCK)
    taker = await join(torrent, storage=Gate)
    hops = []
    write_pieces = taker.swarm.disk.write_pieces

    async def counted(pieces):
        hops.append(len(pieces))
        return await write_pieces(pieces)

    taker.swarm.disk.write_pieces = counted
    giver = await raw(taker, everything(torrent), Unchoke(), peer_id=FIRST_ID)
    wrong = set()
    for number in range(8):
        request = await giver.hear_only(Request)
        if number == 6:
            wrong.add(request.index)
        giver.say(answer(torrent, request, wrong=request.index in wrong))
    await until(lambda: taker.peer().downloaded == 8 * BLOCK)
    taker.swarm.disk.storage.opened.set()
    await until(lambda: taker.told(PieceCorrupt) and len(taker.swarm.have) == 7)
    assert sum(hops) == 8
    assert len(hops) < 8
    (corrupt,) = taker.told(PieceCorrupt)
    assert {corrupt.index} == wrong
    assert corrupt.guilty is not None
    other = await raw(taker, everything(torrent), Unchoke(), peer_id=SECOND_ID)
    other.say(answer(torrent, await other.hear_only(Request)))
    await taker.swarm.wait_complete()
    assert torrent.is_in(taker.root)


@pytest.mark.parametrize("spare", [0, 3 * BLOCK])
async def test_memory_of_pieces_is_used_again(join, seed, monkeypatch, spare):
    """No more than so much of it is kept, and nothing of what was in it matters."""
    monkeypatch.setattr(download, "MAX_SPARE", spare)
    torrent = make_torrent(30 * BLOCK + 1)
    giver, taker = await seed(torrent), await join(torrent)
    taker.swarm.dial(HOST, giver.port)
    await taker.swarm.wait_complete()
    assert torrent.is_in(taker.root)
    assert len(taker.swarm.download._spare) == spare // BLOCK
