"""The cases about the two info-hashes of a hybrid, each seen to say what it is meant to."""

from __future__ import annotations

import pytest
from tests.hybrids import v2_torrent

from peerwire import Handshake, Hashes, HashReject, HashRequest, Reserved
from peerwire.bencode import decode, encode
from peerwire.check import INFO, SEED_CASES

from .double import PEER_ID
from .double_v2 import SessionV2
from .test_hashes import (
    FAIL,
    INCONCLUSIVE,
    NOT_APPLICABLE,
    NOTED,
    PASS,
    PIECE,
    AnswersWithV1,
    Ignores,
    KnowsV1,
    Mute,
    Rejects,
    WithoutFast,
    ask,
    hybrid,
    told,
)

CASES = {case.id: case for case in SEED_CASES if case.group == "bep52/upgrade"}


class StaysWithV1(SessionV2):
    """It takes up no offer."""

    def upgrades(self):
        return False


class AlwaysUpgrades(SessionV2):
    """It goes on with v2, offered or not."""

    def upgrades(self):
        return True


class AnswersWithNeither(SessionV2):
    """It answers with an info-hash that nobody named."""

    def answers_with(self):
        return bytes(20)


class ForgetsTheUpgrade(SessionV2):
    """It answers with the v2 info-hash, and goes on with v1."""

    def greeting(self):
        greeting = super().greeting()
        self.v2 = False
        return greeting


class ServesNothing(SessionV2):
    """It answers no request for a block."""

    def answer(self, asked):
        return []


class WrongBytes(SessionV2):
    def read(self, asked):
        return bytes(asked.length)


class WantsTheBit(SessionV2):
    """It takes no v2 info-hash without the bit of v2."""

    def hear_handshake(self, data):
        super().hear_handshake(data)
        named = self.theirs.info_hash == self.info_hash_v2
        self.expect(not named or Reserved.V2 in self.theirs.reserved)


class WantsNoBit(SessionV2):
    """It takes no v2 info-hash with the bit of v2."""

    def hear_handshake(self, data):
        super().hear_handshake(data)
        named = self.theirs.info_hash == self.info_hash_v2
        self.expect(not named or Reserved.V2 not in self.theirs.reserved)


class NeedsTheBit(SessionV2):
    """It rests on the bit of v2, and not on the info-hash."""

    def hear_handshake(self, data):
        super().hear_handshake(data)
        self.v2 = Reserved.V2 in self.theirs.reserved

    def answers_with(self):
        return self.theirs.info_hash


class ServesAnyTorrent(SessionV2):
    def hear_handshake(self, data):
        self.theirs = Handshake.decode(data)

    def greeting(self):
        return Handshake(self.theirs.info_hash, PEER_ID, self.reserved).encode()


class WaitsForEver(SessionV2):
    """It does not close on who asks for another torrent."""

    def hear_handshake(self, data):
        self.theirs = Handshake.decode(data)
        self.other = self.theirs.info_hash not in self.named()

    def greeting(self):
        return b"" if self.other else super().greeting()

    def opening(self):
        return [] if self.other else super().opening()


class Silent(SessionV2):
    """It says no handshake."""

    def greeting(self):
        return b""

    def opening(self):
        return []


class TakesHashMessages(SessionV2):
    """It does not close on hash requests, whatever the connection is about."""

    said = ()

    def take(self, message):
        if isinstance(message, HashRequest) and not self.v2:
            self.say(*(kind(message.range, *more) for kind, *more in self.said))
        else:
            super().take(message)


class RejectsOnV1(TakesHashMessages):
    said = ((HashReject,),)


class AnswersOnV1(TakesHashMessages):
    said = ((Hashes, [bytes(32)] * 2),)


