"""Results as one page of HTML: a grid of cases by clients, each cell leading to its transcript.

The page has no script and needs nothing from elsewhere. A cell is a link to a panel further down,
which is shown while it is the target of the address: so each can be linked to, and the browser's
own way back closes it.
"""

from __future__ import annotations

from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .report import Report

__all__ = ["page"]

#: What a cell says, by verdict: not by colour alone.
MARKS: Final = {
    "pass": "pass",
    "non-strict": "lax",
    "fail": "FAIL",
    "info": "info",
    "not applicable": "n/a",
    "inconclusive": "?",
}

#: What groups of cases are called, by how their ids begin.
GROUPS: Final = {
    "bep3/handshake": "BEP 3: handshake",
    "bep3/messages": "BEP 3: messages, keep-alives and timeouts",
    "bep3/lengths": "BEP 3: lengths",
    "bep5/port": "BEP 5: port",
    "bep3/bitfield": "BEP 3: bitfield",
    "bep3/have": "BEP 3: have",
    "bep3/interest": "BEP 3: interest",
    "bep3/choke": "BEP 3: choke",
    "bep3/request": "BEP 3: request",
    "bep3/cancel": "BEP 3: cancel",
    "bep3/leecher": "BEP 3: the side that downloads",
    "bep6/have": "BEP 6: have all, have none",
    "bep6/disabled": "BEP 6: not agreed on",
    "bep6/answer": "BEP 6: answers",
    "bep6/reject": "BEP 6: reject",
    "bep6/allowed": "BEP 6: allowed fast, suggest",
    "bep6/lengths": "BEP 6: lengths",
    "bep6/leecher": "BEP 6: the side that downloads",
    "bep9/metadata": "BEP 9: metadata",
    "bep10/handshake": "BEP 10: extended handshake",
    "bep10/messages": "BEP 10: extended messages",
    "bep10/leecher": "BEP 10: the side that downloads",
    "bep11/pex": "BEP 11: peer exchange",
    "bep21/upload-only": "BEP 21: upload only",
    "bep54/donthave": "BEP 54: lt_donthave",
    "bep52/hashes": "BEP 52: hashes",
    "bep52/upgrade": "BEP 52: upgrade",
    "mse/handshake": "MSE: handshake",
    "mse/broken": "MSE: broken handshakes",
    "robust/opening": "Robustness: openings",
    "robust/messages": "Robustness: messages",
    "robust/floods": "Robustness: floods",
    "robust/extended": "Robustness: extended handshakes",
    "robust/metadata": "Robustness: metadata and peer exchange",
    "robust/leaving": "Robustness: leaving",
}


def page(reports: Sequence[Report], title: str = "BitTorrent conformance") -> str:
    """Returns the page.

    Args:
        reports: One for each client, in the order of the columns.
        title: What it is called.
    """
    style = files(__package__).joinpath("page.css").read_text(encoding="utf-8")
    by_id = [{result["id"]: result for result in report.results} for report in reports]
    cases: dict[str, Mapping[str, Any]] = {}
    for results in by_id:
        cases |= {key: result for key, result in results.items() if key not in cases}
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="color-scheme" content="light dark">',
        f"<title>{escape(title)}</title><style>{style}</style></head><body>",
        f"<header><h1>{escape(title)}</h1>{_legend(reports)}</header>",
        '<main id="grid"><table><thead><tr><th scope="col">Case</th><th scope="col">Rule</th>',
        *(f'<th scope="col" class="client">{_client(report)}</th>' for report in reports),
        "</tr></thead><tbody>",
        *_rows(cases, by_id),
        "</tbody></table></main>",
        *_panels(reports, by_id),
        "</body></html>\n",
    ]
    return "\n".join(parts)


