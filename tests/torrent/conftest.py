"""Small torrents with known content."""

from __future__ import annotations

import dataclasses
import hashlib
import random
from typing import TYPE_CHECKING

import pytest

from peerwire.bencode import encode
from peerwire.torrent.metainfo import Metainfo

if TYPE_CHECKING:
    from pathlib import Path


@dataclasses.dataclass
class Sample:
    """A torrent, and all of its bytes."""

    meta: Metainfo
    content: bytes

    def piece(self, index: int) -> bytes:
        start = index * self.meta.piece_length
        return self.content[start : start + self.meta.piece_length]

    def files(self) -> dict[str, bytes]:
        """What belongs on disk, by path below the root."""
        return {
            "/".join(file.path): self.content[file.offset : file.offset + file.length]
            for file in self.meta.files
            if not file.pad and not file.link
        }

    def put(self, root: Path) -> None:
        """Write the content as any other client would have."""
        for name, data in self.files().items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)


def make_sample(files: int | list[tuple[str, int, str]], piece_length: int = 16) -> Sample:
    """Make a torrent of one file's length, or of several files: path, length, attributes."""
    entries = files if isinstance(files, list) else [("", files, "")]
    source = random.Random(7)
    content = b"".join(
        bytes(length) if "p" in attr else source.randbytes(length) for _, length, attr in entries
    )
    info: dict[str, object] = {
        "name": "top",
        "piece length": piece_length,
        "pieces": b"".join(
            hashlib.sha1(content[start : start + piece_length]).digest()
            for start in range(0, len(content), piece_length)
        ),
    }
    if isinstance(files, int):
        info["length"] = files
    else:
        info["files"] = [
            {"path": path.split("/"), "length": length, "attr": attr}
            for path, length, attr in files
        ]
    return Sample(Metainfo.from_info(encode(info)), content)


@pytest.fixture
def sample():
    """The maker of samples: `sample(100)` or `sample([("a/b", 5, ""), ...], piece_length=16)`."""
    return make_sample


@pytest.fixture
def mixed():
    """Files of all kinds: crossing pieces, sharing one, empty, a pad, a link."""
    return make_sample(
        [
            ("a", 20, ""),
            ("b/empty", 0, ""),
            ("b/c/one", 1, ""),
            ("b/two", 2, ""),
            (".pad/9", 9, "p"),
            ("link", 0, "l"),
            ("d", 40, ""),
            ("last", 3, "x"),
        ]
    )


def tree(root: Path) -> dict[str, bytes]:
    """Every file below a directory."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(name="tree")
def tree_fixture():
    return tree
