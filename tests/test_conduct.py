"""Each rule that a side may break, as a third sees it; and what only crosses on its way."""

from __future__ import annotations

import pytest

from peerwire.bencode import encode
from peerwire.conduct import CROSSING, MAX_METADATA_REQUESTS, Conduct
from peerwire.errors import RemoteProtocolError
from peerwire.extensions.handshake import ExtendedHandshake
from peerwire.extensions.lt_donthave import DontHave
from peerwire.extensions.overheard import MetadataRequest
from peerwire.extensions.ut_metadata import MetadataPiece, MetadataReject
from peerwire.handshake import Handshake, Reserved
from peerwire.hashes import HashRange
from peerwire.limits import Limits
from peerwire.messages import (
    AllowedFast,
    Bitfield,
    Cancel,
    Choke,
    Extended,
    Hashes,
    HashReject,
    HashRequest,
    Have,
    HaveAll,
    HaveNone,
    Interested,
    KeepAlive,
    NotInterested,
    Piece,
    Port,
    Reject,
    Request,
    Suggest,
    Unchoke,
    Unknown,
)
from peerwire.state import Role

from .wires import EXAMPLES, INFO_HASH, OUR_ID, PEER_ID, RANGE

A, B = Role.INITIATOR, Role.RESPONDER
FAST, EXTENSION, DHT, V2 = Reserved.FAST, Reserved.EXTENSION, Reserved.DHT, Reserved.V2
NO_BITS = Reserved(0)
BLOCK = b"x" * 16384


class Scene:
    """Two sides that have said their handshakes."""

    def __init__(self, bits=FAST | EXTENSION | DHT, *, num_pieces=None, limits=None):
        self.conduct = Conduct(limits or Limits())
        self.conduct.num_pieces = num_pieces
        self.a, self.b = self.conduct.sides[A], self.conduct.sides[B]
        for side, peer_id in ((self.a, OUR_ID), (self.b, PEER_ID)):
            assert self.conduct.handshake(side, Handshake(INFO_HASH, peer_id, bits)) == []

    def say(self, role, *messages, now=0.0):
        """What is wrong with these, as lines."""
        side = self.conduct.sides[role]
        return [str(f) for m in messages for f in self.conduct.message(side, m, now)]

    def leech(self):
        """A wants what B has, and B lets it."""
        assert self.say(B, HaveAll(), Unchoke()) == []
        assert self.say(A, HaveNone(), Interested()) == []
        return self


def wrong(found, kind, rule):
    (line,) = found
    assert line.startswith(f"{kind} by the ")
    assert rule in line


# Handshakes


def test_both_name_the_same_torrent():
    conduct = Conduct(Limits())
    assert conduct.handshake(conduct.sides[A], Handshake(INFO_HASH, OUR_ID)) == []
    found = conduct.handshake(conduct.sides[B], Handshake(bytes(20), PEER_ID))
    assert [str(f)[:26] for f in found] == ["violation by the responder"]
    assert "same torrent" in found[0].rule
    assert isinstance(found[0].error, RemoteProtocolError)


def test_a_hybrid_may_be_upgraded():
    conduct = Conduct(Limits())
    assert conduct.handshake(conduct.sides[B], Handshake(bytes(20), PEER_ID)) == []
    assert conduct.handshake(conduct.sides[A], Handshake(INFO_HASH, OUR_ID, V2)) == []


def test_a_connection_to_itself():
    conduct = Conduct(Limits())
    conduct.handshake(conduct.sides[A], Handshake(INFO_HASH, OUR_ID))
    (found,) = conduct.handshake(conduct.sides[B], Handshake(INFO_HASH, OUR_ID))
    assert found.deviation
    assert found.by is B


# What order they come in


def test_what_pieces_there_are_comes_first():
    scene = Scene(NO_BITS)
    assert scene.say(A, KeepAlive(), Bitfield(b"\xff"), Interested()) == []
    wrong(scene.say(A, Bitfield(b"\xff")), "deviation", "only ever sent as the first")


