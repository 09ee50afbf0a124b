"""Clients that are given a magnet link instead of a .torrent, and what to fetch with it."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from peerwire.bencode import decode_prefix
from peerwire.messages import Extended
from peerwire.torrent.magnet import Magnet
from peerwire.torrent.metainfo import Metainfo

from .clients import Libtorrent, Peerwire
from .clients.aria2 import Aria2
from .clients.base import Address, Download
from .clients.transmission import Rpc, Transmission
from .content import Content, make_torrent, write
from .process import running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

SCRIPT = Path(__file__).parents[1] / "libtorrent_magnet.py"


def many_files(folder: Path) -> Content:
    """Files with names so long that the metadata has two pieces, the second a short one."""
    path = folder / "many"
    for number in range(200):
        write(path / f"{number:080}.bin", 500 + number, seed=number)
    return Content(path, make_torrent(path, folder / "many.torrent"))


def magnet(torrent: Path) -> str:
    """The link that says no more than which torrent it is."""
    return str(Magnet(info_hash=Metainfo.from_file(torrent).info_hash))


class PeerwireByMagnet(Peerwire):
    def leech(
        self, torrent: Path, out_dir: Path, peer: Address
    ) -> AbstractContextManager[Download]:
        return super().leech(magnet(torrent), out_dir, peer)


class LibtorrentByMagnet(Libtorrent):
    @contextmanager
    def leech(self, torrent: Path, out_dir: Path, peer: Address) -> Iterator[Download]:
        command = [sys.executable, str(SCRIPT), magnet(torrent), out_dir, *peer]
        with running(command, self.home, self.jail) as process:
            yield Download(process, lambda: process.said("complete"))


class TransmissionByMagnet(Transmission):
    @staticmethod
    def _add(rpc: Rpc, torrent: Path, folder: Path, trackers: list[str]) -> None:
        link = magnet(torrent) + "".join(f"&tr={quote(url, safe='')}" for url in trackers)
        rpc("torrent-add", filename=link, **{"download-dir": str(folder)})


class Aria2ByMagnet(Aria2):
    def leech(
        self, torrent: Path, out_dir: Path, peer: Address
    ) -> AbstractContextManager[Download]:
        return super().leech(magnet(torrent), out_dir, peer)


class Spoken:
    """A trace that keeps what was said in ut_metadata, as in ``> request 0``."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def __call__(self, mark: str, what: object, now: float) -> None:
        if isinstance(what, Extended) and what.label == "ut_metadata":
            header, end = decode_prefix(what.payload)
            kind = ("request", "data", "reject")[header[b"msg_type"]]
            bytes_ = f" {len(what.payload) - end}" if kind == "data" else ""
            self.lines.append(f"{mark} {kind} {header[b'piece']}{bytes_}")
