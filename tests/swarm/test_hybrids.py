"""Hybrids (BEP 52): served by both info-hashes, and dialled with the offer of the second."""

from __future__ import annotations

import dataclasses
import random
from functools import partial

import pytest
from tests.hybrids import padded, v2_torrent

from peerwire import PieceSet, ServedTorrent, connect
from peerwire.swarm.hashes import fetch_layer, fetch_piece_layer
from peerwire.swarm.swarm import Swarm
from peerwire.torrent.disk import Disk
from peerwire.torrent.merkle import block_hashes
from peerwire.torrent.metainfo_v2 import MetainfoV2
from peerwire.torrent.storage import Storage

from .conftest import BLOCK, HOST, Torrent, make_torrent

PIECE = 2 * BLOCK
FILES = {
    name: random.Random(name).randbytes(size)
    for name, size in {"a": 5 * PIECE + 5, "b": 100, "c": 3 * PIECE - 1}.items()
}
META = MetainfoV2.from_bytes(v2_torrent(FILES, PIECE))


@dataclasses.dataclass
class Hybrid(Torrent):
    """A hybrid of several files, and the pad files that lie between them on no disk."""

    def is_in(self, root):
        return all((root / "top" / name).read_bytes() == data for name, data in FILES.items())


TORRENT = Hybrid(META.v1, padded(FILES, PIECE))


@pytest.mark.parametrize("giver_v2", [META, None], ids=["hybrid", "v1"])
@pytest.mark.parametrize("taker_v2", [META, None], ids=["to-hybrid", "to-v1"])
async def test_a_hybrid_arrives_whatever_each_side_knows_of_it(seed, join, giver_v2, taker_v2):
    giver = await seed(TORRENT, v2=giver_v2)
    taker = await join(TORRENT, v2=taker_v2)
    taker.swarm.dial(HOST, giver.port)
    await taker.swarm.wait_complete()
    assert TORRENT.is_in(taker.root)
    upgraded = giver_v2 is not None and taker_v2 is not None
    ours = META.info_hash[:20] if upgraded else META.v1.info_hash
    (greeting,) = giver.sent("handshake")
    assert ours.hex() in greeting


@pytest.mark.parametrize("encryption", ["off", "require"])
async def test_who_knows_the_v2_info_hash_alone_gets_blocks_and_hashes(seed, encryption):
    giver = await seed(TORRENT, v2=META)
    coming = partial(connect, HOST, giver.port, META.info_hash, num_pieces=META.num_pieces)
    async with coming(encryption=encryption) as peer:
        assert peer.v2
        peer.announce(PieceSet(META.num_pieces))
        file = META.files[0]
        layer = await fetch_piece_layer(peer, file.pieces_root, file.length, PIECE)
        assert layer == META.piece_layers[file.pieces_root]
        await peer.ready()
        assert await peer.request(1, 0, BLOCK) == TORRENT.block(1, 0, BLOCK)
        leaves = await fetch_layer(peer, file.pieces_root, 0, file.length)
        assert leaves == block_hashes(FILES["a"])


async def test_what_it_is_served_as(seed):
    giver, plain = await seed(TORRENT, v2=META), await seed(make_torrent(3 * BLOCK), "plain")
    hybrid = ServedTorrent(META.num_pieces, META.info_hash)
    assert giver.swarm.torrents == {
        META.v1.info_hash: hybrid,
        META.info_hash[:20]: hybrid,
    }
    assert plain.swarm.torrents == {plain.swarm.metainfo.info_hash: ServedTorrent(3)}


async def test_the_v2_side_of_another_torrent(tmp_path):
    other = make_torrent(3 * BLOCK).meta
    async with Disk(Storage(other, tmp_path)) as disk:
        with pytest.raises(ValueError, match="is not the v2 side of"):
            Swarm(other, disk, PieceSet(3), v2=META)
