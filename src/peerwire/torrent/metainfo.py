"""Metainfo: what a .torrent says, checked against itself before anything acts on it (BEP 3).

A .torrent comes from a stranger and decides what is written where. So each name, length and count
in it is judged here, once, and everything after may rely on it. What only one system can't store
(``CON`` or a trailing dot on Windows, two names that differ in case alone on macOS) is left to the
storage: such torrents are real, the Linux kernel's sources hold an ``aux.c`` and both ``xt_DSCP.c``
and ``xt_dscp.c``, and a torrent means the same on every machine.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeAlias

from ..bencode import decode, decode_dict, encode
from ..errors import BencodeError, MetainfoError
from .fields import (
    MAX_FILES,
    MAX_LENGTH,
    MAX_METAINFO,
    MAX_PATH,
    MAX_PIECE_LENGTH,
    MAX_PIECES,
    read_attr,
    read_int,
    read_name,
    shown,
)

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping, Sequence

    from ..bencode import Value

__all__ = [
    "MAX_FILES",
    "MAX_LENGTH",
    "MAX_METAINFO",
    "MAX_PATH",
    "MAX_PIECES",
    "MAX_PIECE_LENGTH",
    "File",
    "Metainfo",
    "Trackers",
]

#: Tiers of tracker URLs; within a tier any may be tried first (BEP 12).
Trackers: TypeAlias = "tuple[tuple[str, ...], ...]"

_HASH_LENGTH = 20

#: The characters of a URL (RFC 3986): no space, and no line break that would end an HTTP header.
_URL = re.compile(rb"[!-~]+\Z")


@dataclasses.dataclass(frozen=True, slots=True)
class File:
    """One file of a torrent.

    Attributes:
        path: The names that lead to it: the torrent's own name, then directories, then the file.
        length: Bytes.
        offset: Where it begins in the torrent's content, in bytes.
        attr: Its attributes, a letter each (BEP 47): h hidden, l link, p padding, x executable.
    """

    path: tuple[str, ...]
    length: int
    offset: int
    attr: str = ""

    @property
    def pad(self) -> bool:
        """Whether it only fills up a piece: zeros that no disk holds (BEP 47, padding files)."""
        return "p" in self.attr

    @property
    def link(self) -> bool:
        """Whether it is a symbolic link, which holds no bytes (BEP 47, symlinks)."""
        return "l" in self.attr


@dataclasses.dataclass(frozen=True, slots=True)
class Metainfo:
    """The content of a .torrent, or of the info dictionary that a peer sent (BEP 3, BEP 9).

    Made by `from_bytes`, `from_file` or `from_info`, which check everything. Of a hybrid torrent
    the v1 side is read; a torrent that is v2 only is refused.

    Attributes:
        name: The suggested name of the file or directory.
        files: The files in the order of their bytes, pad files among them.
        length: Bytes of the content, above 0.
        piece_length: Bytes of each piece but the last.
        pieces: The SHA-1 of each piece, 20 bytes each.
        private: Whether peers come from the torrent's own trackers only (BEP 27).
        trackers: Tiers of tracker URLs (BEP 12).
        info_hash: The SHA-1 of `info`, 20 bytes.
        info: The info dictionary's bytes exactly as they were found.
        comment: Free text.
        created_by: The program that made the file.
        creation_date: When, in seconds since 1970.
        extra: Every other key beside ``info``, as it was found.
    """

    name: str
    files: tuple[File, ...] = dataclasses.field(repr=False)
    length: int
    piece_length: int
    pieces: bytes = dataclasses.field(repr=False)
    private: bool
    trackers: Trackers
    info_hash: bytes
    info: bytes = dataclasses.field(repr=False)
    comment: str | None = None
    created_by: str | None = None
    creation_date: int | None = None
    extra: Mapping[bytes, Value] = dataclasses.field(default_factory=dict, repr=False, hash=False)

    @classmethod
    def from_bytes(cls, data: bytes | bytearray | memoryview) -> Self:
        """Read a .torrent's bytes (BEP 3, metainfo files).

        Dictionaries may have their keys out of order: the info-hash is that of the bytes found.

        Raises:
            MetainfoError: It is malformed, dangerous, contradicts itself, or is v2 only.
        """
        try:
            fields = decode_dict(data, strict=False)
        except BencodeError as error:
            raise MetainfoError(f"not a .torrent: {error}") from error
        if b"info" not in fields:
            raise MetainfoError("not a .torrent: it has no 'info' dictionary (BEP 3)")
        info, raw = fields.pop(b"info")
        outer = {key: value for key, (value, _) in fields.items()}
        return dataclasses.replace(
            cls._from_decoded(info, raw),
            trackers=_take_trackers(outer),
            comment=_take_text(outer, b"comment"),
            created_by=_take_text(outer, b"created by"),
            creation_date=_take_int(outer, b"creation date"),
            extra=outer,
        )

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
    def from_info(
        cls,
        info: bytes | bytearray | memoryview,
        trackers: Iterable[str | Sequence[str]] = (),
    ) -> Self:
        """Read an info dictionary, such as a peer sends for a magnet link (BEP 9).

        The caller compares `info_hash` with the one it asked for.

        Args:
            info: The dictionary's bytes.
            trackers: URLs, each a tier of its own, or tiers of URLs.

        Raises:
            MetainfoError: As `from_bytes`.
        """
        try:
            value = decode(info, strict=False)
        except BencodeError as error:
            raise MetainfoError(f"not an info dictionary: {error}") from error
        return dataclasses.replace(
            cls._from_decoded(value, bytes(info)),
            trackers=tuple(
                (tier,) if isinstance(tier, str) else tuple(tier) for tier in trackers if tier
            ),
        )

    @classmethod
    def _from_decoded(cls, info: Value, raw: bytes) -> Self:
        """Read the info dictionary; `raw` is how it was encoded."""
        if not isinstance(info, dict):
            raise MetainfoError("the 'info' of a torrent is a dictionary (BEP 3)")
        _check_version(info)
        name = read_name(info.get(b"name.utf-8", info.get(b"name")), "the torrent's name")
        piece_length = read_int(info, b"piece length", "the info dictionary", 1, MAX_PIECE_LENGTH)
        files = _v1_files(info, name)
        length = files[-1].offset + files[-1].length
        pieces = _v1_pieces(info, length, piece_length)
        _check_collisions(files)
        return cls(
            name=name,
            files=files,
            length=length,
            piece_length=piece_length,
            pieces=pieces,
            private=info.get(b"private", 0) != 0,  # any value but 0: the careful reading of BEP 27
            trackers=(),
            info_hash=hashlib.sha1(raw, usedforsecurity=False).digest(),
            info=raw,
        )

    @property
    def num_pieces(self) -> int:
        """How many pieces there are."""
        return len(self.pieces) // _HASH_LENGTH

    def piece_size(self, index: int) -> int:
        """How many bytes a piece has: `piece_length`, or what is left for the last.

        Raises:
            IndexError: There is no such piece.
        """
        self._check_index(index)
        return min(self.piece_length, self.length - index * self.piece_length)

    def piece_hash(self, index: int) -> bytes:
        """Return the SHA-1 that a piece has to have, 20 bytes.

        Raises:
            IndexError: There is no such piece.
        """
        self._check_index(index)
        return self.pieces[index * _HASH_LENGTH : (index + 1) * _HASH_LENGTH]

    def to_bytes(self) -> bytes:
        """Write a .torrent; its info dictionary is byte for byte the one that was read."""
        outer: dict[bytes, object] = dict(self.extra)
        if self.trackers:
            outer[b"announce"] = self.trackers[0][0]
        if sum(map(len, self.trackers)) > 1:
            outer[b"announce-list"] = self.trackers
        if self.comment is not None:
            outer[b"comment"] = self.comment
        if self.created_by is not None:
            outer[b"created by"] = self.created_by
        if self.creation_date is not None:
            outer[b"creation date"] = self.creation_date
        encoded = {key: encode(value) for key, value in outer.items()}
        encoded[b"info"] = self.info
        return b"d%be" % b"".join(encode(key) + encoded[key] for key in sorted(encoded))

    def _check_index(self, index: int) -> None:
        if not 0 <= index < self.num_pieces:
            raise IndexError(f"piece {index} of {self.num_pieces}")


def _check_version(info: Mapping[bytes, Value]) -> None:
    """Refuse what this version can't read, before anything in it is judged (BEP 52)."""
    version = info.get(b"meta version", 1)
    if not isinstance(version, int) or version > 2:
        raise MetainfoError(f"'meta version' {version!r} is newer than 2, the last known (BEP 52)")
    if b"file tree" in info and b"pieces" not in info:
        raise MetainfoError(
            "a v2-only torrent (BEP 52), which is not supported; v1 and hybrid torrents are"
        )


