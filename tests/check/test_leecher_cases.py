"""The cases for leechers: each of them catches the defects that it is meant for."""

from __future__ import annotations

import pytest

from peerwire.check import LEECHER_CASES, Verdict
from peerwire.check.case import Level

from .leecher_double import Defect
from .leecher_mse import Garbled, Generous, Impatient, Padded
from .test_leechers import asked, named

FAIL, NON_STRICT, INFO = Verdict.FAIL, Verdict.NON_STRICT, Verdict.INFO
PASS, NOT_APPLICABLE, INCONCLUSIVE = Verdict.PASS, Verdict.NOT_APPLICABLE, Verdict.INCONCLUSIVE

#: Which case catches which defect, with which verdict, and what it says of it.
CAUGHT = [
    ("bep3/leecher/1", Defect.WRONG_TORRENT, FAIL, "it names 0000"),
    ("bep3/leecher/2", Defect.LATE_BITFIELD, FAIL, "before its bitfield"),
    ("bep3/leecher/2", Defect.LONG_BITFIELD, FAIL, "3 bytes for 11 pieces"),
    ("bep3/leecher/2", Defect.SPARE_BITS, FAIL, "spare bits"),
    ("bep3/leecher/2", Defect.NO_BITFIELD, NOT_APPLICABLE, "no bitfield"),
    ("bep3/leecher/3", Defect.WANTS_ALWAYS, FAIL, "where we have nothing"),
    ("bep3/leecher/4", Defect.WANTS_NOTHING, FAIL, "no interested"),
    ("bep3/leecher/5", Defect.DEAF_TO_HAVE, FAIL, "no interested"),
    ("bep3/leecher/6", Defect.ASKS_CHOKED, FAIL, "while it is choked"),
    ("bep3/leecher/6", Defect.WANTS_NOTHING, INCONCLUSIVE, "no interested"),
    ("bep3/leecher/7", Defect.ASKS_LONG, FAIL, "of more than 16384 bytes"),
    ("bep3/leecher/7", Defect.ASKS_NOTHING, FAIL, "0:0+0"),
    ("bep3/leecher/7", Defect.ASKS_ANYTHING, FAIL, "where we have piece 0 only"),
    ("bep3/leecher/7", Defect.NEVER_ASKS, FAIL, "no request"),
    ("bep3/leecher/8", Defect.ONE_AT_A_TIME, NON_STRICT, "one request"),
    ("bep3/leecher/8", Defect.NEVER_ASKS, INCONCLUSIVE, "no request"),
    ("bep3/leecher/9", Defect.ASKS_ON, FAIL, "while it is choked"),
    ("bep3/leecher/10", Defect.ASKS_ONCE, NON_STRICT, "no request"),
    ("bep3/leecher/11", Defect.KEEPS_SILENT, FAIL, "does not say 'have'"),
    ("bep3/leecher/11", Defect.ASKS_LITTLE, INCONCLUSIVE, "1 of 2 blocks"),
    ("bep3/leecher/12", Defect.BELIEVES, FAIL, "whose hash is wrong"),
    ("bep3/leecher/12", Defect.DIES_OF_WRONG, PASS, "closes the connection"),
    ("bep3/leecher/13", Defect.HATES_SEGMENTS, FAIL, "the connection was"),
    ("bep3/leecher/14", Defect.DIES_OF_WRONG, INFO, "closes the connection"),
    ("bep3/leecher/15", Defect.BEARS_ANYTHING, NON_STRICT, "goes on"),
    ("bep3/leecher/16", Defect.BEARS_ANYTHING, NON_STRICT, "goes on"),
    ("bep3/leecher/17", Defect.TAKES_ANY_TORRENT, FAIL, "goes on"),
    ("bep3/leecher/18", Defect.STAYS_INTERESTED, NON_STRICT, "no not interested"),
    ("bep3/leecher/19", Defect.ASKS_BEYOND, FAIL, "of a piece of 12768 bytes"),
    ("bep3/leecher/19", Defect.HAS_THE_LAST, INCONCLUSIVE, "it has the last piece"),
    ("bep3/leecher/20", Defect.HATES_KEEP_ALIVES, FAIL, "closed"),
    ("bep3/leecher/21", Defect.HATES_SEGMENTS, FAIL, "the connection was"),
    ("bep3/leecher/22", Defect.HATES_UNKNOWN, INFO, "closes the connection"),
    ("bep3/leecher/23", Defect.BEARS_ANYTHING, NON_STRICT, "goes on"),
    ("bep3/leecher/24", Defect.BEARS_ANYTHING, NON_STRICT, "goes on"),
    ("bep3/leecher/25", Defect.BEARS_ANYTHING, NON_STRICT, "goes on"),
    ("bep3/leecher/26", Defect.FORGETS_WRONG, NON_STRICT, "no request"),
    ("bep3/leecher/26", Defect.DIES_OF_WRONG, PASS, "closes the connection"),
    ("bep3/leecher/27", Defect.DIES_OF_WRONG, INFO, "closes the connection"),
    ("bep3/leecher/28", Defect.SERVES_ANYTHING, FAIL, "it says piece"),
    ("bep3/leecher/29", Defect.KNOWS_NOT_ITSELF, INFO, "goes on"),
    ("bep6/leecher/1", Defect.TWO_BITFIELDS, FAIL, "have none"),
    ("bep6/leecher/1", Defect.LATE_BITFIELD, FAIL, "not interested, have none"),
    ("bep6/leecher/1", Defect.SPEAKS_BEP_3, NOT_APPLICABLE, "BEP 6"),
    ("bep6/leecher/2", Defect.WANTS_NOTHING, FAIL, "no interested"),
    ("bep6/leecher/3", Defect.WANTS_ALWAYS, FAIL, "where we have nothing"),
    ("bep6/leecher/4", Defect.MISTAKES_ADVICE, FAIL, "where we have nothing"),
    ("bep6/leecher/5", Defect.TAKES_NO_ADVICE, INFO, "0 requests"),
    ("bep6/leecher/6", Defect.ASKS_CHOKED, FAIL, "while it is choked"),
    ("bep6/leecher/7", Defect.DIES_OF_REJECT, FAIL, "closed"),
    ("bep6/leecher/8", Defect.BEARS_REJECT, NON_STRICT, "goes on"),
    ("bep6/leecher/9", Defect.BEARS_UNASKED, FAIL, "goes on"),
    *[(f"bep6/leecher/{n}", Defect.BEARS_FAST, FAIL, "goes on") for n in range(10, 15)],
    ("bep6/leecher/15", Defect.FOLLOWS, INFO, "it follows it"),
    ("bep6/leecher/16", Defect.MISTAKES_SUGGESTIONS, INFO, "it says request"),
    ("bep6/leecher/17", Defect.FORGETS_CHOKED, FAIL, "does not say 'have'"),
    ("bep6/leecher/17", Defect.ASKS_LITTLE, INCONCLUSIVE, "for no piece"),
    ("bep6/leecher/18", Defect.ASKS_ONCE, FAIL, "no request"),
    ("bep6/leecher/19", Defect.BEARS_ANYTHING, INFO, "ignores it"),
    ("bep6/leecher/20", Defect.NEVER_REJECTS, NON_STRICT, "no reject"),
    ("bep6/leecher/21", Defect.INSISTS, INFO, "1000 requests"),
    ("bep6/leecher/21", Defect.TAKES_NO_ADVICE, INFO, "0 requests, 0 of them"),
    ("bep6/leecher/22", Defect.INSISTS, INFO, "1000 requests"),
    ("bep6/leecher/22", Defect.NEVER_ASKS, INFO, "0 requests, 0 of them"),
    ("bep10/leecher/1", Defect.SAYS_A_LIST, FAIL, "no dictionary"),
    ("bep10/leecher/1", Defect.SPEAKS_BEP_3, NOT_APPLICABLE, "BEP 10"),
    ("bep10/leecher/2", Defect.IGNORES_REQQ, NON_STRICT, "6 requests"),
    ("bep10/leecher/2", Defect.NEVER_ASKS, INCONCLUSIVE, "asks for nothing"),
    ("bep10/leecher/3", Defect.HATES_KEYS, FAIL, "closed"),
    ("bep10/leecher/4", Defect.EXTENDS_ALL, FAIL, "it says extended"),
    ("bep10/leecher/5", Defect.HATES_UNKNOWN, INFO, "closes the connection"),
    ("bep10/leecher/6", Defect.HATES_UNKNOWN, INFO, "closes the connection"),
    ("bep9/leecher/9", Defect.WRONG_METADATA, FAIL, "something else"),
    ("bep11/leecher/1", Defect.WEDGED_BY_PEX, NON_STRICT, "no request"),
    ("bep21/leecher/1", Defect.UPLOAD_ONLY, FAIL, "upload_only of 1"),
    ("bep54/leecher/1", Defect.KEEPS_WANTING, NON_STRICT, "no more"),
]


