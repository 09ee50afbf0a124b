"""The page of the results says what the results say, and why."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.check.clients import ASKED
from tests.check.summary import BEGIN, END, renewed, table, unexplained

from peerwire.check.report import Report

DOCS = Path(__file__).parents[2] / "docs" / "conformance"
NAMES = [name for name in ASKED if (DOCS / f"{name}.jsonl").exists()]


def report(**verdicts: str) -> Report:
    results = [{"id": f"bep3/{key}", "verdict": told} for key, told in verdicts.items()]
    return Report("one 1.0", results, "2026-08-01", "0.1.0")


def test_a_table_counts_and_leads_to_the_pages_that_there_are():
    reports = {"one": report(a="pass", b="pass", c="fail"), "two": report(a="info")}
    lines = table(reports, ["one"]).splitlines()
    assert lines[0].startswith("| asked | on | pass | non-strict | fail |")
    assert lines[2] == "| [one 1.0](one.md) | 2026-08-01 | 2 | 0 | 1 | 0 | 0 | 0 |"
    assert lines[3] == "| one 1.0 | 2026-08-01 | 0 | 0 | 0 | 1 | 0 | 0 |"


def test_a_page_is_renewed_between_its_marks():
    page = f"before\n{BEGIN}old\n{END}after\n"
    assert renewed(page, "new\n") == f"before\n{BEGIN}\nnew\n\n{END}after\n"
    assert renewed(renewed(page, "newer\n"), "new\n") == renewed(page, "new\n")
    assert renewed("no marks\n", "new\n") == "no marks\n"


def test_what_no_page_tells_of_is_unexplained(tmp_path):
    (tmp_path / "one.md").write_text("`bep3/b`, and `bep3/leecher/1`")
    told = {"a": "pass", "b": "fail", "c": "non-strict", "d": "inconclusive", "leecher/1": "fail"}
    assert unexplained(tmp_path, "one", report(**told)) == ["bep3/c", "bep3/d", "bep3/leecher/1"]
    (tmp_path / "leechers.md").write_text("`bep3/leecher/1`")
    assert unexplained(tmp_path, "one", report(**told)) == ["bep3/c", "bep3/d"]


def test_the_page_has_the_table_of_the_results():
    """``make conformance`` writes it anew."""
    reports = {name: Report.read(DOCS / f"{name}.jsonl") for name in NAMES}
    pages = [path.stem for path in DOCS.glob("*.md")]
    page = (DOCS / "index.md").read_text(encoding="utf-8")
    assert page == renewed(page, table(reports, pages))
    assert BEGIN in page


@pytest.mark.parametrize("name", NAMES)
def test_each_deviation_is_explained(name):
    left = unexplained(DOCS, name, Report.read(DOCS / f"{name}.jsonl"))
    if not (DOCS / "leechers.md").exists():
        left = [each for each in left if "/leecher/" not in each]
    assert left == []
