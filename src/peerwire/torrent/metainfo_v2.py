"""Metainfo of version 2: the file tree and the piece layers of a .torrent (BEP 52).

In v2 each file has its own hash tree, and begins with a piece of its own. As in ``metainfo.py``,
all of it comes from a stranger and is judged here, once. Bencoding is held to the letter: the order
of the files is that of the keys, so clients would disagree about keys out of order.
"""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Self

from ..bencode import MAX_ITEMS, decode, decode_dict
from ..errors import BencodeError, MetainfoError
from ..hashes import HASH_LENGTH
from .fields import (
    MAX_FILES,
    MAX_METAINFO,
    MAX_PATH,
    MAX_PIECE_LENGTH,
    MAX_PIECES,
    read_attr,
    read_int,
    read_name,
    shown,
)
from .merkle import MerkleTree, piece_layer
from .metainfo import File, Metainfo

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping

    from ..bencode import Value

__all__ = ["FileV2", "MetainfoV2"]

#: Names in all paths together: directories inside each other would multiply what each file takes.
_MAX_NAMES = MAX_ITEMS


@dataclasses.dataclass(frozen=True, slots=True)
class FileV2(File):
    """One file of a v2 torrent; its `offset` is a multiple of the piece length.

    Attributes:
        pieces_root: The root of its hash tree, 32 bytes; empty for an empty file.
    """

    pieces_root: bytes = b""


@dataclasses.dataclass(frozen=True, slots=True)
class MetainfoV2:
    """The v2 side of a .torrent, or of the info dictionary that a peer sent (BEP 52).

    Made by `from_bytes`, `from_file` or `from_info`, which check everything, and of a hybrid also
    that both sides mean the same files.

    Attributes:
        name: The suggested name of the file or directory.
        files: The files in the order of the tree.
        piece_length: Bytes of each piece but the last of a file.
        num_pieces: How many pieces there are.
        private: Whether peers come from the torrent's own trackers only (BEP 27).
        piece_layers: For the root of each file longer than a piece, the hashes of its pieces, 32
            bytes each. They are not in the info dictionary: `from_info` leaves them to be asked
            for, see `hashing.layer_requests`.
        info_hash: The SHA-256 of `info`, 32 bytes.
        info: The info dictionary's bytes exactly as they were found.
        v1: The v1 side of a hybrid torrent.
    """

    name: str
    files: tuple[FileV2, ...] = dataclasses.field(repr=False)
    piece_length: int
    num_pieces: int
    private: bool
    piece_layers: Mapping[bytes, bytes] = dataclasses.field(repr=False, hash=False)
    info_hash: bytes
    info: bytes = dataclasses.field(repr=False)
    v1: Metainfo | None = dataclasses.field(repr=False)

    @classmethod
    def from_bytes(cls, data: bytes | bytearray | memoryview) -> Self:
        """Read a .torrent's bytes (BEP 52, metainfo files).

        Raises:
            MetainfoError: It is malformed, dangerous, contradicts itself, or is v1 only.
        """
        try:
            fields = decode_dict(data)
        except BencodeError as error:
            raise MetainfoError(f"not a v2 .torrent: {error}") from error
        if b"info" not in fields:
            raise MetainfoError("not a .torrent: it has no 'info' dictionary (BEP 52)")
        info, raw = fields[b"info"]
        meta = cls._from_decoded(info, raw)
        layers, _ = fields.get(b"piece layers", ({}, b""))
        return dataclasses.replace(meta, piece_layers=_piece_layers(meta, layers))

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> Self:
        """Read a .torrent file; see `from_bytes`.

        Raises:
            MetainfoError: As `from_bytes`, or the file is longer than ``MAX_METAINFO``.
            OSError: It can't be read.
        """
        with Path(path).open("rb") as file:
            data = file.read(MAX_METAINFO + 1)
        if len(data) > MAX_METAINFO:
            raise MetainfoError(f"a .torrent has at most {MAX_METAINFO} bytes")
        return cls.from_bytes(data)

    @classmethod
    def from_info(cls, info: bytes | bytearray | memoryview) -> Self:
        """Read an info dictionary, such as a peer sends for a magnet link (BEP 9).

        The caller compares `info_hash` with the one it asked for.

        Raises:
            MetainfoError: As `from_bytes`.
        """
        try:
            value = decode(info)
        except BencodeError as error:
            raise MetainfoError(f"not a v2 info dictionary: {error}") from error
        return cls._from_decoded(value, bytes(info))

    @classmethod
    def _from_decoded(cls, info: Value, raw: bytes) -> Self:
        if not isinstance(info, dict):
            raise MetainfoError("the 'info' of a torrent is a dictionary (BEP 52)")
        _check_version(info.get(b"meta version"))
        name = read_name(info.get(b"name.utf-8", info.get(b"name")), "the torrent's name")
        piece_length = read_int(info, b"piece length", "the info dictionary", 1, MAX_PIECE_LENGTH)
        piece_layer(piece_length)
        files, num_pieces = _files(info, name, piece_length)
        meta = cls(
            name=name,
            files=files,
            piece_length=piece_length,
            num_pieces=num_pieces,
            private=info.get(b"private", 0) != 0,  # as in v1
            piece_layers={},
            info_hash=hashlib.sha256(raw).digest(),
            info=raw,
            v1=Metainfo.from_info(raw) if b"pieces" in info else None,
        )
        if meta.v1 is not None:
            _check_same(meta, meta.v1)
        return meta

    @property
    def length(self) -> int:
        """Bytes of the content."""
        return sum(file.length for file in self.files)

    def tree(self, file: FileV2) -> MerkleTree:
        """Make the hash tree of a file, from its piece layer up.

        Raises:
            MetainfoError: The file is empty, which has no tree, or its piece layer is not known.
        """
        layer = self.piece_layers.get(file.pieces_root, b"") if _has_layer(self, file) else b""
        return MerkleTree.from_piece_layer(file.pieces_root, layer, self.piece_length, file.length)

    def trees(self) -> Iterator[MerkleTree]:
        """Make the trees of all files that have one and whose piece layer is known."""
        files = {file.pieces_root: file for file in self.files if file.length}
        for root, file in files.items():
            if not _has_layer(self, file) or root in self.piece_layers:
                yield self.tree(file)


