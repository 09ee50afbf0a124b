"""Asks a peer that connects to us, case by case, as it comes back.

A leecher that was disconnected connects again sooner or later. Each of its connections is for the
next case, one after the other. Who begins with encryption is asked everything in it.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from .case import Deviates, Inconclusive, Result, Verdict
from .probe import Probe
from .runner import Run, judge

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..cli.subject import Subject
    from .case import Ask, Case
    from .probe import Content

__all__ = ["RETURN", "LeecherRunner"]

#: Seconds in which a leecher has to connect, the first time and after each case.
RETURN: Final = 75.0


class LeecherRunner:
    """Asks whoever connects.

    Args:
        subject: The torrent that it fetches.
        content: Returns a block of it: index, begin, length.
        patience: What all waits are multiplied with.
        on_result: Told each result.
        wait: Seconds in which the leecher has to connect.
    """

    def __init__(
        self,
        subject: Subject,
        content: Content,
        *,
        patience: float = 1.0,
        on_result: Callable[[Result], None] = lambda _: None,
        wait: float = RETURN,
    ) -> None:
        self.run = Run()
        self._subject, self._content = subject, content
        self._patience, self._wait = patience, wait
        self._on_result = on_result
        self._coming: asyncio.Queue[Probe] = asyncio.Queue()
        self._server: asyncio.Server | None = None
        self._asking = False

    async def listen(self, host: str, port: int) -> int:
        """Begins to accept connections, and returns the port.

        Raises:
            OSError: There is no listening there.
        """
        self._server = await asyncio.start_server(self._accept, host, port)
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    async def ask(self, cases: Sequence[Case]) -> Run:
        """Asks all of it, and returns what came of it."""
        assert self._server is not None, "it listens first"
        missing = ""
        try:
            for case in cases:
                result = Result(case=case, verdict=Verdict.INCONCLUSIVE)
                if not missing:
                    try:
                        await self._ask(case, result)
                    except TimeoutError:
                        after = f" after {self.run.results[-1].case.id}" if self.run.results else ""
                        missing = f"nobody connects for {self._wait * self._patience:g} s{after}"
                if missing:
                    result.observed = f"not asked: {missing}"
                self.run.results.append(result)
                self._on_result(result)
        finally:
            self._server.close()
            while not self._coming.empty():
                self._coming.get_nowait().abort()
        return self.run

    async def _ask(self, case: Case, result: Result) -> None:
        probe = await asyncio.wait_for(self._next(), self._wait * self._patience)
        started = asyncio.get_running_loop().time()
        self._asking = True
        plain = case if case.encrypted else replace(case, ask=decrypted(case.ask))
        await judge(plain, probe, result)
        self._asking = False
        result.seconds = asyncio.get_running_loop().time() - started
        told = "" if probe.introduced is None else probe.introduced.v
        if told or (probe.theirs is not None and not self.run.client):
            assert probe.theirs is not None
            self.run.client = told or probe.theirs.client

    async def _next(self) -> Probe:
        """Returns the next connection on which something is said."""
        while True:
            probe = await self._coming.get()
            if await probe.bytes_heard(1):
                return probe
            await probe.leave()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._asking or not self._coming.empty():
            writer.close()  # one at a time: it comes back
            return
        content, patience = self._content, self._patience
        probe = Probe(self._subject, reader, writer, patience=patience, content=content)
        self._coming.put_nowait(probe)


def decrypted(ask: Ask) -> Ask:
    """Returns what asks the same, of a leecher that may have begun with encryption."""

    async def ask_decrypted(probe: Probe) -> str | None:
        if not await probe.in_the_clear():
            try:
                await probe.accept()
            except Deviates as error:
                raise Inconclusive(f"not asked: {error}") from error
        return await ask(probe)

    return ask_decrypted
