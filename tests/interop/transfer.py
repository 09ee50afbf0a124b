"""One transfer from a seeder to a leecher, compared file by file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .content import Content, digests
from .process import free_port

if TYPE_CHECKING:
    from pathlib import Path

    from .clients import Client

EMPTY = "da39a3ee5e6b4b0d3255bfef95601890afd80709"


def transfer(seeder: Client, leecher: Client, content: Content, out_dir: Path) -> None:
    port = free_port()
    with (
        seeder.seed(content.torrent, content.path, port),
        leecher.leech(content.torrent, out_dir, ("127.0.0.1", port)) as download,
    ):
        download.wait()
    expected = digests(content.path)
    if leecher.skips_empty_files:
        expected = {name: digest for name, digest in expected.items() if digest != EMPTY}
    found = digests(out_dir / content.path.name)
    differing = [name for name in expected | found if expected.get(name) != found.get(name)]
    assert not differing, f"{leecher.name} got other files than {seeder.name} has: {differing}"
