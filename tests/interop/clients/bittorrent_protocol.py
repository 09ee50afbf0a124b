"""The wire under WebTorrent: npm bittorrent-protocol alone, driven by resources/bp_peer.mjs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ..process import RESOURCES, Process, running
from .base import Address, Client, Download

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = "bittorrent-protocol"
SCRIPT = RESOURCES / "bp_peer.mjs"


def node_modules() -> Path:
    """Where .ci/install-clients puts npm packages: never into the checkout."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "peerwire-interop" / "node_modules"


def wanted_version() -> str:
    dependencies = json.loads((RESOURCES / "package.json").read_text())["dependencies"]
    return str(dependencies[PACKAGE])


class BittorrentProtocol(Client):
    name = PACKAGE
    single_file_only = True

    @classmethod
    def available(cls) -> str | None:
        node = shutil.which("node")
        if node is None or subprocess.run([node, "-v"], capture_output=True).returncode:
            return "no working node on PATH: .ci/install-clients installs it"
        manifest = node_modules() / PACKAGE / "package.json"
        wanted = f"npm package {PACKAGE} {wanted_version()}"
        if not manifest.exists():
            return f"no {wanted} in {manifest.parents[1]}: .ci/install-clients installs it"
        found = json.loads(manifest.read_text())["version"]
        if found != wanted_version():
            return f"{PACKAGE} is {found}, not {wanted}: .ci/install-clients installs it"
        return None

    @contextmanager
    def seed(self, torrent: Path, content: Path, port: int) -> Iterator[Process]:
        with self._node("seed", torrent, content, port) as process:
            process.wait_until(lambda: process.said("ready"), "seeding")
            yield process

    @contextmanager
    def leech(self, torrent: Path, out_dir: Path, peer: Address) -> Iterator[Download]:
        _, port = peer
        with self._node("leech", torrent, out_dir, port) as process:
            yield Download(process, process.exited_well)

    @contextmanager
    def _node(self, role: str, torrent: Path, path: Path, port: int) -> Iterator[Process]:
        # An ES module finds packages beside itself only, so it is put beside them.
        self.home.mkdir(parents=True, exist_ok=True)
        script = Path(shutil.copy(SCRIPT, self.home))
        (self.home / "node_modules").symlink_to(node_modules())
        command = ["node", script, role, torrent, path, str(port), self.encryption]
        with running(command, self.home, self.jail) as process:
            yield process
