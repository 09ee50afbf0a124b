"""The command line in this process and in others, and something small to move."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from peerwire import Request, serve
from peerwire.cli import main, output
from peerwire.cli.output import Output
from peerwire.torrent.create import create
from peerwire.torrent.storage import Storage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from peerwire.torrent.metainfo import Metainfo

BLOCK = 16 * 1024
HOST = "127.0.0.1"

#: Around one block, around nothing, and in folders.
FILES = {"a": 1, "b/empty": 0, "b/under": BLOCK - 1, "c": 200_001, "d/e/over": BLOCK + 1}

#: What runs the command line in a process of its own.
PEERWIRE = [sys.executable, "-m", "peerwire"]


@dataclass
class Sample:
    """A folder of files, its .torrent, and where else the content goes."""

    content: Path
    torrent: Path
    meta: Metainfo

    def is_in(self, folder: Path) -> bool:
        return all(
            (folder / self.content.name / name).read_bytes() == (self.content / name).read_bytes()
            for name in FILES
        )

    def pieces_in(self, folder: Path) -> set[int]:
        with Storage(self.meta, folder) as storage:
            return set(storage.verify())


@pytest.fixture
def sample(tmp_path):
    content = tmp_path / "sample"
    for seed, (name, size) in enumerate(FILES.items()):
        path = content / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(random.Random(seed).randbytes(size))
    torrent = tmp_path / "sample.torrent"
    meta = create(content, piece_length=BLOCK)
    torrent.write_bytes(meta.to_bytes())
    return Sample(content, torrent, meta)


@dataclass
class Said:
    """What a run of the command line came to."""

    status: int
    out: str
    err: str

    @property
    def records(self) -> list[dict[str, Any]]:
        """Standard output of a run with --json."""
        return [json.loads(line) for line in self.out.splitlines()]


@pytest.fixture
def cli(capsys, monkeypatch):
    """Runs the command line in this process, where it says nothing of its progress."""
    monkeypatch.setattr(output, "PLAIN_INTERVAL", float("inf"))

    def cli(*words: object) -> Said:
        capsys.readouterr()
        status = main([str(word) for word in words])
        return Said(status, *capsys.readouterr())

    return cli


def run(*words: object, command: list[str] = PEERWIRE, **options: Any) -> Said:
    """Runs the command line in a process of its own, to its end."""
    done = subprocess.run(
        [*command, *map(str, words)], capture_output=True, text=True, timeout=50, **options
    )
    return Said(done.returncode, done.stdout, done.stderr)


class Running:
    """The command line in a process of its own, with both its outputs in files."""

    def __init__(self, folder: Path, words: tuple[object, ...], options: dict[str, Any]) -> None:
        folder.mkdir()
        self._out, self._err = folder / "out", folder / "err"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            options = {"stdout": out, "stderr": err} | options
            command = options.pop("command", PEERWIRE)
            self.process = subprocess.Popen([*command, *map(str, words)], **options)

    @property
    def out(self) -> str:
        return self._out.read_text()

    @property
    def err(self) -> str:
        return self._err.read_text()

    def port(self) -> int:
        """The port that `seed` says it listens on, once it does."""
        wait_until(lambda: "\n" in self.out)
        line = self.out.splitlines()[0]
        return json.loads(line)["port"] if line[0] == "{" else int(line.split(":")[1].split(",")[0])

    def end(self, number: int) -> int:
        """Sends a signal and returns the status."""
        self.process.send_signal(number)
        return self.process.wait(30)


@pytest.fixture
def start(tmp_path) -> Iterator[Callable[..., Running]]:
    """Starts the command line in a process of its own."""
    with contextlib.ExitStack() as stack:
        count = 0

        def start(*words: object, **options: Any) -> Running:
            nonlocal count
            count += 1
            running = Running(tmp_path / f"process{count}", words, options)
            stack.callback(running.process.wait)
            stack.callback(running.process.kill)
            return running

        yield start


def wait_until(condition: Callable[[], Any]) -> None:
    """Waits for another process until something is true."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.01)


async def until(condition: Callable[[], Any]) -> None:
    """Waits for another process, and lets the event loop go on."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        await asyncio.sleep(0.01)


class Giver:
    """A seed that answers so many requests, and then waits until it is told to go on."""

    def __init__(self, sample: Sample, blocks: int) -> None:
        self.asked: list[int] = []  #: The pieces that were asked for.
        self.go_on = asyncio.Event()
        self.port = 0
        self._storage = Storage(sample.meta, sample.content.parent)
        self._blocks = blocks

    async def handle(self, peer: Any) -> None:
        peer.have_all()
        peer.unchoke()
        async for message in peer:
            if isinstance(message, Request):
                self.asked.append(message.index)
                if len(self.asked) > self._blocks:
                    await self.go_on.wait()
                block = self._storage.read(message.index, message.begin, message.length)
                await peer.respond(message, block)


@pytest.fixture
async def giving():
    """Starts a `Giver`."""
    async with contextlib.AsyncExitStack() as stack:

        async def giving(sample: Sample, blocks: int = 1_000_000) -> Giver:
            giver = Giver(sample, blocks)
            stack.callback(giver._storage.close)
            torrents = {sample.meta.info_hash: sample.meta.num_pieces}
            server = await stack.enter_async_context(
                serve(giver.handle, HOST, 0, torrents=torrents)
            )
            stack.callback(giver.go_on.set)  # lest the server waits for its handlers
            giver.port = server.port
            return giver

        yield giving


class Recorder(Output):
    """Keeps what a verb says; may be told to do something at its results."""

    def __init__(self, *, at_result: Callable[[], None] = lambda: None) -> None:
        super().__init__(json=False)
        self.results: list[Any] = []
        self.events: list[Any] = []
        self.notes: list[str] = []
        self._at_result = at_result

    def result(self, record: Any, text: str) -> None:
        self.results.append((record, text))
        self._at_result()

    def event(self, record: Any, text: str) -> None:
        self.events.append((record, text))

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture
def dead_port():
    """A port at which nobody listens, kept from being given to anybody else."""
    import socket

    with socket.socket() as held:
        held.bind((HOST, 0))
        yield held.getsockname()[1]


def terminal() -> tuple[int, int]:
    """A terminal of 100 columns: our end, and the program's."""
    import fcntl
    import pty
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    return ours, theirs


TERMINAL = os.environ | {"TERM": "xterm-256color", "COLUMNS": "100"}
