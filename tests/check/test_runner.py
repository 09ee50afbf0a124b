"""How cases are asked: what a case's end comes to, and what becomes of a peer that is gone."""

from __future__ import annotations

import asyncio

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
    Runner,
    Verdict,
)

from .double import Double


def one(level, ask, deadline=60.0):
    cases = Cases("xx1/some", "XX 1")
    words = {"rule": "A rule.", "does": "something", "expects": "something"}
    cases.case(1, level, deadline=deadline, **words)(ask)
    return cases


async def ask(sample, cases, **options):
    async with Double.running(sample.meta, sample.content) as double:
        runner = Runner("127.0.0.1", double.port, sample.subject, **options)
        return (await runner.ask(cases)).results


def raising(error):
    async def ask(probe):
        raise error

    return ask


@pytest.mark.parametrize(
    ("level", "error", "verdict"),
    [
        (MUST, Deviates("so"), Verdict.FAIL),
        (SHOULD, Deviates("so"), Verdict.NON_STRICT),
        (INFO, Deviates("so"), Verdict.INFO),
        (MUST, Closed("so"), Verdict.FAIL),
        (MUST, Lax("so"), Verdict.NON_STRICT),
        (INFO, Lax("so"), Verdict.INFO),
        (MUST, NotApplicable("so"), Verdict.NOT_APPLICABLE),
        (MUST, Inconclusive("so"), Verdict.INCONCLUSIVE),
        (MUST, KeyError("so"), Verdict.INCONCLUSIVE),
    ],
    ids=repr,
)
async def test_what_a_case_raises(sample, level, error, verdict):
    (result,) = await ask(sample, one(level, raising(error)))
    assert result.verdict is verdict
    assert "so" in result.observed


async def test_a_mistake_in_a_case_is_told_as_one(sample):
    (result,) = await ask(sample, one(MUST, raising(KeyError("so"))))
    assert result.observed == "the case is broken: KeyError: 'so'"


@pytest.mark.parametrize(
    ("level", "verdict"), [(MUST, Verdict.PASS), (SHOULD, Verdict.PASS), (INFO, Verdict.INFO)]
)
async def test_what_a_case_returns(sample, level, verdict):
    async def note(probe):
        return "this"

    (result,) = await ask(sample, one(level, note))
    assert (result.verdict, result.observed) == (verdict, "this")


async def test_a_case_that_does_not_end(sample):
    async def forever(probe):
        await asyncio.Event().wait()

    (result,) = await ask(sample, one(MUST, forever, deadline=0.05))
    assert result.verdict is Verdict.INCONCLUSIVE
    assert "not to be told within" in result.observed


async def test_results_are_told_in_the_order_of_the_cases(sample):
    cases = Cases("xx1/some", "XX 1")
    second = asyncio.Event()
    words = {"rule": "A rule.", "does": "something", "expects": "something"}

    @cases.case(1, MUST, **words)
    async def slow(probe):
        await second.wait()

    @cases.case(2, MUST, **words)
    async def fast(probe):
        second.set()

    told = []
    await ask(sample, cases, jobs=2, on_result=lambda result: told.append(result.case.id))
    assert told == ["xx1/some/1", "xx1/some/2"]


def test_a_number_is_given_once():
    cases = one(MUST, raising(Lax("so")))
    with pytest.raises(ValueError, match="there is a case xx1/some/1 already"):
        cases.case(1, MUST, rule="A rule.", does="something", expects="something")


class Counting(Double):
    """It counts connections."""

    count = 0

    async def accept(self, reader, writer):
        self.count += 1
        await super().accept(reader, writer)


async def test_nobody_is_looked_after_to_whom_nothing_was_said(sample):
    async def says_hello(probe):
        await probe.open()
        raise NotApplicable("it can't")

    async with Counting.running(sample.meta, sample.content) as double:
        for each, more in ((raising(NotApplicable("there is nothing")), 2), (says_hello, 3)):
            before = double.count
            await Runner("127.0.0.1", double.port, sample.subject).ask(one(MUST, each))
            assert double.count - before == more  # one to meet it
