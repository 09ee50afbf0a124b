"""peerwire itself, in the shape of a client: the verbs a person types."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..process import Process, running
from .base import Address, Client, Download, Encryption

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path


@dataclass
class Peerwire(Client):
    name = "peerwire"

    encryption: Encryption = field(default="prefer", kw_only=True)  # as untold

    @classmethod
    def available(cls) -> str | None:
        return None

    @contextmanager
    def seed(self, torrent: Path, content: Path, port: int) -> Iterator[Process]:
        place = ["--host", "127.0.0.1", "--port", str(port)]
        with self._run("seed", torrent, "--content", content, *place) as process:
            process.wait_until(lambda: '"event": "seeding"' in process.output(), "seeding")
            yield process

    @contextmanager
    def leech(self, torrent: Path, out_dir: Path, peer: Address) -> Iterator[Download]:
        host, port = peer
        with self._run("get", torrent, "--peer", f"{host}:{port}", "-o", out_dir) as process:
            yield Download(process, process.exited_well)

    def _run(self, verb: str, *arguments: str | Path) -> AbstractContextManager[Process]:
        command = [sys.executable, "-m", "peerwire", verb, *arguments, "--json"]
        return running([*command, "--encryption", self.encryption], self.home, self.jail)
