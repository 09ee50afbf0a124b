"""aria2: aria2c, which learns of a peer from a tracker only."""

from __future__ import annotations

import http.client
import json
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..process import Process, free_port, listening, running
from ..tracker import tracker
from .base import Address, Client, Download

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: It cannot be told to do without MSE: "off" still dials so first, then in plain.
ENCRYPTION = {
    "off": ["--bt-require-crypto=false", "--bt-min-crypto-level=plain"],
    "prefer": ["--bt-require-crypto=false", "--bt-min-crypto-level=arc4"],
    "require": ["--bt-require-crypto=true", "--bt-min-crypto-level=arc4"],
}

COMMON = [
    "aria2c",
    "--no-conf",
    "--bt-enable-lpd=false",
    "--bt-exclude-tracker=*",  # those of the torrent; --bt-tracker stays
    "--check-integrity=true",
    "--disable-ipv6=true",
    "--enable-color=false",
    "--enable-dht=false",
    "--enable-dht6=false",
    "--file-allocation=none",
    "--interface=127.0.0.1",
    "--summary-interval=0",
]


class Aria2(Client):
    name = "aria2"

    @classmethod
    def available(cls) -> str | None:
        if shutil.which("aria2c") is None:
            return "no aria2c on PATH: .ci/install-clients installs it"
        return None

    @contextmanager
    def seed(self, torrent: Path, content: Path, port: int) -> Iterator[Process]:
        rpc_port = free_port()
        options = ["--seed-ratio=0.0", "--bt-hash-check-seed=true"]
        options += ["--enable-rpc=true", "--rpc-listen-all=false", f"--rpc-listen-port={rpc_port}"]
        command = self._command(torrent, content.parent, port, options)
        with running(command, self.home, self.jail) as process:
            process.wait_until(lambda: seeding(rpc_port) and listening(port), "seeding")
            yield process

    @contextmanager
    def leech(self, torrent: Path, out_dir: Path, peer: Address) -> Iterator[Download]:
        with tracker(*peer) as announce:
            # A seed time of nothing: it exits when the download is whole and verified.
            options = ["--seed-time=0", f"--bt-tracker={announce}", "--bt-tracker-interval=5"]
            command = self._command(torrent, out_dir, free_port(), options)
            with running(command, self.home, self.jail) as process:
                yield Download(process, process.exited_well)

    def _command(self, torrent: Path, folder: Path, port: int, options: list[str]) -> list[str]:
        place = [f"--dir={folder}", f"--listen-port={port}"]
        place.append(f"--enable-peer-exchange={str(self.pex).lower()}")
        return [*COMMON, *ENCRYPTION[self.encryption], *place, *options, str(torrent)]


def seeding(rpc_port: int) -> bool:
    """Whether the one torrent is verified and served."""
    connection = http.client.HTTPConnection("127.0.0.1", rpc_port, timeout=10)
    call = {"jsonrpc": "2.0", "id": 1, "method": "aria2.tellActive", "params": [["seeder"]]}
    try:
        connection.request("POST", "/jsonrpc", json.dumps(call))
        active = json.loads(connection.getresponse().read())["result"]
        return [torrent.get("seeder") for torrent in active] == ["true"]
    finally:
        connection.close()
