"""Torrents of v2, hybrid or not."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from peerwire.bencode import encode
from peerwire.torrent.merkle import block_hashes, layer, piece_layer, root

if TYPE_CHECKING:
    from collections.abc import Iterator


def v2_torrent(
    content: bytes | dict[str, bytes], piece_length: int, *, name: str = "top", hybrid: bool = True
) -> bytes:
    """A .torrent of one file, or of several in one folder; a hybrid pads all but the last."""
    files = {name: content} if isinstance(content, bytes) else dict(sorted(content.items()))
    tree, layers = {}, {}
    for file, data in files.items():
        leaves = block_hashes(data)
        tree[file] = {"": {"length": len(data), **({"pieces root": root(leaves)} if data else {})}}
        if len(data) > piece_length:
            layers[root(leaves)] = layer(leaves, piece_layer(piece_length))
    info = {"name": name, "piece length": piece_length, "meta version": 2, "file tree": tree}
    if hybrid:
        whole = padded(files, piece_length)
        starts = range(0, len(whole), piece_length)
        pieces = (hashlib.sha1(whole[at : at + piece_length]).digest() for at in starts)
        info["pieces"] = b"".join(pieces)
        if isinstance(content, bytes):
            info["length"] = len(whole)
        else:
            info["files"] = list(_entries(files, piece_length))
    return encode({"info": info, "piece layers": layers})


def padded(files: dict[str, bytes], piece_length: int) -> bytes:
    """What v1 takes for the content of several files: zeros fill up the pieces between them."""
    content = [data + bytes(pad) for data, pad in _with_pads(files, piece_length)]
    return b"".join(content)


def _entries(files: dict[str, bytes], piece_length: int) -> Iterator[dict[str, object]]:
    for name, (data, pad) in zip(sorted(files), _with_pads(files, piece_length), strict=True):
        yield {"path": [name], "length": len(data)}
        if pad:
            yield {"path": [".pad", str(pad)], "length": pad, "attr": "p"}


def _with_pads(files: dict[str, bytes], piece_length: int) -> Iterator[tuple[bytes, int]]:
    """The bytes of each file in its order, and how many zeros follow."""
    *before, last = sorted(files)
    for name in before:
        yield files[name], -len(files[name]) % piece_length
    yield files[last], 0
