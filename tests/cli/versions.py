"""The same content as torrents of v1, v2 and both, made by libtorrent."""

from __future__ import annotations

import random
import warnings
from typing import TYPE_CHECKING

import libtorrent as lt

if TYPE_CHECKING:
    from pathlib import Path

BLOCK = 16 * 1024
PIECE = 2 * BLOCK

#: One of less than a piece, one of several, none of nothing: v1 clients leave empty files out.
FILES = {"one": PIECE - 5, "several": 3 * PIECE + BLOCK + 7, "tiny": 1}

FLAGS = {"v1": lt.create_torrent.v1_only, "v2": lt.create_torrent.v2_only, "hybrid": 0}


def write_content(folder: Path) -> Path:
    """Writes the files, and returns the folder they are in."""
    content = folder / "several files"
    content.mkdir(parents=True)
    for seed, (name, size) in enumerate(FILES.items()):
        (content / name).write_bytes(random.Random(seed).randbytes(size))
    return content


def make_torrent(content: Path, version: str, *, tracker: str = "") -> bytes:
    """Returns the .torrent of a folder of files."""
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        # libtorrent 2.1 has a newer form, 2.0 has not.
        files = lt.file_storage()
        for path in sorted(content.iterdir()):
            files.add_file(str(path.relative_to(content.parent)), path.stat().st_size)
        maker = lt.create_torrent(files, PIECE, FLAGS[version])
        lt.set_piece_hashes(maker, str(content.parent))
    if tracker:
        maker.add_tracker(tracker)
    return bytes(lt.bencode(maker.generate()))
