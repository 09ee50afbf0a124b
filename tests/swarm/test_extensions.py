"""What swarms say and do by their extensions: peer exchange, pieces that are gone, upload only."""

from __future__ import annotations

import asyncio
import dataclasses
import functools

import pytest

from peerwire import (
    Bitfield,
    Cancel,
    DownloadFailed,
    Extended,
    ExtendedHandshake,
    Handshake,
    Have,
    HaveAll,
    Piece,
    PieceSet,
    Request,
    RequestRejected,
    Reserved,
    Unchoke,
    connect,
    serve,
)
from peerwire.extensions.lt_donthave import DontHave, LtDontHave
from peerwire.extensions.upload_only import UploadOnly, UploadOnlyMessage
from peerwire.extensions.ut_pex import PERIOD, PexFlags, PexMessage, PexPeer, UtPex
from peerwire.swarm import pex
from peerwire.swarm.choker import RECHOKE_SECONDS
from peerwire.swarm.events import DialFailed, PeerJoined, PeerLeft
from peerwire.swarm.swarm import Redial

from .conftest import BLOCK, HOST, Gate, RawPeer, make_torrent, turns, until

USELESS = "neither side has anything that the other wants (BEP 21)"


@pytest.fixture
def opened(stack):
    """Lets a member be dialled by peers that speak its extensions; returns the port."""

    async def opened(member):
        meta = member.swarm.metainfo
        server = await stack.enter_async_context(
            serve(
                member.swarm.welcome,
                HOST,
                0,
                torrents={meta.info_hash: meta.num_pieces},
                peer_id=member.swarm.peer_id,
                extensions=member.swarm.extensions,
            )
        )
        member.swarm.port = server.port
        return server.port

    return opened


@pytest.fixture
def met(stack):
    """Dials a port of a member, with extensions; returns the peer, which iterates when asked."""

    async def met(torrent, port, *extensions, **options):
        return await stack.enter_async_context(
            connect(
                HOST,
                port,
                torrent.meta.info_hash,
                num_pieces=torrent.meta.num_pieces,
                extensions=extensions,
                **options,
            )
        )

    return met


async def hear_only(peer, kind):
    """Returns the next thing of a kind, and passes over what comes before."""
    async for message in peer:
        if isinstance(message, kind):
            return message
    raise AssertionError(f"the connection has ended without a {kind.__name__}")


async def speaking(peer, kind):
    """Returns the peer's extension once the other side has announced it."""
    extension = peer.extension(kind)
    await peer.wait_until(lambda: extension.supported)
    return extension


# Peer exchange


async def test_who_is_told_of_is_dialled_and_gives_the_rest(join, seed, opened, clock):
    torrent = make_torrent(4 * BLOCK)
    # The one in the middle never has a piece to give.
    middle = await join(torrent, "middle", storage=Gate)
    giver, taker = await seed(torrent), await join(torrent)
    middle.swarm.dial(HOST, await opened(giver))
    taker.swarm.dial(HOST, await opened(middle))
    await until(lambda: len(middle.swarm.peers) == 2 and taker.swarm.peers)
    await until(lambda: all(peer.extended_handshake for peer in middle.swarm.peers))
    assert len(taker.told(PeerJoined)) == 1
    await clock.advance(RECHOKE_SECONDS)
    await taker.swarm.wait_complete()
    assert [event.peer.address for event in taker.told(PeerJoined)][1:] == [
        (HOST, giver.swarm.port)
    ]
    middle.swarm.disk.storage.opened.set()
    await middle.swarm.wait_complete()


async def test_each_learns_where_the_others_listen(join, opened, clock):
    torrent = make_torrent(BLOCK)
    middle, a, b = [await join(torrent, name) for name in "mab"]
    port = await opened(middle)
    for member in (a, b):
        await opened(member)
        member.swarm.dial(HOST, port)
    await until(lambda: len(middle.swarm.peers) == 2)
    await until(lambda: all(peer.extended_handshake for peer in middle.swarm.peers))
    await clock.advance(RECHOKE_SECONDS)
    # Both dial each other; one of the two connections stays.
    await until(lambda: len(a.swarm.peers) == len(b.swarm.peers) == 2)
    await turns()
    assert len(a.swarm.peers) == len(b.swarm.peers) == 2


