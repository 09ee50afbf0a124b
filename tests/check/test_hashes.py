"""The cases about hashes: each is seen to say what it is meant to, of a peer with a defect."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.hybrids import v2_torrent

from peerwire import (
    Hashes,
    HashRange,
    HashReject,
    PeerWireError,
    Request,
    Reserved,
    Unchoke,
)
from peerwire.check import INFO, SEED_CASES, Runner, Verdict
from peerwire.cli.subject import Subject
from peerwire.framing import Framing
from peerwire.torrent.metainfo import Metainfo

from .clock import run
from .double import BLOCK, Double, Session
from .double_v2 import SessionV2

if TYPE_CHECKING:
    from peerwire.check import Case

PIECE = 2 * BLOCK
CASES = {case.id: case for case in SEED_CASES if case.group == "bep52/hashes"}

PASS, FAIL, LAX = Verdict.PASS, Verdict.FAIL, Verdict.NON_STRICT
NOTED, INCONCLUSIVE = Verdict.INFO, Verdict.INCONCLUSIVE
NOT_APPLICABLE = Verdict.NOT_APPLICABLE


def hybrid(length=21 * PIECE - 100, piece_length=PIECE):
    """A .torrent of one file, and its bytes."""
    content = random.Random(9).randbytes(length)
    return v2_torrent(content, piece_length), content


def ask(cases: list[Case], *defects: type[Session], torrent=None, about=None, jobs=1):
    """What comes of cases about a torrent, with a peer that has these defects and serves one."""
    data, content = torrent or hybrid()
    subject = Subject.of_torrent(about or data)
    meta = Metainfo.from_bytes(data)

    async def asked():
        async with Double.running(meta, content, *(defects or [SessionV2])) as double:
            runner = Runner("127.0.0.1", double.port, subject, jobs=jobs)
            return (await runner.ask(cases)).results

    return run(asked())


def told(results):
    return {result.case.id: str(result.verdict) for result in results}


# What can be wrong


class Ignores(SessionV2):
    """It does not answer hash requests."""

    def answer_hashes(self, asked):
        return []


class IgnoresWrong(SessionV2):
    """It does not answer those against the rules."""

    def refuse_hashes(self, asked):
        return []


class ClosesAtWrong(SessionV2):
    """It ends the connection at those against the rules."""

    def refuse_hashes(self, asked):
        self.expect(False)


class ServesWrong(SessionV2):
    """It answers those against the rules with something."""

    def refuse_hashes(self, asked):
        return [Hashes(asked, [bytes(32)] * 2)]


class Rejects(SessionV2):
    """It rejects whatever is asked for."""

    def valid(self, asked):
        return False


class RejectsOther(SessionV2):
    """It rejects something else than was asked for."""

    def refuse_hashes(self, asked):
        return [HashReject(HashRange(asked.pieces_root, 0, 0, 2, 0))]


class AnswersOther(SessionV2):
    """It says of its hashes that they are of something else."""

    def answer_hashes(self, asked):
        (answer,) = super().answer_hashes(asked)
        return [Hashes(replace(asked, proof_layers=0), answer.hashes)]


class WrongHashes(SessionV2):
    """Its first hash has a bit flipped."""

    def base(self, asked):
        first, *more = super().base(asked)
        return [bytes((first[0] ^ 1, *first[1:])), *more]


class WrongUncles(SessionV2):
    """Its last uncle is the hash that it is the uncle of."""

    def uncles(self, asked):
        uncles = [*super().uncles(asked)]
        above = asked.base_layer + asked.proof_layers
        return [*uncles[:-1], self.layers[above][asked.index >> asked.proof_layers]]


class NoUncles(SessionV2):
    """It forgets the uncles."""

    def uncles(self, asked):
        return []


class AllUncles(SessionV2):
    """It sends all uncles, however many are asked for."""

    def uncles(self, asked):
        most = len(self.layers) - asked.base_layer - 2
        return super().uncles(
            HashRange(self.root, asked.base_layer, asked.index, asked.length, most)
        )


class UnclesOfAll(SessionV2):
    """It sends uncles of layers that follow from the hashes."""

    def first_uncle(self, asked):
        return 1


class ZerosForPadding(SessionV2):
    """Where pieces are padding, its hashes are zeros instead of those of zeros."""

    def base(self, asked):
        there = -(-len(self.double.content) // (BLOCK << asked.base_layer))
        hashes = super().base(asked)
        return [
            each if asked.index + number < there else bytes(32)
            for number, each in enumerate(hashes)
        ]


class OneAtATime(SessionV2):
    """It answers one request and forgets the others."""

    asked_before = False

    def answer_hashes(self, asked):
        if self.asked_before:
            return []
        self.asked_before = True
        return super().answer_hashes(asked)


class OneAndOut(SessionV2):
    """It answers one request and ends the connection at the next."""

    asked_before = False

    def answer_hashes(self, asked):
        self.expect(not self.asked_before)
        self.asked_before = True
        return super().answer_hashes(asked)


class AnswersTwice(SessionV2):
    """It answers each request twice."""

    def answer_hashes(self, asked):
        return super().answer_hashes(asked) * 2


class RejectsBetween(SessionV2):
    """It gives hashes of blocks and pieces alone."""

    def valid(self, asked):
        return asked.base_layer in (0, 1) and super().valid(asked)


class RejectsBlocks(SessionV2):
    """It gives hashes of pieces alone."""

    def valid(self, asked):
        return asked.base_layer != 0 and super().valid(asked)


class RefusesBlocks(SessionV2):
    """It rejects requests for blocks, and gives their hashes."""

    def answer(self, asked):
        return self.refuse(asked)


class HashesBeforeBlocks(SessionV2):
    """It answers requests for blocks last."""

    def segment(self, data):
        messages = [*self.framing.receive(data)]
        for each in sorted(messages, key=lambda each: isinstance(each, Request)):
            self.take(each)


class NeverUnchokes(SessionV2):
    def say(self, *said):
        super().say(*(each for each in said if not isinstance(each, Unchoke)))


class ClosesAtInterest(SessionV2):
    def take(self, message):
        self.expect(message.name != "interested")
        super().take(message)


class BearsLengths(SessionV2):
    """It passes over messages of a wrong length."""

    def segment(self, data):
        try:
            super().segment(data)
        except PeerWireError:
            self.framing = Framing(1 << 17)


class BearsLengthsAndServesNobody(BearsLengths):
    """It goes on after them, and answers nothing."""

    def answer(self, asked):
        return []


class ClosesAtUnasked(SessionV2):
    """It ends the connection at answers to what it never asked."""

    def take_unasked(self):
        self.expect(False)


class KnowsV1(SessionV2):
    """It does not serve the v2 info-hash."""

    def named(self):
        return (self.info_hash,)


class AnswersWithV1(SessionV2):
    """Named the v2 info-hash, it answers with the other."""

    def answers_with(self):
        return self.info_hash


class WithoutFast(SessionV2):
    """It does not speak BEP 6."""

    reserved = Reserved.V2


class Mute(SessionV2):
    """It says nothing to who names the v2 info-hash."""

    def greeting(self):
        return b"" if self.v2 else super().greeting()

    def opening(self):
        return []


WRONG = [f"bep52/hashes/{number}" for number in range(3, 13)]
THERE = [f"bep52/hashes/{number}" for number in (4, 5, 6, 11)]
NOT_THERE = [each for each in WRONG if each not in THERE]
LENGTHS = [f"bep52/hashes/{number}" for number in range(22, 28)]

#: Case, defect, and what is said.
ROWS = [
    ("bep52/hashes/1", Ignores, FAIL, "no hashes or hash reject"),
    ("bep52/hashes/1", Rejects, PASS, "it rejects the request"),
    ("bep52/hashes/1", AnswersOther, FAIL, "it answers layer 1 0+32 proof 0"),
    ("bep52/hashes/1", RejectsOther, PASS, "32 hashes, which lead to the root"),
    ("bep52/hashes/1", WrongHashes, FAIL, "hash 0 of what it sends is not"),
    ("bep52/hashes/1", KnowsV1, NOT_APPLICABLE, "it does not serve the v2 info-hash"),
    ("bep52/hashes/1", AnswersWithV1, INCONCLUSIVE, "it answers with the info-hash"),
    ("bep52/hashes/1", Mute, INCONCLUSIVE, "not asked: no handshake within"),
    ("bep52/hashes/2", Rejects, FAIL, "it rejects the request"),
    ("bep52/hashes/2", WrongHashes, FAIL, "hash 0 of what it sends is not"),
    *((case, IgnoresWrong, FAIL, "the request has no answer") for case in WRONG),
    *((case, ClosesAtWrong, PASS, "it closes the connection") for case in WRONG),
    *((case, RejectsOther, FAIL, "it answers layer 0 0+2 proof 0") for case in WRONG),
    *((case, ServesWrong, LAX, "it answers with 2 hashes") for case in THERE),
    *((case, ServesWrong, FAIL, "it answers with 2 hashes") for case in NOT_THERE),
    ("bep52/hashes/2", WithoutFast, PASS, ""),
    ("bep52/hashes/13", SessionV2, PASS, "2 hashes and 4 uncles"),
    ("bep52/hashes/13", NoUncles, FAIL, "6 hashes answer that, 4 uncles among them; it sends 2"),
    ("bep52/hashes/13", WrongUncles, FAIL, "uncle 3 of what it sends is not"),
    ("bep52/hashes/13", Rejects, FAIL, "it rejects the request"),
    ("bep52/hashes/14", ZerosForPadding, FAIL, "hash 30 of what it sends is not"),
    ("bep52/hashes/15", AllUncles, FAIL, "it sends 6"),
    ("bep52/hashes/16", UnclesOfAll, FAIL, "it sends 6"),
    ("bep52/hashes/17", SessionV2, PASS, "it answers with hashes"),
    ("bep52/hashes/17", RejectsBetween, PASS, "it rejects the request"),
    ("bep52/hashes/17", WrongHashes, FAIL, "hash 0 of what it sends is not"),
    ("bep52/hashes/17", Ignores, FAIL, "no hashes or hash reject"),
    ("bep52/hashes/18", SessionV2, PASS, "8 requests are answered, 0 of them rejected"),
    ("bep52/hashes/18", Rejects, PASS, "8 requests are answered, 8 of them rejected"),
    ("bep52/hashes/18", OneAtATime, FAIL, "1 of 8 requests are answered: no hashes"),
    ("bep52/hashes/18", OneAndOut, FAIL, "1 of 8 requests are answered: the connection was"),
    ("bep52/hashes/18", AnswersTwice, FAIL, "which is asked for no more"),
    ("bep52/hashes/18", WrongHashes, FAIL, "hash 0 of what it sends is not"),
    ("bep52/hashes/19", ClosesAtWrong, LAX, "the connection was closed"),
    ("bep52/hashes/19", ServesWrong, LAX, "it answers with hashes"),
    ("bep52/hashes/19", OneAndOut, LAX, "the connection was closed"),
    ("bep52/hashes/20", RejectsBlocks, LAX, "it rejects the request"),
    ("bep52/hashes/20", WrongHashes, LAX, "do not lead to the root"),
    ("bep52/hashes/20", NeverUnchokes, INCONCLUSIVE, "it chokes us"),
    ("bep52/hashes/20", ClosesAtInterest, INCONCLUSIVE, "not asked: the connection was closed"),
    ("bep52/hashes/21", RejectsBlocks, FAIL, "it rejects the request"),
    ("bep52/hashes/21", WrongHashes, FAIL, "do not lead to the root"),
    ("bep52/hashes/21", RefusesBlocks, INCONCLUSIVE, "the block is not served"),
    ("bep52/hashes/21", HashesBeforeBlocks, PASS, ""),
    *((case, BearsLengths, LAX, "it goes on as if nothing were wrong") for case in LENGTHS),
    *((case, BearsLengthsAndServesNobody, LAX, "is of no use") for case in LENGTHS),
    ("bep52/hashes/28", SessionV2, NOTED, "it ignores it"),
    ("bep52/hashes/28", ClosesAtUnasked, NOTED, "it closes the connection"),
    ("bep52/hashes/29", SessionV2, NOTED, "it ignores it"),
    ("bep52/hashes/29", ClosesAtUnasked, NOTED, "it closes the connection"),
]


@pytest.mark.parametrize("jobs", [1, 8])
def test_a_peer_without_defects_passes(jobs):
    results = ask([*CASES.values()], jobs=jobs)
    notes = {case.id for case in CASES.values() if case.level is INFO}
    assert told(results) == {each: "info" if each in notes else "pass" for each in CASES}


@pytest.mark.parametrize(
    ("case", "defect", "verdict", "saying"),
    ROWS,
    ids=[f"{case}-{defect.__name__}" for case, defect, *_ in ROWS],
)
def test_what_a_case_says_of_a_peer(case, defect, verdict, saying):
    (result,) = ask([CASES[case]], defect)
    assert result.verdict is verdict, result
    assert saying in result.observed
    assert result.transcript


def test_each_rule_was_seen_broken():
    """A case that nobody ever saw failing proves nothing."""
    caught = {case for case, _, verdict, _ in ROWS if verdict in (FAIL, LAX)}
    assert {case.id for case in CASES.values() if case.level is not INFO} == caught


# What can't be asked


def test_a_torrent_of_v1(sample):
    results = ask([*CASES.values()], torrent=(sample.torrent.read_bytes(), sample.content))
    assert {*told(results).values()} == {"not applicable"}
    assert {result.observed for result in results} == {"the torrent has no v2 side"}


def test_a_torrent_of_v2_that_is_not_served():
    content = bytes(5 * PIECE)
    results = ask([*CASES.values()], about=v2_torrent(content, PIECE, hybrid=False))
    assert {*told(results).values()} == {"inconclusive"}
    assert results[0].observed == "not asked: the connection was closed without a handshake"


def test_a_file_of_two_pieces():
    results = ask([*CASES.values()], torrent=hybrid(2 * PIECE))
    assert {*told(results).values()} == {"not applicable"}


def test_a_file_of_three_pieces():
    told_of = told(ask([*CASES.values()], torrent=hybrid(3 * PIECE)))
    assert told_of.pop("bep52/hashes/16") == "not applicable"
    assert {*told_of.values()} == {"pass", "info"}


def test_pieces_of_one_block():
    torrent = hybrid(21 * BLOCK, BLOCK)
    told_of = told(ask([*CASES.values()], torrent=torrent))
    assert told_of.pop("bep52/hashes/20") == told_of.pop("bep52/hashes/21") == "not applicable"
    assert {*told_of.values()} == {"pass", "info"}