def _check_version(version: Value | None) -> None:
    """Refuse what this module can't read, before anything in it is judged (BEP 52)."""
    if version == 2:
        return
    if isinstance(version, int) and version > 2:
        raise MetainfoError(f"'meta version' {version} is newer than 2, the last known (BEP 52)")
    raise MetainfoError("not a v2 torrent: its 'meta version' is not 2 (BEP 52)")


def _has_layer(meta: MetainfoV2, file: FileV2) -> bool:
    return file.length > meta.piece_length


def _files(
    info: Mapping[bytes, Value], name: str, piece_length: int
) -> tuple[tuple[FileV2, ...], int]:
    """The files in order, and how many pieces they have (BEP 52, file tree)."""
    tree = info.get(b"file tree")
    if not isinstance(tree, dict):
        raise MetainfoError("'file tree' is a dictionary (BEP 52)")
    files: list[FileV2] = []
    pieces = 0
    for path, properties in _walk(tree, () if _is_single(info, tree) else (name,)):
        file = _file(properties, path, pieces * piece_length)
        pieces += -(-file.length // piece_length)
        files.append(file)
        if len(files) > MAX_FILES:
            raise MetainfoError(f"over {MAX_FILES} files, the most accepted")
    if not pieces:
        raise MetainfoError("the files hold no bytes, so there is nothing to transfer")
    if pieces > MAX_PIECES:
        raise MetainfoError(f"{pieces} pieces; at most {MAX_PIECES} are accepted")
    return tuple(files), pieces


def _is_single(info: Mapping[bytes, Value], tree: Mapping[bytes, Value]) -> bool:
    """Whether there is one file and no directory around it, as libtorrent decides it."""
    (first, *more) = tree.values() or (None,)
    return not more and isinstance(first, dict) and b"" in first and b"files" not in info


def _walk(
    tree: dict[bytes, Value], above: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], Value]]:
    """The path and the properties of every file, in order."""
    entries = iter(tree.items())
    directories = [(entries, above)]  # the innermost last
    names = 0
    while directories:
        entries, above = directories[-1]
        key, below = next(entries, (b"", None))
        if below is None:
            directories.pop()
            continue
        path = (*above, read_name(key, "a name in the file tree"))
        names += len(path)
        if names > _MAX_NAMES:
            raise MetainfoError(f"paths of over {_MAX_NAMES} names, the most accepted")
        which = shown("/".join(path))
        if len(path) > 1 and sum(len(part.encode()) + 1 for part in path) > MAX_PATH:
            raise MetainfoError(f"the path of {which} has at most {MAX_PATH} bytes")
        if not isinstance(below, dict):
            raise MetainfoError(f"{which} is not a dictionary (BEP 52, file tree)")
        if b"" not in below:
            directories.append((iter(below.items()), path))
            continue
        if len(below) > 1:
            raise MetainfoError(f"{which} is both a file and a directory (BEP 52, file tree)")
        yield path, below[b""]


