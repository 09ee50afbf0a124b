"""What the peers move: the same bytes on every machine, in sizes that no piece or block fits."""

from __future__ import annotations

import hashlib
import random
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

#: A short last piece and a short last block.
SINGLE = 5 * 1024 * 1024 + 12345

#: Around one block (16 KiB), around nothing, and a prime; pieces span several files.
MULTI = {
    "a_one.bin": 1,
    "nested/below.bin": 16383,
    "nested/above.bin": 16385,
    "nested/deep/prime.bin": 999_983,
    "p_big.bin": 2_222_222,
    "q_empty.bin": 0,
    "z_tail.bin": 65_537,
}

PIECE_SIZE = 32 * 1024


@dataclass(frozen=True)
class Content:
    """A file or folder and its .torrent."""

    path: Path
    torrent: Path


def write(path: Path, size: int, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(random.Random(seed).randbytes(size))


def single(folder: Path) -> Content:
    path = folder / "single.bin"
    write(path, SINGLE, seed=1)
    return Content(path, make_torrent(path, folder / "single.torrent"))


def multi(folder: Path) -> Content:
    path = folder / "multi"
    for seed, (name, size) in enumerate(MULTI.items(), start=2):
        write(path / name, size, seed)
    return Content(path, make_torrent(path, folder / "multi.torrent"))


def make_torrent(path: Path, out: Path) -> Path:
    command = [sys.executable, "-m", "peerwire", "create", path, "-o", out, "--v1"]
    subprocess.run([*command, "--piece-size", str(PIECE_SIZE)], check=True)
    return out


def digests(path: Path) -> dict[str, str]:
    """SHA-1 of every file at or below a path, by its name relative to the path's folder."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    return {
        str(file.relative_to(path.parent)): hashlib.sha1(file.read_bytes()).hexdigest()
        for file in files
        if file.is_file()
    }
