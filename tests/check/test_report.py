"""Results written, read again, and shown as JUnit does."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET

import pytest

from peerwire import PeerWireError
from peerwire.check import SEED_CASES, Result, Run, Verdict
from peerwire.check.report import Report, junit

NASTY = "</pre><script>alert(1)</script>\x00\x1b[2J & 'so' \"on\""


def of(client: str, verdict: Verdict, observed: str = "", gone: tuple[str, ...] = ()) -> Report:
    transcript = ["  0.000100 > interested", "  0.000200 < unchoke", NASTY]
    results = [
        Result(case=case, verdict=verdict, observed=observed, transcript=transcript)
        for case in SEED_CASES[:3]
    ]
    return Report.of(Run(results, client, list(gone), ["bep3/handshake/1"] if gone else []))


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
    assert again.suspects == ["bep3/handshake/1"]
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


def test_junit_of_a_peer_that_was_gone_after_one_of_several():
    gone = Report("x", suspects=["bep3/handshake/1", "bep3/handshake/2"])
    (suite,) = ET.fromstring(junit([gone]).encode())
    assert (suite.get("tests"), suite.get("failures")) == ("1", "1")
    message = suite.find(".//failure").get("message")
    assert message == "it was gone after one of bep3/handshake/1, bep3/handshake/2"


def test_who_does_not_say_what_it_is_has_a_name_all_the_same():
    assert Report.of(Run()).client == "a peer that does not say who it is"


def test_a_report_without_suspects_was_written_earlier(tmp_path):
    report = of("somebody", Verdict.PASS)
    summary = report.summary()
    del summary["suspects"]
    path = tmp_path / "x.json"
    path.write_text("".join(json.dumps(line) + "\n" for line in [*report.results, summary]))
    assert Report.read(path).suspects == []


def test_results_of_a_run_that_was_ended_are_told_by_the_name_of_the_file(tmp_path):
    path = tmp_path / "some client.jsonl"
    path.write_text(json.dumps(of("somebody", Verdict.PASS).results[0]) + "\n")
    assert Report.read(path).client == "some client"