@pytest.mark.parametrize(("case", "defect", "verdict", "words"), CAUGHT)
def test_a_defect_is_caught_by_the_case_meant_for_it(sample, case, defect, verdict, words):
    (result,) = asked(sample, named(case), defect).results
    assert (result.verdict, words in result.observed) == (verdict, True), result


#: The same of how a leecher begins with encryption.
ENCRYPTED = [
    (1, {"kind": Padded}, FAIL, "512 bytes"),
    (1, {"kind": Garbled}, FAIL, "eight zero bytes"),
    (1, None, NOT_APPLICABLE, "does not begin"),
    (2, {"kind": Generous}, FAIL, "0xff"),
    (3, {"again": True}, FAIL, "can't be read"),
    (3, {"early": False}, PASS, "0 bytes of it"),
    (4, {"wrongly": True}, FAIL, ""),
    (4, {"methods": 1}, NOT_APPLICABLE, "does not offer RC4"),
    (4, {"kind": Padded}, FAIL, "512 bytes"),
    (5, {"wrongly": True}, FAIL, ""),
    (5, {"methods": 2}, NOT_APPLICABLE, "does not offer PLAINTEXT"),
    (6, {"kind": Impatient}, FAIL, "closed"),
    (7, {"forgets": True}, FAIL, "no request"),
    *[(number, {"careless": True}, FAIL, "4 bytes more") for number in (9, 10, 12)],
    *[(number, {"careless": True}, NON_STRICT, "4 bytes more") for number in (8, 11, 13)],
    *[(number, {"waits": True}, PASS, "it says nothing more, and waits") for number in (8, 13)],
    (13, None, NOT_APPLICABLE, "does not begin"),
    (14, {}, INFO, "it says nothing more, and waits"),
    (14, {"hasty": True}, INFO, "closes the connection"),
]


