"""Small torrents that are right, for targets that change something in them."""

from __future__ import annotations

import hashlib
from typing import Any

from peerwire.bencode import encode
from peerwire.torrent.merkle import MerkleTree, block_hashes, piece_layer

__all__ = ["SAMPLES"]

PIECE = 16384
#: Path to content: files of every kind of length, in the order that v2 has them in.
FILES = {
    ("a", "deep", "er"): bytes(range(256)) * 200,
    ("a", "empty"): b"",
    ("b",): b"less than a piece",
    ("c",): bytes(PIECE),
}


def _v1(files: dict[Any, bytes], *, pad: bool = False) -> dict[str, Any]:
    entries: list[dict[str, Any]] = []
    content = b""
    for path, data in files.items():
        lacking = -len(content) % PIECE
        if pad and data and lacking:
            entries.append({"attr": "p", "length": lacking, "path": [".pad", str(lacking)]})
            content += bytes(lacking)
        entries.append({"length": len(data), "path": list(path)})
        content += data
    return {
        "files": entries,
        "name": "top",
        "piece length": PIECE,
        "pieces": b"".join(
            hashlib.sha1(content[start : start + PIECE]).digest()
            for start in range(0, len(content), PIECE)
        ),
    }


def _v2(files: dict[Any, bytes]) -> tuple[dict[str, Any], dict[bytes, bytes]]:
    tree: dict[str, Any] = {}
    layers = {}
    for path, data in files.items():
        at = tree
        for name in path:
            at = at.setdefault(name, {})
        at[""] = {"length": len(data)}
        if data:
            hashes = MerkleTree(block_hashes(data))
            at[""]["pieces root"] = hashes.root
            if len(data) > PIECE:
                layers[hashes.root] = hashes.layer(piece_layer(PIECE))
    return {"file tree": tree, "meta version": 2, "name": "top", "piece length": PIECE}, layers


def _samples() -> list[bytes]:
    single: dict[str, Any] = _v1({("x",): bytes(40_000)}) | {"length": 40_000, "private": 1}
    del single["files"]
    v2, layers = _v2(FILES)
    alone, _ = _v2({("top",): b"alone"})
    urls = [["http://tracker.test/announce"], ["udp://tracker.test:1", "wss://tracker.test"]]
    outer = {"announce": urls[0][0], "announce-list": urls, "comment": "é", "creation date": 1}
    return [
        encode(outer | {"info": single}),
        encode({"info": _v1(FILES)}),
        encode({"info": _v1(FILES, pad=True)}),
        encode({"info": v2, "piece layers": layers}),
        encode({"info": alone, "piece layers": {}}),
        encode(outer | {"info": _v1(FILES, pad=True) | v2, "piece layers": layers}),
    ]


#: v1 of one file, of several, with pad files; v2 of several files and of one; hybrid.
SAMPLES = _samples()
