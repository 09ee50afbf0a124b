"""Whole clients: what each fetches from a bare seeder, and serves to a bare leecher."""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tests.interop.process import free_port

from peerwire.cli.measuring.child import Child, ours
from peerwire.cli.measuring.contest import Contest, Figures, Row
from peerwire.cli.measuring.transfers import BARE, bare

from .cpu import cpu_seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.interop.clients.base import Client, Download

    from peerwire.cli.measuring.content import Content

HOST = "127.0.0.1"

#: Seconds between two looks at whether a client has everything, and until it is given up.
POLL = 0.01
TIMEOUT = 120.0

US = "peerwire"

#: What reads, hashes and writes what a torrent has, and nothing else.
LEAST = "the least work"

#: Wires, which are no clients: they have no disk, and are measured as what they are.
WIRES = {"bittorrent-protocol"}

#: Clients that are measured as seeders only.
SEEDS_ONLY = {"rtorrent"}

#: Who serves so slowly to a single peer that a part of the content has to do: Transmission answers
#: what came in half a second at the end of it.
SHARES = {"transmission": 16}


def has_everything(client: Client, download: Download) -> bool:
    """Whether a client says that all is verified; ours does so before it has ended."""
    if client.name == US:
        return '"event": "complete"' in download.process.output()
    return download.is_complete()


def fetch(client: Client, content: Content, place: Path, seeder: Child, port: int) -> Figures:
    """Has a client fetch the content, from its first request until it has verified everything."""
    with tempfile.TemporaryDirectory(dir=place, prefix="bench-") as folder:
        fresh = dataclasses.replace(client, home=Path(folder, "home"))
        with fresh.leech(content.torrent, Path(folder, "out"), (HOST, port)) as download:
            pid = download.process.pid
            started = seeder.read()["asked_at"]
            cpu_before = cpu_seconds(pid)
            deadline = time.monotonic() + TIMEOUT
            while True:
                cpu = cpu_seconds(pid) - cpu_before  # nobody can be asked once it is waited for
                if has_everything(client, download):
                    break
                if time.monotonic() > deadline or download.process.popen.poll():
                    raise download.process.failure("it has not fetched everything")
                time.sleep(POLL)
            seconds = time.monotonic() - started
    length = content.metainfo.length
    return {"rate": length / seconds, "cpu": cpu / length}


def least(content: Content, place: Path, seeder: Child, port: int) -> Figures:
    """Reads, hashes and writes the content."""
    with tempfile.TemporaryDirectory(dir=place, prefix="bench-") as folder:
        command = ours("bare_get", port=port, torrent=str(content.torrent), out=f"{folder}/content")
        with Child(command) as leecher:
            done = leecher.read()
    seeder.read()  # that it was asked
    return {"rate": done["bytes"] / done["seconds"], "cpu": done["cpu"] / done["bytes"]}


@contextlib.contextmanager
def getting(
    clients: dict[str, Client], content: Content, place: Path, where: str, runs: int
) -> Iterator[Contest]:
    """Gives the contest of leechers that write to a place."""
    others = tuple(name for name in clients if name != US)
    rows = [
        Row(f"get, to {where}", "rate", US, others, 3.0),
        Row(f"get, to {where}, CPU", "cpu", US, others, 1.0),
        Row(f"get, to {where}: the least work", "rate", LEAST, (US, *others)),
        Row(f"get, to {where}: the least work, CPU", "cpu", LEAST, (US, *others)),
        Row(f"get, to {where}: what the bare seeder gives", "rate", BARE, (US, *others)),
    ]
    with Child(content.bare_seed(2 * runs * (2 + len(clients)))) as seeder:
        port = seeder.read()["port"]
        contenders: dict[str, Callable[[], Figures]] = {
            name: partial(fetch, client, content, place, seeder, port)
            for name, client in clients.items()
        }
        contenders[LEAST] = partial(least, content, place, seeder, port)
        contenders[BARE] = partial(bare, content, seeder, port)
        yield Contest(f"get-{where}", contenders, rows)


def serve(pid: int, content: Content, port: int, length: int) -> Figures:
    """Has the bare leecher fetch so much of a client, from first request to last block."""
    with Child(content.bare_leech(port, length)) as leecher:
        leecher.read()
        cpu_before = cpu_seconds(pid)
        done = leecher.read()
        cpu = cpu_seconds(pid) - cpu_before
    return {"rate": length / done["seconds"], "cpu": cpu / length}


@contextlib.contextmanager
def seeding(clients: dict[str, Client], content: Content, runs: int) -> Iterator[Contest]:
    """Gives the contest of seeders, which are all up for as long as it lasts."""
    others = tuple(name for name in clients if name != US)
    rows = [
        Row("seed", "rate", US, ("libtorrent",), 1.5),
        Row("seed", "rate", US, ("rtorrent",), 1.0),
        Row("seed, CPU", "cpu", US, others, 1.0),
        Row("seed: what the bare leecher takes", "rate", BARE, (US, *others)),
    ]
    with contextlib.ExitStack() as stack:
        contenders: dict[str, Callable[[], Figures]] = {}
        for name, client in clients.items():
            port = free_port()
            length = content.metainfo.length // SHARES.get(name, 1)
            process = stack.enter_context(client.seed(content.torrent, content.path, port))
            contenders[name] = partial(serve, process.pid, content, port, length)
        seeder = stack.enter_context(Child(content.bare_seed(runs)))
        contenders[BARE] = partial(bare, content, seeder, seeder.read()["port"])
        yield Contest("seed", contenders, rows)
