from __future__ import annotations

import asyncio
import hashlib
import os
import threading

import pytest

from peerwire.errors import StorageError
from peerwire.torrent.disk import Disk
from peerwire.torrent.storage import Storage


@pytest.fixture
def seeded(mixed, tmp_path):
    """The storage of a complete torrent."""
    mixed.put(tmp_path)
    return Storage(mixed.meta, tmp_path)


async def test_pieces_are_read(mixed, seeded):
    async with Disk(seeded) as disk:
        for index in range(mixed.meta.num_pieces):
            piece = mixed.piece(index)
            assert await disk.read(index, 0, len(piece)) == piece
        assert await disk.read(1, 3, 5) == mixed.piece(1)[3:8]


async def test_the_event_loop_s_thread_does_not_touch_the_disk(seeded, mixed, monkeypatch):
    threads = set()

    def watched(call):
        def spy(*args, **kwargs):
            threads.add(threading.current_thread())
            return call(*args, **kwargs)

        return spy

    for name in ("pread", "preadv", "pwrite", "open"):
        monkeypatch.setattr(os, name, watched(getattr(os, name)))
    async with Disk(seeded) as disk:
        await disk.read(0, 0, 16)
        await disk.read_many([(0, 0, 16)])
        await disk.hash_blocks([(0, 0, 16)])
        await disk.write_piece(0, mixed.piece(0))
        await disk.verify()
    assert threads
    assert threading.current_thread() not in threads


async def test_many_spans_are_read_in_their_order(mixed, seeded):
    spans = [(0, 0, 4), (0, 4, 4), (0, 8, 8), (2, 0, 16), (2, 3, 5), (1, 8, 8), (3, 0, 0)]
    async with Disk(seeded) as disk:
        blocks = await disk.read_many(iter(spans))
        assert await disk.read_many([]) == []
    assert blocks == [mixed.piece(i)[begin : begin + length] for i, begin, length in spans]
    assert [len(block) for block in blocks] == [length for _, _, length in spans]


async def test_blocks_are_hashed(mixed, seeded):
    spans = [(0, 0, 4), (0, 4, 4), (2, 3, 5)]
    async with Disk(seeded) as disk:
        hashes = await disk.hash_blocks(iter(spans))
        assert await disk.hash_blocks([]) == b""
    blocks = [mixed.piece(i)[begin : begin + length] for i, begin, length in spans]
    assert hashes == b"".join(hashlib.sha256(block).digest() for block in blocks)


@pytest.mark.parametrize(
    ("spans", "reads"),
    [
        ([(0, 0, 4), (0, 4, 4), (0, 8, 8)], [16]),
        ([(0, 0, 4), (0, 8, 4)], [4, 4]),
        ([(0, 8, 8), (0, 0, 8)], [8, 8]),
        ([(0, 0, 16), (1, 0, 16)], [16, 16]),
        ([(0, 0, 16), (1, 16, 0), (1, 0, 4)], [16, 4]),
        ([(1, 0, 8), (0, 8, 8)], [8, 8]),
        ([(0, 0, 8), (0, 0, 8)], [8, 8]),
    ],
)
async def test_neighbours_are_read_in_one_go(sample, tmp_path, monkeypatch, spans, reads):
    torrent = sample(40)
    torrent.put(tmp_path)
    sizes = []
    pread = os.pread
    monkeypatch.setattr(os, "pread", lambda fd, n, at: sizes.append(n) or pread(fd, n, at))
    async with Disk(Storage(torrent.meta, tmp_path)) as disk:
        blocks = await disk.read_many(spans)
    assert sizes == reads
    assert blocks == [torrent.piece(i)[begin : begin + length] for i, begin, length in spans]


@pytest.mark.parametrize("kind", [bytes, bytearray, lambda data: memoryview(bytearray(data))])
async def test_a_piece_that_is_right_is_written(mixed, tmp_path, tree, kind):
    storage = Storage(mixed.meta, tmp_path)
    storage.prepare()
    async with Disk(storage) as disk:
        results = await asyncio.gather(
            *(disk.write_piece(n, kind(mixed.piece(n))) for n in range(mixed.meta.num_pieces))
        )
    assert results == [True] * mixed.meta.num_pieces
    assert tree(tmp_path) == mixed.files()


@pytest.mark.parametrize("data", [bytes(16), b"", bytes(17)])
async def test_a_piece_that_is_wrong_is_not_written(mixed, tmp_path, data):
    async with Disk(Storage(mixed.meta, tmp_path)) as disk:
        assert not await disk.write_piece(0, data)
        assert not await disk.write_piece(0, mixed.piece(0)[:-1])
        assert not await disk.write_piece(0, mixed.piece(0) + b"x")
    assert not list(tmp_path.iterdir())