def test_under_fast_it_always_comes():
    scene = Scene()
    assert scene.say(A, Extended(0, b"", "handshake"), HaveNone()) == []
    wrong(scene.say(B, Unchoke()), "deviation", "BEP 6, have all/have none")
    wrong(scene.say(B, HaveAll()), "deviation", "BEP 3")


@pytest.mark.parametrize("message", [HaveAll(), HaveNone()])
def test_without_fast_there_are_no_fast_messages(message):
    wrong(Scene(NO_BITS).say(A, message), "violation", "BEP 6: the connection is closed")


@pytest.mark.parametrize("message", [Suggest(0), AllowedFast(0)])
def test_nor_pieces_to_be_asked_for(message):
    wrong(Scene(NO_BITS).say(A, message), "violation", "BEP 6: the connection is closed")


def test_nor_rejects():
    scene = Scene(NO_BITS)
    assert scene.say(B, Bitfield(b"\xff"), Unchoke()) == []
    assert scene.say(A, Interested(), Request(0, 0, 16384)) == []
    wrong(scene.say(B, Reject(0, 0, 16384)), "violation", "BEP 6: the connection is closed")


def test_who_can_speak_fast_is_not_known_from_one_side():
    conduct = Conduct(Limits())
    side = conduct.sides[A]
    conduct.handshake(side, Handshake(INFO_HASH, OUR_ID))
    assert conduct.message(side, HaveAll(), 0.0) == []


# What pieces there are


INDEXED = [Have, Suggest, AllowedFast]


@pytest.mark.parametrize("kind", INDEXED)
def test_an_index_is_below_the_piece_count(kind):
    scene = Scene(num_pieces=8)
    assert scene.say(A, HaveNone(), kind(7)) == []
    wrong(scene.say(A, kind(8)), "violation", "in a torrent of 8 pieces (BEP 3")


@pytest.mark.parametrize("kind", INDEXED)
def test_a_bitfield_tells_how_many_there_are_at_most(kind):
    scene = Scene()
    assert scene.say(A, Bitfield(b"\x00")) == []
    assert scene.say(B, HaveAll(), kind(7)) == []
    wrong(scene.say(B, kind(8)), "violation", "of at most 8 pieces")


@pytest.mark.parametrize("kind", INDEXED)
def test_without_either_there_is_a_bound(kind):
    scene = Scene(limits=Limits(max_pieces=100))
    assert scene.say(A, HaveNone(), kind(99)) == []
    wrong(scene.say(A, kind(100)), "violation", "Limits.max_pieces")


@pytest.mark.parametrize("bits", [b"", b"\0\0", b"\x01"])
def test_a_bitfield_fits_the_piece_count(bits):
    scene = Scene(num_pieces=7)
    wrong(scene.say(A, Bitfield(bits)), "violation", "BEP 3, peer messages: bitfield")
    assert len(scene.a.pieces) == 0


def test_both_bitfields_are_as_long():
    scene = Scene()
    assert scene.say(A, Bitfield(b"\xff")) == []
    wrong(scene.say(B, Bitfield(b"\xff\0")), "violation", "the other side's has 1")


def test_a_bitfield_is_bounded():
    scene = Scene(limits=Limits(max_pieces=16))
    wrong(scene.say(A, Bitfield(bytes(3))), "violation", "Limits.max_pieces")
    assert scene.say(B, Bitfield(bytes(2))) == []


def test_what_a_side_has_is_remembered():
    scene = Scene(num_pieces=10)
    scene.say(A, HaveAll())
    assert scene.a.pieces.complete
    scene.say(B, Bitfield(b"\x80\x00"), Have(9))
    assert {*scene.b.pieces} == {0, 9}
    scene.say(B, HaveNone())
    assert not scene.b.pieces


# Requests


def test_a_download_is_in_order():
    scene = Scene().leech()
    assert scene.say(A, Request(3, 0, 16384), Request(3, 16384, 100)) == []
    assert scene.say(B, Piece(3, 16384, BLOCK[:100]), Reject(3, 0, 16384)) == []
    assert scene.say(A, NotInterested()) == []


