"""Run the suite against the clients that are installed here: ``python -m tests.check OUT``.

Each client in turn serves a torrent on loopback and is asked everything that is for one that
serves; then, with a private torrent, a hybrid and one of v2, what was not applicable; then it
downloads, and is asked the rest. What came of it goes into the folder OUT: a file of results for
each client, and a page of all.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.check import leeching, seeding
from tests.check.clients import ASKED, called, kinds
from tests.check.column import Column
from tests.check.summary import renewed, table
from tests.check.torrents import make_torrents
from tests.interop.process import ClientFailed, compile_jail

from peerwire.check import LEECHER_CASES, SEED_CASES
from peerwire.check.page import page
from peerwire.check.report import Report
from peerwire.check.runner import JOBS
from peerwire.cli.check import chosen
from peerwire.cli.subject import Subject

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from tests.check.torrents import Torrents
    from tests.interop.process import Process

    from peerwire.check import Case

#: Seconds that a client may be asked for as one that serves, and that all of them may take.
#: Transmission unchokes every ten.
TIMEOUT: Final = 1500.0
TIMEOUT_ALL: Final = 3 * 3600.0


@dataclass
class Asking:
    """One client, and all that it is asked.

    Attributes:
        name: One of `ASKED`.
        torrents: What it serves and fetches.
        home: A folder for it.
        jobs: Cases asked side by side.
        seconds: How long it may be asked as one that serves.
        column: What came of it so far.
    """

    name: str
    torrents: Torrents
    home: Path
    jobs: int
    seconds: float
    column: Column

    def note(self, text: str) -> None:
        print(f"{self.name}: {text}", flush=True)

    def all(self, serving: list[Case], downloading: list[Case], out: Path) -> None:
        """Asks it everything, and writes after each half what has come of it."""
        for ask, cases in (self.serving, serving), (self.downloading, downloading):
            try:
                ask(cases)
            except ClientFailed as problem:
                self.note(str(problem))
            if self.column.records:
                self.column.write(out)
        self.note(self.column.told())

    def serving(self, cases: list[Case]) -> None:
        """Asks it while it serves, with one torrent after the other.

        Raises:
            ClientFailed: It does not start with one of v1.
        """
        until = time.monotonic() + self.seconds
        for kind in kinds(self.name):
            torrent, left = self.torrents.paths.get(kind), self.column.left(cases)
            if torrent is None or not left:
                continue
            self.note(f"{len(left)} cases with a torrent of the kind {kind}")
            try:
                run = asyncio.run(
                    seeding.ask(
                        self.starting(kind, torrent),
                        Subject.read(str(torrent)),
                        left,
                        jobs=self.jobs,
                        seconds=max(1.0, until - time.monotonic()),
                        note=self.note,
                    )
                )
            except ClientFailed as problem:
                if kind == "v1":
                    raise
                self.note(f"not asked with it: {problem}")
                continue
            self.column.take([result.record() for result in run.results], run.gone)

    def starting(
        self, kind: str, torrent: Path
    ) -> Callable[[int], AbstractContextManager[Process]]:
        """Returns what starts it with a torrent, on a port, each time with a home of its own."""
        folder = self.home / kind
        (folder / "content").mkdir(parents=True)
        copy = folder / "content" / self.torrents.content.name
        copy.write_bytes(self.torrents.content.read_bytes())
        jail, numbers = compile_jail(folder), count()

        def start(port: int) -> AbstractContextManager[Process]:
            home = folder / f"home{next(numbers)}"
            client = ASKED[self.name](home, jail, encryption="prefer", pex=True)
            return client.seed(torrent, copy, port)

        return start

    def downloading(self, cases: list[Case]) -> None:
        """Asks it while it fetches the torrent of v1.

        Raises:
            ClientFailed: It does not start.
        """
        if not cases:
            return
        self.note(f"{len(cases)} cases while it downloads")
        paths, content = self.torrents.paths, self.torrents.content
        report = leeching.ask(self.name, paths["v1"], content, self.home, cases=cases)
        self.column.take(report.results, report.gone)


def main() -> int:
    args = _parser().parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    cases = chosen((*SEED_CASES, *LEECHER_CASES), args.only, slow=args.slow)
    serving = [case for case in cases if case in SEED_CASES]
    downloading = [case for case in cases if case in LEECHER_CASES]
    until = time.monotonic() + TIMEOUT_ALL
    with tempfile.TemporaryDirectory() as folder:
        torrents = make_torrents(Path(folder))
        for name in args.client or ASKED:
            left = until - time.monotonic()
            if reason := "there is no time left" if left < 0 else ASKED[name].available():
                print(f"{name}: left out: {reason}")
                continue
            column, home = Column(called(name)), Path(folder) / name
            home.mkdir()
            asking = Asking(name, torrents, home, args.jobs, min(TIMEOUT, left), column)
            asking.all(serving, downloading, args.out / f"{name}.jsonl")
    return write_pages(args.out)


def write_pages(out: Path) -> int:
    """Writes the page of all results in a folder, and renews what its index says of them."""
    there = {name: out / f"{name}.jsonl" for name in ASKED}
    reports = {name: Report.read(path) for name, path in there.items() if path.exists()}
    (out / "grid.html").write_text(page([*reports.values()]), encoding="utf-8")
    index = out / "index.md"
    if index.exists():
        made = table(reports, [path.stem for path in out.glob("*.md")])
        index.write_text(renewed(index.read_text(encoding="utf-8"), made), encoding="utf-8")
    return 0 if reports else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m tests.check", description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--client", action="append", choices=ASKED, help="only this one")
    parser.add_argument(
        "--only", metavar="ID", action="append", default=[], help="only this case, or these"
    )
    parser.add_argument("--slow", action="store_true", help="what takes minutes, too")
    parser.add_argument("--jobs", type=int, default=JOBS, help="cases asked side by side")
    return parser


if __name__ == "__main__":
    sys.exit(main())
