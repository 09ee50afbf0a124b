"""What a case is, how a group of them is made, and what is written of one that was asked."""

from __future__ import annotations

import json

import pytest

from peerwire.check import (
    INFO,
    MUST,
    SHOULD,
    Cases,
    Closed,
    Deviates,
    Inconclusive,
    Lax,
    NotApplicable,
    Result,
    Silent,
    Verdict,
)
from peerwire.check.case import DEADLINE, Judgement, Level

WORDS = {"rule": "A rule.", "does": "something", "expects": "something else"}


async def ask(probe):
    return None


def test_cases_of_a_group_have_what_is_said_of_the_group():
    cases = Cases("xx1/some", "XX 1", hostile=True)
    assert cases.case(1, MUST, **WORDS)(ask) is ask
    cases.case(2, SHOULD, section="XX 2", slow=True, deadline=5, **WORDS)(ask)
    one, two = cases
    assert (one.id, one.group, one.section, one.level) == ("xx1/some/1", "xx1/some", "XX 1", MUST)
    assert (one.hostile, one.slow, one.deadline) == (True, False, DEADLINE)
    assert (two.id, two.section, two.slow, two.deadline) == ("xx1/some/2", "XX 2", True, 5)


def test_a_number_is_taken_once():
    cases = Cases("xx1/some", "XX 1")
    cases.case(1, MUST, **WORDS)(ask)
    with pytest.raises(ValueError, match="there is a case xx1/some/1 already"):
        cases.case(1, MUST, **WORDS)
    assert len(cases) == 1


@pytest.mark.parametrize(
    ("kind", "verdicts"),
    [
        (Deviates, (Verdict.FAIL, Verdict.NON_STRICT, Verdict.INFO)),
        (Closed, (Verdict.FAIL, Verdict.NON_STRICT, Verdict.INFO)),
        (Silent, (Verdict.FAIL, Verdict.NON_STRICT, Verdict.INFO)),
        (Lax, (Verdict.NON_STRICT, Verdict.NON_STRICT, Verdict.INFO)),
        (NotApplicable, (Verdict.NOT_APPLICABLE,) * 3),
        (Inconclusive, (Verdict.INCONCLUSIVE,) * 3),
    ],
)
def test_what_a_judgement_comes_to(kind, verdicts):
    judgement = kind("so")
    assert tuple(judgement.verdict(level) for level in (MUST, SHOULD, INFO)) == verdicts
    assert isinstance(judgement, Judgement)
    assert str(judgement) == "so"


def test_none_of_them_is_a_pass():
    kinds = (Deviates, Closed, Silent, Lax, NotApplicable, Inconclusive)
    assert all(kind("so").verdict(level) is not Verdict.PASS for kind in kinds for level in Level)


def test_a_result_as_an_object():
    cases = Cases("xx1/some", "XX 1")
    cases.case(1, MUST, **WORDS)(ask)
    result = Result(case=cases[0], verdict=Verdict.NON_STRICT, observed="so", seconds=0.12345)
    assert json.loads(json.dumps(result.record())) == {
        "event": "case",
        "id": "xx1/some/1",
        "level": "MUST",
        "section": "XX 1",
        **WORDS,
        "verdict": "non-strict",
        "observed": "so",
        "seconds": 0.123,
        "transcript": [],
    }
