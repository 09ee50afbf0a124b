"""Swarms of ours with libtorrent in them: super-seeding, allowed fast, and padding."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tests.interop.clients import Libtorrent
from tests.interop.clients.libtorrent import SCRIPT
from tests.interop.content import write
from tests.interop.process import free_port, listening, running

from peerwire import connect
from peerwire.fast import allowed_fast_set
from peerwire.swarm.choker import Choker
from peerwire.swarm.events import PeerJoined
from peerwire.torrent.metainfo import Metainfo

from .conftest import BLOCK, HOST, Torrent, make_torrent

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
async def clock():
    """The event loop's own: the other end is a process that does not wait for ours to move."""


@pytest.fixture
def dotted(tmp_path):
    """Writes a .torrent."""

    def dotted(torrent):
        path = tmp_path / "of.torrent"
        path.write_bytes(torrent.meta.to_bytes())
        return path

    return dotted


async def until(process, condition, what):
    """Waits until something is true, as long as the process goes on, and not too long."""
    await asyncio.to_thread(process.wait_until, condition, what, 50)


def uploaded(member):
    return sum(joined.peer.uploaded for joined in member.told(PeerJoined))


# Super-seeding


async def test_super_seeding_to_one(seed, dotted, tmp_path):
    torrent = make_torrent(40 * 2 * BLOCK + 100, 2 * BLOCK)
    giver = await seed(torrent, super_seed=True)
    leecher = Libtorrent(tmp_path / "lt")
    with leecher.leech(dotted(torrent), tmp_path / "out", (HOST, giver.port)) as download:
        await asyncio.to_thread(download.wait, 50)
    assert torrent.is_in(tmp_path / "out")
    assert giver.sent("have none").total() == 1
    assert uploaded(giver) == len(torrent.content)


async def test_super_seeding_to_two_who_exchange(seed, dotted, tmp_path):
    torrent = make_torrent(40 * 2 * BLOCK + 100, 2 * BLOCK)
    giver = await seed(torrent, super_seed=True)
    path, ports = dotted(torrent), [free_port(), free_port()]
    # One dials us, the other one the first; and we dial that.
    dialled = [giver.port, ports[0]]
    with contextlib.ExitStack() as stack:
        leechers = [
            stack.enter_context(
                running(
                    [
                        *[sys.executable, SCRIPT, "leech", path, tmp_path / f"out{number}"],
                        *[HOST, str(dialled[number]), "--listen", str(ports[number])],
                    ],
                    tmp_path / f"lt{number}",
                    None,
                )
            )
            for number in range(2)
        ]
        await until(leechers[1], lambda: listening(ports[1]), "listening")
        info_hash, peer_id = torrent.meta.info_hash, giver.swarm.peer_id
        async with connect(HOST, ports[1], info_hash, peer_id=peer_id) as peer:
            welcoming = asyncio.create_task(giver.swarm.welcome(peer))
            for leecher in leechers:
                await until(leecher, functools.partial(leecher.said, "complete"), "complete")
        await welcoming
    assert all(torrent.is_in(tmp_path / f"out{number}") for number in range(2))
    assert len(torrent.content) <= uploaded(giver) <= 1.5 * len(torrent.content)


# Allowed fast


async def test_a_leecher_that_stays_choked_gets_what_is_allowed(
    seed, dotted, tmp_path, monkeypatch
):
    monkeypatch.setattr(Choker, "rechoke", lambda self, now, peers, seeding: set())
    torrent = make_torrent(30 * 2 * BLOCK, 2 * BLOCK)
    giver = await seed(torrent)
    leecher = Libtorrent(tmp_path / "lt")
    with leecher.leech(dotted(torrent), tmp_path / "out", (HOST, giver.port)) as download:
        allowed = set(allowed_fast_set(30, torrent.meta.info_hash, HOST))
        await until(
            download.process,
            lambda: giver.swarm.peers and set(giver.peer().peer_pieces) == allowed,
            "given all that is allowed",
        )
        assert not download.is_complete()
        assert giver.peer().am_choking
        assert giver.peer().uploaded == len(allowed) * 2 * BLOCK


# Padding


PIECE = 2 * BLOCK

#: A byte; a block and a bit; whole pieces; several and a bit.
FILES = {"a": 1, "b": BLOCK + 7000, "c": 2 * PIECE, "d": 3 * PIECE + 1}


@dataclasses.dataclass
class Padded(Torrent):
    """What libtorrent made of a folder: a torrent with pad files, which no disk holds."""

    def in_padding(self, byte: int) -> bool:
        return any(f.pad and f.offset <= byte < f.offset + f.length for f in self.meta.files)

    def is_in(self, root: Path) -> bool:
        plain = [file for file in self.meta.files if not file.pad]
        return Torrent(dataclasses.replace(self.meta, files=tuple(plain)), self.content).is_in(root)


@pytest.fixture
def padded(tmp_path):
    folder, out = tmp_path / "theirs" / "padded", tmp_path / "padded.torrent"
    for number, (name, size) in enumerate(FILES.items()):
        write(folder / name, size, number)
    command = [sys.executable, "-W", "ignore", SCRIPT, "create", folder, out, "--pad"]
    subprocess.run([*command, "--piece-size", str(PIECE)], check=True)
    meta = Metainfo.from_file(out)
    content = b"".join(
        bytes(file.length) if file.pad else folder.joinpath(*file.path[1:]).read_bytes()
        for file in meta.files
    )
    assert [file.length for file in meta.files if file.pad] == [PIECE - 1, BLOCK - 7000, PIECE - 1]
    return Padded(meta, content)


def requests(member, mark):
    """The bytes that were asked for, as (first, last) of the torrent's content."""
    for found, what in member.log:
        if found == mark and what.startswith("request"):
            index, begin, length = map(int, what.split()[1].replace("+", ":").split(":"))
            first = index * PIECE + begin
            yield first, first + length - 1


async def test_padding_is_not_asked_of_libtorrent(join, padded, tmp_path):
    taker, port = await join(padded), free_port()
    folder = tmp_path / "theirs" / "padded"
    with Libtorrent(tmp_path / "lt").seed(tmp_path / "padded.torrent", folder, port):
        taker.swarm.dial(HOST, port)
        async with asyncio.timeout(50):
            await taker.swarm.wait_complete()
    assert padded.is_in(taker.root)
    assert not any(padded.in_padding(last) for _, last in requests(taker, ">"))
    assert taker.peer().downloaded == sum(FILES.values())


async def test_what_libtorrent_asks_of_padding_is_served(seed, padded, tmp_path):
    giver = await seed(padded)
    leecher = Libtorrent(tmp_path / "lt")
    out = tmp_path / "out"
    with leecher.leech(tmp_path / "padded.torrent", out, (HOST, giver.port)) as download:
        await asyncio.to_thread(download.wait, 50)
    assert padded.is_in(out)
    # libtorrent 2.1 leaves out the blocks that are all padding, and asks for the others whole.
    assert any(padded.in_padding(last) for _, last in requests(giver, "<"))
    assert not giver.sent("reject")