async def test_a_message_comes_once_a_minute(join, opened, met, clock):
    torrent = make_torrent(BLOCK)
    member = await join(torrent)
    port = await opened(member)
    here = [await met(torrent, port, functools.partial(UtPex, clock, port=p)) for p in (1, 2, 3)]
    assert here[0].closed is None
    for peer in here:
        peer.have_none()
        await speaking(peer, UtPex)
    await until(lambda: all(peer.extended_handshake for peer in member.swarm.peers))
    assert len(member.swarm.peers) == 3
    await clock.advance(RECHOKE_SECONDS)
    told = await hear_only(here[0], PexMessage)
    assert told == PexMessage([PexPeer(HOST, 2), PexPeer(HOST, 3)])
    await here[1].close()
    await until(lambda: len(member.swarm.peers) == 2)
    for _ in range(int(PERIOD / RECHOKE_SECONDS)):
        await clock.advance(RECHOKE_SECONDS)
    told = await hear_only(here[0], PexMessage)
    assert told == PexMessage(dropped=[PexPeer(HOST, 2)])


@pytest.mark.parametrize("private", [True, False])
async def test_nothing_of_the_kind_in_a_private_torrent_or_where_it_is_off(
    join, opened, met, clock, private
):
    torrent = make_torrent(BLOCK)
    if private:
        torrent.meta = dataclasses.replace(torrent.meta, private=True)
    member = await join(torrent, pex=private)
    port = await opened(member)
    here = [await met(torrent, port, functools.partial(UtPex, clock, port=p)) for p in (1, 2)]
    for peer in here:
        peer.have_none()
        await peer.wait_until(lambda peer=peer: peer.extended_handshake is not None)
        assert not peer.extension(UtPex).supported
    assert "ut_pex" not in here[0].extended_handshake.m
    assert here[0].extended_handshake.p is None
    assert ("ut_metadata" in here[0].extended_handshake.m) is not private
    await clock.advance(RECHOKE_SECONDS)
    await turns()
    assert member.swarm.done is False
    assert not member.told(PeerLeft)


