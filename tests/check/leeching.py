"""Asks a client that downloads: it is started anew, with nothing, for each case.

A leecher that was told something wrong may ban us, and one that has got a piece asks no more for
it. Whoever has just started can be asked everything, in any order and side by side.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import threading
from typing import TYPE_CHECKING, Final

from tests.check.clients import ASKED
from tests.interop.magnets import (
    Aria2ByMagnet,
    LibtorrentByMagnet,
    PeerwireByMagnet,
    TransmissionByMagnet,
)
from tests.interop.process import compile_jail

from peerwire.check import LEECHER_CASES, LeecherRunner, Result, Verdict
from peerwire.check.report import Report
from peerwire.check.runner import Run
from peerwire.cli.subject import Subject
from peerwire.torrent.storage import Storage

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.interop.clients import Client
    from tests.interop.clients.base import Encryption
    from tests.interop.process import Process

    from peerwire.check import Case
    from peerwire.check.probe import Content

#: Those that can be given a link only.
BY_MAGNET: Final[dict[str, type[Client]]] = {
    client.name: client
    for client in (PeerwireByMagnet, LibtorrentByMagnet, TransmissionByMagnet, Aria2ByMagnet)
}

#: What is asked of those who have some pieces already.
BEGUN: Final = ("bep3/leecher/2",)

#: What is asked about metadata of those who have it.
HAS_METADATA: Final = ("bep9/leecher/9",)

HOST: Final = "127.0.0.1"

#: Clients that run side by side, unless told otherwise.
JOBS: Final = 3

#: Seconds in which a client that has crashed has ended, and how what it then says begins.
DYING: Final = 0.3
CRASHES: Final = ("Traceback (most recent", "Node.js v", "terminate called")

#: Seconds in which a client that was just started has to connect, and for all of it.
WAIT: Final = 40.0
TIMEOUT: Final = 1200.0


def ask(
    name: str,
    torrent: Path,
    content: Path,
    scratch: Path,
    *,
    cases: Sequence[Case] = LEECHER_CASES,
    jobs: int = JOBS,
) -> Report:
    """Asks one client all there is to ask a leecher.

    It takes some minutes, and twenty at the most; what is left then is inconclusive.

    Args:
        name: One of `ASKED`.
        torrent: A .torrent with a v1 side, with a dozen pieces or more of two blocks.
        content: Its content, which the client is given some of.
        scratch: A folder for the client's homes, settings, logs and downloads.
        cases: What to ask.
        jobs: Clients that run side by side.

    Raises:
        ClientFailed: The client does not start.
    """
    home = scratch / f"{name}-leecher"
    home.mkdir()
    return Report.of(asyncio.run(_ask_all(name, torrent, content, home, cases, jobs)))


def leecher(name: str, case: Case, home: Path, jail: Path) -> Client:
    """Returns the client that is asked this, which is told how to begin.

    It connects in the clear where it can, but where it is encryption that is asked about.
    """
    wants_metadata = case.id.startswith("bep9/") and case.id not in HAS_METADATA
    clients = BY_MAGNET if wants_metadata else {}
    encryption: Encryption = "off"
    if case.encrypted and name != "aria2":  # which begins so of its own, and then offers both
        encryption = "prefer"
    if case.encrypted and name == "libtorrent":  # whose "prefer" is for who is known to speak it
        encryption = "plaintext" if case.id == "mse/leecher/5" else "require"
    pex = case.id.startswith("bep11/")
    return clients.get(name, ASKED[name])(home, jail, encryption=encryption, pex=pex)


def begin(content: Path, folder: Path) -> None:
    """Puts the first half of the content where a client that looks for it finds it."""
    folder.mkdir(parents=True)
    data = content.read_bytes()
    (folder / content.name).write_bytes(data[: len(data) // 2].ljust(len(data), b"\0"))


async def _ask_all(
    name: str, torrent: Path, content: Path, home: Path, cases: Sequence[Case], jobs: int
) -> Run:
    subject = Subject.read(str(torrent))
    assert subject.metainfo is not None, "a leecher's torrent has a v1 side"
    jail = compile_jail(home)
    runs: dict[str, Run] = {}
    waiting = list(reversed(cases))
    with Storage(subject.metainfo, content.parent, content=content) as storage:

        async def work() -> None:
            while waiting:
                case = waiting.pop()
                own = home / case.id.replace("/", "-")
                client = leecher(name, case, own / "home", jail)
                if case.id in BEGUN:
                    begin(content, own / "downloads")
                runs[case.id] = await _ask(case, client, own, torrent, subject, storage.read)

        try:
            async with asyncio.timeout(TIMEOUT):
                await asyncio.gather(*(work() for _ in range(jobs)))
        except TimeoutError:
            pass
    return _joined(cases, runs)


async def _ask(
    case: Case, client: Client, own: Path, torrent: Path, subject: Subject, content: Content
) -> Run:
    """Starts the client, asks it one thing, and ends it.

    Raises:
        ClientFailed: It does not start.
    """
    runner = LeecherRunner(subject, content, wait=WAIT)
    address = HOST, await runner.listen(HOST, 0)
    folder, over = own / "downloads", threading.Event()
    folder.mkdir(parents=True, exist_ok=True)

    def run() -> str:
        with client.leech(torrent, folder, address) as download:
            over.wait()
            return crash(download.process)

    asking = asyncio.create_task(runner.ask([case]))
    running = asyncio.create_task(asyncio.to_thread(run))
    try:
        await asyncio.wait([asking, running], return_when=asyncio.FIRST_COMPLETED)
    finally:
        over.set()
        if running.done():  # it could not be started: nobody will connect
            asking.cancel()
        crashed = await running
    asked = await asking
    if crashed:
        asked.gone = [case.id]
        asked.results[0].verdict = Verdict.FAIL
        asked.results[0].observed = f"the client crashed: {crashed}"
    return asked


def crash(process: Process) -> str:
    """Returns how a client ended that did not do so of its own will; empty if it did, or runs."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.popen.wait(DYING)
    code = process.popen.poll() or 0
    if code < 0:
        return signal.Signals(-code).name
    said = process.output().splitlines() if code else []
    return next((line for line in said if line.startswith(CRASHES)), "")


def _joined(cases: Sequence[Case], runs: dict[str, Run]) -> Run:
    """Returns one run of all cases, in their order."""
    late = f"not asked: {TIMEOUT:g} s were over"
    results = [
        runs[case.id].results[0]
        if case.id in runs
        else Result(case=case, verdict=Verdict.INCONCLUSIVE, observed=late)
        for case in cases
    ]
    names = [run.client for run in runs.values()]
    gone = [case.id for case in cases if case.id in runs and runs[case.id].gone]
    return Run(results, max(names, key=len, default=""), gone)
