"""Results written, read again, and shown as JUnit and as a page."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import pytest

from peerwire import PeerWireError
from peerwire.check import LEECHER_CASES, SEED_CASES, Result, Run, Verdict
from peerwire.check.page import GROUPS, page
from peerwire.check.report import Report, junit

NASTY = "</pre><script>alert(1)</script>\x00\x1b[2J & 'so' \"on\""


def of(client: str, verdict: Verdict, observed: str = "", gone: tuple[str, ...] = ()) -> Report:
    transcript = ["  0.000100 > interested", "  0.000200 < unchoke", NASTY]
    results = [
        Result(case=case, verdict=verdict, observed=observed, transcript=transcript)
        for case in SEED_CASES[:3]
    ]
    return Report.of(Run(results, client, list(gone)))


def written(report: Report, path):
    lines = [*report.results, report.summary()]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_a_report_is_read_as_it_was_written(tmp_path):
    report = of("somebody", Verdict.FAIL, NASTY, gone=("bep3/handshake/3",))
    again = Report.read(written(report, tmp_path / "somebody.json"))
    assert again.client == "somebody"
    assert again.counts() == report.counts()
    assert again.gone == ["bep3/handshake/3"]
    assert (again.date, again.version) == (report.date, report.version)
    assert again.results[0]["transcript"] == report.results[0]["transcript"]


@pytest.mark.parametrize(
    "text",
    ["", "nonsense\n", "{}\n", "[]\n", '{"event": "case"}\n', '{"event": "listed"}\n'],
    ids=["empty", "text", "no-event", "a-list", "half", "something-else"],
)
def test_what_is_no_report(tmp_path, text):
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(PeerWireError, match=r"x\.json"):
        Report.read(path)


def test_a_verdict_that_there_is_not(tmp_path):
    report = of("somebody", Verdict.PASS)
    report.results[0]["verdict"] = "splendid"
    with pytest.raises(PeerWireError, match="line 1"):
        Report.read(written(report, tmp_path / "x.json"))


def test_junit():
    reports = [of("good", Verdict.PASS), of("bad", Verdict.FAIL, NASTY)]
    reports.append(of("absent", Verdict.INCONCLUSIVE, "not asked"))
    root = ET.fromstring(junit(reports).encode())
    good, bad, absent = root
    assert [suite.get("name") for suite in root] == ["good", "bad", "absent"]
    assert (good.get("tests"), good.get("failures"), good.get("skipped")) == ("3", "0", "0")
    assert (bad.get("failures"), absent.get("skipped")) == ("3", "3")
    assert not good.findall(".//failure")
    assert len(bad.findall(".//failure")) == 3
    assert len(absent.findall(".//skipped")) == 3
    assert "unchoke" in good.findall(".//system-out")[0].text
    assert good[0].get("classname") == "bep3/handshake"


class Page(HTMLParser):
    """What a page has in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: set[str] = set()
        self.ids: set[str] = set()
        self.outside: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag not in ("meta", "br"):
            self.open.append(tag)
        for name, value in attrs:
            if name == "href" and value.startswith("#"):
                self.links.add(value[1:])
            elif name in ("href", "src"):
                self.outside.append(value)
            elif name == "id":
                self.ids.add(value)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_a_page_for_several_clients():
    reports = [of("one", Verdict.PASS), of("two <b>", Verdict.FAIL, NASTY, ("bep3/handshake/1",))]
    reports[1].results.pop()
    text = page(reports)
    parsed = Page(text)
    assert parsed.open == []
    assert parsed.links <= parsed.ids
    assert parsed.tags.count("article") == 5
    assert parsed.outside == []
    assert "script" not in parsed.tags
    assert "<b>" not in text
    assert "two &lt;b&gt;" in text
    assert "crashed" in text
    assert 'class="sent"' in text
    assert 'class="received"' in text


def test_each_group_of_cases_has_a_name():
    assert {case.group for case in (*SEED_CASES, *LEECHER_CASES)} == GROUPS.keys()