async def dead_end():
    """A port at which nobody listens."""
    server = await asyncio.start_server(lambda *_: None, HOST, 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    return port


async def test_hearsay_is_tried_twice_and_is_no_reason_to_be_told(join, opened, met, clock):
    torrent = make_torrent(BLOCK)
    taker = await join(torrent, redial=Redial(attempts=3, wait=1.0))
    teller = await met(torrent, await opened(taker), functools.partial(UtPex, clock))
    teller.have_none()
    dead = await dead_end()
    (await speaking(teller, UtPex)).update(clock(), [PexPeer(HOST, dead)])
    await until(lambda: taker.told(DialFailed))
    await clock.advance(1.0)
    await until(lambda: len(taker.told(DialFailed)) == 2)
    first, second = taker.told(DialFailed)
    assert first.address == second.address == (HOST, dead)
    assert (first.gives_up, second.gives_up) == (False, True)
    await teller.close()
    await until(lambda: taker.told(PeerLeft))
    await turns()
    assert not taker.swarm._complete.done()  # somebody may come yet: nobody was dialled for good


async def test_those_for_whom_there_is_no_room_are_dialled_when_somebody_leaves(
    join, seed, opened, met, clock, monkeypatch
):
    monkeypatch.setattr(pex, "MAX_CONNECTIONS", 1)
    torrent = make_torrent(BLOCK)
    giver, taker = await seed(torrent), await join(torrent)
    teller = await met(torrent, await opened(taker), functools.partial(UtPex, clock))
    teller.have_none()
    told = [PexPeer(HOST, await opened(giver), PexFlags.OUTGOING), PexPeer(HOST, await dead_end())]
    (await speaking(teller, UtPex)).update(clock(), told)
    await until(lambda: "extended" in taker.peer().wire.messages_received)
    await turns()
    assert not taker.told(DialFailed)
    assert len(taker.told(PeerJoined)) == 1
    await teller.close()
    await advancing(clock, taker.swarm.wait_complete())


async def advancing(clock, waiting):
    """Waits while the clock goes on."""
    task = asyncio.ensure_future(waiting)
    while not task.done():
        await clock.advance(1.0)
        await turns(3)
    await task


async def test_nobody_is_dialled_any_more_at_the_end(join, opened, met, clock, monkeypatch):
    monkeypatch.setattr(pex, "MAX_CONNECTIONS", 1)
    torrent = make_torrent(BLOCK)
    taker = await join(torrent)
    teller = await met(torrent, await opened(taker), functools.partial(UtPex, clock))
    teller.have_none()
    (await speaking(teller, UtPex)).update(clock(), [PexPeer(HOST, await dead_end())])
    await until(lambda: taker.peer().wire.messages_received["extended"] == 2)
    await turns()
    await taker.swarm.close()
    assert not taker.told(DialFailed)


async def test_a_seed_dials_nobody(seed, opened, met, clock):
    torrent = make_torrent(BLOCK)
    giver = await seed(torrent)
    teller = await met(torrent, await opened(giver), functools.partial(UtPex, clock))
    teller.have_none()
    (await speaking(teller, UtPex)).update(clock(), [PexPeer(HOST, await dead_end())])
    await until(lambda: giver.peer().wire.messages_received["extended"] == 2)
    await turns()
    assert not giver.swarm._dialling.addresses


# Pieces that are gone


@pytest.mark.parametrize("fast", [True, False])
async def test_a_piece_that_is_gone_is_fetched_from_another(
    join, seed, opened, acting, clock, fast
):
    torrent = make_torrent(2 * BLOCK)
    asked = []

    async def forgetful(peer):
        peer.announce(PieceSet.full(2))
        peer.unchoke()
        async for message in peer:
            if isinstance(message, Request):
                asked.append(message.index)
                if len(asked) == 2:
                    for index in asked:
                        (await speaking(peer, LtDontHave)).dont_have(index)
                    for request in list(peer.peer_requests):
                        peer.reject(request)
            elif isinstance(message, Cancel):
                asked.append(message)

    reserved = Reserved.EXTENSION | (Reserved.FAST if fast else Reserved(0))
    taker, giver = await join(torrent), await seed(torrent)
    taker.swarm.dial(
        HOST, await acting(torrent, forgetful, extensions=[LtDontHave], reserved=reserved)
    )
    await until(lambda: len(asked) == 2 and not taker.peer().peer_pieces)
    await until(lambda: not taker.peer().am_interested)
    taker.swarm.dial(HOST, await opened(giver))
    await taker.swarm.wait_complete()
    assert sorted(asked[:2]) == [0, 1]
    assert not taker.told(PeerLeft)  # for what it was told is no fault


async def test_a_piece_that_is_back_is_asked_for_again(join, acting):
    torrent = make_torrent(BLOCK)

    async def forgetful(peer):
        peer.announce(PieceSet.full(1))
        (await speaking(peer, LtDontHave)).dont_have(0)
        await until(lambda: taker.swarm.peers and not taker.peer().peer_pieces)
        peer.unchoke()
        peer.have(0)
        async for message in peer:
            if isinstance(message, Request):
                await peer.respond(message, torrent.content)

    taker = await join(torrent)
    taker.swarm.dial(HOST, await acting(torrent, forgetful, extensions=[LtDontHave]))
    await taker.swarm.wait_complete()


async def test_a_seed_says_which_piece_it_can_read_no_more(seed, opened, met):
    torrent = make_torrent({"gone": BLOCK, "here": BLOCK})
    giver = await seed(torrent)
    (giver.root / "top" / "gone").unlink()
    port = await opened(giver)
    taker = await met(torrent, port, LtDontHave)
    deaf = await met(torrent, port)
    for peer in (taker, deaf):
        peer.have_none()
        await peer.ready()
    await until(lambda: all(peer.extended_handshake for peer in giver.swarm.peers))
    with pytest.raises(RequestRejected):
        await taker.request(0, 0, BLOCK)
    assert await hear_only(taker, DontHave) == DontHave(0)
    assert await taker.request(1, 0, BLOCK) == torrent.piece(1)
    assert await deaf.request(1, 0, BLOCK) == torrent.piece(1)
    assert deaf.wire.messages_received["extended"] == 1  # the handshake


# Upload only


async def test_our_handshake_says_whether_we_want_nothing(join, seed, opened, met):
    torrent = make_torrent(2 * BLOCK)
    for member, wants_nothing in [
        (await seed(torrent), True),
        (await join(torrent, "partial", pieces=[0], wanted=PieceSet(2, [0])), True),
        (await join(torrent, "leech", pieces=[0]), False),
        (await seed(torrent, "shy", super_seed=True), False),
    ]:
        peer = await met(torrent, await opened(member))
        await peer.wait_until(lambda peer=peer: peer.extended_handshake is not None)
        assert peer.extended_handshake.upload_only is wants_nothing
        assert peer.extended_handshake.m.keys() >= {"upload_only", "lt_donthave", "ut_pex"}


async def test_who_has_all_that_it_wants_says_so(join, seed, opened, met):
    torrent = make_torrent(2 * BLOCK)
    taker = await join(torrent, wanted=PieceSet(2, [1]))
    watcher, deaf = [
        await met(torrent, await opened(taker), *extensions) for extensions in ([UploadOnly], [])
    ]
    for peer in (watcher, deaf):
        peer.have_none()
    await speaking(watcher, UploadOnly)
    await until(lambda: len(taker.swarm.peers) == 2)
    await until(lambda: all(peer.extended_handshake for peer in taker.swarm.peers))
    taker.swarm.dial(HOST, await opened(await seed(torrent)))
    assert await hear_only(watcher, UploadOnlyMessage) == UploadOnlyMessage(True)
    assert watcher.extended_handshake.upload_only is True
    await hear_only(deaf, Have)
    assert deaf.extended_handshake.upload_only is False


async def test_a_partial_seed_with_nothing_of_use_is_let_go(join, acting):
    torrent = make_torrent(2 * BLOCK)

    async def partial(peer):
        peer.announce(PieceSet(2, [0]))
        await peer.wait_closed()

    taker = await join(torrent, pieces=[0], redial=Redial(attempts=1))
    taker.swarm.dial(
        HOST,
        await acting(torrent, partial, extensions=[functools.partial(UploadOnly, True)]),
    )
    with pytest.raises(DownloadFailed, match="1 of 2 pieces missing and no peer left") as error:
        await taker.swarm.wait_complete()
    assert USELESS in str(error.value)
    assert taker.told(PeerLeft)[0].closed.reason == USELESS


async def test_one_that_has_something_is_kept_until_it_has_given_it(join, acting):
    torrent = make_torrent(3 * BLOCK)

    async def partial(peer):
        peer.announce(PieceSet(3, [0, 1]))
        peer.unchoke()
        async for message in peer:
            if isinstance(message, Request):
                await peer.respond(message, torrent.piece(message.index))

    taker = await join(torrent, pieces=[0])
    taker.swarm.dial(
        HOST,
        await acting(torrent, partial, extensions=[functools.partial(UploadOnly, True)]),
    )
    await until(lambda: taker.told(PeerLeft))
    assert taker.told(PeerLeft)[0].closed.reason == USELESS
    assert set(taker.swarm.have) == {0, 1}


async def test_one_that_becomes_so_is_let_go_by_a_seed(seed, opened, met):
    torrent = make_torrent(2 * BLOCK)
    giver = await seed(torrent)
    taker = await met(torrent, await opened(giver), UploadOnly)
    taker.announce(PieceSet(2, [0]))
    extension = await speaking(taker, UploadOnly)
    taker.interested()
    await until(lambda: giver.swarm.peers and giver.peer().peer_interested)
    extension.switch(True)
    await until(lambda: giver.peer().extended_handshake.upload_only)
    await turns()
    assert not giver.told(PeerLeft)  # it is interested all the same
    extension.switch(False)
    taker.not_interested()
    extension.switch(True)
    await until(lambda: giver.told(PeerLeft))
    assert giver.told(PeerLeft)[0].closed.reason == USELESS


async def test_what_it_has_is_waited_for(join, seed, opened, met):
    torrent = make_torrent(2 * BLOCK)
    taker = await join(torrent)
    peer = await met(torrent, await opened(taker), functools.partial(UploadOnly, True))
    await until(lambda: taker.swarm.peers and taker.peer().extended_handshake)
    await turns()
    assert not taker.told(PeerLeft)  # its extended handshake came first: nobody knows yet
    peer.have_all()
    await until(lambda: taker.peer().am_interested)


async def test_a_message_that_ends_the_wire_names_the_extension(join, opened, met, clock):
    torrent = make_torrent(BLOCK)
    taker = await join(torrent)
    peer = await met(torrent, await opened(taker), functools.partial(UtPex, clock))
    peer.have_none()
    (await speaking(peer, UtPex)).send(b"d5:added5:12345e")
    await until(lambda: taker.told(PeerLeft))
    assert "extension ut_pex" in taker.told(PeerLeft)[0].closed.reason


@pytest.mark.parametrize("first", [HaveAll(), None], ids=["have all", "bitfield and haves"])
async def test_who_wants_nothing_and_says_what_it_has_right_behind_it_is_asked(join, stack, first):
    """Transmission says both in one segment: its state is complete before its words are read."""
    torrent = make_torrent(3 * BLOCK)
    taker = await join(torrent)
    reader, writer = await asyncio.open_connection(HOST, taker.port)
    stack.callback(writer.close)
    reserved = Reserved.EXTENSION | (Reserved.FAST if first else Reserved(0))
    handshake = Handshake(torrent.meta.info_hash, b"-RW0001-abcdefghijkl", reserved)
    nothing = bytes((torrent.meta.num_pieces + 7) // 8)
    has = [first] if first else [Bitfield(nothing), *map(Have, range(torrent.meta.num_pieces))]
    wants_nothing = Extended(0, ExtendedHandshake(upload_only=True).encode())
    giver = RawPeer(reader, writer)
    giver.say(handshake)
    await giver.hear_handshake()
    await until(lambda: taker.swarm.peers)
    writer.write(b"".join(message.encode() for message in [wants_nothing, *has, Unchoke()]))
    for _ in range(3):
        request = await giver.hear_only(Request)
        giver.say(Piece(request.index, 0, torrent.piece(request.index)))
    await taker.swarm.wait_complete()
