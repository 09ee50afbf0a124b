"""What came of asking one client everything: one column of the grid."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from peerwire.check import LEECHER_CASES, SEED_CASES, Verdict
from peerwire.check.report import Report
from peerwire.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from peerwire.check import Case

__all__ = ["Column"]

#: How much a verdict tells of the client: what could not be asked may tell something yet.
RANKS: Final = {str(verdict): 2 for verdict in Verdict} | {
    str(Verdict.INCONCLUSIVE): 1,
    str(Verdict.NOT_APPLICABLE): 0,
}
TOLD: Final = 2


@dataclass
class Column:
    """The results of one client, whatever torrents it was asked with.

    Attributes:
        client: Its name and version.
        records: What `Result.record` returns, by the id of the case.
        gone: The ids of the cases that the client was gone after.
    """

    client: str
    records: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    gone: list[str] = field(default_factory=list)

    def take(self, records: Iterable[Mapping[str, Any]], gone: Iterable[str] = ()) -> None:
        """Takes in what came of asking it with one torrent.

        What was not applicable may be so with another torrent, and what was inconclusive may be
        told when the client is less busy. What was told once stays.
        """
        for record in records:
            if self._rank(record["id"]) <= min(RANKS[record["verdict"]], TOLD - 1):
                self.records[record["id"]] = record
        self.gone += [each for each in gone if each not in self.gone]

    def left(self, cases: Iterable[Case]) -> list[Case]:
        """Returns those of which nothing is told yet, first what was inconclusive.

        Cases that are not applicable connect all at once, and aria2 lets three in a second.
        """
        left = [case for case in cases if self._rank(case.id) < TOLD]
        return sorted(left, key=lambda case: self._rank(case.id), reverse=True)

    def report(self) -> Report:
        """Returns what there is, in the order in which cases are listed."""
        ids = [case.id for case in (*SEED_CASES, *LEECHER_CASES)]
        results = [dict(self.records[each]) for each in ids if each in self.records]
        date = time.strftime("%Y-%m-%d", time.gmtime())
        return Report(self.client, results, date, __version__, self.gone)

    def told(self) -> str:
        """Returns in a line what came of it."""
        counts = ", ".join(f"{n} {name}" for name, n in self.report().counts().items() if n)
        return f"{len(self.records)} cases: {counts}"

    def write(self, path: Path) -> None:
        """Writes it as ``peerwire check --json`` does."""
        report = self.report()
        lines = map(json.dumps, [*report.results, report.summary()])
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

    def _rank(self, key: str) -> int:
        known = self.records.get(key)
        return 0 if known is None else RANKS[known["verdict"]]
