"""A swarm that wants a part of its torrent, and one that serves its metadata."""

from __future__ import annotations

import dataclasses
import socket

import pytest

from peerwire import DownloadFailed, PieceSet, serve
from peerwire.extensions.ut_metadata import UtMetadata
from peerwire.limits import Limits
from peerwire.swarm.metadata import fetch_metadata
from peerwire.swarm.swarm import Redial

from .conftest import BLOCK, HOST, make_torrent, until

FILES = {"a": BLOCK + 5, "b/c": 3 * BLOCK, "d": BLOCK, "e": 2 * BLOCK - 5}  # seven pieces


def wanting(torrent, *pieces):
    return PieceSet(torrent.meta.num_pieces, pieces)


def length(root, name):
    path = root / "top" / name
    return path.stat().st_size if path.exists() else None


async def test_only_what_is_wanted_is_fetched(join, seed):
    torrent = make_torrent(FILES)
    seeder = await seed(torrent)
    leech = await join(torrent, wanted=wanting(torrent, 4, 5))  # those of "d"
    assert not leech.swarm.done
    leech.swarm.dial(HOST, seeder.port)
    await leech.swarm.wait_complete()
    assert leech.swarm.done
    assert set(leech.swarm.have) == {4, 5}
    assert leech.sent("request") == {f"request {n}:0+{BLOCK}": 1 for n in (4, 5)}
    assert (leech.root / "top" / "d").read_bytes() == torrent.content[4 * BLOCK + 5 :][:BLOCK]
    assert length(leech.root, "a") is None
    assert length(leech.root, "b/c") == 3 * BLOCK  # its last bytes are in piece 4
    assert length(leech.root, "e") == BLOCK - 5  # its first are in piece 5


async def test_what_is_wanted_and_here_is_not_fetched(join):
    torrent = make_torrent(FILES)
    leech = await join(torrent, pieces=[1, 4, 5], wanted=wanting(torrent, 4, 5))
    assert leech.swarm.done
    await leech.swarm.wait_complete()


async def test_all_of_it_is_wanted_unless_told_otherwise(join):
    torrent = make_torrent(FILES)
    assert (await join(torrent)).swarm.wanted.complete


async def test_a_peer_with_nothing_that_is_wanted_is_of_no_interest(join):
    torrent = make_torrent(FILES)
    other = await join(torrent, "other", pieces=[0, 1])
    leech = await join(torrent, wanted=wanting(torrent, 4))
    leech.swarm.dial(HOST, other.port)
    await until(lambda: other.swarm.peers)
    await until(lambda: leech.swarm.peers and 1 in leech.peer().peer_pieces)
    assert not leech.peer().am_interested
    assert not leech.sent("interested")


async def test_what_is_missing_is_told_of_what_is_wanted(join):
    torrent = make_torrent(FILES)
    wanted = wanting(torrent, 4, 5)
    leech = await join(torrent, wanted=wanted, pieces=[4], redial=Redial(attempts=1))
    with socket.socket() as held:  # nobody listens there
        held.bind((HOST, 0))
        leech.swarm.dial(*held.getsockname())
        with pytest.raises(DownloadFailed, match=r"1 of 7 pieces missing"):
            await leech.swarm.wait_complete()


async def test_a_swarm_serves_its_metadata_to_those_who_come(seed, stack):
    torrent = make_torrent(FILES)
    seeder = (await seed(torrent)).swarm
    meta = torrent.meta
    server = await stack.enter_async_context(
        serve(
            seeder.welcome,
            HOST,
            0,
            torrents={meta.info_hash: meta.num_pieces},
            peer_id=seeder.peer_id,
            extensions=seeder.extensions,
        )
    )
    assert await fetch_metadata(meta.info_hash, [(HOST, server.port)]) == meta.info


async def test_a_swarm_serves_its_metadata_to_those_it_dials(join, acting):
    torrent = make_torrent(FILES)
    told = []

    async def ask(peer):
        extension = peer.extension(UtMetadata)
        await peer.wait_until(lambda: peer.extended_handshake is not None)
        extension.request(0)
        async for message in peer:
            if getattr(message, "total_size", None):
                told.append(message.data)
                return

    port = await acting(torrent, ask, extensions=[UtMetadata])
    leech = await join(torrent)
    leech.swarm.dial(HOST, port)
    await until(lambda: told)
    assert told == [torrent.meta.info]


async def test_its_limits_hold_for_its_metadata(join):
    torrent = make_torrent(FILES)
    limits = Limits(max_metadata=len(torrent.meta.info) - 1)
    swarm = (await join(torrent, limits=limits)).swarm
    (ut_metadata,) = [e for e in (make() for make in swarm.extensions) if e.name == "ut_metadata"]
    assert ut_metadata.handshake() == {}


async def test_the_metadata_of_a_private_torrent_is_for_nobody(join):
    torrent = make_torrent(FILES)
    private = dataclasses.replace(torrent, meta=dataclasses.replace(torrent.meta, private=True))
    swarm = (await join(private)).swarm
    assert "ut_metadata" not in [make().name for make in swarm.extensions]
