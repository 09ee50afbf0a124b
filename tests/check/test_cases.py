"""The suite's own test: each defect of a peer is caught by the case that is meant for it."""

from __future__ import annotations

import pytest

from peerwire.check import SEED_CASES, Runner, Verdict

from .double import Defect, Double

#: Waits are short, as the peers are in this process.
PATIENCE = 0.2

#: Who catches what, and how grave that is.
CAUGHT = {
    Defect.ANSWERS_ANY_TORRENT: "bep3/handshake/3",
    Defect.IGNORES_RESERVED: "bep3/handshake/8",
    Defect.DIES_OF_KEEP_ALIVES: "bep3/messages/1",
    Defect.SPARE_BITS: "bep3/bitfield/3",
    Defect.SHORT_BITFIELD: "bep3/bitfield/2",
    Defect.LATE_BITFIELD: "bep3/bitfield/1",
    Defect.INTERESTED: "bep3/interest/1",
    Defect.SERVES_CHOKED: "bep3/choke/1",
    Defect.WRONG_BYTES: "bep3/request/1",
    Defect.WRONG_OFFSET: "bep3/messages/4",
    Defect.IGNORES_BEGIN: "bep3/request/2",
    Defect.ONE_AT_A_TIME: "bep3/request/2",
    Defect.CANCELS_ALL: "bep3/cancel/3",
    Defect.TWO_HAVES: "bep6/have/1",
    Defect.ANSWERS_TWICE: "bep6/answer/1",
    Defect.FORGETS_CANCELLED: "bep6/answer/2",
    Defect.BEARS_UNASKED: "bep6/answer/4",
    Defect.BEARS_FAST: "bep6/disabled/1",
    Defect.SAME_IDS: "bep10/handshake/3",
    Defect.HANGS_UP_TWICE: "bep10/handshake/12",
    Defect.OWN_IDS: "bep9/metadata/4",
    Defect.WRONG_SIZE: "bep9/metadata/1",
    Defect.NO_METADATA_REJECT: "bep9/metadata/5",
    Defect.WEDGES: "robust/messages/1",
}
MILDLY = {
    Defect.BEARS_WRONG_LENGTHS: "bep3/lengths/1",
    Defect.IGNORES_CHOKED: "bep6/reject/1",
}


async def ask(sample, *defects, only=None, jobs=8):
    """What comes of the cases, with a peer that has these defects."""
    cases = [case for case in SEED_CASES if not case.slow and only in (None, case.id)]
    async with Double.running(sample.meta, sample.content, *defects) as double:
        runner = Runner("127.0.0.1", double.port, sample.subject, jobs=jobs, patience=PATIENCE)
        return await runner.ask(cases)


def told(run, *verdicts):
    return {r.case.id: r.observed for r in run.results if r.verdict in verdicts}


async def test_a_peer_without_defects_passes(sample):
    run = await ask(sample)
    bad = (Verdict.FAIL, Verdict.NON_STRICT, Verdict.INCONCLUSIVE)
    assert told(run, *bad) == {}
    assert run.count(Verdict.PASS) > 120
    assert not run.gone
    assert run.client == "double"
    assert not run.failed(strict=True)


@pytest.mark.parametrize("defect", CAUGHT)
async def test_a_defect_is_caught_by_the_case_meant_for_it(sample, defect):
    run = await ask(sample, defect, only=CAUGHT[defect])
    assert [result.verdict for result in run.results] == [Verdict.FAIL], run.results
    assert run.results[0].observed
    assert run.results[0].transcript
    assert run.failed()


@pytest.mark.parametrize("defect", MILDLY)
async def test_what_a_peer_should_do_is_asked_less_strictly(sample, defect):
    run = await ask(sample, defect, only=MILDLY[defect])
    assert [result.verdict for result in run.results] == [Verdict.NON_STRICT], run.results
    assert not run.failed()
    assert run.failed(strict=True)


async def test_a_peer_that_crashes_is_noticed_and_the_case_named(sample):
    run = await ask(sample, Defect.CRASHES, jobs=1)
    assert run.gone == ["bep3/messages/5"]
    by_id = {result.case.id: result for result in run.results}
    assert by_id["bep3/messages/5"].verdict is Verdict.FAIL
    assert "gone" in by_id["bep3/messages/5"].observed
    after = [r.verdict for r in run.results[list(by_id).index("bep3/messages/5") + 1 :]]
    assert {*after} == {Verdict.INCONCLUSIVE}
    assert run.failed()


def test_each_case_has_an_id_of_its_own_and_says_what_it_is():
    ids = [case.id for case in SEED_CASES]
    assert len(ids) == len({*ids})
    assert len(ids) >= 120
    for case in SEED_CASES:
        assert case.section.startswith(("BEP ", "MSE", "robust")), case.id
        assert case.rule.endswith("."), case.id
        assert case.does, case.id
        assert case.expects, case.id
