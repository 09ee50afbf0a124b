"""Swarms on loopback: that content arrives whole, and who is dialled, kept and dropped."""

from __future__ import annotations

import asyncio

import pytest

from peerwire import (
    Have,
    HaveAll,
    HaveNone,
    Interested,
    KeepAlive,
    Piece,
    Request,
    StorageError,
    Unchoke,
    connect,
    serve,
)
from peerwire.swarm.choker import OPTIMISTIC_SECONDS, RECHOKE_SECONDS
from peerwire.swarm.events import (
    DialFailed,
    DiskFailed,
    PeerJoined,
    PeerLeft,
    PieceCorrupt,
    PieceVerified,
)
from peerwire.torrent.storage import Storage

from ..asyncio.raw import greeting
from .conftest import (
    BLOCK,
    HOST,
    Gate,
    RawPeer,
    everything,
    failed,
    fails,
    make_torrent,
    nobody_at,
    some,
    turns,
    until,
)

#: Whoever has this peer id has a lower one, or a higher one, than anybody else.
LOWEST, HIGHEST = bytes(20), b"\xff" * 20


# Content arrives


async def test_one_seed_one_leech(seed, join):
    torrent = make_torrent(20 * BLOCK + 1)
    giver, taker = await seed(torrent), await join(torrent)
    taker.swarm.dial(HOST, giver.port)
    await taker.swarm.wait_complete()
    assert torrent.is_in(taker.root)
    assert taker.swarm.done
    assert taker.swarm.have.complete
    assert sorted(event.index for event in taker.told(PieceVerified)) == list(range(21))
    assert set(taker.sent("request").values()) == {1}
    assert taker.sent("request").total() == 21
    # Each side tells the other that this is the end of it.
    await until(lambda: taker.told(PeerLeft))
    assert taker.sent("not interested").total() == 1
    assert taker.told(PeerLeft)[0].closed.reason == "nothing is left to exchange"


async def test_files_of_all_sizes(seed, join):
    sizes = {"a": 1, "b/empty": 0, "b/c": BLOCK - 1, "d": 3 * BLOCK + 5, "e": 0, "f/g/h": 77_777}
    torrent = make_torrent(sizes, 2 * BLOCK)
    giver, taker = await seed(torrent), await join(torrent)
    taker.swarm.disk.storage.prepare()
    taker.swarm.dial(HOST, giver.port)
    await taker.swarm.wait_complete()
    assert torrent.is_in(taker.root)


async def test_three_leeches_give_each_other_what_they_have(join):
    torrent = make_torrent(30 * BLOCK)
    members = [
        await join(torrent, f"leech{number}", pieces=range(number, 30, 3)) for number in range(3)
    ]
    for member in members:
        for other in members:
            if other is not member:
                member.swarm.dial(HOST, other.port)
    for member in members:
        await member.swarm.wait_complete()
        assert torrent.is_in(member.root)


async def test_three_leeches_and_a_seed(seed, join):
    torrent = make_torrent(30 * BLOCK, 2 * BLOCK)
    giver = await seed(torrent)
    members = [await join(torrent, f"leech{number}") for number in range(3)]
    for number, member in enumerate(members):
        member.swarm.dial(HOST, giver.port)
        member.swarm.dial(HOST, members[number - 1].port)
    for member in members:
        await member.swarm.wait_complete()
        assert torrent.is_in(member.root)


async def test_what_is_on_disk_and_right_is_not_asked_for(seed, join, tmp_path):
    torrent = make_torrent(20 * BLOCK)
    giver = await seed(torrent)
    root = tmp_path / "resumed"
    with Storage(torrent.meta, root) as storage:
        for index in range(10):
            storage.write(index, 0, torrent.piece(index))
        storage.write(3, 100, b"rotten")
        storage.write(12, 0, torrent.piece(12)[:-1])
        have = storage.verify()
    assert set(have) == {0, 1, 2, 4, 5, 6, 7, 8, 9}
    taker = await join(torrent, "resumed", pieces=have)
    taker.swarm.dial(HOST, giver.port)
    await taker.swarm.wait_complete()
    assert torrent.is_in(root)
    expected = {f"request {index}:0+{BLOCK}" for index in range(20) if index not in have}
    assert set(taker.sent("request")) == expected
    assert taker.sent("request").total() == 11