def _file(properties: Value, path: tuple[str, ...], offset: int) -> FileV2:
    which = shown("/".join(path))
    if not isinstance(properties, dict):
        raise MetainfoError(f"the properties of {which} are not a dictionary (BEP 52, file tree)")
    attr = read_attr(properties)
    if "p" in attr:
        raise MetainfoError(f"{which} is a pad file, which v2 has no use for (BEP 52, file tree)")
    if "l" in attr:
        if properties.get(b"length", 0) != 0:
            raise MetainfoError(f"{which} is a link, whose length is 0 (BEP 47, symlinks)")
        return FileV2(path, 0, offset, attr)
    length = read_int(properties, b"length", which, 0)
    if length == 0:
        return FileV2(path, 0, offset, attr)
    root = properties.get(b"pieces root")
    if not isinstance(root, bytes) or len(root) != HASH_LENGTH:
        raise MetainfoError(f"the 'pieces root' of {which} is a string of 32 bytes (BEP 52)")
    return FileV2(path, length, offset, attr, root)


def _piece_layers(meta: MetainfoV2, raw: Value) -> dict[bytes, bytes]:
    """The layers, each proved to lead to its root: all that are needed, and no other."""
    if not isinstance(raw, dict):
        raise MetainfoError("'piece layers' is a dictionary (BEP 52)")
    layers: dict[bytes, bytes] = {}
    for file in meta.files:
        if not _has_layer(meta, file):
            continue
        which = shown("/".join(file.path))
        layer = raw.get(file.pieces_root)
        if not isinstance(layer, bytes):
            raise MetainfoError(f"{which} has no string in 'piece layers' (BEP 52)")
        if len(layer) != HASH_LENGTH * -(-file.length // meta.piece_length):
            raise MetainfoError(f"{which} has a piece layer of {len(layer)} bytes (BEP 52)")
        if file.pieces_root not in layers:  # many files may share one, which is proved but once
            MerkleTree.from_piece_layer(file.pieces_root, layer, meta.piece_length, file.length)
            layers[file.pieces_root] = layer
    if len(raw) > len(layers):
        raise MetainfoError("'piece layers' has one of a file that is not there (BEP 52)")
    return layers


def _check_same(meta: MetainfoV2, v1: Metainfo) -> None:
    """Hold both sides of a hybrid to the same files at the same places (BEP 52, upgrade path)."""
    theirs = [_place(file) for file in v1.files if not file.pad]
    if theirs != [_place(file) for file in meta.files] or v1.num_pieces != meta.num_pieces:
        raise MetainfoError(
            "the v1 and the v2 side of a hybrid torrent are not the same files in the same pieces "
            "(BEP 52, upgrade path)"
        )


def _place(file: File) -> tuple[tuple[str, ...], int, int | None]:
    return file.path, file.length, file.offset if file.length else None
