"""A torrent whose last piece, last block and bitfield are all cut short."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from peerwire.cli.subject import Subject
from peerwire.torrent.create import create

if TYPE_CHECKING:
    from pathlib import Path

    from peerwire.torrent.metainfo import Metainfo

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
def sample(tmp_path_factory):
    folder = tmp_path_factory.mktemp("check")
    path, torrent = folder / "sample.bin", folder / "sample.torrent"
    content = random.Random(8).randbytes(LENGTH)
    path.write_bytes(content)
    meta = create(path, piece_length=PIECE)
    torrent.write_bytes(meta.to_bytes())
    return Sample(path, torrent, meta, content, Subject.of_torrent(meta.to_bytes()))
