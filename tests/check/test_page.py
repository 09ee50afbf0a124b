"""Results as a page: whole by itself, with an address for all that is on it."""

from __future__ import annotations

import re
from html import escape
from html.parser import HTMLParser

import pytest

from peerwire.check import LEECHER_CASES, SEED_CASES, Result, Verdict
from peerwire.check.page import GROUPS, MARKS, page
from peerwire.check.report import Report

NASTY = "</pre><script>alert(1)</script>\x00\x1b[2J & 'so' \"on\""
TRANSCRIPT = [
    "  0.000100 > interested",
    "  0.000200 < unchoke",
    "  0.3 = closed",
    "  1 ! no",
    NASTY,
]


def of(client, verdict, observed="", cases=SEED_CASES[:3], **more):
    results = [
        Result(case=case, verdict=verdict, observed=observed, transcript=TRANSCRIPT).record()
        for case in cases
    ]
    return Report(client, results, "2026-08-01", "0.1.0", **more)


class Page(HTMLParser):
    """What a page has in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: set[str] = set()
        self.ids: list[str] = []
        self.outside: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag not in ("meta", "br", "input", "wbr"):
            self.open.append(tag)
        for name, value in attrs:
            if name == "href" and value.startswith("#"):
                self.links.add(value[1:])
            elif name in ("href", "src"):
                self.outside.append(value)
            elif name == "id":
                self.ids.append(value)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def rows(text):
    return re.findall(r'<tr id="([^"]*)"', text)


def test_a_page_for_several_clients():
    reports = [
        of("one", Verdict.PASS),
        of("two <b>", Verdict.FAIL, NASTY, gone=["bep3/handshake/1"]),
    ]
    reports[1].results.pop()
    text = page(reports)
    parsed = Page(text)
    assert parsed.open == []
    assert parsed.links <= {*parsed.ids}
    assert len(parsed.ids) == len({*parsed.ids})
    assert parsed.tags.count("article") == 3
    assert parsed.tags.count("section") == 5
    assert "<b>" not in text
    assert "two &lt;b&gt;" in text
    assert "3 cases, asked 2026-08-01 by peerwire 0.1.0" in text
    for name in ("sent", "received", "state", "error"):
        assert f'class="{name}"' in text


def test_it_is_whole_by_itself_and_runs_nothing_of_a_peer():
    text = page([of(NASTY, Verdict.FAIL, NASTY)])
    parsed = Page(text)
    assert parsed.outside == []
    assert parsed.tags.count("script") == 1
    assert "alert" in text
    assert "<script>alert" not in text
    assert "@import" not in text
    assert "url(" not in text


def test_a_peer_that_was_gone_is_told_as_one():
    assert "crashed" not in page([of("one", Verdict.PASS)])
    for more in ({"gone": ["bep3/handshake/1"]}, {"suspects": ["bep3/handshake/1"]}):
        assert '<strong title="bep3/handshake/1">crashed</strong>' in page(
            [of("one", Verdict.PASS, **more)]
        )


def test_each_verdict_has_a_mark_a_count_and_a_box():
    assert [*MARKS] == [str(verdict) for verdict in Verdict]
    for verdict in Verdict:
        text = page([of("one", verdict)])
        name = str(verdict).replace(" ", "-")
        assert f'class="mark {name}" title="3 {verdict}">3</span>' in text
        assert f'id="show-{name}"' in text
        assert f"body:has(#show-{name}:checked) .case:has(a.{name})" in text
        assert text.count(' title="3 ') == 1


def test_what_a_case_does_is_told_of_its_rule():
    """Several have the same."""
    text = page([of("one", Verdict.PASS)])
    for case in SEED_CASES[:3]:
        assert f'<td class="rule" title="{escape(case.does)}">{escape(case.rule)}</td>' in text


def test_rows_where_clients_differ():
    one, two = of("one", Verdict.PASS), of("two", Verdict.PASS)
    two.results[1]["verdict"] = "fail"
    two.results.pop()
    marked = re.findall(r'<tr id="([^"]*)" class="case differs"', page([one, two]))
    assert marked == ["bep3-handshake-2"]


def test_rows_are_in_the_order_of_the_groups_whatever_comes_first():
    cases = [*LEECHER_CASES[:1], *reversed(SEED_CASES[:12])]
    shown = rows(page([of("one", Verdict.PASS, cases=cases)]))
    assert shown == [f"bep3-handshake-{n}" for n in range(1, 13)] + ["bep3-leecher-1"]


def test_groups_and_numbers_of_ones_own_come_last():
    report = of("one", Verdict.PASS)
    report.results[0]["id"], report.results[1]["id"] = "my/own/last", "my/own/2"
    text = page([report])
    assert rows(text) == ["bep3-handshake-3", "my-own-last", "my-own-2"]
    assert ">my/own</a>" in text


def test_what_one_client_serves_and_downloads_is_one_column():
    seeding = of("one", Verdict.PASS, gone=["a"])
    leeching = of("one", Verdict.FAIL, cases=LEECHER_CASES[:2], gone=["b"], suspects=["c"])
    text = page([leeching, seeding])
    assert text.count('class="client"') == 1
    assert 'title="3 pass"' in text
    assert 'title="2 fail"' in text
    assert 'title="b, a, c"' in text


@pytest.mark.parametrize("other", ["one", "one!"])
def test_two_runs_of_the_same_are_two_columns(other):
    parsed = Page(page([of("one", Verdict.PASS), of(other, Verdict.FAIL)]))
    assert len(parsed.ids) == len({*parsed.ids})
    assert parsed.tags.count("section") == 6


def test_a_connection_on_which_nothing_was_said():
    report = of("one", Verdict.INCONCLUSIVE, "not asked")
    report.results[0]["transcript"] = []
    assert page([report]).count("nothing was said") == 1


def test_each_group_of_cases_has_a_name():
    assert {case.group for case in (*SEED_CASES, *LEECHER_CASES)} == GROUPS.keys()
