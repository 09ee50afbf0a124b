"""The torrents that clients are asked with: the same content, told of in four ways."""

from __future__ import annotations

import random
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tests.interop.clients import Libtorrent

from peerwire.bencode import decode, encode
from peerwire.torrent.create import create

if TYPE_CHECKING:
    from pathlib import Path

    from peerwire.torrent.metainfo import Metainfo

#: Pieces of two blocks; the last piece, the last block and the bitfield are all cut short.
PIECE: Final = 32 * 1024
LENGTH: Final = 37 * PIECE - 20_000

#: Bytes that make metadata of two pieces, of which the last is cut short (BEP 9).
FILLER: Final = 20_000


@dataclass(frozen=True)
class Torrents:
    """One file, and its .torrents by kind.

    Attributes:
        content: The file.
        paths: ``v1``, ``private``, and if libtorrent is here to make them, ``hybrid`` and ``v2``.
    """

    content: Path
    paths: dict[str, Path]


def make_torrents(folder: Path) -> Torrents:
    """Writes all of it into a folder."""
    content = folder / "content.bin"
    content.write_bytes(random.Random(5).randbytes(LENGTH))
    made = {
        "v1": _padded(create(content, piece_length=PIECE)),
        "private": create(content, piece_length=PIECE, private=True).to_bytes(),
    }
    if Libtorrent.available() is None:
        made |= {kind: _made_by_libtorrent(content, kind) for kind in ("hybrid", "v2")}
    paths = {kind: folder / f"{kind}.torrent" for kind in made}
    for kind, path in paths.items():
        path.write_bytes(made[kind])
    return Torrents(content, paths)


def _padded(meta: Metainfo) -> bytes:
    """Returns a .torrent with a key that nobody knows, which makes its metadata longer."""
    info: Any = decode(meta.info)
    return encode({"info": info | {b"xx_filler": random.Random(6).randbytes(FILLER)}})


def _made_by_libtorrent(content: Path, kind: str) -> bytes:
    import libtorrent as lt

    flags = {"hybrid": 0, "v2": lt.create_torrent.v2_only}
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        # libtorrent 2.1 has a newer form, 2.0 has not.
        files = lt.file_storage()
        files.add_file(content.name, content.stat().st_size)
        maker = lt.create_torrent(files, PIECE, flags[kind])
        lt.set_piece_hashes(maker, str(content.parent))
    return bytes(lt.bencode(maker.generate()))