@pytest.mark.parametrize(
    ("length", "kind"),
    [(0, "violation"), (16385, "deviation"), (131072, "deviation"), (131073, "violation")],
)
def test_a_request_is_for_16_kib(length, kind):
    wrong(Scene().leech().say(A, Request(0, 0, length)), kind, "BEP 3, peer messages: request")


def test_a_request_is_for_a_piece_there_is():
    scene = Scene(num_pieces=4).leech()
    wrong(scene.say(A, Request(4, 0, 1)), "violation", "in a torrent of 4 pieces")


def test_a_request_is_for_a_piece_the_other_has():
    scene = Scene(num_pieces=4)
    scene.say(B, HaveNone(), Have(1), Unchoke())
    assert scene.say(A, HaveNone(), Interested(), Request(1, 0, 1)) == []
    wrong(scene.say(A, Request(2, 0, 1)), "deviation", "did not say it has")


def test_who_asks_is_interested():
    scene = Scene().leech()
    scene.say(A, NotInterested())
    wrong(scene.say(A, Request(0, 0, 1)), "deviation", "without being interested")


def test_who_was_never_unchoked_does_not_ask():
    scene = Scene()
    scene.say(B, HaveAll())
    scene.say(A, HaveNone(), Interested())
    wrong(scene.say(A, Request(0, 0, 1)), "violation", "while choked")


def test_requests_and_a_choke_may_cross():
    scene = Scene().leech()
    assert scene.say(B, Choke(), now=100.0) == []
    assert scene.say(A, Request(0, 0, 1), now=100.0 + CROSSING) == []
    assert scene.say(B, Choke(), now=101.0) == []  # says nothing new
    wrong(scene.say(A, Request(1, 0, 1), now=100.1 + CROSSING), "violation", "while choked")
    scene.say(B, Unchoke(), now=200.0)
    assert scene.say(A, Request(2, 0, 1), now=300.0) == []


def test_what_is_allowed_fast_may_be_asked_for():
    scene = Scene(limits=Limits(max_allowed_fast=1))
    assert scene.say(B, HaveNone(), AllowedFast(5), AllowedFast(6)) == []
    assert scene.say(A, HaveNone(), Request(5, 0, 1)) == []
    assert scene.b.allowed_fast == {5}


def test_what_was_not_seen_is_not_judged():
    scene = Scene()
    scene.say(A, HaveNone(), Interested())
    scene.b.lost = True
    assert scene.say(A, Request(0, 0, 1)) == []
    scene.b.lost, scene.b.behind = False, True
    assert scene.say(A, Request(1, 0, 1)) == []
    scene.b.behind = False
    assert len(scene.say(A, Request(2, 0, 1))) == 2
    scene.a.lost = True
    assert scene.say(B, HaveAll(), Piece(9, 0, BLOCK), Reject(8, 0, 1)) == []
    assert scene.say(B, Hashes(RANGE, [b""] * 5)) == []


@pytest.mark.parametrize(("bits", "kind"), [(FAST, "violation"), (NO_BITS, "deviation")])
def test_a_piece_answers_a_request(bits, kind):
    scene = Scene(bits)
    scene.say(B, Bitfield(b"\xff"), Unchoke())
    scene.say(A, Bitfield(b"\0"), Interested(), Request(0, 0, 16384))
    assert scene.say(B, Piece(0, 0, BLOCK)) == []
    wrong(scene.say(B, Piece(0, 0, BLOCK)), kind, "not asked for")
    wrong(scene.say(B, Piece(1, 0, BLOCK)), kind, "not asked for")


def test_a_piece_is_one_there_is():
    scene = Scene(num_pieces=4).leech()
    assert len(scene.say(B, Piece(4, 0, BLOCK))) == 2


def test_a_reject_answers_a_request():
    wrong(Scene().leech().say(B, Reject(0, 0, 1)), "violation", "BEP 6, reject request")


