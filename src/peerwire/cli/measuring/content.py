"""What is moved: one file of whole blocks, and its .torrent."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...torrent.create import create
from .child import ours

if TYPE_CHECKING:
    from pathlib import Path

    from ...torrent.metainfo import Metainfo

__all__ = ["MIB", "Content"]

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Content:
    """A file, its .torrent, and what that says."""

    path: Path
    torrent: Path
    metainfo: Metainfo

    @classmethod
    def make(cls, folder: Path, size: int) -> Content:
        """Writes a file of so many bytes, whole MiB of them, and its .torrent."""
        path, torrent = folder / "content.bin", folder / "content.torrent"
        generator = random.Random(size)
        with path.open("wb") as file:
            for _ in range(size // MIB):
                file.write(generator.randbytes(MIB))
        metainfo = create(path)
        torrent.write_bytes(metainfo.to_bytes())
        return cls(path, torrent, metainfo)

    def bare_seed(self, connections: int) -> list[str]:
        """Returns the command of a bare seeder of it."""
        return ours(
            "bare_seed",
            content=str(self.path),
            info_hash=self.metainfo.info_hash.hex(),
            piece_length=self.metainfo.piece_length,
            connections=connections,
        )

    def bare_leech(self, port: int, length: int | None = None) -> list[str]:
        """Returns the command of a bare leecher of it, or of so many bytes at its start."""
        return ours(
            "bare_leech",
            port=port,
            info_hash=self.metainfo.info_hash.hex(),
            length=self.metainfo.length if length is None else length,
            piece_length=self.metainfo.piece_length,
        )
