"""Asks a client that serves a torrent, and starts it again whenever it is gone."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final

from tests.interop.process import POLL, ClientFailed, free_port

from peerwire.check import Result, Runner, Verdict

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from contextlib import AbstractContextManager

    from tests.interop.process import Process

    from peerwire.check import Case, Run
    from peerwire.cli.subject import Subject

__all__ = ["ask"]

#: Seconds in which the runner has noticed that a client has ended, and in which it is back.
NOTICE: Final = 10.0
COMEBACK: Final = 45.0

#: How often a client is started again, at the most.
STARTS: Final = 25


async def ask(
    start: Callable[[int], AbstractContextManager[Process]],
    subject: Subject,
    cases: Sequence[Case],
    *,
    jobs: int,
    seconds: float,
    note: Callable[[str], None],
) -> Run:
    """Asks all cases, and returns what came of it. What is left when time is up is inconclusive.

    Args:
        start: Starts the client on a port, and ends it.
        subject: The torrent that it serves.
        cases: What to ask.
        jobs: Cases asked side by side.
        seconds: How long it may take.
        note: Told what happens, in a sentence.

    Raises:
        ClientFailed: The client does not start, or nobody there knows the torrent.
    """
    port, gone = free_port(), asyncio.Event()

    def noticed(text: str) -> None:
        note(text)
        if "is gone" in text:
            gone.set()

    async with _kept(start, port, gone, note):
        if not (await Runner("127.0.0.1", port, subject).ask([])).client:
            raise ClientFailed(f"no handshake for {subject.info_hash.hex()}")
        runner = Runner("127.0.0.1", port, subject, jobs=jobs, on_note=noticed, comeback=COMEBACK)
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                return await runner.ask(cases)
    late = f"not asked: {seconds:.0f} s were over"
    told = {result.case.id for result in runner.run.results}
    left = [case for case in cases if case.id not in told]
    runner.run.results += [
        Result(case=case, verdict=Verdict.INCONCLUSIVE, observed=late) for case in left
    ]
    return runner.run


@asynccontextmanager
async def _kept(
    start: Callable[[int], AbstractContextManager[Process]],
    port: int,
    gone: asyncio.Event,
    note: Callable[[str], None],
) -> AsyncIterator[None]:
    """Keeps a client running: when it has ended, or takes no connections, it is started again.

    It is not before the runner has noticed: it could be asked again, and nobody would know.
    """
    life = _Life(start, port, note)
    await life.begin()

    async def keep() -> None:
        for _ in range(STARTS):
            while life.runs and not gone.is_set():  # noqa: ASYNC110
                await asyncio.sleep(POLL)
            with suppress(TimeoutError):
                await asyncio.wait_for(gone.wait(), NOTICE)
            await life.end()
            gone.clear()
            try:
                await life.begin()
            except ClientFailed as problem:
                note(f"it does not start again: {problem}")
                return

    keeper = asyncio.create_task(keep())
    try:
        yield
    finally:
        keeper.cancel()
        await asyncio.gather(keeper, return_exceptions=True)
        await life.end()


class _Life:
    """A client from its start to its end."""

    def __init__(
        self,
        start: Callable[[int], AbstractContextManager[Process]],
        port: int,
        note: Callable[[str], None],
    ) -> None:
        self._start, self._port, self._note = start, port, note
        self._stack = ExitStack()
        self._process: Process | None = None

    @property
    def runs(self) -> bool:
        return self._process is not None and self._process.popen.poll() is None

    async def begin(self) -> None:
        """Starts it, and waits until it serves.

        Raises:
            ClientFailed: It does not.
        """
        client = self._start(self._port)
        starting = asyncio.create_task(asyncio.to_thread(self._stack.enter_context, client))
        try:
            self._process = await asyncio.shield(starting)
        except asyncio.CancelledError:  # it starts all the same, and is ended after that
            await asyncio.wait([starting])
            raise

    async def end(self) -> None:
        """Ends it, unless it has ended of itself, which is told with its last words."""
        if self._process is not None and not self.runs:
            words = " / ".join(self._process.output().splitlines()[-12:])
            self._note(f"it had ended with {self._process.popen.returncode}: {words}")
        self._process = None
        await asyncio.to_thread(self._stack.close)
