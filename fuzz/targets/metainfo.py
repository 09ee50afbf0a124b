"""A .torrent of a stranger: v1, v2 and hybrid, any bytes or a good one with some values changed."""

from __future__ import annotations

import hashlib
import ntpath
import posixpath
from typing import TYPE_CHECKING, Any

from peerwire.bencode import Value, decode, encode
from peerwire.errors import BencodeError, MetainfoError
from peerwire.torrent.metainfo import File, Metainfo
from peerwire.torrent.metainfo_v2 import MetainfoV2
from peerwire.torrent.selection import select

from ..harness import Script, expect
from ..torrents import SAMPLES

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Values that a change may put in, beside those that the input brings along.
VALUES: tuple[Any, ...] = (
    *(-1, 0, 1, 2, 3, 16384, 16385, 65536, 1 << 40, 10**20 - 1),
    *(b"", b".", b"..", b"a", b"p", b"l", b"pl", b"/", b"\\", b"a/b", b"C:", b"\xff", b"\0"),
    *(bytes(20), bytes(32), bytes(40), [], {}, [[]], {b"": {}}, {b"": {b"length": 0}}),
)


def target(data: bytes) -> None:
    """Reads it as v1 and as v2, whole and as an info dictionary alone."""
    script = Script(data)
    choice = script.byte()
    if choice < len(SAMPLES):
        value = changed(decode(SAMPLES[choice]), script)
        try:
            torrent = encode(value)
        except BencodeError:
            return
    else:
        torrent = script.rest()
    read_all(torrent)
    try:
        value = decode(torrent, strict=False)
    except BencodeError:
        return
    if isinstance(value, dict) and b"info" in value:
        read_all(encode(value[b"info"]))


def changed(value: Value, script: Script) -> Value:
    """Changes some values, each found by the steps that lead to it."""
    for _ in range(8):
        if not script:
            break
        at, steps = value, script.below(7)
        for _ in range(steps):
            inner = _inside(at)
            if not inner:
                break
            key = inner[script.byte() % len(inner)]
            below = at[key]  # type: ignore[index]
            if not _inside(below):
                _put(at, key, script)
                break
            at = below
        else:
            if isinstance(at, dict):
                at[script.take(script.below(16))] = _new(script)
            elif isinstance(at, list):
                at.append(_new(script))
    return value


def _inside(value: Value) -> list[bytes] | list[int]:
    if isinstance(value, dict):
        return list(value)
    return list(range(len(value))) if isinstance(value, list) else []


def _put(at: Value, key: bytes | int, script: Script) -> None:
    if script.byte() & 7:
        at[key] = _new(script)  # type: ignore[index]
    else:
        del at[key]  # type: ignore[union-attr, arg-type]


def _new(script: Script) -> Value:
    choice = script.byte()
    return VALUES[choice] if choice < len(VALUES) else script.take(script.byte())


def read_all(data: bytes) -> None:
    """Reads bytes in every way there is."""
    for read in (Metainfo.from_bytes, Metainfo.from_info, MetainfoV2.from_bytes, _v2_from_info):
        try:
            found = read(data)
        except MetainfoError as error:
            expect(len(str(error)) < 1000, "a stranger's text floods an error")
            continue
        check_paths(found.files)
        if isinstance(found, Metainfo):
            _check_v1(found)
        else:
            _check_v2(found)


def _v2_from_info(data: bytes) -> MetainfoV2:
    return MetainfoV2.from_info(data)


def check_paths(files: Iterable[File]) -> None:
    """No path leaves the folder that it is put in, on any system."""
    for file in files:
        for system, root in ((posixpath, "/down/load"), (ntpath, "D:\\down\\load")):
            path = system.normpath(system.join(root, *file.path))
            expect(path.startswith(root + system.sep), f"{file.path} leads to {path}")
        expect(not any(set(name) & set("/\\\0\n") for name in file.path), f"{file.path}")
        expect(len("/".join(file.path).encode()) <= 2 * 4096 + 100, "a path of that length")


def _check_v1(meta: Metainfo) -> None:
    expect(meta.info_hash == hashlib.sha1(meta.info).digest(), "the info-hash is another")
    expect(meta.length == sum(file.length for file in meta.files) > 0, "the length")
    offset = 0
    for file in meta.files:
        expect(file.offset == offset and file.length >= 0, "files lie one behind the other")
        offset += file.length
    last = meta.num_pieces - 1
    expect(meta.piece_size(last) + last * meta.piece_length == meta.length, "pieces")
    expect(len({file.path for file in meta.files if not file.pad}) == _count(meta), "two at a path")
    expect(select(meta, lambda _: True).pieces.complete, "all files are not all pieces")
    again = Metainfo.from_bytes(meta.to_bytes())
    expect(again == meta, "from_bytes(to_bytes(x)) is not x")


def _count(meta: Metainfo) -> int:
    return sum(not file.pad for file in meta.files)


def _check_v2(meta: MetainfoV2) -> None:
    expect(meta.info_hash == hashlib.sha256(meta.info).digest(), "the info-hash is another")
    expect(all(file.offset % meta.piece_length == 0 for file in meta.files), "offsets")
    trees = {tree.root: tree for tree in meta.trees()}
    for file in meta.files:
        known = file.length and (file.length <= meta.piece_length or meta.piece_layers)
        expect((file.pieces_root in trees) >= bool(known), "a file without its tree")
    expect(all(tree.root == root for root, tree in trees.items()), "a tree of another root")
    if meta.v1 is not None:
        _check_v1(meta.v1)
        theirs = [file.path for file in meta.v1.files if not file.pad]
        expect(theirs == [file.path for file in meta.files], "two sides, and other files")
