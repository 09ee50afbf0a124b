"""The suite's own test: each case is seen to say what it is meant to, of a peer with a defect."""

from __future__ import annotations

import os
import random
import re

import pytest

from peerwire.check import INFO, SEED_CASES, Runner, Verdict

from .clock import run
from .defects import ROWS
from .double import Double

BAD = (Verdict.FAIL, Verdict.NON_STRICT, Verdict.INCONCLUSIVE)

#: The cases about BEP 52 have a double of their own.
CASES = {case.id: case for case in SEED_CASES if not case.id.startswith("bep52/")}


@pytest.fixture(autouse=True)
def pads_are_the_same_each_time(monkeypatch):
    monkeypatch.setattr(os, "urandom", random.Random(3).randbytes)


def ask(sample, cases, *defects, jobs=1):
    """What comes of cases, with a peer that has these defects."""

    async def asked():
        async with Double.running(sample.meta, sample.content, *defects) as double:
            runner = Runner("127.0.0.1", double.port, sample.subject, jobs=jobs)
            return await runner.ask(cases)

    return run(asked())


def told(run, *verdicts):
    return {r.case.id: r.observed for r in run.results if r.verdict in verdicts}


@pytest.mark.parametrize("jobs", [1, 8])
def test_a_peer_without_defects_passes(sample, jobs):
    run = ask(sample, SEED_CASES, jobs=jobs)
    assert told(run, *BAD) == {}
    assert run.count(Verdict.PASS) > 150
    assert not run.gone
    assert run.client == "double"
    assert not run.failed(strict=True)


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_what_a_case_says_of_a_peer(samples, row):
    run = ask(samples(row.torrent), [CASES[row.case]], row.peer)
    (result,) = run.results
    assert result.verdict is row.verdict, result
    assert row.saying in result.observed
    assert result.transcript or row.verdict in (Verdict.INFO, Verdict.NOT_APPLICABLE)
    assert run.failed(strict=True) is (row.verdict in BAD or row.verdict is Verdict.NOT_APPLICABLE)


def test_each_rule_was_seen_broken():
    """A case that nobody ever saw failing proves nothing."""
    caught = {row.case for row in ROWS if row.verdict in (Verdict.FAIL, Verdict.NON_STRICT)}
    rules = {case.id for case in CASES.values() if case.level is not INFO}
    assert rules <= caught


def test_each_note_was_seen_in_two_ways():
    for case in CASES.values():
        if case.level is INFO and case.id != "bep3/handshake/16":
            assert len({row.saying for row in ROWS if row.case == case.id}) > 1, case.id


def test_each_case_has_an_id_of_its_own_and_says_what_it_is():
    ids = [case.id for case in SEED_CASES]
    assert len(ids) == len({*ids})
    assert len(ids) >= 120
    for case in SEED_CASES:
        assert re.fullmatch(r"[a-z0-9]+/[a-z-]+/\d+", case.id)
        assert case.section.startswith(("BEP ", "MSE", "robust")), case.id
        assert case.rule.endswith("."), case.id
        assert case.does, case.id
        assert case.expects, case.id
