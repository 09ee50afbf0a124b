"""Asks a peer case by case, and finds out whether it survives.

Each case has a connection of its own. Those that mean well are asked side by side; hostile ones one
after the other, and after each the peer has to serve somebody else, so that a peer that is broken
by one is broken by a case that has a name.

A peer that is gone while several were asked may come back, as something starts it again. Then each
of them is asked anew, alone, and all others after them. If it stays away, one of them did it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from ..handshake import Reserved
from .case import INFO, Deviates, Inconclusive, Judgement, Result, Verdict
from .probe import Probe, dial

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..cli.subject import Subject
    from .case import Case

__all__ = ["COMEBACK", "JOBS", "Run", "Runner", "judge"]

#: Cases asked side by side, unless told otherwise. A peer unchokes few at a time.
JOBS: Final = 4

#: How often, and how long apart in seconds, a peer is dialled before it counts as gone. If nobody
#: listens it is gone at once: who would start it again may be faster than we dial.
ATTEMPTS: Final = 4
RETRY: Final = 0.25

#: Seconds in which a peer that was gone has to be back, and how often it may be gone.
COMEBACK: Final = 5.0
COMEBACKS: Final = 25

#: Cases in a row in which a peer that did before does not shake hands, until that is told.
MUTE: Final = 8

#: Seconds in which a connection ends that was made to a process while that was ending: its others
#: end one by one, and what it listens on perhaps last.
SETTLING: Final = 0.1


@dataclass(slots=True)
class Run:
    """What came of all cases.

    Attributes:
        results: One for each case, in the order of the cases.
        client: What the peer calls itself; empty if it never said.
        gone: The ids of the cases that the peer was gone after, each known to have done it.
        suspects: The ids of cases that the peer was gone after, where it could not be told which of
            them did it.
    """

    results: list[Result] = field(default_factory=list)
    client: str = ""
    gone: list[str] = field(default_factory=list)
    suspects: list[str] = field(default_factory=list)

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
        gone = self.gone or self.suspects
        return bool(gone) or not asked or any(self.count(each) for each in bad)


@dataclass(slots=True)
class _Loss:
    """The peer was gone.

    Attributes:
        error: How that showed.
        suspects: What was being asked: who spoke last comes first. Results are filled in later.
    """

    error: OSError
    suspects: list[Result]


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
        on_note: Told what happens beside that, in a sentence.
        comeback: Seconds in which a peer that was gone has to be back.
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
        on_note: Callable[[str], None] = lambda _: None,
        comeback: float = COMEBACK,
    ) -> None:
        self.run = Run()
        self._host, self._port, self._subject = host, port, subject
        self._jobs, self._patience = jobs, patience
        self._on_result, self._on_note = on_result, on_note
        self._comeback = comeback
        self._cases: Sequence[Case] = ()
        self._done: dict[str, Result] = {}
        self._asking: list[tuple[Result, Probe]] = []
        self._last = ""  # the id of the case that was done last
        self._loss: _Loss | None = None
        self._comebacks = 0
        self._mute = 0  # cases in a row without a handshake
        self._shook = ""  # the id of the case in which there was one last
        self._lost = ""  # why nobody is asked any more

    @property
    def asked(self) -> int:
        """How many cases are done."""
        return len(self._done)

    @property
    def asking(self) -> list[str]:
        """The ids of the cases that are being asked."""
        return [result.case.id for result, _ in self._asking]

    async def ask(self, cases: Sequence[Case]) -> Run:
        """Asks all of it, and returns what came of it."""
        self._cases = cases
        await self._meet()
        await self._ask_together(deque(case for case in cases if not case.hostile))
        for case in cases:
            if case.hostile:
                await self._ask_alone(case)
        for case in cases:
            if case.id not in self._done:
                self._finish(_unasked(case, self._lost))
        return self.run

    # Who is asked when

    async def _ask_together(self, waiting: deque[Case]) -> None:
        async def work() -> None:
            while waiting and self._loss is None:
                case = waiting.popleft()
                if not await self._ask(case):
                    waiting.appendleft(case)

        while waiting and not self._lost:
            await asyncio.gather(*(work() for _ in range(self._jobs)))
            await self._find_out()

    async def _ask_alone(self, case: Case) -> None:
        while case.id not in self._done and not self._lost:
            await self._ask(case)
            await self._find_out()

    async def _ask(self, case: Case) -> bool:
        """Asks one thing; returns False if the peer was gone before, or as good as."""
        started = self._now
        probe = await self._reach()
        if probe is None:
            return False
        result = Result(case=case, verdict=Verdict.INCONCLUSIVE)
        asking = result, probe
        self._asking.append(asking)
        await judge(case, probe, result)
        self._listen(probe, result)
        if result.transcript or result.verdict is not Verdict.NOT_APPLICABLE:  # else nobody spoke
            await self._look_after(case, result, alert=probe.ended is not None)
        self._asking.remove(asking)
        result.seconds = self._now - started
        if self._loss is None:
            self._finish(result)
        return self._loss is None or any(result is each for each in self._loss.suspects)

    async def _look_after(self, case: Case, result: Result, *, alert: bool) -> None:
        """Sees whether the peer is still there, and after a hostile case whether it serves."""
        probe = await (self._reach_alive() if alert else self._reach())
        if probe is None:
            return
        try:
            if case.hostile:
                await probe.open(Reserved.FAST)
                await probe.goes_on()
        except (Deviates, Inconclusive) as judgement:
            if isinstance(judgement, Deviates) or probe.theirs is None:
                result.verdict = Verdict.FAIL
            elif result.verdict is Verdict.PASS:  # it is there, and has no place for us
                result.verdict = Verdict.INCONCLUSIVE
            result.observed = f"the next connection is not served: {judgement}"
            result.transcript += ["the next connection:", *probe.transcript()]
        finally:
            await probe.leave()
        if case.hostile and (again := await self._reach()):  # it may have died of it slowly
            await again.leave()

    def _finish(self, result: Result) -> None:
        """Tells the results that are next in the order of the cases."""
        self._done[result.case.id] = result
        self._last = result.case.id
        results = self.run.results
        while len(results) < len(self._cases) and self._cases[len(results)].id in self._done:
            results.append(self._done[self._cases[len(results)].id])
            self._on_result(results[-1])

    def _listen(self, probe: Probe, result: Result) -> None:
        """Tells if a peer is there and answers nobody any more: that may go on for long."""
        if probe.theirs is not None:
            self._mute, self._shook = 0, result.case.id
        elif result.verdict is Verdict.INCONCLUSIVE:
            self._mute += 1
            if self._mute == MUTE and self._shook:
                last = f"the last was {self._shook}"
                self._on_note(f"the peer has not shaken hands in {MUTE} cases; {last}")

    # A peer that is gone

    def _miss(self, error: OSError) -> None:
        """Notes that the peer is gone, and what was being asked."""
        if self._loss is None:
            asking = sorted(self._asking, key=lambda each: each[1].spoke, reverse=True)
            self._loss = _Loss(error, [result for result, _ in asking])

    async def _find_out(self) -> None:
        """If the peer is gone, waits for it to come back, and says after which case it was gone."""
        loss, self._loss = self._loss, None
        if loss is None:
            return
        names = [result.case.id for result in loss.suspects]
        if not await self._comes_back(names):
            self._lost = f"it can't be connected to: {_why(loss.error)}"
        if not names:
            self._suspect([self._last] if self._last else [])
        elif len(names) == 1:
            self.run.gone += names
            self._close_case(loss.suspects[0], Verdict.FAIL, "the peer was gone after it")
        elif self._lost:
            self._suspect(names)
            told = f"the peer was gone after one of {', '.join(names)}; the first spoke last"
            for result in loss.suspects:
                self._close_case(result, Verdict.INCONCLUSIVE, told)
        else:
            await self._ask_again(loss.suspects)

    def _close_case(self, result: Result, verdict: Verdict, observed: str) -> None:
        result.verdict, result.observed = verdict, observed
        self._finish(result)

    async def _ask_again(self, suspects: Sequence[Result]) -> None:
        """Asks one by one what was asked side by side when the peer was gone."""
        names = [result.case.id for result in suspects]
        self._on_note(f"asking one by one: {', '.join(names)}")
        gone = len(self.run.gone)
        for result in suspects:
            await self._ask_alone(result.case)
        if len(self.run.gone) == gone:
            self._suspect(names)

    def _suspect(self, names: Sequence[str]) -> None:
        self.run.suspects += [each for each in names if each not in self.run.suspects]

    async def _comes_back(self, names: Sequence[str]) -> bool:
        """Says whether the peer is there again before long, and shakes hands."""
        if self._comebacks == COMEBACKS or not (names or self._last):
            return False
        asked = " or ".join(names) or f"some time after {self._last}"
        self._on_note(f"the peer is gone: {asked}; waiting for it to come back")
        until = self._now + self._comeback
        while self._now < until:
            await asyncio.sleep(RETRY)
            try:
                probe = await dial(self._host, self._port, self._subject, self._patience)
            except OSError:
                continue
            try:
                await probe.open()
            except Judgement:
                continue
            finally:
                await probe.leave()
            self._comebacks += 1
            self._on_note("it is back")
            return True
        return False

    # Connections

    async def _meet(self) -> None:
        """Learns what the peer calls itself, if it is there."""
        probe = await self._reach()
        if probe is None:
            return
        try:
            told = await probe.introduce()
            self.run.client = told.v or self.run.client
        except Judgement as judgement:
            if probe.theirs is None:
                self._on_note(f"the peer does not shake hands: {judgement}")
        finally:
            await probe.leave()
        if not self.run.client and probe.theirs is not None:
            self.run.client = probe.theirs.client

    async def _reach(self) -> Probe | None:
        """Connects; None if the peer is gone, which is noted."""
        try:
            return await self._dial()
        except OSError as error:
            self._miss(error)
            return None

    async def _reach_alive(self) -> Probe | None:
        """Connects, and once more if that ends at once, as of a process that is ending."""
        probe = await self._reach()
        if probe is None:
            return None
        try:
            await probe.quiet(SETTLING)
        except Deviates:
            return probe  # it says what can't be read, which is judged when it is asked
        return probe if probe.ended is None else await self._reach_instead(probe)

    async def _reach_instead(self, probe: Probe) -> Probe | None:
        await probe.leave()
        return await self._reach()

    async def _dial(self) -> Probe:
        """Connects.

        Raises:
            OSError: The peer can't be connected to, however often it is tried.
        """
        for _ in range(ATTEMPTS - 1):
            try:
                return await dial(self._host, self._port, self._subject, self._patience)
            except ConnectionRefusedError:
                raise
            except OSError:
                await asyncio.sleep(RETRY)
        return await dial(self._host, self._port, self._subject, self._patience)

    @property
    def _now(self) -> float:
        return asyncio.get_running_loop().time()


def _why(error: OSError) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "nobody listens there"
    return str(error) or "nothing answers"


def _unasked(case: Case, why: str) -> Result:
    return Result(case=case, verdict=Verdict.INCONCLUSIVE, observed=f"not asked: {why}")
