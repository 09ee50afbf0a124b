"""Asks a peer case by case, and finds out whether it survives.

Each case has a connection of its own. Those that mean well are asked side by side; hostile ones one
after the other, and after each the peer has to serve somebody else, so that a peer that is broken
by one is broken by a case that has a name.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from ..handshake import Reserved
from .case import INFO, Deviates, Inconclusive, Judgement, Result, Verdict
from .probe import Probe, dial

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..cli.subject import Subject
    from .case import Case

__all__ = ["JOBS", "Run", "Runner", "judge"]

#: Cases asked side by side, unless told otherwise. A peer unchokes few at a time.
JOBS: Final = 4

#: How often, and how long apart in seconds, a peer is dialled before it counts as gone.
ATTEMPTS: Final = 4
RETRY: Final = 0.25


@dataclass(slots=True)
class Run:
    """What came of all cases.

    Attributes:
        results: One for each case, in the order of the cases.
        client: What the peer calls itself; empty if it never said.
        gone: The ids of the cases during or after which the peer was gone; empty if it is there.
    """

    results: list[Result] = field(default_factory=list)
    client: str = ""
    gone: list[str] = field(default_factory=list)

    def count(self, verdict: Verdict) -> int:
        """Returns how many cases came to this."""
        return sum(result.verdict is verdict for result in self.results)

    def failed(self, *, strict: bool = False) -> bool:
        """Says whether the peer did not pass.

        Args:
            strict: Whether it has to do what it should, too, and to have been asked everything.
        """
        bad = {Verdict.FAIL} | ({Verdict.NON_STRICT, Verdict.INCONCLUSIVE} if strict else set())
        asked = any(self.count(each) for each in (Verdict.PASS, Verdict.NON_STRICT, Verdict.INFO))
        return bool(self.gone) or not asked or any(self.count(each) for each in bad)


async def judge(case: Case, probe: Probe, result: Result) -> None:
    """Asks a peer one thing, ends the connection, and fills in what came of it."""
    try:
        async with asyncio.timeout(case.deadline * max(1.0, probe.patience)):
            result.observed = await case.ask(probe) or ""
        result.verdict = Verdict.INFO if case.level is INFO else Verdict.PASS
    except Judgement as judgement:
        result.verdict, result.observed = judgement.verdict(case.level), str(judgement)
    except TimeoutError:
        result.observed = f"not to be told within {case.deadline:g} s"
    except Exception as error:  # a mistake in a case says nothing about the peer
        result.observed = f"the case is broken: {type(error).__name__}: {error}"
    finally:
        await probe.leave()
        result.transcript = probe.transcript()


class Runner:
    """Asks one peer.

    Args:
        host: Where it is.
        port: Its TCP port.
        subject: The torrent that it serves.
        jobs: Cases asked side by side.
        patience: What all waits are multiplied with: above 1 for a peer that is slow or far away.
        on_result: Told each result, in the order of the cases.
    """

    def __init__(
        self,
        host: str,
        port: int,
        subject: Subject,
        *,
        jobs: int = JOBS,
        patience: float = 1.0,
        on_result: Callable[[Result], None] = lambda _: None,
    ) -> None:
        self.run = Run()
        self._host, self._port, self._subject = host, port, subject
        self._jobs, self._patience = jobs, patience
        self._on_result = on_result
        self._asking: set[str] = set()
        self._last: list[str] = []  # the id of the case that was asked last
        self._lost = ""  # why nobody is asked any more

    async def ask(self, cases: Sequence[Case]) -> Run:
        """Asks all of it, and returns what came of it."""
        await self._meet()
        done: dict[str, Result] = {}
        waiting = list(reversed([case for case in cases if not case.hostile]))

        async def work() -> None:
            while waiting:
                case = waiting.pop()
                done[case.id] = await self._ask(case)
                self._tell(cases, done)

        await asyncio.gather(*(work() for _ in range(self._jobs)))
        for case in cases:
            if case.hostile:
                done[case.id] = await self._ask(case)
                self._tell(cases, done)
        return self.run

    def _tell(self, cases: Sequence[Case], done: dict[str, Result]) -> None:
        """Tells the results that are next in the order of the cases."""
        results = self.run.results
        while len(results) < len(cases) and cases[len(results)].id in done:
            results.append(done[cases[len(results)].id])
            self._on_result(results[-1])

    async def _ask(self, case: Case) -> Result:
        result = Result(case=case, verdict=Verdict.INCONCLUSIVE)
        if self._lost:
            result.observed = f"not asked: {self._lost}"
            return result
        started = self._now
        try:
            probe = await self._dial()
        except OSError as error:
            self._lose(error)
            result.observed = f"not asked: {self._lost}"
            return result
        self._asking.add(case.id)
        await judge(case, probe, result)
        await self._look_after(case, result)
        self._asking.discard(case.id)
        self._last = [case.id]
        result.seconds = self._now - started
        return result

    def _lose(self, error: OSError) -> None:
        """Gives the peer up: what is asked now, or was asked last, has done it."""
        self._lost = f"it can't be connected to: {error or 'nothing answers'}"
        self.run.gone = sorted(self._asking) or self._last

    async def _look_after(self, case: Case, result: Result) -> None:
        """Sees whether the peer is still there, and after a hostile case whether it serves."""
        try:
            probe = await self._dial()
        except OSError as error:
            if not self._lost:
                self._lose(error)
            alone = self.run.gone == [case.id]  # else it may have been another's doing
            result.verdict = Verdict.FAIL if alone else Verdict.INCONCLUSIVE
            result.observed = f"after {', '.join(self.run.gone)} the peer was gone"
            return
        try:
            if case.hostile:
                await probe.open(Reserved.FAST)
                await probe.goes_on()
        except (Deviates, Inconclusive) as judgement:
            told = isinstance(judgement, Deviates) or probe.theirs is None
            if told:
                result.verdict = Verdict.FAIL
            elif result.verdict is Verdict.PASS:  # it is there, and has no place for us
                result.verdict = Verdict.INCONCLUSIVE
            result.observed = f"the next connection is not served: {judgement}"
            result.transcript += ["the next connection:", *probe.transcript()]
        finally:
            await probe.leave()

    async def _meet(self) -> None:
        """Learns what the peer calls itself."""
        try:
            probe = await self._dial()
        except OSError as error:
            self._lose(error)
            return
        try:
            told = await probe.introduce()
            self.run.client = told.v or ""
        except Judgement:
            pass
        finally:
            await probe.leave()
        if not self.run.client and probe.theirs is not None:
            self.run.client = probe.theirs.client

    async def _dial(self) -> Probe:
        """Connects.

        Raises:
            OSError: The peer can't be connected to, however often it is tried.
        """
        for attempt in range(ATTEMPTS):
            try:
                return await dial(self._host, self._port, self._subject, self._patience)
            except OSError:
                if attempt == ATTEMPTS - 1:
                    raise
                await asyncio.sleep(RETRY)
        raise AssertionError("never reached")

    @property
    def _now(self) -> float:
        return asyncio.get_running_loop().time()
