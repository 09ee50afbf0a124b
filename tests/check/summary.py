"""What the page of the results says of all clients: a table that is made from the results."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from peerwire.check import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from peerwire.check.report import Report

__all__ = ["renewed", "table", "unexplained"]

BEGIN: Final = "<!-- counts: written by make conformance -->\n"
END: Final = "<!-- end of counts -->\n"

#: What a page has to tell about: the client did not do what was expected, or could not be asked.
NOTABLE: Final = {str(each) for each in (Verdict.FAIL, Verdict.NON_STRICT, Verdict.INCONCLUSIVE)}

#: The page about clients that download, whose cases have it in their ids.
LEECHERS: Final = "leechers"


def table(reports: Mapping[str, Report], pages: Iterable[str]) -> str:
    """Returns a table in Markdown: how many cases of each client came to what.

    Args:
        reports: By the name of the file, which is that of the client's page.
        pages: The names of the pages that there are.
    """
    verdicts, pages = [str(verdict) for verdict in Verdict], {*pages}
    rows = [["asked", "on", *verdicts], ["---"] * (2 + len(verdicts))]
    for name, report in reports.items():
        counts = report.counts()
        asked = f"[{report.client}]({name}.md)" if name in pages else report.client
        rows.append([asked, report.date, *(str(counts[each]) for each in verdicts)])
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def renewed(text: str, made: str) -> str:
    """Returns a page in which the table is this one; one without its marks stays as it is."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    return f"{before}{begin}\n{made}\n{end}{after}" if end else text


def unexplained(folder: Path, name: str, report: Report) -> list[str]:
    """Returns the ids of cases that came to something notable, of which no page tells."""
    told = {}
    for page in (name, LEECHERS):
        path = folder / f"{page}.md"
        told[page] = path.read_text(encoding="utf-8") if path.exists() else ""
    return [
        result["id"]
        for result in report.results
        if result["verdict"] in NOTABLE
        and f"`{result['id']}`" not in told[LEECHERS if "/leecher/" in result["id"] else name]
    ]
