"""Pad files: what is never asked for, and is served to whoever asks (BEP 47)."""

from __future__ import annotations

import dataclasses
import hashlib
import random
from typing import TYPE_CHECKING

import pytest

from peerwire import HaveNone, Interested, MetainfoError, Piece, PieceSet, Request, Unchoke
from peerwire.bencode import encode
from peerwire.swarm.events import PieceVerified
from peerwire.torrent.metainfo import Metainfo

from .conftest import BLOCK, HOST, Torrent, everything, turns, until

if TYPE_CHECKING:
    from pathlib import Path

LENGTH = 4 * BLOCK  # of a piece


@dataclasses.dataclass
class Padded(Torrent):
    """A torrent with pad files, which no disk holds."""

    def is_in(self, root: Path) -> bool:
        plain = [file for file in self.meta.files if not file.pad]
        return Torrent(dataclasses.replace(self.meta, files=tuple(plain)), self.content).is_in(root)


def make(*files):
    """A torrent of files in this order, each a length and whether it is padding."""
    rng = random.Random(7)
    content = b"".join(bytes(length) if pad else rng.randbytes(length) for length, pad in files)
    info = {
        "name": "top",
        "piece length": LENGTH,
        "pieces": b"".join(
            hashlib.sha1(content[start : start + LENGTH]).digest()
            for start in range(0, len(content), LENGTH)
        ),
        "files": [
            {"path": [f"file{number}"], "length": length, "attr": "p" * pad}
            for number, (length, pad) in enumerate(files)
        ],
    }
    return Padded(Metainfo.from_info(encode(info)), content)


def padding(size):
    """A file of a size, and what fills up its last piece."""
    return (size, False), (-size % LENGTH, True)


#: Three files: a block and a bit, several pieces, one byte.
FILES = [*padding(BLOCK + 5), *padding(3 * LENGTH - 1), (1, False)]


def asked(member):
    """The bytes that were asked for, as (piece, begin, end) in order."""
    words = [what.split()[1] for what in member.sent("request").elements()]
    spans = []
    for word in words:
        index, begin, length = map(int, word.replace("+", ":").split(":"))
        spans.append((index, begin, begin + length))
    return sorted(spans)


def blocks(*pieces):
    """The blocks of pieces of which so many bytes are to be asked for."""
    return [
        (index, begin, min(begin + BLOCK, size))
        for index, size in enumerate(pieces)
        for begin in range(0, size, BLOCK)
    ]


async def test_padding_is_not_asked_for(seed, join):
    torrent = make(*FILES)
    giver, taker = await seed(torrent), await join(torrent)
    taker.swarm.dial(HOST, giver.port)
    await taker.swarm.wait_complete()
    assert torrent.is_in(taker.root)
    assert asked(taker) == blocks(BLOCK + 5, LENGTH, LENGTH, LENGTH - 1, 1)


async def test_padding_at_the_end_of_the_torrent_is_not_asked_for(seed, join):
    torrent = make(*padding(LENGTH + BLOCK))
    giver, taker = await seed(torrent), await join(torrent)
    taker.swarm.dial(HOST, giver.port)
    await taker.swarm.wait_complete()
    assert torrent.is_in(taker.root)
    assert asked(taker) == blocks(LENGTH, BLOCK)


async def test_padding_is_served_as_zeros_to_who_asks(seed, raw):
    torrent = make(*FILES)
    giver = await seed(torrent)
    peer = await raw(giver, HaveNone(), Interested())
    await peer.hear_only(Unchoke)
    peer.say(Request(0, BLOCK, BLOCK), Request(0, 3 * BLOCK, BLOCK))
    assert await peer.hear() == Piece(0, BLOCK, torrent.block(0, BLOCK, BLOCK))
    assert await peer.hear() == Piece(0, 3 * BLOCK, bytes(BLOCK))


# Pieces that are all padding


ODD = [(10, False), (3 * LENGTH - 10, True), (20, False), (2 * LENGTH - 20, True)]


async def test_nobody_is_asked_for_a_piece_that_is_all_padding(seed, join):
    torrent = make(*ODD)
    giver, taker = await seed(torrent), await join(torrent)
    taker.swarm.dial(HOST, giver.port)
    await taker.swarm.wait_complete()
    assert torrent.is_in(taker.root)
    assert asked(taker) == [(0, 0, 10), (3, 0, 20)]
    assert sorted(event.index for event in taker.told(PieceVerified)) == [0, 1, 2, 3, 4]
    assert taker.swarm.have.complete


async def test_what_is_verified_already_is_not_verified_again(join):
    torrent = make(*ODD)
    taker = await join(torrent, pieces=[1])
    await until(lambda: len(taker.swarm.have) == 3)
    assert [event.index for event in taker.told(PieceVerified)] == [2, 4]


async def test_a_torrent_of_nothing_but_padding(join):
    taker = await join(make((2 * LENGTH, True)))
    await taker.swarm.wait_complete()
    assert taker.swarm.have.complete


@pytest.fixture
def hostile():
    """Its pieces 1 and 4 are all padding, and piece 1 is not to be zeros."""
    torrent = make(*ODD)
    pieces = torrent.meta.pieces[:20] + bytes(20) + torrent.meta.pieces[40:]
    return Padded(dataclasses.replace(torrent.meta, pieces=pieces), torrent.content)


async def test_padding_that_is_not_to_be_zeros_ends_the_download(join, raw, hostile):
    taker = await join(hostile)
    peer = await raw(taker, everything(hostile), Unchoke())
    with pytest.raises(MetainfoError, match="piece 1 is all padding, and its hash is not"):
        await taker.swarm.wait_complete()
    requests = [await peer.hear_only(Request) for _ in range(2)]
    assert {request.index for request in requests} == {0, 3}
    await turns()
    assert len(asked(taker)) == 2


async def test_padding_that_is_not_wanted_harms_nobody(join, hostile):
    taker = await join(hostile, wanted=PieceSet(5, [4]))
    await taker.swarm.wait_complete()
    assert set(taker.swarm.have) == {4}