@pytest.mark.parametrize(("number", "how", "verdict", "words"), ENCRYPTED)
def test_a_defect_of_encryption_is_caught(sample, number, how, verdict, words):
    (result,) = asked(sample, named(f"mse/leecher/{number}"), encryption=how).results
    assert (result.verdict, words in result.observed) == (verdict, True), result


#: The same of those who have a magnet link.
BY_MAGNET = [
    (1, None, PASS, "piece 0"),
    (1, Defect.ASKS_FOR_NO_METADATA, NOT_APPLICABLE, "it may have it"),
    (1, Defect.SPEAKS_BEP_3, NOT_APPLICABLE, "BEP 10"),
    (1, Defect.SAYS_NO_HANDSHAKE, INCONCLUSIVE, "no extended handshake"),
    (1, Defect.WRONG_ID, FAIL, "where ut_metadata has the id"),
    (1, Defect.ASKS_IN_OTHER_WORDS, FAIL, "bencode"),
    (1, Defect.ASKS_IN_A_LIST, FAIL, "it says b'l"),
    (1, Defect.ASKS_FOR_NO_PIECE, FAIL, "no piece"),
    (1, Defect.ASKS_FOR_MORE, FAIL, "piece 9 of 2"),
    (2, None, PASS, ""),
    (2, Defect.ASKS_FOR_MORE, FAIL, "piece 9 of 2"),
    (2, Defect.ASKS_TWICE, FAIL, "where it has been served"),
    (3, None, PASS, "it closes the connection"),
    (3, Defect.BELIEVES_METADATA, FAIL, "it says interested"),
    (3, Defect.ASKS_TWICE, PASS, "it closes the connection"),
    (3, Defect.FORGETS_METADATA, PASS, "it waits"),
    (3, Defect.TRIES_AGAIN, PASS, "it asks again"),
    (4, None, INFO, "1 requests, and the connection goes on"),
    (4, Defect.INSISTS, INFO, "1000 requests"),
    *[(number, None, INFO, "it does not ask for it") for number in (5, 6, 7, 8)],
    (5, Defect.SPEAKS_BEP_3, NOT_APPLICABLE, "BEP 10"),
    *[(number, Defect.DIES_OF_SIZE, INFO, "it asks for it") for number in (7, 8)],
]


@pytest.mark.parametrize(("number", "defect", "verdict", "words"), BY_MAGNET)
def test_a_defect_of_who_has_a_link_is_caught(samples, number, defect, verdict, words):
    sample, defects = samples("of much metadata"), [defect] if defect else []
    (result,) = asked(sample, named(f"bep9/leecher/{number}"), *defects, by_magnet=True).results
    assert (result.verdict, words in result.observed) == (verdict, True), result


def test_each_rule_was_seen_broken():
    """By a defect in a table above; what is no rule can't be."""
    seen = [(case, verdict) for case, _, verdict, _ in CAUGHT]
    seen += [(f"mse/leecher/{number}", verdict) for number, _, verdict, _ in ENCRYPTED]
    seen += [(f"bep9/leecher/{number}", verdict) for number, _, verdict, _ in BY_MAGNET]
    broken = {case for case, verdict in seen if verdict in (FAIL, NON_STRICT)}
    assert {case.id for case in LEECHER_CASES if case.level is not Level.INFO} == broken


def test_each_defect_is_caught():
    tables = (CAUGHT, BY_MAGNET)
    assert {row[1] for table in tables for row in table} - {None} == set(Defect)
