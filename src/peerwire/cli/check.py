"""Asks a peer, rule by rule, whether it follows the specifications.

The peer serves a torrent; it is asked over a connection for each case. With --leecher it fetches
the torrent instead: it is to connect to HOST:PORT, and to come back after each case. Some of what
it is told is wrong on purpose: point this only at peers that you run yourself.

The verdicts are pass, non-strict (it departs from what it should do), fail, info (what it does is
noted), not applicable and inconclusive (it could not be asked). The exit status is 1 if something
failed, if the peer was gone or if nothing could be asked, and with --strict if something is
non-strict or inconclusive, too.
"""

from __future__ import annotations

import argparse
import contextlib
import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ..check.cases import LEECHER_CASES, SEED_CASES
from ..check.leechers import LeecherRunner
from ..check.page import page
from ..check.report import Report, junit
from ..check.runner import JOBS, Runner
from ..errors import PeerWireError
from ..swarm.events import written
from ..torrent.storage import Storage, locate
from . import arguments
from .subject import Subject
from .verdicts import Telling

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from ..check.case import Case
    from .output import Output

EXAMPLE = "peerwire check 127.0.0.1:6881 debian.torrent --html report.html"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what this verb takes."""
    parser.add_argument(
        "address", metavar="HOST:PORT", type=arguments.address, nargs="?", help="where the peer is"
    )
    parser.add_argument(
        "torrent", metavar="TORRENT", nargs="?", help="the .torrent that the peer serves"
    )
    parser.add_argument(
        "--leecher",
        action="store_true",
        help="listen on HOST:PORT, and ask who connects there to fetch the torrent",
    )
    parser.add_argument(
        "--content",
        metavar="PATH",
        type=Path,
        help="with --leecher: the content of the torrent, which the peer is given some of",
    )
    parser.add_argument("--list", action="store_true", help="list the cases and ask nobody")
    parser.add_argument(
        "--only",
        metavar="ID",
        action="append",
        default=[],
        help="ask this case, or all whose id begins with it; may be given more than once",
    )
    parser.add_argument(
        "--junit", metavar="FILE", type=Path, help="write the results as JUnit does"
    )
    parser.add_argument(
        "--html", metavar="FILE", type=Path, help="write the results as a page with transcripts"
    )
    parser.add_argument(
        "--merge",
        metavar="FILE",
        action="append",
        default=[],
        help="show what an earlier run wrote with --json beside this one, or alone; may be given"
        " more than once",
    )
    parser.add_argument(
        "--slow",
        action="store_true",
        help="ask what takes minutes, too; else only if it is named in full",
    )
    parser.add_argument(
        "-v", "--verbose", action="store_true", help="tell of each case, with all that was said"
    )
    parser.add_argument(
        "--strict",
        action="store_true",
        help="exit with 1 for what is non-strict or inconclusive, too",
    )
    parser.add_argument(
        "--patience",
        metavar="FACTOR",
        type=_factor,
        default=1.0,
        help="wait so many times longer for answers, of a peer that is slow or far away",
    )
    parser.add_argument(
        "--jobs",
        metavar="N",
        type=_jobs,
        default=JOBS,
        help=f"cases that are asked side by side (default: {JOBS})",
    )


async def run(args: argparse.Namespace, out: Output) -> int:
    """Runs the verb."""
    known = LEECHER_CASES if args.leecher else SEED_CASES
    cases = chosen(known, args.only, slow=args.slow)
    if args.list:
        for case in cases:
            out.result(_listed(case), f"{case.id:24} {case.level!s:7} {case.rule}")
        return 0
    earlier = [Report.read(path) for path in args.merge]
    if args.address is None and earlier and (args.html or args.junit):
        _write(args, earlier)
        return 0
    if args.address is None or args.torrent is None:
        out.error("the peer and the torrent that it serves are missing: HOST:PORT TORRENT")
        return 2
    subject = Subject.read(args.torrent)
    if subject.num_pieces is None:
        raise PeerWireError("a .torrent is needed: without one nothing that comes can be judged")
    if args.leecher and args.content is None:
        out.error("what the leecher is given is missing: --content PATH")
        return 2
    telling, started = Telling(out, cases, verbose=args.verbose), time.monotonic()
    again = shlex.join(["peerwire", "check", written(args.address), args.torrent])
    async with _asking(args, subject, telling) as runner:
        try:
            await runner.ask(cases)
        finally:  # what was asked before an interrupt is told
            report = Report.of(runner.run)
            telling.summary(report, time.monotonic() - started, again)
            _write(args, [*earlier, report])
    return int(runner.run.failed(strict=args.strict))


@contextlib.asynccontextmanager
async def _asking(
    args: argparse.Namespace, subject: Subject, telling: Telling
) -> AsyncIterator[Runner | LeecherRunner]:
    """Has what asks the peer, and shows how far it is meanwhile."""
    if args.leecher:
        async with _asking_leecher(args, subject, telling) as leecher:
            yield leecher
        return
    host, port = args.address
    runner = Runner(
        host,
        port,
        subject,
        jobs=args.jobs,
        patience=args.patience,
        on_result=telling.result,
        on_note=telling.note,
    )
    async with telling.going_on(lambda: runner.asked, lambda: runner.asking):
        yield runner


@contextlib.asynccontextmanager
async def _asking_leecher(
    args: argparse.Namespace, subject: Subject, telling: Telling
) -> AsyncIterator[LeecherRunner]:
    if subject.metainfo is None:
        raise PeerWireError("--leecher takes a torrent that has a v1 side")
    content = locate(subject.metainfo, args.content)
    with Storage(subject.metainfo, content.parent, content=content) as storage:
        runner = LeecherRunner(
            subject, storage.read, patience=args.patience, on_result=telling.result
        )
        port = await runner.listen(*args.address)
        telling.note(f"waiting for a leecher on {written((args.address[0], port))}")
        async with telling.going_on():
            yield runner


def _write(args: argparse.Namespace, reports: Sequence[Report]) -> None:
    if args.junit:
        args.junit.write_text(junit(reports), encoding="utf-8")
    if args.html:
        args.html.write_text(page(reports), encoding="utf-8")


def chosen(cases: Sequence[Case], only: Sequence[str], *, slow: bool) -> list[Case]:
    """Returns the cases that were asked for.

    Args:
        cases: All there are.
        only: Ids, or what they begin with up to a slash; none for all.
        slow: Whether slow ones are among them. One that is named in full is asked in any case.

    Raises:
        PeerWireError: An id is that of no case.
    """
    for name in only:
        if not any(_names(name, case) for case in cases):
            raise PeerWireError(f"no case is called {name}; --list tells what they are called")
    named = [case for case in cases if not only or any(_names(name, case) for name in only)]
    return [case for case in named if slow or not case.slow or case.id in only]


def _listed(case: Case) -> dict[str, object]:
    return {
        "event": "listed",
        "id": case.id,
        "level": str(case.level),
        "section": case.section,
        "rule": case.rule,
        "does": case.does,
        "expects": case.expects,
    }


def _names(name: str, case: Case) -> bool:
    return case.id == name or case.id.startswith(f"{name.rstrip('/')}/")


def _jobs(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 64:
        raise argparse.ArgumentTypeError(f"{text!r}: it is a number from 1 to 64")
    return int(text)


def _factor(text: str) -> float:
    try:
        factor = float(text)
    except ValueError:
        factor = 0.0
    if not 0.1 <= factor <= 100:
        raise argparse.ArgumentTypeError(f"{text!r}: it is a number from 0.1 to 100")
    return factor