@pytest.mark.parametrize("bits", [FAST, NO_BITS])
def test_what_was_cancelled_may_be_answered(bits):
    scene = Scene(bits)
    scene.say(B, Bitfield(b"\xff"), Unchoke())
    scene.say(A, Bitfield(b"\0"), Interested(), Request(0, 0, 16384))
    assert scene.say(A, Cancel(0, 0, 16384), Cancel(7, 7, 7)) == []
    assert scene.say(B, Piece(0, 0, BLOCK)) == []


@pytest.mark.parametrize("bits", [FAST, NO_BITS])
def test_what_was_asked_before_a_choke_may_be_answered(bits):
    scene = Scene(bits)
    scene.say(B, Bitfield(b"\xff"), Unchoke())
    scene.say(A, Bitfield(b"\0"), Interested(), Request(0, 0, 16384))
    scene.say(B, Choke())
    assert len(scene.a.requests) == (1 if bits else 0)
    assert scene.say(B, Piece(0, 0, BLOCK)) == []


def test_what_is_asked_twice_may_be_answered_twice():
    scene = Scene().leech()
    assert scene.say(A, Request(0, 0, 16384), Request(0, 0, 16384)) == []
    assert scene.say(B, Piece(0, 0, BLOCK), Reject(0, 0, 16384)) == []
    wrong(scene.say(B, Piece(0, 0, BLOCK)), "violation", "not asked for")


def test_what_is_remembered_of_requests_is_bounded():
    scene = Scene(limits=Limits(max_peer_requests=3)).leech()
    asked = [Request(number, 0, 1) for number in range(10)]
    assert scene.say(A, *asked) == []
    assert len(scene.a.requests) == 3
    assert scene.say(B, *(Piece(number, 0, b"x") for number in range(10))) == []
    wrong(scene.say(B, Piece(0, 0, b"x")), "violation", "not asked for")


def test_the_queue_has_a_length():
    scene = Scene().leech()
    scene.conduct.extended_handshake(scene.b, ExtendedHandshake(reqq=2).encode())
    assert scene.say(A, Request(0, 0, 1), Request(1, 0, 1)) == []
    wrong(scene.say(A, Request(2, 0, 1), Request(3, 0, 1)), "deviation", "queues 2 (BEP 10")
    scene.say(B, *(Piece(number, 0, b"x") for number in range(4)))
    assert scene.say(A, Request(0, 0, 1), Request(1, 0, 1)) == []
    wrong(scene.say(A, Request(2, 0, 1)), "deviation", "queues 2")


# The rest


def test_a_port_is_for_who_has_a_node():
    assert Scene().leech().say(A, Port(6881)) == []
    scene = Scene(NO_BITS)
    wrong(scene.say(A, Port(6881)), "deviation", "BEP 5")
    conduct = Conduct(Limits())
    assert conduct.message(conduct.sides[A], Port(6881), 0.0) == []


def test_extensions_are_negotiated():
    wrong(Scene(NO_BITS).say(A, Extended(0, b"de")), "violation", "without the extension protocol")


def test_ids_are_those_that_were_given():
    scene = Scene()
    assert scene.say(A, Extended(3, b"", "ut_pex")) == []
    wrong(scene.say(A, Extended(3, b"")), "deviation", "ids are the receiver's")


def test_an_extended_handshake():
    scene = Scene()
    payload = encode({"m": {"a": 1, "b": 0, "c": 300}, "p": 0})
    handshake = scene.conduct.extended_handshake(scene.a, payload)
    assert handshake.m == {"a": 1, "b": 0}
    found = scene.say(A, Extended(0, payload, "handshake"))
    assert [line[:9] for line in found] == ["deviation"] * 2
    assert scene.a.names == {1: "a"}
    scene.conduct.extended_handshake(scene.a, encode({"m": {"a": 0, "b": 2}}))
    assert scene.a.names == {1: "a", 2: "b"}  # what has id 1 may be under way
    assert scene.a.extended.m == {"a": 0, "b": 2}


