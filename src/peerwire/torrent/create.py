"""Making a torrent from a file or a directory (BEP 3, metainfo files)."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from ..bencode import encode
from ..errors import MetainfoError, StorageError
from ..version import __version__
from .files import explained
from .metainfo import MAX_PIECE_LENGTH, MAX_PIECES, Metainfo
from .storage import Storage, in_threads

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .storage import Progress, StrPath

__all__ = ["choose_piece_length", "create"]

#: The shortest piece: one block, and the least that BEP 52 allows.
_SHORTEST = 16 * 1024
#: The longest that is chosen unasked: a peer serves nothing of a piece before it has all of it.
_LONGEST = 16 * 1024 * 1024
#: Pieces beyond which they are made longer instead, so that a .torrent stays at some 40 KiB.
_ENOUGH = 2048

#: What is hashed, in order: the names that lead to each file, its bytes, and when it was changed.
_Found: TypeAlias = "list[tuple[tuple[str, ...], int, int]]"


def create(
    path: StrPath,
    *,
    piece_length: int | None = None,
    private: bool = False,
    trackers: Iterable[str | Sequence[str]] = (),
    progress: Progress | None = None,
) -> Metainfo:
    """Hash a file, or every file below a directory, with all processors.

    The files are in the order of their names as raw bytes, hidden and empty ones among them, so
    the same content gives the same torrent everywhere; that is also why it tells no creation date.
    Symbolic links are followed, as other makers do: what they lead to is in the torrent. Each
    directory may be reached once only, which ends the loops that links can make.

    Args:
        path: The file or directory; its name becomes the torrent's.
        piece_length: Bytes of a piece, a power of two from 16 KiB; by default
            `choose_piece_length` of the content.
        private: Whether peers may come from the torrent's own trackers only (BEP 27).
        trackers: URLs, each a tier of its own, or tiers of URLs (BEP 12).
        progress: Called from this thread with the bytes hashed and those in all.

    Raises:
        MetainfoError: There is nothing to hash, too much of it, a name that no torrent can hold,
            or the piece length is not as described.
        StorageError: The disk refuses, there is something that is neither a file nor a directory,
            or the content changed while it was hashed.
    """
    top = Path(os.path.abspath(path))
    found = _scan(top)
    if not found:
        raise MetainfoError(f"{top} holds no files, so there is nothing to make a torrent of")
    length = sum(size for _, size, _ in found)
    if piece_length is None:
        piece_length = choose_piece_length(length)
    _check_piece_length(piece_length, length)
    # Names and numbers are judged now, and not after an hour of hashing.
    draft = Metainfo.from_info(_info(found, piece_length, private, length))
    try:
        pieces = _hash(draft, top, progress)
    except StorageError as error:
        _expect_unchanged(top, found, error)
        raise
    _expect_unchanged(top, found)
    info = _info(found, piece_length, private, length, pieces)
    return dataclasses.replace(
        Metainfo.from_info(info, trackers), created_by=f"peerwire {__version__}"
    )


def choose_piece_length(length: int) -> int:
    """Choose the bytes of a piece for content of `length` bytes.

    It is the shortest power of two, from 16 KiB, that makes at most 2048 pieces, so 1024 to 2048
    of them; above 32 GiB it stays at 16 MiB and the pieces become more.
    """
    piece_length = _SHORTEST
    while piece_length < _LONGEST and length > _ENOUGH * piece_length:
        piece_length *= 2
    return piece_length


def _check_piece_length(piece_length: int, length: int) -> None:
    if not _SHORTEST <= piece_length <= MAX_PIECE_LENGTH or piece_length.bit_count() != 1:
        raise MetainfoError(
            f"a piece length of {piece_length} bytes; it is a power of two from {_SHORTEST}"
            f" to {MAX_PIECE_LENGTH}"
        )
    if length > MAX_PIECES * piece_length:
        raise MetainfoError(
            f"{length} bytes make more than {MAX_PIECES} pieces of {piece_length} bytes, the most"
            " that clients accept: choose a longer piece"
        )


def _info(
    found: _Found, piece_length: int, private: bool, length: int, pieces: bytes | None = None
) -> bytes:
    """The info dictionary; without piece hashes, one with zeros in their place."""
    names = found[0][0]
    info: dict[str, object] = {
        "name": os.fsencode(names[0]),
        "piece length": piece_length,
        "pieces": bytes(-(-length // piece_length) * 20) if pieces is None else pieces,
    }
    if private:
        info["private"] = 1
    if len(names) == 1:
        info["length"] = length
    else:
        info["files"] = [
            {"length": size, "path": [os.fsencode(name) for name in names[1:]]}
            for names, size, _ in found
        ]
    return encode(info)


def _hash(draft: Metainfo, top: Path, progress: Progress | None) -> bytes:
    """The SHA-1 of every piece, one behind the other."""
    digests = []
    with Storage(draft, top.parent, content=top) as storage:
        runs = storage.runs([range(draft.num_pieces)])
        with contextlib.closing(in_threads(storage.digests, runs)) as results:
            for run, digest in results:
                digests.append(digest)
                if progress is not None:
                    progress(min(run.stop * draft.piece_length, draft.length), draft.length)
    return b"".join(digests)


def _scan(top: Path) -> _Found:
    """Every file at and below a path, in the order of the names' bytes."""
    found: _Found = []
    seen: set[tuple[int, int]] = set()
    waiting: list[tuple[str, ...]] = [(top.name,)]
    while waiting:
        names = waiting.pop()
        path = top.joinpath(*names[1:])
        with explained("read", path):
            status = path.stat()
            if stat.S_ISREG(status.st_mode):
                found.append((names, status.st_size, status.st_mtime_ns))
                continue
            inside = os.listdir(path) if stat.S_ISDIR(status.st_mode) else None
        if inside is None:
            raise StorageError(f"{path} is neither a file nor a directory: no torrent can hold it")
        if (status.st_dev, status.st_ino) in seen:
            raise StorageError(f"{path} is a directory that a symbolic link leads to once more")
        seen.add((status.st_dev, status.st_ino))
        waiting += [(*names, name) for name in inside]
    return sorted(found, key=lambda file: [os.fsencode(name) for name in file[0]])


def _expect_unchanged(top: Path, found: _Found, cause: StorageError | None = None) -> None:
    changed = sorted(set(found).symmetric_difference(_scan(top)))
    if changed:
        path = top.joinpath(*changed[0][0][1:])
        raise StorageError(f"{path} changed while it was hashed: try again") from cause