def _v1_files(info: Mapping[bytes, Value], name: str) -> tuple[File, ...]:
    """The files in order (BEP 3, info dictionary)."""
    if (b"length" in info) == (b"files" in info):
        raise MetainfoError("a torrent has either 'length' or 'files', not both or neither (BEP 3)")
    if b"length" in info:
        return (File((name,), read_int(info, b"length", "the file", 0), 0, read_attr(info)),)
    entries = info[b"files"]
    if not isinstance(entries, list) or not entries:
        raise MetainfoError("'files' is a list of at least one file (BEP 3)")
    if len(entries) > MAX_FILES:
        raise MetainfoError(f"{len(entries)} files; at most {MAX_FILES} are accepted")
    files = []
    offset = 0
    for number, entry in enumerate(entries):
        file = _v1_file(entry, f"file {number}", name, offset)
        files.append(file)
        offset += file.length
    return tuple(files)


def _v1_file(entry: Value, which: str, name: str, offset: int) -> File:
    if not isinstance(entry, dict):
        raise MetainfoError(f"{which} is not a dictionary (BEP 3)")
    attr = read_attr(entry)
    if "p" in attr:
        length = read_int(entry, b"length", which, 0)
        # Its path may be missing and is never used; this is the one that BEP 47 recommends.
        return File((name, ".pad", str(length)), length, offset, attr)
    path = (name, *_path(entry, which))
    if "l" in attr:
        if entry.get(b"length", 0) != 0:
            raise MetainfoError(f"{which} is a link, whose length is 0 (BEP 47, symlinks)")
        return File(path, 0, offset, attr)
    return File(path, read_int(entry, b"length", which, 0), offset, attr)


