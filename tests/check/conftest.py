"""A torrent whose last piece, last block and bitfield are all cut short."""

from __future__ import annotations

import functools
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from peerwire.bencode import decode, encode
from peerwire.cli.subject import Subject
from peerwire.torrent.create import create
from peerwire.torrent.metainfo import Metainfo

if TYPE_CHECKING:
    from pathlib import Path

PIECE = 32 * 1024
LENGTH = 11 * PIECE - 20_000


@dataclass
class Sample:
    """A file, its .torrent, and what both are."""

    path: Path
    torrent: Path
    meta: Metainfo
    content: bytes
    subject: Subject


@pytest.fixture(scope="session")
def sample(samples):
    return samples("usual")


#: Bytes of content, and of a piece, of torrents that differ in something.
SAMPLES = {
    "usual": (LENGTH, PIECE),
    "private": (LENGTH, PIECE),
    "even": (8 * PIECE, PIECE),
    "tiny": (1000, PIECE),
    "of small pieces": (5 * PIECE, PIECE // 2),
    "of long pieces": (4 << 20, 2 << 20),
    "of much metadata": (LENGTH, PIECE),
    "of too much metadata": (LENGTH, PIECE),
}

#: Bytes of metadata that nobody needs.
PADDING = {"of much metadata": 20_000, "of too much metadata": 1_100_000}


@pytest.fixture(scope="session")
def samples(tmp_path_factory):
    """Makes a torrent by its name."""

    @functools.cache
    def make(name):
        length, piece = SAMPLES[name]
        folder = tmp_path_factory.mktemp("check")
        path, torrent = folder / "sample.bin", folder / "sample.torrent"
        content = random.Random(8).randbytes(length)
        path.write_bytes(content)
        meta = create(path, piece_length=piece, private=name == "private")
        if name in PADDING:
            told = decode(meta.to_bytes())
            told[b"info"][b"xx_padding"] = bytes(PADDING[name])
            meta = Metainfo.from_bytes(encode(told))
        torrent.write_bytes(meta.to_bytes())
        return Sample(path, torrent, meta, content, Subject.of_torrent(meta.to_bytes()))

    return make