async def test_a_piece_is_checked(sample, tmp_path):
    torrent = sample(40)
    torrent.put(tmp_path)
    with (tmp_path / "top").open("r+b") as file:
        file.write(b"?")
    async with Disk(Storage(torrent.meta, tmp_path)) as disk:
        assert [await disk.check(index) for index in range(3)] == [False, True, True]


async def test_verifying_reports_on_the_event_loop(mixed, seeded):
    steps = []

    def progress(done, total):
        assert asyncio.get_running_loop()
        steps.append((done, total))

    async with Disk(seeded, workers=1) as disk:
        assert (await disk.verify(progress)).complete
        assert steps[0] == (0, 75)
        assert steps[-1] == (75, 75)
        seeded.write(0, 0, b"?")
        assert await disk.verify() == set(range(1, mixed.meta.num_pieces))


async def test_errors_come_back_and_leave_the_disk_usable(sample, tmp_path):
    torrent = sample(40)
    async with Disk(Storage(torrent.meta, tmp_path), workers=1) as disk:
        with pytest.raises(StorageError, match="No such file"):
            await disk.read(0, 0, 1)
        with pytest.raises(StorageError, match="No such file"):
            await disk.read_many([(0, 0, 1)])
        with pytest.raises(ValueError, match="bytes 9"):
            await disk.read(0, 9, 9)
        with pytest.raises(IndexError, match="piece 3 of 3"):
            await disk.write_piece(3, b"")
        (tmp_path / "top").mkdir()
        with pytest.raises(StorageError, match="can't write"):
            await disk.write_piece(0, torrent.piece(0))
        with pytest.raises(StorageError, match="in the way"):
            await disk.verify()
        (tmp_path / "top").rmdir()
        assert await disk.write_piece(0, torrent.piece(0))


class Gate:
    """A call of the system that waits until it is let through, and counts."""

    def __init__(self, call):
        self.call = call
        self.entered = threading.Event()
        self.opened = threading.Event()
        self.count = 0

    def __call__(self, *args):
        self.count += 1
        self.entered.set()
        assert self.opened.wait(30)
        return self.call(*args)


async def test_closing_waits_for_what_is_under_way(sample, tmp_path, monkeypatch):
    torrent = sample(40)
    gate = Gate(os.pwrite)
    monkeypatch.setattr(os, "pwrite", gate)
    disk = Disk(Storage(torrent.meta, tmp_path))
    write = asyncio.create_task(disk.write_piece(0, torrent.piece(0)))
    await asyncio.to_thread(gate.entered.wait, 30)
    closing = asyncio.create_task(disk.close())
    write.cancel()
    with pytest.raises(asyncio.CancelledError):
        await write
    assert not closing.done()
    gate.opened.set()
    await closing
    assert (tmp_path / "top").read_bytes() == torrent.content[:16]
    with pytest.raises(StorageError, match="top was closed: nothing is read or written after"):
        await disk.read(0, 0, 1)
    await disk.close()


async def test_no_thread_to_work_in(sample, tmp_path, monkeypatch):
    torrent = sample(40)
    torrent.put(tmp_path)

    def start(thread):
        raise RuntimeError("can't start new thread")

    await asyncio.to_thread(int)  # asyncio has the one it closes with
    async with Disk(Storage(torrent.meta, tmp_path)) as disk:
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", start)
            with pytest.raises(StorageError, match=r"can't use .*/top: can't start new thread"):
                await disk.read(0, 0, 1)
        assert await disk.read(0, 0, 1) == torrent.content[:1]


async def test_a_call_that_is_cancelled_before_its_turn_does_nothing(sample, tmp_path, monkeypatch):
    torrent = sample(40)
    gate = Gate(os.pwrite)
    monkeypatch.setattr(os, "pwrite", gate)
    async with Disk(Storage(torrent.meta, tmp_path), workers=1) as disk:
        first = asyncio.create_task(disk.write_piece(0, torrent.piece(0)))
        await asyncio.to_thread(gate.entered.wait, 30)
        second = asyncio.create_task(disk.write_piece(1, torrent.piece(1)))
        await asyncio.wait([second], timeout=0)
        second.cancel()
        await asyncio.wait([second])
        gate.opened.set()
        assert await first
    assert gate.count == 1
    assert (tmp_path / "top").read_bytes() == torrent.content[:16]


async def test_verifying_that_is_cancelled_ends_soon(sample, tmp_path, monkeypatch):
    torrent = sample(200 * 1024, piece_length=1024)
    torrent.put(tmp_path)
    monkeypatch.setattr("peerwire.torrent.storage._RUN", 1024)
    gate = Gate(os.preadv)
    monkeypatch.setattr(os, "preadv", gate)
    async with Disk(Storage(torrent.meta, tmp_path)) as disk:
        verifying = asyncio.create_task(disk.verify())
        await asyncio.to_thread(gate.entered.wait, 30)
        verifying.cancel()
        with pytest.raises(asyncio.CancelledError):
            await verifying
        gate.opened.set()
    assert gate.count < 200
