"""What came of a run, as a file that can be read again, and as JUnit."""

from __future__ import annotations

import json
import time
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import PeerWireError
from ..version import __version__
from .case import Verdict

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping

    from .runner import Run

__all__ = ["Report", "junit"]

_TEXTS = ("id", "level", "section", "rule", "does", "expects", "observed")


@dataclass(slots=True)
class Report:
    """What came of asking one peer.

    Attributes:
        client: What the peer calls itself.
        results: What `Result.record` returns, of each case.
        date: When it was asked, as in 2026-08-01.
        version: The version of peerwire that asked.
        gone: The ids of the cases that the peer was gone after.
        suspects: The ids of cases one of which the peer was gone after.
    """

    client: str
    results: list[dict[str, Any]] = field(default_factory=list)
    date: str = ""
    version: str = ""
    gone: list[str] = field(default_factory=list)
    suspects: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, run: Run) -> Report:
        """Returns the report of a run that has just ended."""
        date = time.strftime("%Y-%m-%d", time.gmtime())
        client = run.client or "a peer that does not say who it is"
        records = [result.record() for result in run.results]
        return cls(client, records, date, __version__, run.gone, run.suspects)

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Report:
        """Reads what ``peerwire check --json`` wrote.

        Raises:
            PeerWireError: It is something else.
            OSError: It can't be read.
        """
        report = cls("")
        with open(path, encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                try:
                    record = json.loads(line)
                    report._take(record)
                except (ValueError, KeyError, TypeError, AttributeError) as error:
                    raise PeerWireError(
                        f"{path}: line {number} is nothing that peerwire check --json writes"
                    ) from error
        if not report.results:
            raise PeerWireError(f"{path}: there are no results in it")
        report.client = report.client or Path(path).stem  # its last line was never written
        return report

    def summary(self) -> dict[str, object]:
        """Returns what is told last, as an object with stable keys."""
        return {
            "event": "summary",
            "client": self.client,
            "date": self.date,
            "peerwire": self.version,
            "verdicts": self.counts(),
            "gone": self.gone,
            "suspects": self.suspects,
        }

    def counts(self) -> dict[str, int]:
        """Returns how many cases came to each verdict."""
        verdicts = [result["verdict"] for result in self.results]
        return {str(verdict): verdicts.count(str(verdict)) for verdict in Verdict}

    def _take(self, record: Mapping[str, Any]) -> None:
        if record["event"] == "summary":
            self.client, self.date = str(record["client"]), str(record["date"])
            self.version = str(record["peerwire"])
            self.gone = [str(each) for each in record["gone"]]
            self.suspects = [str(each) for each in record.get("suspects", [])]
        elif record["event"] == "case":
            Verdict(record["verdict"])
            result: dict[str, Any] = {key: str(record[key]) for key in _TEXTS}
            result["verdict"] = str(record["verdict"])
            result["seconds"] = float(record["seconds"])
            result["transcript"] = [str(line) for line in record["transcript"]]
            self.results.append(result)


def junit(reports: Iterable[Report]) -> str:
    """Returns reports as JUnit writes them, for what shows results of tests.

    What fails is a failure; what is not applicable or inconclusive is skipped. A peer that was gone
    after one of several cases has failed one more, as none of these can be told to have failed.
    """
    suites = ET.Element("testsuites", name="peerwire check")
    for report in reports:
        counts, suspects = report.counts(), report.suspects
        suite = ET.SubElement(
            suites,
            "testsuite",
            name=_printable(report.client),
            tests=str(len(report.results) + bool(suspects)),
            failures=str(counts["fail"] + bool(suspects)),
            skipped=str(counts["not applicable"] + counts["inconclusive"]),
        )
        for result in report.results:
            _junit_case(suite, result)
        if suspects:
            case = ET.SubElement(suite, "testcase", classname="crash", name="the peer stays")
            ET.SubElement(
                case, "failure", message=f"it was gone after one of {', '.join(suspects)}"
            )
    ET.indent(suites)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(suites, "unicode") + "\n"


def _junit_case(suite: ET.Element, result: Mapping[str, Any]) -> None:
    group, _, _ = result["id"].rpartition("/")
    seconds = f"{result['seconds']:.3f}"
    case = ET.SubElement(suite, "testcase", classname=group, name=result["id"], time=seconds)
    observed = _printable(result["observed"])
    if result["verdict"] == "fail":
        failure = ET.SubElement(case, "failure", message=observed, type=result["level"])
        failure.text = f"{result['section']}: {result['rule']}\nexpected: {result['expects']}"
    elif result["verdict"] in ("not applicable", "inconclusive"):
        ET.SubElement(case, "skipped", message=f"{result['verdict']}: {observed}")
    told = ET.SubElement(case, "system-out")
    told.text = "\n".join(
        [f"{result['verdict']}: {observed}", *map(_printable, result["transcript"])]
    )


def _printable(text: str) -> str:
    """XML has no way to write most control characters."""
    return "".join(c if c.isprintable() else "\ufffd" for c in text)
