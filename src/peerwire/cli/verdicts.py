"""What ``peerwire check`` tells people: groups as they are done, what is wrong, and a summary."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sys
import time
from itertools import groupby
from typing import TYPE_CHECKING, Final

from ..check.case import Verdict
from ..check.page import GROUPS
from . import output
from .log import wants_colour

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence

    from ..check.case import Case, Result
    from ..check.report import Report
    from .output import Output

__all__ = ["Telling", "hint", "printable"]

#: Seconds between two looks at how far it is.
TICK: Final = 0.25

#: What is told with all that was said, and in what order at the end.
WRONG: Final = (Verdict.FAIL, Verdict.NON_STRICT)
AT_THE_END: Final = (*WRONG, Verdict.INCONCLUSIVE)

#: So many cases that are being asked, or were not for the same reason, are each named.
NAMED: Final = 3

#: What to look at, by why cases were not asked.
HINTS: Final = {
    "can't be connected to": "is the peer running, and is that the port it listens on?",
    "without a handshake": "does it serve this torrent, and take connections in the clear?",
    "no handshake within": "does it serve this torrent, and take connections in the clear?",
    "chokes us": "it has no place for so many: try --jobs 1 or --patience 3, or give it more slots",
    " s after ": "it did not come back: has it crashed, or does it ban who breaks a rule?",
    "nobody connects": "was it given our address as a peer, and does it lack something to fetch?",
    "no second connection": "it refuses further connections: does it limit them by address?",
}

_COLOURS: Final = {
    "pass": "32",
    "non-strict": "33",
    "fail": "1;31",
    "info": "36",
    "not applicable": "2",
    "inconclusive": "35",
}


class Telling:
    """Tells of a run: results on standard output, how far it is on standard error.

    Args:
        out: Where to.
        cases: What will be asked, in the order in which it is told.
        verbose: Whether each case is told, with all that was said.
    """

    def __init__(self, out: Output, cases: Sequence[Case], *, verbose: bool = False) -> None:
        self._out = out
        self._verbose = verbose
        self._total = len(cases)
        self._left = {group: len([*of]) for group, of in groupby(sorted(c.group for c in cases))}
        self._held: dict[str, list[Result]] = {}
        self._told = 0
        self._status = _Status()
        self._colour = wants_colour(sys.stdout)

    def result(self, result: Result) -> None:
        """Takes in what came of a case; its group is told once it is whole."""
        self._told += 1
        group = result.case.group
        self._held.setdefault(group, []).append(result)
        self._left[group] -= 1
        with self._status.away():
            if self._out.json:
                self._out.result(result.record(), "")
            elif not self._left[group]:
                self._out.result({}, self._group(group, self._held.pop(group)))

    def note(self, text: str) -> None:
        """Tells what happened by the way."""
        with self._status.away():
            self._out.note(printable(text))

    @contextlib.asynccontextmanager
    async def going_on(
        self, done: Callable[[], int] | None = None, asking: Callable[[], list[str]] = list
    ) -> AsyncIterator[None]:
        """Shows how far it is while the block runs.

        Args:
            done: Returns how many cases are done; how many were told, if None.
            asking: Returns what is being asked.
        """

        async def watch() -> None:
            while True:
                await asyncio.sleep(TICK)
                count = self._told if done is None else done()
                now = f": {_several(asking())}" if asking() else ""
                self._status.show(f"{count} of {self._total} cases{now}")

        watching = asyncio.create_task(watch())
        try:
            yield
        finally:
            watching.cancel()
            await asyncio.wait([watching])
            self._status.clear()

    def summary(self, report: Report, seconds: float, again: str) -> None:
        """Tells what came of it all.

        Args:
            report: That.
            seconds: How long it took.
            again: The command that asked, for what is to be asked anew.
        """
        counts = ", ".join(
            self._painted(name, f"{count} {name}")
            for name, count in report.counts().items()
            if count
        )
        cases = "1 case" if len(report.results) == 1 else f"{len(report.results)} cases"
        head = f"{printable(report.client)}: {cases} in {seconds:.0f} s: {counts or 'nothing'}"
        lines = ["", head, *self._wrong(report), *_gone(report, again)]
        with self._status.away():
            self._out.result(report.summary(), "\n".join(lines))
            if told := hint(report):
                self._out.note(f"hint: {told}")

    def _group(self, group: str, results: Sequence[Result]) -> str:
        verdicts = [result.verdict for result in results]
        counts = ", ".join(
            self._painted(str(verdict), f"{verdicts.count(verdict)} {verdict}")
            for verdict in Verdict
            if verdict in verdicts
        )
        lines = [f"{GROUPS.get(group, group):42} {counts}"]
        for result in results:
            if self._verbose or result.verdict in WRONG:
                lines += self._case(result)
        return "\n".join(lines)

    def _case(self, result: Result) -> list[str]:
        case = result.case
        return [
            f"  {self._painted(str(result.verdict), str(result.verdict))} {case.id}",
            f"    {case.section}: {case.rule} ({case.level})",
            f"    does      {case.does}",
            f"    expected  {case.expects}",
            f"    observed  {printable(result.observed) or 'that'}",
            *(f"    | {printable(line)}" for line in result.transcript),
        ]

    def _wrong(self, report: Report) -> list[str]:
        """What is wrong or was not asked, a line each; many that have one reason share one."""
        lines = []
        for verdict in AT_THE_END:
            reasons: dict[str, list[str]] = {}
            for result in report.results:
                if result["verdict"] == str(verdict):
                    reasons.setdefault(result["observed"], []).append(result["id"])
            told = self._painted(str(verdict), f"{verdict!s:12}")
            lines += [
                f"  {told} {each}: {printable(reason)}"
                for reason, ids in reasons.items()
                for each in (ids if verdict in WRONG else [_several(ids)])
            ]
        return lines

    def _painted(self, verdict: str, text: str) -> str:
        return f"\x1b[{_COLOURS[verdict]}m{text}\x1b[0m" if self._colour else text


class _Status:
    """A line on a terminal that is drawn anew; elsewhere a line every two seconds."""

    def __init__(self) -> None:
        self._drawn = ""
        self._draws = wants_colour(sys.stderr)
        self._at = time.monotonic()

    def show(self, text: str) -> None:
        """Shows how far it is."""
        if self._draws:
            self._drawn = text[: shutil.get_terminal_size().columns - 1]
            self._write(f"\r\x1b[K{self._drawn}")
        elif time.monotonic() - self._at >= output.PLAIN_INTERVAL and text != self._drawn:
            self._at, self._drawn = time.monotonic(), text
            self._write(f"{text}\n")

    def clear(self) -> None:
        """Takes the line away."""
        if self._draws and self._drawn:
            self._write("\r\x1b[K")
            self._drawn = ""

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        """Takes the line away while something else is written."""
        drawn = self._drawn
        self.clear()
        yield
        if self._draws and drawn:
            self.show(drawn)

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError):
            sys.stderr.write(text)
            sys.stderr.flush()


def hint(report: Report) -> str:
    """Returns what to look at where most could not be asked; empty otherwise."""
    if report.gone or report.suspects:
        return ""
    unasked = [each["observed"] for each in report.results if each["verdict"] == "inconclusive"]
    for words, text in HINTS.items():
        if 2 * sum(words in observed for observed in unasked) > len(report.results):
            return text
    return ""


def printable(text: str) -> str:
    """What a peer may have chosen moves nobody's cursor."""
    return "".join(c if c.isprintable() else "\ufffd" for c in text)


def _several(ids: Sequence[str]) -> str:
    return ", ".join(ids) if len(ids) <= NAMED else f"{ids[0]} and {len(ids) - 1} more"


def _gone(report: Report, again: str) -> list[str]:
    """What the peer was gone after, and how to find out where that is not known."""
    lines = [f"  crashed      after {name}" for name in report.gone]
    if not report.suspects:
        return lines
    lines.append(f"  crashed      after one of {', '.join(report.suspects)}")
    unknown = {each["id"] for each in report.results if each["verdict"] == "inconclusive"}
    if not unknown.issuperset(report.suspects):
        return lines
    only = " ".join(f"--only {name}" for name in report.suspects)
    return [*lines, "    once it runs again, this tells which:", f"    {again} {only} --jobs 1"]
