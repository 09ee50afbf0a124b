"""Starts the processes of a run, and judges it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import sys
from typing import TYPE_CHECKING, Any

from . import __doc__ as about
from . import peers, server
from .plan import Plan, parser
from .report import Report

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

#: Seconds beyond its own that a run may take: to start, and for the last connections to end.
PATIENCE = 90.0


class Worker:
    """A process of the run, which is told and tells by lines.

    Args:
        process: With both as pipes.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    def tell(self) -> None:
        """Lets it go on."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")

    async def told(self) -> dict[str, Any]:
        """Returns what it tells next.

        Raises:
            SystemExit: It has ended; why, it has said on standard error.
        """
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            raise SystemExit("a process of the run has failed")
        told: dict[str, Any] = json.loads(line)
        return told


@contextlib.asynccontextmanager
async def started(*words: str) -> AsyncIterator[Worker]:
    """Starts a process, and ends it."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", __package__, *words),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=16 * 1024 * 1024,
    )
    try:
        yield Worker(process)
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        raise
    finally:
        await process.wait()


async def soak(plan: Plan) -> Report:
    """Runs it."""
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(asyncio.timeout(plan.seconds + PATIENCE))
        word = plan.dump()
        serving = await stack.enter_async_context(started("--serve", word))
        port = (await serving.told())["port"]
        others = [
            await stack.enter_async_context(started("--visit", word, str(process), str(port)))
            for process in range(plan.processes)
        ]
        for other in others:
            await other.told()
        for worker in (serving, *others):
            worker.tell()
        fared = [await other.told() for other in others]
        serving.tell()
        return Report(plan, await serving.told(), fared)


def main() -> None:
    """Reads the command line: a run, or one process of it."""
    match sys.argv[1:]:
        case ["--serve", word]:
            asyncio.run(server.run(Plan.load(word)))
            return
        case ["--visit", word, process, port]:
            asyncio.run(peers.run(Plan.load(word), int(process), int(port)))
            return
    options = vars(parser(str(about).splitlines()[0]).parse_args())
    as_json = options.pop("json")
    if options["seed"] is None:
        options["seed"] = random.randrange(1_000_000)
    report = asyncio.run(soak(Plan(**options)))
    if as_json:
        print(json.dumps(report.as_json()))
    else:
        print(*report.lines(), sep="\n")
    sys.exit(0 if report.good else 1)


if __name__ == "__main__":
    main()
