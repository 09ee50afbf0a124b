"""Hash requests answered from a .torrent and from disk."""

from __future__ import annotations

import asyncio
import random

import pytest
from tests.hybrids import v2_torrent

from peerwire import PieceSet
from peerwire.hashes import HashRange
from peerwire.swarm import proofs
from peerwire.swarm.proofs import Proofs
from peerwire.torrent.disk import Disk
from peerwire.torrent.hashing import layer_requests, leaf_requests, verified
from peerwire.torrent.merkle import block_hashes
from peerwire.torrent.metainfo_v2 import MetainfoV2
from peerwire.torrent.storage import Storage

from .conftest import BLOCK, SlowStorage, turns

PIECE = 4 * BLOCK
FILES = {
    "a": random.Random(1).randbytes(3 * PIECE + BLOCK + 5),
    "b": b"",
    "c": random.Random(2).randbytes(2 * BLOCK + 7),  # not longer than a piece
    "d": random.Random(3).randbytes(600 * BLOCK),
}
FILES["e"] = FILES["a"]
META = MetainfoV2.from_bytes(v2_torrent(FILES, PIECE))
BY_NAME = {file.path[-1]: file for file in META.files}
ALL = PieceSet.full(META.num_pieces)


class Reader:
    """Answers, and keeps what it was asked to read."""

    def __init__(self, root, storage=Storage):
        for name, data in FILES.items():
            path = root / "top" / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(data)
        self.storage = storage(META.v1, root)
        self.disk = Disk(self.storage)
        self.proofs = Proofs(META, self.disk)
        self.afforded = []

    async def answer(self, asked, have=ALL, affords=True):
        def afford(size):
            self.afforded.append(size)
            return affords

        return await self.proofs.answer(asked, have, afford)


@pytest.fixture
async def reader(stack, tmp_path):
    reader = Reader(tmp_path)
    await stack.enter_async_context(reader.disk)
    return reader


def pieces_of(name):
    file = BY_NAME[name]
    return layer_requests(file.pieces_root, 2, file.length)


def blocks_of(name, piece):
    file = BY_NAME[name]
    return leaf_requests(file.pieces_root, file.length, PIECE, piece)


async def test_hashes_of_pieces_cost_no_reading(reader):
    for name in "ad":
        (asked,) = pieces_of(name)
        layer = verified(
            asked, await reader.answer(asked, PieceSet(META.num_pieces)), len(FILES[name])
        )
        assert layer == META.piece_layers[asked.pieces_root]
    assert reader.afforded == []


@pytest.mark.parametrize(
    ("name", "piece", "read"),
    [
        ("a", 0, PIECE),
        ("a", 3, BLOCK + 5),  # the last piece, cut short, and padded in v1
        ("c", 0, 2 * BLOCK + 7),
        ("d", 149, PIECE),
        ("e", 1, PIECE),
    ],
)
async def test_hashes_of_blocks_are_read_from_disk(reader, name, piece, read):
    (asked,) = blocks_of(name, piece)
    found = verified(asked, await reader.answer(asked), len(FILES[name]))
    assert found == block_hashes(FILES[name][piece * PIECE : (piece + 1) * PIECE])
    assert reader.afforded == [read]


async def test_many_pieces_at_once(reader):
    root = BY_NAME["d"].pieces_root
    found = await reader.answer(HashRange(root, 0, 0, 512, 9))
    assert b"".join(found[:512]) == block_hashes(FILES["d"][: 512 * BLOCK])
    assert reader.afforded == [512 * BLOCK]


async def test_what_is_the_padding_of_a_tree_costs_no_reading(reader):
    root = BY_NAME["d"].pieces_root
    assert (await reader.answer(HashRange(root, 0, 768, 256, 0))) == [bytes(32)] * 256
    assert reader.afforded == []


REFUSED = {
    "no-file": HashRange(bytes(32), 0, 0, 2, 0),
    "no-layer": HashRange(BY_NAME["a"].pieces_root, 9, 0, 2, 0),
    "too-many": HashRange(BY_NAME["d"].pieces_root, 0, 0, 1024, 0),
    "between": HashRange(BY_NAME["d"].pieces_root, 1, 0, 2, 0),
}


@pytest.mark.parametrize("asked", REFUSED.values(), ids=REFUSED)
async def test_what_is_not_there_is_refused_unread(reader, asked):
    assert await reader.answer(asked) is None
    assert reader.afforded == []


async def test_a_piece_that_is_not_here(reader):
    (first,), (second,) = blocks_of("a", 0), blocks_of("a", 1)
    have = PieceSet(META.num_pieces, [1])
    assert await reader.answer(first, have) is None
    assert await reader.answer(second, have) is not None
    assert reader.afforded == [PIECE]


async def test_who_has_had_too_much(reader):
    (asked,) = blocks_of("a", 0)
    assert await reader.answer(asked, affords=False) is None


async def test_a_file_that_is_gone(reader, tmp_path):
    (asked,) = blocks_of("d", 0)
    (tmp_path / "top" / "d").unlink()
    assert await reader.answer(asked) is None


async def test_a_file_that_was_changed(reader, tmp_path):
    (asked,) = blocks_of("d", 0)
    (tmp_path / "top" / "d").write_bytes(bytes(600 * BLOCK))
    assert await reader.answer(asked) is None


async def test_a_file_whose_piece_layer_is_not_known(stack, tmp_path):
    reader = Reader(tmp_path)
    await stack.enter_async_context(reader.disk)
    reader.proofs = Proofs(MetainfoV2.from_info(META.info), reader.disk)
    (big,), (small,) = blocks_of("a", 0), blocks_of("c", 0)
    assert await reader.answer(big) is None
    assert await reader.answer(small) is not None


async def test_one_request_at_a_time_is_read_for(stack, tmp_path, monkeypatch):
    reader = Reader(tmp_path, SlowStorage)
    await stack.enter_async_context(reader.disk)
    hashed = []

    async def hash_blocks(spans):
        hashed.append(len(spans))
        return await Disk.hash_blocks(reader.disk, spans)

    monkeypatch.setattr(reader.disk, "hash_blocks", hash_blocks)
    monkeypatch.setattr(proofs, "BATCH", 3)
    (one,), (other,) = blocks_of("a", 0), blocks_of("a", 1)
    answers = [asyncio.create_task(reader.answer(asked)) for asked in (one, other)]
    await reader.storage.reading.wait()
    await turns()
    assert hashed == [3]
    reader.storage.go_on.set()
    assert None not in await asyncio.gather(*answers)
    assert hashed == [3, 1, 3, 1]
