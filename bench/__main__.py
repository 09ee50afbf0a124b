"""peerwire beside everybody else who is installed: `make bench`.

    python -m bench [--quick] [--runs N] [--only CONTEST] [--json FILE] [--svg FILE]

Contenders take turns, another one first each time, and ratios are of the runs of one turn, so that
a busy machine is so for all of them. A client that is missing is named, and left out.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.interop.clients import Peerwire
from tests.interop.process import compile_jail

from peerwire.cli.bench import CONTESTS
from peerwire.cli.measuring.content import MIB, Content
from peerwire.cli.measuring.contests import Sizes
from peerwire.cli.measuring.table import record, table

from .bursts import bursts
from .machine import KINDS, machine, missing
from .npm import Npm
from .picture import picture
from .transfers import SEEDS_ONLY, WIRES, getting, seeding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.interop.clients.base import Client

    from peerwire.cli.measuring.contest import Contest, Result

FULL = Sizes(
    runs=5,
    wire=1024 * MIB,
    encrypted=256 * MIB,
    content=512 * MIB,
    messages=200_000,
    small=2_000_000,
    peers=5000,
    handshakes=2000,
)
QUICK = Sizes(
    runs=2,
    wire=256 * MIB,
    encrypted=64 * MIB,
    content=128 * MIB,
    messages=100_000,
    small=400_000,
    peers=1000,
    handshakes=500,
)

TMPFS = Path("/dev/shm")
TRANSFERS = ("get-tmpfs", "get-disk", "seed")
MAKERS = CONTESTS | {"bursts": bursts}
NAMES = [*MAKERS, *TRANSFERS]


def contests(names: list[str], sizes: Sizes, lacking: dict[str, str]) -> Iterator[Contest]:
    """Yields the contests of these names, ready to be run."""
    with contextlib.ExitStack() as stack:
        npm = None if Npm.NAME in lacking else stack.enter_context(Npm.installed())
        for name, make in MAKERS.items():
            if name not in names:
                continue
            contest = make(sizes)
            if npm is not None:
                npm.join(contest, sizes)
            yield contest
    if set(names) & set(TRANSFERS):
        yield from transfers(names, sizes, lacking)


def transfers(names: list[str], sizes: Sizes, lacking: dict[str, str]) -> Iterator[Contest]:
    """Yields the contests of whole clients. Content and seeders are on tmpfs, if there is one."""
    memory = TMPFS if TMPFS.is_dir() else Path(tempfile.gettempdir())
    with (
        tempfile.TemporaryDirectory(dir=memory, prefix="bench-") as fast,
        tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DISK"), prefix="bench-") as disk,
    ):
        home = Path(fast)
        content = Content.make(home, sizes.content)
        jail = compile_jail(home)
        kinds = {"peerwire": Peerwire} | KINDS
        clients: dict[str, Client] = {
            name: kind(home / name, jail, encryption="off")
            for name, kind in kinds.items()
            if name not in lacking and name not in WIRES
        }
        leechers = {name: client for name, client in clients.items() if name not in SEEDS_ONLY}
        for name, place in (("tmpfs", home), ("disk", Path(disk))):
            if f"get-{name}" in names:
                with getting(leechers, content, place, name, sizes.runs) as contest:
                    yield contest
        if "seed" in names:
            with seeding(clients, content, sizes.runs) as contest:
                yield contest


def measure(names: list[str], sizes: Sizes, lacking: dict[str, str]) -> Iterator[Contest]:
    """Yields the contests that were run."""
    for contest in contests(names, sizes, lacking):
        contest.run(sizes.runs, lambda what: print(what, file=sys.stderr, flush=True))
        yield contest


def report(done: list[Contest], sizes: Sizes, on: dict[str, str]) -> dict[str, Any]:
    """Returns everything that was measured, for scripts."""
    return {
        "machine": on,
        "sizes": dataclasses.asdict(sizes),
        "rows": [record(result) for result in results(done)],
        "runs": {contest.name: contest.figures for contest in done},
    }


def results(done: list[Contest]) -> list[Result]:
    """Returns what all rows came to."""
    return [result for contest in done for result in contest.results()]


def main() -> None:
    """Reads the command line, measures, prints and writes."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer runs of less")
    parser.add_argument("--runs", type=int, help="of each contender, at least 1")
    parser.add_argument("--only", action="append", choices=NAMES, help="may be given again")
    parser.add_argument("--json", type=Path, help="write everything that was measured here")
    parser.add_argument("--svg", type=Path, help="write a picture of the table here")
    args = parser.parse_args()
    sizes = QUICK if args.quick else FULL
    if args.runs is not None:
        sizes = dataclasses.replace(sizes, runs=max(1, args.runs))
    lacking = missing()
    for name, reason in lacking.items():
        print(f"without {name}: {reason}", file=sys.stderr)
    done = list(measure(args.only or NAMES, sizes, lacking))
    on = {"runs": f"{sizes.runs}, of which the median"} | machine(lacking)
    print(table(results(done)))
    print("\n" + "\n".join(f"{name:20}  {value}" for name, value in on.items()))
    if args.json is not None:
        args.json.write_text(json.dumps(report(done, sizes, on), indent=1) + "\n")
    if args.svg is not None:
        args.svg.write_text(picture(results(done), on))


if __name__ == "__main__":
    main()