#: Case, defect, and what is said.
ROWS = [
    ("bep52/upgrade/1", SessionV2, PASS, "it goes on with v2"),
    ("bep52/upgrade/1", StaysWithV1, PASS, "it stays with v1"),
    ("bep52/upgrade/1", AnswersWithNeither, FAIL, "it answers with the info-hash 0000"),
    ("bep52/upgrade/1", Silent, INCONCLUSIVE, "not asked: no handshake"),
    ("bep52/upgrade/2", AlwaysUpgrades, FAIL, "it goes on with v2"),
    ("bep52/upgrade/2", AnswersWithNeither, FAIL, "it answers with the info-hash 0000"),
    ("bep52/upgrade/3", SessionV2, NOTED, "it closes the connection"),
    ("bep52/upgrade/3", TakesHashMessages, NOTED, "it ignores the request"),
    ("bep52/upgrade/3", RejectsOnV1, NOTED, "it rejects the request"),
    ("bep52/upgrade/3", AnswersOnV1, NOTED, "it answers with hashes of a file that there is not"),
    ("bep52/upgrade/4", Rejects, PASS, ""),
    ("bep52/upgrade/4", WithoutFast, PASS, ""),
    ("bep52/upgrade/4", StaysWithV1, NOT_APPLICABLE, "it stays with v1"),
    ("bep52/upgrade/4", ForgetsTheUpgrade, FAIL, "the connection was closed"),
    ("bep52/upgrade/4", Ignores, FAIL, "no hashes or hash reject"),
    ("bep52/upgrade/4", ServesNothing, FAIL, "no piece or reject"),
    ("bep52/upgrade/5", KnowsV1, NOT_APPLICABLE, "it does not serve the v2 info-hash"),
    ("bep52/upgrade/5", AnswersWithV1, FAIL, "it answers with the info-hash"),
    ("bep52/upgrade/5", Mute, FAIL, "no handshake within"),
    ("bep52/upgrade/5", ServesNothing, FAIL, "no piece or reject"),
    ("bep52/upgrade/5", WrongBytes, FAIL, "does not have the piece's hash"),
    ("bep52/upgrade/6", WantsTheBit, FAIL, "it does not serve the v2 info-hash"),
    ("bep52/upgrade/6", NeedsTheBit, FAIL, "the connection was closed"),
    ("bep52/upgrade/6", WantsNoBit, NOT_APPLICABLE, "it does not serve the v2 info-hash"),
    ("bep52/upgrade/6", Ignores, FAIL, "no hashes or hash reject"),
    ("bep52/upgrade/7", WantsNoBit, FAIL, "it does not serve the v2 info-hash"),
    ("bep52/upgrade/7", KnowsV1, NOT_APPLICABLE, "it does not serve the v2 info-hash"),
    ("bep52/upgrade/7", Ignores, FAIL, "no hashes or hash reject"),
    ("bep52/upgrade/8", ServesAnyTorrent, FAIL, "it answers with a handshake"),
    ("bep52/upgrade/8", WaitsForEver, FAIL, "no handshake within"),
    ("bep52/upgrade/8", Silent, INCONCLUSIVE, "not asked: no handshake"),
    ("bep52/upgrade/9", SessionV2, NOTED, "it goes on with v2"),
    ("bep52/upgrade/9", StaysWithV1, NOTED, "it stays with v1"),
]


def test_a_peer_without_defects_passes():
    results = ask([*CASES.values()])
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
    caught = {case for case, _, verdict, _ in ROWS if verdict is FAIL}
    assert {case.id for case in CASES.values() if case.level is not INFO} == caught


# What can't be asked


def test_a_torrent_of_v1(sample):
    results = ask([*CASES.values()], torrent=(sample.torrent.read_bytes(), sample.content))
    told_of = told(results)
    assert told_of.pop("bep52/upgrade/3") == "info"
    assert {*told_of.values()} == {"not applicable"}


def test_a_hybrid_whose_piece_layers_are_not_known():
    data, content = hybrid()
    without = encode({"info": decode(data)[b"info"]})
    told_of = told(ask([*CASES.values()], torrent=(without, content)))
    assert told_of.pop("bep52/upgrade/3") == "info"
    assert told_of.pop("bep52/upgrade/8") == "pass"
    assert {*told_of.values()} == {"not applicable"}


def test_a_torrent_of_v2_that_is_not_served():
    results = ask([*CASES.values()], about=v2_torrent(bytes(5 * PIECE), PIECE, hybrid=False))
    verdicts = dict.fromkeys(CASES, "not applicable") | {
        "bep52/upgrade/5": "fail",
        "bep52/upgrade/6": "inconclusive",
        "bep52/upgrade/7": "inconclusive",
        "bep52/upgrade/8": "inconclusive",
    }
    assert told(results) == verdicts