def _path(entry: Mapping[bytes, Value], which: str) -> list[str]:
    # Where 'path' is in an older encoding, its makers gave the UTF-8 form beside it.
    path = entry.get(b"path.utf-8", entry.get(b"path"))
    if not isinstance(path, list) or not path:
        raise MetainfoError(f"the path of {which} is a list of at least one name (BEP 3)")
    names = [read_name(raw, f"a name in the path of {which}") for raw in path]
    if sum(len(name.encode()) + 1 for name in names) > MAX_PATH:
        raise MetainfoError(f"the path of {which} has at most {MAX_PATH} bytes")
    return names


def _v1_pieces(info: Mapping[bytes, Value], length: int, piece_length: int) -> bytes:
    """The piece hashes, as many as the content has pieces."""
    pieces = info.get(b"pieces")
    if not isinstance(pieces, bytes) or len(pieces) % _HASH_LENGTH:
        raise MetainfoError("'pieces' is a string of SHA-1 hashes, 20 bytes each (BEP 3)")
    if length == 0:
        raise MetainfoError("the files hold no bytes, so there is nothing to transfer")
    hashes, needed = len(pieces) // _HASH_LENGTH, -(-length // piece_length)
    if hashes != needed:
        raise MetainfoError(
            f"{hashes} piece hashes, but {length} bytes in pieces of {piece_length} are {needed}"
        )
    if hashes > MAX_PIECES:
        raise MetainfoError(f"{hashes} pieces; at most {MAX_PIECES} are accepted")
    return pieces


def _check_collisions(files: Iterable[File]) -> None:
    """Refuse two files at one path, and a file where another needs a directory."""
    root: dict[str, Any] = {}  # a directory's names; None stands for a file
    for file in files:
        if file.pad:
            continue
        names = root
        for part in file.path[:-1]:
            names = names.setdefault(part, {})
            if names is None:
                raise MetainfoError(f"{shown('/'.join(file.path))} lies inside another file")
        if file.path[-1] in names:
            raise MetainfoError(f"two files at {shown('/'.join(file.path))}")
        names[file.path[-1]] = None


def _take_trackers(outer: dict[bytes, Value]) -> Trackers:
    """The tiers of 'announce-list', or else the one URL of 'announce' (BEP 12)."""
    announce = outer.pop(b"announce", b"")
    raw = outer.pop(b"announce-list", None)
    return _tiers(raw if isinstance(raw, list) else []) or _tiers([announce])


def _tiers(raw: list[Value]) -> Trackers:
    return tuple(urls for tier in raw if (urls := _urls(tier)))


def _urls(tier: Value) -> tuple[str, ...]:
    """The URLs of a tier. What can't be one is left out: the other trackers may do."""
    candidates = tier if isinstance(tier, list) else [tier]
    return tuple(url.decode() for url in candidates if isinstance(url, bytes) and _URL.match(url))


def _take_text(outer: dict[bytes, Value], key: bytes) -> str | None:
    value = outer.pop(key, None)
    return value.decode(errors="replace") if isinstance(value, bytes) else None


def _take_int(outer: dict[bytes, Value], key: bytes) -> int | None:
    value = outer.pop(key, None)
    return value if isinstance(value, int) else None