async def test_peers_with_different_pieces(join):
    torrent = make_torrent(20 * BLOCK)
    givers = [
        await join(torrent, f"giver{number}", pieces=range(number, 20, 2)) for number in range(2)
    ]
    taker = await join(torrent)
    for giver in givers:
        taker.swarm.dial(HOST, giver.port)
    await taker.swarm.wait_complete()
    assert torrent.is_in(taker.root)
    assert [giver.sent("piece").total() for giver in givers] == [10, 10]


async def test_a_piece_is_told_to_all(join, raw):
    torrent = make_torrent(2 * BLOCK)
    taker = await join(torrent)
    giver = await raw(taker, everything(torrent), Unchoke(), peer_id=LOWEST)
    other = await raw(taker, HaveNone(), peer_id=HIGHEST)
    await until(lambda: len(taker.swarm.peers) == 2)
    for _ in range(2):
        request = await giver.hear_only(Request)
        giver.say(Piece(request.index, 0, torrent.piece(request.index)))
        assert (await other.hear_only(Have)).index == request.index
    await taker.swarm.wait_complete()
    # To the giver, too: it learns from this that nothing is left to exchange.
    assert taker.sent("have 0").total() == taker.sent("have 1").total() == 2


# Choking


async def test_everybody_is_served_in_the_end(seed, raw, clock):
    torrent = make_torrent(BLOCK)
    giver = await seed(torrent, slots=2)
    peers = [
        await raw(giver, HaveNone(), Interested(), peer_id=b"-RW0001-%012d" % number)
        for number in range(5)
    ]

    def unchoked():
        return {peer for peer in giver.swarm.peers if not peer.am_choking}

    await until(lambda: sum(peer.peer_interested for peer in giver.swarm.peers) == 5)
    await until(unchoked)
    served = set()
    for _ in range(5 * int(OPTIMISTIC_SECONDS // RECHOKE_SECONDS) + 1):
        assert len(unchoked()) == 2
        served |= unchoked()
        for peer in peers:
            peer.say(KeepAlive())
        await turns()
        await clock.advance(RECHOKE_SECONDS)
    assert len(served) == 5


async def test_more_leeches_than_slots(seed, join):
    torrent = make_torrent(4 * BLOCK)
    giver = await seed(torrent, slots=1)
    members = [await join(torrent, f"leech{number}") for number in range(4)]
    for member in members:
        member.swarm.dial(HOST, giver.port)
    for member in members:
        await member.swarm.wait_complete()  # a slot is free as soon as somebody is done


# Who sends what is wrong


@pytest.fixture
def liar(acting):
    """Starts a seed that sends nothing but zeros; returns its port and how often it was dialled."""

    async def liar(torrent, **options):
        came = []

        async def handler(peer):
            came.append(peer)
            peer.have_all()
            peer.unchoke()
            async for message in peer:
                if isinstance(message, Request):
                    await peer.respond(message, bytes(message.length))

        return await acting(torrent, handler, **options), came

    return liar


async def test_a_peer_that_alone_sends_a_wrong_piece_is_dropped_for_good(join, liar, clock):
    torrent = make_torrent(2 * BLOCK, 2 * BLOCK)
    taker = await join(torrent)
    port, came = await liar(torrent)
    taker.swarm.dial(HOST, port)
    told = await fails(taker)
    assert told == (
        f"1 of 1 pieces missing and no peer left: 127.0.0.1:{port}: "
        "it sent blocks of piece 0 with the wrong hash"
    )
    (joined,) = taker.told(PeerJoined)
    assert taker.told(PieceCorrupt) == [PieceCorrupt(0, [joined.peer], joined.peer)]
    assert taker.told(PeerLeft)[0].closed.reason == "it sent blocks of piece 0 with the wrong hash"
    assert failed(taker) == [
        f"no connection to 127.0.0.1:{port}: it sent blocks of piece 0 with the wrong hash; "
        "giving up"
    ]
    await clock.advance(1000)
    await turns()
    assert len(came) == 1


async def test_who_was_dropped_for_good_may_not_come_again(join, liar):
    torrent = make_torrent(BLOCK)
    taker = await join(torrent)
    port, came = await liar(torrent)
    taker.swarm.dial(HOST, port)
    await fails(taker)
    async with connect(
        HOST, taker.port, torrent.meta.info_hash, peer_id=came[0].wire.peer_id
    ) as peer:
        await peer.wait_closed()
    assert len(taker.told(PeerJoined)) == 1
    # Nor may it be dialled at another port.
    again, _ = await liar(torrent, peer_id=came[0].wire.peer_id)
    taker.swarm.dial(HOST, again)
    await until(lambda: len(taker.told(DialFailed)) == 2)
    assert len(taker.told(PeerJoined)) == 1


async def test_a_liar_among_three(seed, join, liar):
    torrent = make_torrent(24 * BLOCK, 4 * BLOCK)
    givers = [await seed(torrent, f"seed{number}") for number in range(2)]
    taker = await join(torrent)
    port, came = await liar(torrent)
    taker.swarm.dial(HOST, port)
    await until(lambda: taker.told(PieceCorrupt))
    for giver in givers:
        taker.swarm.dial(HOST, giver.port)
    await taker.swarm.wait_complete()
    assert torrent.is_in(taker.root)
    guilty = {event.guilty.peer_id for event in taker.told(PieceCorrupt) if event.guilty}
    assert guilty == {came[0].wire.peer_id}
    assert all(
        left.closed.reason == "nothing is left to exchange"
        for left in taker.told(PeerLeft)
        if left.peer.peer_id not in guilty
    )


async def test_a_peer_that_breaks_a_rule_is_dropped_for_good(join, acting):
    torrent = make_torrent(2 * BLOCK)
    taker = await join(torrent)

    async def handler(peer):
        peer.have_all()
        peer.wire._out.append(Have(2).encode())
        await peer.wait_closed()

    taker.swarm.dial(HOST, await acting(torrent, handler))
    assert "have 2 in a torrent of 2 pieces (BEP 3" in await fails(taker)
    (event,) = taker.told(DialFailed)
    assert event.gives_up


async def test_a_mistake_of_ours_in_the_background_ends_the_wait(join, clock):
    torrent = make_torrent(BLOCK)
    taker = await join(torrent)

    def mistaken():
        raise ZeroDivisionError

    taker.swarm.download.tick = mistaken
    await clock.advance(RECHOKE_SECONDS)
    with pytest.raises(ZeroDivisionError):
        await taker.swarm.wait_complete()


# The same peer twice


async def test_two_addresses_of_the_same_peer(stack, seed, join):
    torrent = make_torrent(4 * BLOCK)
    taker = await join(torrent)
    giver = await seed(torrent, storage=Gate)
    second = await stack.enter_async_context(
        serve(
            giver.swarm.welcome,
            HOST,
            0,
            torrents={torrent.meta.info_hash: 4},
            peer_id=giver.swarm.peer_id,
        )
    )
    taker.swarm.dial(HOST, giver.port)
    await until(lambda: taker.told(PeerJoined))
    taker.swarm.dial(HOST, second.port)
    await until(lambda: failed(taker))
    assert failed(taker) == [
        f"no connection to 127.0.0.1:{second.port}: "
        f"it is connected already, as 127.0.0.1:{giver.port}; giving up"
    ]
    await taker.swarm.wait_complete()
    assert len(taker.told(PeerJoined)) == 1


@pytest.mark.parametrize(("ours", "theirs"), [(LOWEST, HIGHEST), (HIGHEST, LOWEST)])
async def test_of_connections_that_cross_both_sides_keep_the_same(join, ours, theirs):
    torrent = make_torrent(4 * BLOCK)
    one = await join(torrent, "one", pieces=[0, 1], peer_id=ours)
    two = await join(torrent, "two", pieces=[2, 3], peer_id=theirs)
    one.swarm.dial(HOST, two.port)
    two.swarm.dial(HOST, one.port)
    await one.swarm.wait_complete()
    await two.swarm.wait_complete()
    assert torrent.is_in(one.root)
    assert torrent.is_in(two.root)


@pytest.mark.parametrize(("theirs", "kept"), [(LOWEST, "dialled"), (HIGHEST, "came")])
async def test_the_higher_peer_id_dials(answering, join, raw, theirs, kept):
    torrent = make_torrent(BLOCK)
    taker = await join(torrent, encryption="off")
    port, came = await answering(greeting(torrent.meta.info_hash, peer_id=theirs))
    first = await raw(taker, peer_id=theirs)
    await until(lambda: taker.swarm.peers)
    taker.swarm.dial(HOST, port)
    second = await came.get()
    await second.hear_handshake()
    ended = first if kept == "dialled" else second
    await ended.hear_until_end()
    ended.close()
    await until(lambda: len(taker.swarm.peers) == 1)
    assert taker.told(PeerJoined)[-1].dialled is (kept == "dialled")


async def test_who_comes_again_while_its_old_connection_ends(join, raw):
    torrent = make_torrent(BLOCK)
    taker = await join(torrent)
    old = await raw(taker, HaveNone())
    await until(lambda: taker.swarm.peers)
    closing = asyncio.create_task(taker.peer().close())  # waits for the peer's own end
    await turns()
    new = await raw(taker, everything(torrent), Unchoke())
    request = await new.hear_only(Request)
    new.say(Piece(request.index, 0, torrent.piece(0)))
    await taker.swarm.wait_complete()
    old.close()
    await closing


# The disk


async def test_a_seed_goes_on_with_what_can_be_read(seed, join):
    torrent = make_torrent({"gone": BLOCK, "here": 3 * BLOCK})
    giver, taker = await seed(torrent), await join(torrent)
    (giver.root / "top" / "gone").unlink()
    taker.swarm.dial(HOST, giver.port)
    await until(lambda: len(taker.swarm.have) == 3)
    assert [event.index for event in giver.told(DiskFailed)] == [0]
    assert giver.swarm.done
    assert set(giver.swarm.have) == {1, 2, 3}
    await until(lambda: taker.told(PeerLeft))
    assert "rejects" in taker.told(PeerLeft)[0].closed.reason


async def test_a_download_ends_with_what_cannot_be_read(join):
    torrent = make_torrent({"gone": BLOCK, "here": 3 * BLOCK})
    giver, taker = await join(torrent, "giver", pieces=[0]), await join(torrent)
    (giver.root / "top" / "gone").unlink()
    taker.swarm.dial(HOST, giver.port)
    with pytest.raises(StorageError, match="No such file"):
        await giver.swarm.wait_complete()
    assert not giver.told(DiskFailed)


# The end


async def test_close_in_the_middle_of_it_all(seed, join, raw):
    torrent = make_torrent(512 * BLOCK, 4 * BLOCK)
    giver = await seed(torrent)
    taker = await join(torrent)
    guest = await raw(taker, some(torrent, 0))
    taker.swarm.dial(HOST, giver.port)
    taker.swarm.dial(HOST, await nobody_at())
    await until(lambda: len(taker.swarm.have) > 3)
    waiting = asyncio.create_task(taker.swarm.wait_complete())
    await turns(3)
    assert not taker.swarm.done
    guest.close()
    await taker.swarm.close()
    assert not taker.swarm.peers
    assert len(taker.told(PeerLeft)) == len(taker.told(PeerJoined)) == 2
    with pytest.raises(asyncio.CancelledError):
        await waiting
    # What the fixtures check: no task is left, and no thread.


async def test_who_comes_after_the_end_is_sent_away(seed, raw):
    torrent = make_torrent(BLOCK)
    giver = await seed(torrent)
    await giver.swarm.close()
    late = await raw(giver, HaveNone())
    await late.hear_until_end()
    assert not giver.told(PeerJoined)


async def test_pieces_that_no_torrent_has(stack, join, caplog):
    torrent = make_torrent(2 * BLOCK)
    taker = await join(torrent)
    server = await stack.enter_async_context(serve(taker.swarm.welcome, HOST, 0))  # of any torrent
    caplog.set_level("INFO", "peerwire.server")
    guest = RawPeer(*await asyncio.open_connection(HOST, server.port))
    stack.callback(guest.close)
    guest.say(greeting(torrent.meta.info_hash), Have(2))
    await guest.hear_handshake()
    assert not [m for m in await guest.hear_until_end() if not isinstance(m, HaveAll | HaveNone)]
    assert not taker.told(PeerJoined)
    assert "piece" in caplog.text
