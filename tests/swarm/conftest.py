"""Small torrents, who exchanges them on loopback, and a clock that moves when it is told to."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import hashlib
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from peerwire import (
    Bitfield,
    DownloadFailed,
    HaveAll,
    Message,
    Peer,
    Piece,
    PieceSet,
    Request,
    serve,
)
from peerwire.bencode import encode
from peerwire.limits import BLOCK_LENGTH
from peerwire.swarm.events import DialFailed
from peerwire.swarm.swarm import Redial, Swarm
from peerwire.torrent.disk import Disk
from peerwire.torrent.metainfo import Metainfo
from peerwire.torrent.storage import Storage

from ..asyncio.raw import Raw, greeting
from ..garbage import light  # noqa: F401 - a fixture

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

BLOCK = BLOCK_LENGTH
HOST = "127.0.0.1"

#: Two peer ids that tests can tell apart.
FIRST_ID = b"-RW0001-aaaaaaaaaaaa"
SECOND_ID = b"-RW0001-bbbbbbbbbbbb"


class Clock:
    """Stands still until it is told to move on."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    async def advance(self, seconds: float) -> None:
        """Moves on; the timers that are due have gone off when this returns."""
        self.now += seconds
        for _ in range(3):
            await asyncio.sleep(0)


async def until(condition: Callable[[], Any]) -> None:
    """Lets the event loop and the disk's threads go on until something is true."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        await asyncio.sleep(0)


async def turns(count: int = 50) -> None:
    """Lets the event loop go round, for what is *not* to happen."""
    for _ in range(count):
        await asyncio.sleep(0)


@dataclass
class Torrent:
    """A torrent, and all of its bytes."""

    meta: Metainfo
    content: bytes

    def piece(self, index: int) -> bytes:
        start = index * self.meta.piece_length
        return self.content[start : start + self.meta.piece_length]

    def block(self, index: int, begin: int, length: int) -> bytes:
        return self.piece(index)[begin : begin + length]

    def put(self, root: Path) -> None:
        """Writes the content as any other client would have."""
        for file in self.meta.files:
            path = root.joinpath(*file.path)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self.content[file.offset : file.offset + file.length])

    def is_in(self, root: Path) -> bool:
        """Whether all of it is on disk, to the byte."""
        return all(
            root.joinpath(*file.path).read_bytes()
            == self.content[file.offset : file.offset + file.length]
            for file in self.meta.files
        )


def make_torrent(size: int | dict[str, int], piece_length: int = BLOCK) -> Torrent:
    """Makes a torrent of one file of `size` bytes, or of several: path and length."""
    total = size if isinstance(size, int) else sum(size.values())
    content = random.Random(7).randbytes(total)
    info: dict[str, object] = {
        "name": "top",
        "piece length": piece_length,
        "pieces": b"".join(
            hashlib.sha1(content[start : start + piece_length]).digest()
            for start in range(0, total, piece_length)
        ),
    }
    if isinstance(size, int):
        info["length"] = size
    else:
        info["files"] = [{"path": p.split("/"), "length": n} for p, n in size.items()]
    return Torrent(Metainfo.from_info(encode(info)), content)


class Gate(Storage):
    """Holds up every write until it is opened."""

    def __init__(self, *args):
        super().__init__(*args)
        self.opened = asyncio.Event()
        self.loop = asyncio.get_running_loop()

    def write(self, index, begin, data):
        asyncio.run_coroutine_threadsafe(self.opened.wait(), self.loop).result()
        super().write(index, begin, data)


class SlowStorage(Storage):
    """Waits before each read until it is let go on."""

    def __init__(self, *args):
        super().__init__(*args)
        self.reading = asyncio.Event()
        self.go_on = asyncio.Event()
        self.loop = asyncio.get_running_loop()

    def read(self, index, begin, length):
        self.loop.call_soon_threadsafe(self.reading.set)
        asyncio.run_coroutine_threadsafe(self.go_on.wait(), self.loop).result()
        return super().read(index, begin, length)


@dataclass
class Member:
    """A swarm of ours, the port it can be dialled at, and what it has told."""

    swarm: Swarm
    root: Path
    port: int
    events: list[Any] = field(default_factory=list)
    log: list[tuple[str, str]] = field(default_factory=list)

    def told(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    def sent(self, name: str) -> Counter[str]:
        """The messages of a name that were sent, and how often."""
        return Counter(what for mark, what in self.log if mark == ">" and what.startswith(name))

    def peer(self) -> Peer:
        """The one peer it has."""
        (peer,) = self.swarm.peers
        return peer


@pytest.fixture(autouse=True)
async def clock(monkeypatch):
    """The clock of the event loop. Nothing in these tests waits for a real one."""
    loop = asyncio.get_running_loop()
    clock = Clock(loop.time())
    monkeypatch.setattr(loop, "time", clock)
    return clock


@pytest.fixture(autouse=True)
async def tidy(clock):
    """Nothing is left at the end: no task, no thread, no complaint of the event loop."""
    complaints: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: complaints.append(context))
    yield complaints
    await turns(3)
    gc.collect()  # "exception was never retrieved" and ResourceWarning come from finalizers
    assert complaints == []
    assert asyncio.all_tasks() == {asyncio.current_task()}
    names = [thread.name for thread in threading.enumerate()]
    assert not [name for name in names if name.startswith("peerwire-disk")]


@pytest.fixture
async def stack(tidy):
    """Closes what the other fixtures opened."""
    async with contextlib.AsyncExitStack() as stack:
        yield stack


@pytest.fixture
def join(stack, tmp_path):
    """Starts a swarm of ours that has `pieces` of a torrent; all of them makes it a seed."""

    async def join(
        torrent: Torrent,
        name: str = "leech",
        *,
        pieces: Any = (),
        storage: Callable[..., Storage] = Storage,
        **options: Any,
    ) -> Member:
        root = tmp_path / name
        have = PieceSet(torrent.meta.num_pieces, pieces)
        if have.complete:
            torrent.put(root)
        for index in () if have.complete else have:
            with Storage(torrent.meta, root) as part:
                part.write(index, 0, torrent.piece(index))
        disk = await stack.enter_async_context(Disk(storage(torrent.meta, root)))
        log: list[tuple[str, str]] = []
        events: list[Any] = []
        options.setdefault("redial", Redial(attempts=2, wait=1.0))

        def trace(mark: str, what: object, now: float) -> None:
            log.append((mark, str(what)))

        swarm = await stack.enter_async_context(
            Swarm(torrent.meta, disk, have, on_event=events.append, trace=trace, **options)
        )
        server = await stack.enter_async_context(
            serve(
                swarm.welcome,
                HOST,
                0,
                torrents=swarm.torrents,
                peer_id=swarm.peer_id,
                trace=trace,
            )
        )
        return Member(swarm, root, server.port, events, log)

    return join


@pytest.fixture
def seed(join):
    """Starts a swarm of ours that has everything."""

    async def seed(torrent: Torrent, name: str = "seed", **options: Any) -> Member:
        return await join(torrent, name, pieces=range(torrent.meta.num_pieces), **options)

    return seed


@pytest.fixture
def acting(stack):
    """Starts a server whose peers are handled as a test wants; returns its port."""

    async def acting(
        torrent: Torrent, handler: Callable[[Peer], Awaitable[None]], **options: Any
    ) -> int:
        options.setdefault("torrents", {torrent.meta.info_hash: torrent.meta.num_pieces})
        server = await stack.enter_async_context(serve(handler, HOST, 0, **options))
        return server.port

    return acting


class RawPeer(Raw):
    """Says what a test wants, byte by byte, once the handshakes are done."""

    async def hear_only(self, kind: type[Message]) -> Any:
        """Returns the next message of a kind, and passes over those before it."""
        while not isinstance(message := await self.hear(), kind):
            pass
        return message

    async def hear_until_end(self) -> list[Message]:
        """Returns all that comes before the end of the connection."""
        messages = []
        with contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                messages.append(await self.hear())
        return messages


@pytest.fixture
def raw(stack):
    """Dials a member, as a peer that knows no rules; says which pieces it has."""

    async def raw(
        member: Member, *first: Message, fast: bool = True, peer_id: bytes = b"-RW0001-abcdefghijkl"
    ) -> RawPeer:
        peer = RawPeer(*await asyncio.open_connection(HOST, member.port))
        stack.callback(peer.close)
        peer.say(greeting(member.swarm.metainfo.info_hash, peer_id=peer_id, fast=fast), *first)
        await peer.hear_handshake()
        return peer

    return raw


def answer(torrent: Torrent, request: Request, *, wrong: bool = False) -> Piece:
    """The block that was asked for, or as many zeros."""
    block = torrent.block(request.index, request.begin, request.length)
    return Piece(request.index, request.begin, bytes(len(block)) if wrong else block)


async def hear_requests(raw: RawPeer, count: int) -> list[Request]:
    """Returns the next requests, and passes over all else."""
    return [await raw.hear_only(Request) for _ in range(count)]


@pytest.fixture
def giving(stack):
    """Lets a raw peer answer whatever it is asked for, until the connection ends."""

    async def give_all(torrent: Torrent, raw: RawPeer) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                raw.say(answer(torrent, await raw.hear_only(Request)))

    def giving(torrent: Torrent, raw: RawPeer) -> None:
        task = asyncio.create_task(give_all(torrent, raw))
        stack.push_async_callback(asyncio.wait, [task])
        stack.callback(raw.close)

    return giving


def everything(torrent: Torrent, *, fast: bool = True) -> Message:
    """What a seed says first."""
    return HaveAll() if fast else Bitfield(bytes(PieceSet.full(torrent.meta.num_pieces)))


def some(torrent: Torrent, *pieces: int) -> Bitfield:
    """What somebody says first who has some pieces."""
    return Bitfield(bytes(PieceSet(torrent.meta.num_pieces, pieces)))


@pytest.fixture
def answering(stack):
    """Answers whoever dials with a handshake; returns its port, and a queue of who came."""

    async def answering(handshake):
        came = asyncio.Queue()

        def answer(reader, writer):
            writer.write(handshake if isinstance(handshake, bytes) else handshake.encode())
            stack.callback(writer.close)
            came.put_nowait(RawPeer(reader, writer))

        server = await asyncio.start_server(answer, HOST, 0)
        stack.callback(server.close)
        return server.sockets[0].getsockname()[1], came

    return answering


def failed(member):
    """What was told of dials, as lines."""
    return [str(event) for event in member.told(DialFailed)]


async def fails(member):
    with pytest.raises(DownloadFailed) as caught:
        await member.swarm.wait_complete()
    return str(caught.value)


async def nobody_at():
    """A port at which nobody listens."""
    server = await asyncio.start_server(lambda *_: None, HOST, 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    return port
