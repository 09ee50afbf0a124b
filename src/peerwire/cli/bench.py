"""Measures peerwire on this machine, beside what limits it: sockets, a cipher, its own halves.

Everything runs in processes of its own on loopback, in turns; figures are medians, and what counts
is the ratio, which a busy machine changes little. It takes half a minute. `make bench` in a
checkout measures other clients, too.
"""

from __future__ import annotations

import asyncio
import dataclasses
from typing import TYPE_CHECKING

from .measuring import contests
from .measuring.content import MIB
from .measuring.contests import Sizes
from .measuring.table import machine, record, table
from .measuring.transfers import transfers

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

    from .measuring.contest import Contest, Result
    from .output import Output

EXAMPLE = "peerwire bench --only wire --only rc4"

SIZES = Sizes(
    runs=3,
    wire=128 * MIB,
    encrypted=32 * MIB,
    content=64 * MIB,
    messages=50_000,
    small=200_000,
    peers=1000,
    handshakes=500,
)

#: What can be asked for by name, in the order of the table.
CONTESTS: dict[str, Callable[[Sizes], Contest]] = {
    "wire": contests.wire,
    "rc4": contests.encrypted,
    "floods": contests.floods,
    "chunks": contests.chunks,
    "memory": contests.memory,
    "handshakes": contests.handshakes,
    "startup": contests.startup,
}
TRANSFERS = "transfers"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what this verb takes."""
    parser.add_argument(
        "--only",
        action="append",
        choices=[*CONTESTS, TRANSFERS],
        help="measure this; may be given again (default: everything)",
    )
    parser.add_argument(
        "--runs", type=int, default=SIZES.runs, help=f"of each contender (default: {SIZES.runs})"
    )


async def run(args: argparse.Namespace, out: Output) -> int:
    """Runs the verb."""
    if args.runs < 1:
        out.error(f"{args.runs} runs give no figure; --runs is at least 1")
        return 2
    sizes = dataclasses.replace(SIZES, runs=args.runs)
    results = await asyncio.to_thread(_measure, args.only or [*CONTESTS, TRANSFERS], sizes, out)
    on = machine()
    if out.json:
        out.result({"event": "machine", **on}, "")
        for result in results:
            out.result({"event": "row", **record(result)}, "")
    else:
        out.result({}, table(results) + "\n\n" + "\n".join(f"{k:12}  {v}" for k, v in on.items()))
    return 0


def _measure(names: list[str], sizes: Sizes, out: Output) -> list[Result]:
    results = []
    for contest in _contests(names, sizes):
        out.note(f"measuring {contest.name}")
        contest.run(sizes.runs)
        results += contest.results()
    return results


def _contests(names: list[str], sizes: Sizes) -> Iterator[Contest]:
    for name, make in CONTESTS.items():
        if name in names:
            yield make(sizes)
    if TRANSFERS in names:
        with transfers(sizes) as both:
            yield from both
