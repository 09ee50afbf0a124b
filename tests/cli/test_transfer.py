"""What the verbs that move content do alike."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from dataclasses import dataclass

import pytest
from tests.hybrids import v2_torrent

from peerwire import ConnectionClosed, DownloadFailed, PieceSet, StorageError
from peerwire.cli import transfer
from peerwire.cli.output import Output
from peerwire.cli.transfer import hash_content, held_bytes, tell, v2_side, verify, watch
from peerwire.swarm.events import (
    DialFailed,
    DiskFailed,
    PeerBanned,
    PeerJoined,
    PeerLeft,
    PieceCorrupt,
    PieceVerified,
)
from peerwire.torrent.disk import Disk
from peerwire.torrent.metainfo import Metainfo
from peerwire.torrent.metainfo_v2 import MetainfoV2
from peerwire.torrent.storage import Storage

from .conftest import Recorder


@dataclass(eq=False)
class FakePeer:
    address: tuple[str, int]
    client: str
    uploaded: int
    downloaded: int
    peer_choking: bool
    encryption: str = "off"


ONE = FakePeer(("127.0.0.1", 1), "one 1.0", 2048, 1024, peer_choking=False)
TWO = FakePeer(("127.0.0.1", 2), "two 2.0", 0, 0, peer_choking=True)
CLOSED = ConnectionClosed("us", "done")


def test_held_bytes(sample):
    meta = sample.meta
    last = meta.num_pieces - 1
    for pieces in [], [0], [last], range(last), range(last + 1):
        expected = sum(meta.piece_size(index) for index in pieces)
        assert held_bytes(meta, PieceSet(meta.num_pieces, pieces)) == expected


def test_the_v2_side_of_a_hybrid(sample):
    out, content = Recorder(), bytes(range(256)) * 200
    right = v2_torrent(content, 16 * 1024)
    hybrid = Metainfo.from_bytes(right)
    assert v2_side(hybrid, out) == MetainfoV2.from_bytes(right)
    assert v2_side(sample.meta, out) is None
    assert v2_side(Metainfo.from_info(hybrid.info), out) is None
    assert out.notes == []
    assert v2_side(dataclasses.replace(hybrid, extra={b"piece layers": {}}), out) is None
    assert out.notes == ["its v2 side is left out: 'top' has no string in 'piece layers' (BEP 52)"]


@pytest.mark.parametrize(
    ("event", "record", "text"),
    [
        (
            PeerJoined(ONE, True),
            {
                "event": "peer joined",
                "address": "127.0.0.1:1",
                "client": "one 1.0",
                "dialled": True,
                "encryption": "off",
            },
            "connected to 127.0.0.1:1, one 1.0",
        ),
        (
            PeerLeft(ONE, CLOSED),
            {
                "event": "peer left",
                "address": "127.0.0.1:1",
                "client": "one 1.0",
                "by": "us",
                "reason": "done",
                "uploaded": 2048,
                "downloaded": 1024,
            },
            "closed 127.0.0.1:1, one 1.0: done; sent 2.0 KiB; received 1.0 KiB",
        ),
        (
            PeerLeft(TWO, CLOSED),
            {
                "event": "peer left",
                "address": "127.0.0.1:2",
                "client": "two 2.0",
                "by": "us",
                "reason": "done",
                "uploaded": 0,
                "downloaded": 0,
            },
            "closed 127.0.0.1:2, two 2.0: done",
        ),
        (
            DialFailed(("::1", 3), CLOSED, 1, False),
            {
                "event": "dial failed",
                "address": "[::1]:3",
                "error": "done",
                "failures": 1,
                "gives_up": False,
            },
            "no connection to [::1]:3: done; trying again",
        ),
        (
            PieceCorrupt(7, [ONE], ONE),
            {
                "event": "piece corrupt",
                "index": 7,
                "peers": ["127.0.0.1:1"],
                "guilty": "127.0.0.1:1",
            },
            "piece 7 is corrupt, sent by 127.0.0.1:1 alone",
        ),
        (
            PieceCorrupt(7, [ONE, TWO], None),
            {
                "event": "piece corrupt",
                "index": 7,
                "peers": ["127.0.0.1:1", "127.0.0.1:2"],
                "guilty": None,
            },
            "piece 7 is corrupt, sent by 127.0.0.1:1, 127.0.0.1:2; it will show who lied",
        ),
        (
            PeerBanned(("127.0.0.1", 1), "it lied"),
            {"event": "peer banned", "address": "127.0.0.1:1", "reason": "it lied"},
            "banned 127.0.0.1:1: it lied",
        ),
        (
            DiskFailed(7, StorageError("gone")),
            {"event": "disk failed", "index": 7, "error": "gone"},
            "piece 7 is not served any more: gone",
        ),
    ],
)
def test_an_event(event, record, text):
    out = Recorder()
    tell(event, out)
    assert out.events == [(record, text)]


def test_a_verified_piece_is_not_told():
    out = Recorder()
    tell(PieceVerified(7), out)
    assert out.events == []


def test_people_are_told_the_first_failure_and_the_last(capsys):
    address = ("127.0.0.1", 1)
    failures = [DialFailed(address, CLOSED, count, count == 3) for count in (1, 2, 3)]
    for failure in failures:
        tell(failure, Output(json=False))
    assert capsys.readouterr().err.splitlines() == [str(failures[0]), str(failures[2])]
    for failure in failures:
        tell(failure, Output(json=True))
    assert len(capsys.readouterr().out.splitlines()) == 3


async def test_what_is_on_disk_is_verified(sample):
    (sample.content / "a").unlink()
    async with Disk(Storage(sample.meta, sample.content.parent)) as disk:
        have = await verify(disk, Recorder())
    assert set(have) == set(range(1, sample.meta.num_pieces))


class FakeSwarm:
    def __init__(self, sample, pieces=()):
        self.metainfo = sample.meta
        self.have = PieceSet(sample.meta.num_pieces, pieces)
        self.wanted = PieceSet.full(sample.meta.num_pieces)
        self.peers = {}
        self.ended = asyncio.get_running_loop().create_future()

    async def wait_complete(self):
        await self.ended


class Seen:
    def __init__(self, after):
        self.updates = []
        self._after = after

    def update(self, done, total, note=""):
        self.updates.append((done, total, note))
        self._after(len(self.updates))


@pytest.fixture
def quickly(monkeypatch):
    monkeypatch.setattr(transfer, "REFRESH", 0.001)


async def test_a_download_is_watched(sample, quickly):
    swarm = FakeSwarm(sample, [0])
    whole = sample.meta.length

    def after(count):
        match count:
            case 1:
                swarm.peers = {ONE: 0.0}
            case 2:
                swarm.peers = {TWO: 0.0}
            case 3:
                swarm.peers = {ONE: 0.0, TWO: 0.0}
            case 4:
                swarm.ended.set_result(None)

    seen = Seen(after)
    await watch(swarm, seen)
    some = sample.meta.piece_length
    assert seen.updates == [
        (some, whole, "0 peers"),
        (some, whole, "1 peer"),
        (some, whole, "1 peer, waiting to be unchoked"),
        (some, whole, "2 peers"),
        (whole, whole, ""),
    ]


async def test_a_download_that_fails(sample, quickly):
    swarm = FakeSwarm(sample)
    seen = Seen(lambda count: swarm.ended.set_exception(DownloadFailed("nobody is left")))
    with pytest.raises(DownloadFailed, match="nobody is left"):
        await watch(swarm, seen)


async def test_hashing_ends_soon_after_a_cancel(tmp_path):
    path = tmp_path / "content"
    path.write_bytes(bytes(32 * 1024 * 1024))  # several goes of 8 MiB
    hashing, go_on = threading.Event(), threading.Event()
    calls = []

    class Held(Recorder):
        def update(self, done, total, note=""):
            calls.append(done)
            hashing.set()
            go_on.wait(30)

        def progress(self, label):
            import contextlib

            return contextlib.nullcontext(self)

    task = asyncio.create_task(hash_content(path, Held()))
    await asyncio.to_thread(hashing.wait, 30)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    go_on.set()
    await asyncio.get_running_loop().shutdown_default_executor()  # as asyncio.run does
    assert len(calls) == 1