def _legend(reports: Sequence[Report]) -> str:
    meaning = {
        "pass": "follows the rule",
        "non-strict": "departs from what it should do",
        "fail": "breaks the rule",
        "info": "what it does, where there is no rule",
        "not applicable": "does not have the feature",
        "inconclusive": "could not be asked",
    }
    items = "".join(
        f'<li><span class="mark {_class(verdict)}">{mark}</span> {escape(meaning[verdict])}</li>'
        for verdict, mark in MARKS.items()
    )
    asked = sorted({f"asked {each.date} by peerwire {each.version}" for each in reports})
    return f'<ul class="legend">{items}</ul><p class="when">{escape("; ".join(asked))}</p>'


def _client(report: Report) -> str:
    counts = report.counts()
    shown = ("pass", "non-strict", "fail")
    told = ", ".join(f"{counts[verdict]} {verdict}" for verdict in shown)
    gone = "<br><strong>crashed</strong>" if report.gone else ""
    return f"{escape(report.client)}<small>{told}{gone}</small>"


def _rows(
    cases: Mapping[str, Mapping[str, Any]], by_id: Sequence[Mapping[str, Mapping[str, Any]]]
) -> list[str]:
    rows: list[str] = []
    group = ""
    for key, case in cases.items():
        if key.rpartition("/")[0] != group:
            group = key.rpartition("/")[0]
            name = escape(GROUPS.get(group, group))
            span = 2 + len(by_id)
            rows.append(f'<tr class="group"><th colspan="{span}">{name}</th></tr>')
        cells = "".join(_cell(column, results.get(key)) for column, results in enumerate(by_id))
        rows.append(
            f'<tr><th scope="row" class="id">{escape(key)} <i>{escape(case["level"])}</i></th>'
            f'<td class="rule">{escape(case["rule"])}'
            f"<small>{escape(_sentence(case['does']))}</small></td>{cells}</tr>"
        )
    return rows


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _cell(column: int, result: Mapping[str, Any] | None) -> str:
    if result is None:
        return "<td></td>"
    verdict = result["verdict"]
    link = f'<a href="#{_anchor(column, result["id"])}" title="{escape(result["observed"])}"'
    return f'<td class="cell">{link} class="mark {_class(verdict)}">{MARKS[verdict]}</a></td>'


def _panels(
    reports: Sequence[Report], by_id: Sequence[Mapping[str, Mapping[str, Any]]]
) -> list[str]:
    return [
        _panel(reports[column], column, result)
        for column, results in enumerate(by_id)
        for result in results.values()
    ]


def _panel(report: Report, column: int, result: Mapping[str, Any]) -> str:
    verdict = result["verdict"]
    observed = result["observed"] or "what is expected"
    told = {
        "Rule": f"{result['rule']} ({result['section']}, {result['level']})",
        "Does": _sentence(result["does"]),
        "Expected": _sentence(result["expects"]),
        "Observed": _sentence(observed.rstrip(".")),
    }
    rows = "".join(f"<dt>{name}</dt><dd>{escape(text)}</dd>" for name, text in told.items())
    lines = "\n".join(_line(line) for line in result["transcript"])
    return (
        f'<article id="{_anchor(column, result["id"])}"><div>'
        f'<a class="close" href="#grid" aria-label="close">&times;</a>'
        f'<h2><span class="mark {_class(verdict)}">{MARKS[verdict]}</span> '
        f"{escape(result['id'])} <small>{escape(report.client)}</small></h2>"
        f"<dl>{rows}</dl><pre>{lines}</pre></div></article>"
    )


def _line(line: str) -> str:
    """A line of a transcript, in the colour of its mark; see docs/reference/log.md."""
    words = line.split(None, 2)
    names = {">": "sent", "<": "received", "=": "state", "!": "error"}
    name = names.get(words[1]) if len(words) > 2 else None
    return f'<span class="{name}">{escape(line)}</span>' if name else escape(line)


def _anchor(column: int, key: str) -> str:
    return f"c{column}-{key.replace('/', '-')}"


def _class(verdict: str) -> str:
    return verdict.replace(" ", "-")
