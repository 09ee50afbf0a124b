"""rtorrent: it is measured, and asked by the conformance suite."""

from __future__ import annotations

import dataclasses
import shutil
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING

from peerwire.handshake import Handshake, generate_peer_id
from peerwire.torrent.metainfo import Metainfo

from ..process import Process, free_port, running
from ..tracker import tracker
from .base import Address, Client, Download

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

#: It takes no torrent without a tracker, where DHT is off. Nobody listens there.
NOBODY = "http://127.0.0.1:9/announce"

ENCRYPTION = {
    "off": "none",
    "prefer": "allow_incoming,try_outgoing,enable_retry",
    "require": "allow_incoming,require,require_rc4",
}

#: A daemon: it asks for no terminal.
SETTINGS = """\
system.daemon.set = true
session.path.set = {home}
directory.default.set = {folder}
network.bind_address.set = 127.0.0.1
network.port_range.set = {port}-{port}
network.port_random.set = no
dht.mode.set = disable
protocol.pex.set = {pex}
trackers.use_udp.set = no
protocol.encryption.set = {encryption}
pieces.hash.on_completion.set = no
network.max_open_files.set = 64
throttle.global_up.max_rate.set_kb = 0
method.set_key = event.download.finished, told, "execute=touch,{finished}"
load.start = {torrent}
"""


def answers(port: int, handshake: Handshake) -> bool:
    """Whether a peer at the port answers; rtorrent cuts those off who come before it has hashed."""
    with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
        connection.sendall(handshake.encode())
        return bool(connection.recv(1))


class Rtorrent(Client):
    """rtorrent, which a Debian machine gets from ``apt-get install rtorrent``."""

    name = "rtorrent"

    @classmethod
    def available(cls) -> str | None:
        """Says what is missing."""
        if shutil.which("rtorrent") is None:
            return "no rtorrent on PATH: apt-get install rtorrent"
        return None

    @contextmanager
    def seed(self, torrent: Path, content: Path, port: int) -> Iterator[Process]:
        """Serves the content, once it is hashed."""
        handshake = Handshake(Metainfo.from_file(torrent).info_hash, generate_peer_id())
        with self._run(torrent, content.parent, port, NOBODY) as process:
            process.wait_until(lambda: answers(port, handshake), "seeding")
            yield process

    @contextmanager
    def leech(self, torrent: Path, out_dir: Path, peer: Address) -> Iterator[Download]:
        """Fetches the content, of a peer that it learns of from a tracker."""
        with (
            tracker(*peer) as announce,
            self._run(torrent, out_dir, free_port(), announce) as process,
        ):
            yield Download(process, self._finished.exists)

    @property
    def _finished(self) -> Path:
        return self.home / "finished"

    def _run(
        self, torrent: Path, folder: Path, port: int, announce: str
    ) -> AbstractContextManager[Process]:
        self.home.mkdir(parents=True, exist_ok=True)
        metainfo = dataclasses.replace(Metainfo.from_file(torrent), trackers=((announce,),))
        tracked = self.home / "tracked.torrent"
        tracked.write_bytes(metainfo.to_bytes())
        settings = self.home / "rtorrent.rc"
        settings.write_text(
            SETTINGS.format(
                home=self.home,
                folder=folder,
                port=port,
                torrent=tracked,
                pex="yes" if self.pex else "no",
                encryption=ENCRYPTION[self.encryption],
                finished=self._finished,
            )
        )
        command = ["rtorrent", "-n", "-o", f"import={settings}"]
        return running(command, self.home, self.jail)
