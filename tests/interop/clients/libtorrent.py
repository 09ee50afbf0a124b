"""libtorrent (qBittorrent, Deluge): the wheel, driven by tests/libtorrent_peer.py."""

from __future__ import annotations

import importlib.util
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ..process import Process, running
from .base import Address, Client, Download

if TYPE_CHECKING:
    from collections.abc import Iterator

SCRIPT = Path(__file__).parents[2] / "libtorrent_peer.py"


class Libtorrent(Client):
    name = "libtorrent"

    @classmethod
    def available(cls) -> str | None:
        if importlib.util.find_spec("libtorrent") is None:
            return "no Python package libtorrent: it is in the dependency group test"
        return None

    @contextmanager
    def seed(self, torrent: Path, content: Path, port: int) -> Iterator[Process]:
        command = self._command("seed", torrent, content, port)
        with running(command, self.home, self.jail) as process:
            process.wait_until(lambda: process.said("ready"), "seeding")
            yield process

    @contextmanager
    def leech(self, torrent: Path, out_dir: Path, peer: Address) -> Iterator[Download]:
        with running(
            self._command("leech", torrent, out_dir, *peer), self.home, self.jail
        ) as process:
            yield Download(process, lambda: process.said("complete"))

    def _command(self, *arguments: object) -> list[str]:
        options = ["--encryption", self.encryption, *(["--pex"] if self.pex else [])]
        return [sys.executable, str(SCRIPT), *map(str, arguments), *options]