@pytest.mark.parametrize(
    ("payload", "rule"),
    [(b"le", "BEP 10, handshake message"), (b"d", "BEP 10"), (bytes(65537), "Limits.max_ext")],
)
def test_no_extended_handshake(payload, rule):
    scene = Scene()
    assert scene.conduct.extended_handshake(scene.a, payload) is None
    wrong(scene.say(A, Extended(0, payload, "handshake")), "violation", rule)


def test_a_message_of_an_extension_that_is_none():
    scene = Scene()
    scene.conduct.malformed(scene.a, "5 bytes", "extension xx_chat")
    wrong(scene.say(A, Extended(1, b"", "xx_chat")), "violation", "5 bytes (extension xx_chat)")


def content(scene, role, *contents):
    for what in contents:
        scene.conduct.content(scene.conduct.sides[role], what)
    return scene.say(role, Extended(1, b"", "some"))


def test_metadata_is_asked_for():
    scene = Scene()
    assert content(scene, A, MetadataRequest(0), MetadataRequest(1)) == []
    assert content(scene, B, MetadataPiece(0, 5, b"block"), MetadataReject(1), None) == []
    wrong(content(scene, B, MetadataPiece(0, 5, b"block")), "violation", "BEP 9")
    scene.a.lost = True
    assert content(scene, B, MetadataPiece(0, 5, b"block")) == []


def test_what_is_remembered_of_metadata_is_bounded():
    scene = Scene()
    asked = [MetadataRequest(number) for number in range(MAX_METADATA_REQUESTS + 1)]
    assert content(scene, A, *asked) == []
    assert len(scene.a.metadata_requests) == MAX_METADATA_REQUESTS
    assert content(scene, B, MetadataReject(MAX_METADATA_REQUESTS)) == []


def test_what_is_had_no_more_is_a_piece():
    scene = Scene(num_pieces=4)
    assert content(scene, A, DontHave(3)) == []
    wrong(content(scene, A, DontHave(4)), "violation", "in a torrent of 4 pieces")


def test_hashes_are_asked_for():
    scene = Scene(FAST).leech()
    first, second = RANGE, HashRange(RANGE.pieces_root, 1, 8, 2, 3)
    assert scene.say(A, HashRequest(first), HashRequest(second)) == []
    assert scene.say(B, Hashes(first, [b"x" * 32] * 5), HashReject(second)) == []
    wrong(scene.say(B, HashReject(second)), "violation", "BEP 52, peer messages, hash reject")
    wrong(scene.say(B, Hashes(first, [b"x" * 32] * 5)), "violation", "not asked for")


def test_hashes_are_as_many_as_they_have_to_be():
    scene = Scene(FAST).leech()
    scene.say(A, HashRequest(RANGE))
    wrong(scene.say(B, Hashes(RANGE, [b"x" * 32])), "violation", "where 5 answer")


def test_a_hash_request_is_for_a_range():
    scene = Scene(FAST).leech()
    nonsense = HashRange(bytes(32), 0, 1, 3, 0)
    wrong(scene.say(A, HashRequest(nonsense)), "deviation", "not a power of two")


def test_what_is_remembered_of_hash_requests_is_bounded():
    scene = Scene(FAST, limits=Limits(max_peer_hash_requests=2)).leech()
    ranges = [HashRange(bytes(32), 1, 2 * number, 2, 3) for number in range(5)]
    assert scene.say(A, *map(HashRequest, ranges), HashRequest(ranges[-1])) == []
    assert len(scene.a.hash_requests) == 2
    assert scene.say(B, *map(HashReject, ranges), HashReject(ranges[-1])) == []


def test_an_unknown_message():
    wrong(Scene().leech().say(A, Unknown(99, b"")), "deviation", "unknown id 99")


@pytest.mark.parametrize("message", [message for message, _, _ in EXAMPLES], ids=str)
def test_there_is_a_rule_for_every_message(message):
    Scene().say(A, message)
