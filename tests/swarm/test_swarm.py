"""Swarms on loopback: who is dialled, kept and dropped, and that content arrives whole."""

from __future__ import annotations

from .conftest import HOST, make_torrent


async def test_one_seed_one_leech(seed, join):
    torrent = make_torrent(300_000)
    giver, taker = await seed(torrent), await join(torrent)
    taker.swarm.dial(HOST, giver.port)
    await taker.swarm.wait_complete()
    assert torrent.is_in(taker.root)
