"""The conformance suite asks peerwire everything, as it does in ``make conformance``."""

from __future__ import annotations

import sys

import pytest
from tests.check.__main__ import main

from peerwire.check import LEECHER_CASES, SEED_CASES, Verdict
from peerwire.check.report import Report

#: It takes a minute and a half, most of it waiting.
pytestmark = [pytest.mark.interop, pytest.mark.timeout(400)]


def test_peerwire_keeps_every_rule(tmp_path, monkeypatch):
    words = ["python -m tests.check", tmp_path, "--client", "peerwire", "--jobs", 8]
    monkeypatch.setattr(sys, "argv", [*map(str, words)])
    assert main() == 0
    report = Report.read(tmp_path / "peerwire.jsonl")
    wrong = {str(each) for each in (Verdict.FAIL, Verdict.NON_STRICT, Verdict.INCONCLUSIVE)}
    told = {each["id"]: each["observed"] for each in report.results if each["verdict"] in wrong}
    assert told == {}
    quick = [case for case in (*SEED_CASES, *LEECHER_CASES) if not case.slow]
    assert len(report.results) == len(quick)
    assert report.counts()[str(Verdict.PASS)] > 300
    assert (tmp_path / "grid.html").stat().st_size > 100_000
