"""Results as one page of HTML: a grid of cases by clients, each cell leading to its transcript.

The page needs nothing from elsewhere. A cell is a link to a transcript further down, which is shown
while it is the target of the address: so each can be linked to, and the browser's own way back
closes it. Which rows are shown is up to boxes and style alone; the script adds keys, and the page
does without where scripts are not allowed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from .report import Report

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

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

#: What that means.
MEANINGS: Final = {
    "pass": "follows the rule",
    "non-strict": "departs from what it should do",
    "fail": "breaks the rule",
    "info": "what it does, where there is no rule",
    "not applicable": "does not have the feature",
    "inconclusive": "could not be asked",
}

#: What groups of cases are called, by how their ids begin, in the order in which they are shown.
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
    "bep6/have": "BEP 6: have all, have none",
    "bep6/disabled": "BEP 6: not agreed on",
    "bep6/answer": "BEP 6: answers",
    "bep6/reject": "BEP 6: reject",
    "bep6/allowed": "BEP 6: allowed fast, suggest",
    "bep6/lengths": "BEP 6: lengths",
    "bep9/metadata": "BEP 9: metadata",
    "bep10/handshake": "BEP 10: extended handshake",
    "bep10/messages": "BEP 10: extended messages",
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
    "bep3/leecher": "BEP 3: the side that downloads",
    "bep6/leecher": "BEP 6: the side that downloads",
    "bep9/leecher": "BEP 9: the side that downloads",
    "bep10/leecher": "BEP 10: the side that downloads",
    "bep11/leecher": "BEP 11: the side that downloads",
    "bep21/leecher": "BEP 21: the side that downloads",
    "bep54/leecher": "BEP 54: the side that downloads",
    "mse/leecher": "MSE: the side that downloads",
}


@dataclass(frozen=True, slots=True)
class _Column:
    """One client, and what came of it.

    Attributes:
        report: All of it.
        name: What the addresses of its transcripts begin with.
        results: The results by the ids of their cases.
    """

    report: Report
    name: str
    results: Mapping[str, Mapping[str, Any]]


def page(reports: Sequence[Report], title: str = "BitTorrent conformance") -> str:
    """Returns the page.

    Args:
        reports: One for each client, in the order of the columns. Those of one client that have no
            case in common, as of one that was asked while it serves and while it downloads, become
            one column.
        title: What it is called.
    """
    columns = _columns(reports)
    cases: dict[str, Mapping[str, Any]] = {}
    for column in columns:
        cases |= {key: each for key, each in column.results.items() if key not in cases}
    keys = sorted(cases, key=_place)
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="color-scheme" content="light dark">',
        f"<title>{escape(title)}</title><style>{_part('page.css')}</style></head><body>",
        f"<header><h1>{escape(title)}</h1>",
        f"<p>{_summary(columns, keys)}</p>{_legend()}</header>",
        f"<main>{_table(columns, keys, cases)}</main>",
        *(_panel(columns, cases[key]) for key in keys),
        f"<script>{_part('page.js')}</script>",
        "</body></html>\n",
    ]
    return "\n".join(parts)


def _part(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _columns(reports: Iterable[Report]) -> list[_Column]:
    taken: dict[str, Report] = {}
    for report in reports:
        name = _slug(report.client)
        while name in taken and not _joins(taken[name], report):
            name += "-"
        taken[name] = _joined(taken[name], report) if name in taken else report
    return [
        _Column(report, name, {result["id"]: result for result in report.results})
        for name, report in taken.items()
    ]


def _joins(one: Report, other: Report) -> bool:
    ids = {result["id"] for result in one.results}
    return one.client == other.client and ids.isdisjoint(each["id"] for each in other.results)


def _joined(one: Report, other: Report) -> Report:
    return Report(
        one.client,
        [*one.results, *other.results],
        max(one.date, other.date),
        max(one.version, other.version),
        [*one.gone, *other.gone],
        [*one.suspects, *other.suspects],
    )


def _summary(columns: Sequence[_Column], keys: Sequence[str]) -> str:
    asked = {f"{each.report.date} by peerwire {each.report.version}" for each in columns}
    return escape(f"{len(keys)} cases, asked {', '.join(sorted(asked))}")


def _legend() -> str:
    """What the marks mean, and a box for each: rows with none of those that are ticked go."""
    boxes = "".join(
        f'<label><input type="checkbox" id="show-{_class(verdict)}">'
        f'<span class="mark {_class(verdict)}">{mark}</span> {MEANINGS[verdict]}</label>'
        for verdict, mark in MARKS.items()
    )
    return (
        f'<form class="legend"><fieldset><legend>Show only rows with</legend>{boxes}'
        '<label><input type="checkbox" id="show-differs">clients that differ</label>'
        '<input type="reset" value="show all"></fieldset></form>'
    )


def _table(
    columns: Sequence[_Column], keys: Sequence[str], cases: Mapping[str, Mapping[str, Any]]
) -> str:
    parts = [
        '<table><thead><tr><th scope="col">Case</th><th scope="col" class="rule">Rule</th>',
        *(f'<th scope="col" class="client">{_client(each.report)}</th>' for each in columns),
        "</tr></thead>",
    ]
    group = None
    for key in keys:
        if _group(key) != group:
            parts += ["</tbody>" if group else "", _heading(_group(key), len(columns))]
            group = _group(key)
        parts.append(_row(columns, cases[key]))
    return "\n".join([*parts, "</tbody></table>"])


def _client(report: Report) -> str:
    counts = report.counts()
    told = "".join(
        f'<span class="mark {_class(verdict)}" title="{count} {verdict}">{count}</span>'
        for verdict, count in counts.items()
        if count
    )
    gone = [*report.gone, *report.suspects]
    crashed = f'<strong title="{escape(", ".join(gone))}">crashed</strong>' if gone else ""
    name = escape(report.client).replace("/", "/<wbr>").replace("-", "-<wbr>")
    return f'{name}<div class="counts">{told}</div>{crashed}'


def _heading(group: str, columns: int) -> str:
    name = escape(GROUPS.get(group, group))
    return (
        f'<tbody id="{_slug(group)}"><tr class="group">'
        f'<th colspan="{2 + columns}"><a href="#{_slug(group)}">{name}</a></th></tr>'
    )


def _row(columns: Sequence[_Column], case: Mapping[str, Any]) -> str:
    key = case["id"]
    results = [column.results.get(key) for column in columns]
    verdicts = {result["verdict"] for result in results if result is not None}
    differs = " differs" if len(verdicts) > 1 else ""
    cells = "".join(map(_cell, columns, results))
    return (
        f'<tr id="{_slug(key)}" class="case{differs}"><th scope="row" class="id">'
        f'<a href="#{_slug(key)}">{escape(key)}</a> <i>{escape(case["level"])}</i></th>'
        f'<td class="rule" title="{escape(case["does"])}">{escape(case["rule"])}</td>{cells}</tr>'
    )


def _cell(column: _Column, result: Mapping[str, Any] | None) -> str:
    if result is None:
        return '<td class="cell"></td>'
    verdict = result["verdict"]
    told = escape(result["observed"] or verdict)
    link = f'<a href="#{_anchor(column, result["id"])}" title="{told}"'
    return f'<td class="cell">{link} class="mark {_class(verdict)}">{MARKS[verdict]}</a></td>'


def _panel(columns: Sequence[_Column], case: Mapping[str, Any]) -> str:
    """All about a case: of the transcripts of the clients, that is shown which is the target."""
    key = case["id"]
    told = {
        "Rule": f"{case['rule']} ({case['section']}, {case['level']})",
        "Does": _sentence(case["does"]),
        "Expected": _sentence(case["expects"]),
    }
    rows = "".join(f"<dt>{name}</dt><dd>{escape(text)}</dd>" for name, text in told.items())
    asked = [(column, column.results[key]) for column in columns if key in column.results]
    tabs = "".join(
        f'<a href="#{_anchor(column, key)}"><span class="mark {_class(result["verdict"])}">'
        f"{MARKS[result['verdict']]}</span> {escape(column.report.client)}</a>"
        for column, result in asked
    )
    sections = "".join(_transcript(column, result) for column, result in asked)
    return (
        f'<article role="dialog" aria-label="{escape(key)}">'
        f'<div><a class="close" href="#{_slug(key)}" aria-label="close">&times;</a>'
        f"<h2>{escape(key)}</h2><dl>{rows}</dl><nav>{tabs}</nav>{sections}</div></article>"
    )


def _transcript(column: _Column, result: Mapping[str, Any]) -> str:
    verdict = result["verdict"]
    observed = _sentence((result["observed"] or "what is expected").rstrip("."))
    lines = "\n".join(map(_line, result["transcript"])) or "nothing was said"
    return (
        f'<section id="{_anchor(column, result["id"])}" tabindex="-1">'
        f'<h3><span class="mark {_class(verdict)}">{escape(verdict)}</span> '
        f"{escape(column.report.client)}</h3>"
        f"<p>Observed: {escape(observed)}</p><pre>{lines}</pre></section>"
    )


def _line(line: str) -> str:
    """A line of a transcript, in the colour of its mark; see docs/reference/log.md."""
    words = line.split(None, 2)
    names = {">": "sent", "<": "received", "=": "state", "!": "error"}
    name = names.get(words[1]) if len(words) > 2 else None
    return f'<span class="{name}">{escape(line)}</span>' if name else escape(line)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _place(key: str) -> tuple[int, str, int, str]:
    """Where a case is shown: by its group, and by its number there."""
    groups = list(GROUPS)
    group, _, number = key.rpartition("/")
    place = groups.index(group) if group in GROUPS else len(groups)
    return place, group, int(number) if number.isdecimal() and number.isascii() else 0, number


def _group(key: str) -> str:
    return key.rpartition("/")[0]


def _anchor(column: _Column, key: str) -> str:
    return f"{_slug(key)}--{column.name}"


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _class(verdict: str) -> str:
    return verdict.replace(" ", "-")
