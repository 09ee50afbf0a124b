"""What a third hears: all that is said, however it comes, and what can't be told."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerwire.bencode import encode
from peerwire.extensions.base import Extension
from peerwire.extensions.handshake import ExtendedHandshake
from peerwire.extensions.upload_only import UploadOnly
from peerwire.handshake import Handshake, Reserved
from peerwire.limits import Limits
from peerwire.messages import (
    Bitfield,
    Extended,
    Have,
    HaveAll,
    HaveNone,
    Interested,
    KeepAlive,
    Piece,
    Request,
    Unchoke,
)
from peerwire.mse import CryptoMethod, Initiator, Responder
from peerwire.observe import ExtendedContent, Lost, Observer, Protocol
from peerwire.state import Role
from peerwire.wire import Wire

from .wires import BOTH, INFO_HASH, OUR_ID, PEER_ID, Trace, chunked, encoded, messages

A, B = Role.INITIATOR, Role.RESPONDER
BLOCK = bytes(range(256)) * 64

HELLO_A = Handshake(INFO_HASH, OUR_ID, BOTH).encode()
HELLO_B = Handshake(INFO_HASH, PEER_ID, BOTH).encode()
NOISE = random.Random(1).randbytes


def told_by(*said, **options):
    """The lines of a log of what was said: (side, bytes) each."""
    trace = Trace()
    observer = Observer(trace, **options)
    for now, (sender, data) in enumerate(said):
        observer.receive_data(sender, data, float(now))
    return trace.lines


def listening(*, trace=None, **options):
    """An observer of two who have said their handshakes."""
    trace = Trace() if trace is None else trace
    observer = Observer(trace, **options)
    observer.receive_data(A, HELLO_A, 0.0)
    observer.receive_data(B, HELLO_B, 0.0)
    trace.lines.clear()
    return observer, trace


class Overheard:
    """Two wires, and a third who hears what they say."""

    def __init__(self, **options):
        self.trace, self.ours = Trace(), Trace()
        self.observer = Observer(self.trace, **options)
        extensions = [UploadOnly]
        self.a = Wire("initiator", INFO_HASH, OUR_ID, trace=self.ours, extensions=extensions)
        self.b = Wire("responder", INFO_HASH, PEER_ID, extensions=extensions)
        self.deliver()

    def deliver(self):
        for _ in range(100):
            there, back = self.a.data_to_send(), self.b.data_to_send()
            if not there and not back:
                return
            for sender, data, to in ((A, there, self.b), (B, back, self.a)):
                self.observer.receive_data(sender, data, 0.0)
                to.receive_data(data, 0.0)


def test_a_third_hears_what_a_wire_says_and_hears():
    talk = Overheard(torrents={INFO_HASH: 9})
    talk.b.send_have_all()
    talk.b.send_unchoke()
    talk.a.send_have_none()
    talk.a.send_interested()
    talk.deliver()
    talk.a.send_request(3, 0, 16384)
    talk.a.send_request(3, 16384, 100)
    talk.deliver()
    talk.b.send_piece(3, 0, BLOCK)
    talk.b.send_reject(3, 16384, 100)
    talk.deliver()
    talk.a.send_have(3)
    talk.deliver()
    for mark in "<>":
        heard = [line for line in talk.trace.marked(mark) if not line.startswith("extended")]
        known = [line for line in talk.ours.marked(mark) if not line.startswith("extended")]
        assert heard == known
        assert len(heard) > 4
    assert talk.trace.marked("!") == []
    assert "open; both sides have fast, extension" in talk.trace.marked("=")
    assert talk.observer.protocol is Protocol.PLAIN


@given(
    st.lists(st.tuples(st.sampled_from(Role), st.lists(messages, max_size=4)), max_size=6),
    st.lists(st.integers(0, 2000), max_size=5),
)
def test_what_is_heard_does_not_depend_on_the_chunks(talk, cuts):
    whole, parts = Trace(), Trace()
    for trace, pieces in ((whole, []), (parts, cuts)):
        observer = Observer(trace)
        for sender, data in [(A, HELLO_A), (B, HELLO_B), *((r, encoded(*m)) for r, m in talk)]:
            for chunk in chunked(data, pieces):
                observer.receive_data(sender, chunk, 0.0)
        assert observer.held == 0
    assert whole.lines == parts.lines


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("data"), st.sampled_from(Role), st.binary(max_size=300)),
            st.tuples(
                st.just("data"),
                st.sampled_from(Role),
                st.sampled_from([HELLO_A, HELLO_B, NOISE(200), HELLO_A[:30]]),
            ),
            st.tuples(
                st.just("data"),
                st.sampled_from(Role),
                messages.map(lambda message: message.encode()),
            ),
            st.tuples(st.just("gap"), st.sampled_from(Role), st.integers(0, 2**31)),
            st.tuples(st.just("eof"), st.sampled_from(Role), st.none()),
            st.tuples(st.just("behind"), st.sampled_from(Role), st.booleans()),
        ),
        max_size=12,
    )
)
def test_nothing_that_is_said_is_an_error(steps):
    trace = Trace()
    observer = Observer(trace)
    for what, sender, value in steps:
        match what:
            case "data":
                observer.receive_data(sender, value, 1.0)
            case "gap":
                observer.receive_gap(sender, value, 2.0)
            case "eof":
                observer.receive_eof(sender, 3.0)
            case "behind":
                observer.set_behind(sender, value)
        assert observer.held < 5000
    assert all(len(line.splitlines()) == 1 for line in trace.lines)


def test_the_time_is_that_of_the_bytes_that_complete_a_message():
    observer, trace = listening()
    observer.receive_data(A, Have(7).encode()[:3], 10.0)
    observer.receive_data(B, KeepAlive().encode(), 11.0)
    observer.receive_data(A, Have(7).encode()[3:], 12.5)
    assert [line for line in trace.lines if line[0] in "<>"] == ["< keep-alive", "> have 7"]
    assert trace.times[-1] == 12.5


# Extensions


def spoken(m, **keys):
    return Extended(0, ExtendedHandshake(m, **keys).encode()).encode()


def test_extensions_are_called_by_the_names_that_their_receiver_gave():
    observer, trace = listening()
    observer.receive_data(A, spoken({"ut_metadata": 3, "xx_chat": 7}, v="a"), 0.0)
    observer.receive_data(B, spoken({"ut_metadata": 1}, metadata_size=5), 0.0)
    ask, give = {"msg_type": 0, "piece": 0}, {"msg_type": 1, "piece": 0, "total_size": 5}
    observer.receive_data(A, Extended(1, encode(ask)).encode(), 0.0)
    observer.receive_data(B, Extended(3, encode(give) + b"block").encode(), 0.0)
    observer.receive_data(B, Extended(7, b"hello").encode(), 0.0)
    assert trace.lines == [
        "> extended handshake m=(ut_metadata=3, xx_chat=7) v=a",
        "< extended handshake m=(ut_metadata=1) metadata_size=5",
        "> extended ut_metadata: metadata request 0",
        "< extended ut_metadata: metadata piece 0, 5 of 5 bytes",
        "< extended xx_chat, 5 bytes",
    ]


def test_a_name_that_a_peer_gave_is_fit_for_a_log():
    observer, trace = listening()
    observer.receive_data(A, spoken({"x\n\x1b[2J" + "y" * 1000: 7}), 0.0)
    observer.receive_data(B, Extended(7, b"hello").encode(), 0.0)
    assert trace.lines[-1] == "< extended x\ufffd\ufffd[2J" + "y" * 34 + ", 5 bytes"


def test_what_an_extension_does_not_allow():
    observer, trace = listening()
    observer.receive_data(A, spoken({"lt_donthave": 3}), 0.0)
    observer.receive_data(B, Extended(3, b"short").encode() + Extended(0, b"?").encode(), 0.0)
    assert trace.lines[1].startswith("< extended lt_donthave, 5 bytes")
    assert trace.lines[2].startswith("! violation by the responder: 5 bytes; the index of a piece")
    assert trace.lines[2].endswith("(extension lt_donthave)")
    assert trace.lines[3] == "< extended handshake, 1 bytes"
    assert "BEP 10, handshake message" in trace.lines[4]


def test_peers_that_are_exchanged_too_often():
    observer, trace = listening()
    observer.receive_data(A, spoken({"ut_pex": 1}), 0.0)
    for now in range(7):
        observer.receive_data(B, Extended(1, b"de").encode(), float(now))
    observer.receive_data(B, Extended(1, b"de").encode(), 70.0)
    assert [line[:25] for line in trace.marked("!")] == ["violation by the responde"]
    assert trace.lines[-1] == "< extended ut_pex: pex 0 added, 0 dropped"


def test_an_id_that_nobody_gave():
    observer, trace = listening()
    observer.receive_data(A, Extended(9, b"abc").encode(), 0.0)
    assert trace.lines[0] == "> extended id 9, 3 bytes"
    assert trace.lines[1].startswith("! deviation by the initiator: extended id 9")


def test_what_extensions_say_is_there_as_objects():
    seen = []
    observer = Observer(lambda mark, what, now: seen.append(what))
    observer.receive_data(A, HELLO_A + spoken({"upload_only": 2}), 0.0)
    observer.receive_data(B, HELLO_B + Extended(2, b"\1").encode(), 0.0)
    content = [what for what in seen if isinstance(what, ExtendedContent)]
    assert content[0].content.m == {"upload_only": 2}
    assert content[1].label == "upload_only"
    assert content[1].content.upload_only


# Rules


def test_a_broken_rule_follows_what_broke_it():
    observer, trace = listening(torrents={INFO_HASH: 4})
    observer.receive_data(A, encoded(HaveNone(), Have(4)), 0.0)
    assert trace.lines[1] == "> have 4"
    assert trace.lines[2].startswith("! violation by the initiator: have 4 in a torrent of 4")
    assert len(trace.lines) == 3


def test_torrents_whose_piece_count_is_not_known():
    for torrents in ({INFO_HASH: None}, {bytes(20): 4}):
        observer, trace = listening(torrents=torrents)
        observer.receive_data(A, encoded(HaveNone(), Have(4)), 0.0)
        assert trace.marked("!") == []


def test_a_long_bitfield_is_accepted_where_the_torrent_needs_it():
    for pieces, lines in ((1000, 1), (900, 2)):
        trace = Trace()
        limits = Limits(max_message=115)
        observer, _ = listening(trace=trace, torrents={INFO_HASH: pieces}, limits=limits)
        observer.receive_data(A, Bitfield(bytes(125)).encode(), 0.0)
        assert len(trace.lines) == lines


def test_what_is_no_message_ends_what_is_read_of_a_side():
    observer, trace = listening()
    observer.receive_data(A, HaveNone().encode() + b"\0\0\0\2\4\0" + Interested().encode(), 0.0)
    observer.receive_data(A, Interested().encode(), 0.0)
    observer.receive_data(B, HaveAll().encode(), 0.0)
    observer.receive_eof(A, 1.0)
    assert trace.lines == [
        "> have none",
        "! violation by the initiator: message id 4 with a payload of 1 bytes; it has 4"
        " (BEP 3, peer messages)",
        "! lost of the initiator: what follows is not told apart into messages",
        "< have all",
        "= the initiator closed; at least 5 bytes of it were not read",
    ]
    assert observer.held == 0


def test_a_message_that_is_too_long_is_not_held():
    observer, trace = listening(limits=Limits(max_message=100))
    observer.receive_data(A, b"\0\0\0\x65" + bytes(90), 0.0)
    assert "101 bytes is announced" in trace.lines[0]
    assert observer.held == 0


def test_whoever_is_behind_is_not_judged_by():
    observer, trace = listening()
    observer.receive_data(B, HaveAll().encode(), 0.0)
    observer.set_behind(B, True)
    observer.receive_data(A, encoded(HaveNone(), Interested(), Request(0, 0, 1)), 0.0)
    assert trace.marked("!") == []
    observer.set_behind(B, False)
    observer.receive_data(A, Request(1, 0, 1).encode(), 0.0)
    assert "while choked" in trace.marked("!")[0]


# Gaps and ends


def test_a_gap_in_a_block_loses_nothing_but_the_block():
    observer, trace = listening()
    observer.receive_data(A, encoded(HaveNone(), Interested(), Request(3, 0, 16384)), 0.0)
    observer.receive_data(B, encoded(HaveAll(), Unchoke()), 0.0)
    trace.lines.clear()
    data = Piece(3, 0, BLOCK).encode() + Have(9).encode()
    observer.receive_data(B, data[:5], 0.0)
    observer.receive_data(B, data[5:100], 0.0)
    observer.receive_gap(B, 10000, 0.0)
    observer.receive_data(B, data[10100:16000], 0.0)
    observer.receive_gap(B, 16397 - 16000, 0.0)
    observer.receive_data(B, data[16397:], 0.0)
    assert trace.lines == [
        "! lost of the responder: 10000 bytes are missing: part of a block, whose message is told"
        " all the same",
        "! lost of the responder: 397 bytes are missing: part of a block, whose message is told"
        " all the same",
        "< piece 3:0+16384",
        "< have 9",
    ]


BEFORE = Piece(3, 0, BLOCK).encode()


@pytest.mark.parametrize(
    ("before", "count"),
    [
        (b"", 1),
        (BEFORE[:12], 100),  # not known yet what it is
        (BEFORE[:13], 16385),  # and of the next message
        (Bitfield(bytes(100)).encode()[:50], 10),
        (BEFORE, 4),
    ],
)
def test_after_another_gap_nothing_is_read(before, count):
    observer, trace = listening()
    observer.receive_data(B, HaveAll().encode() + before, 0.0)
    trace.lines.clear()
    observer.receive_gap(B, count, 0.0)
    observer.receive_gap(B, 10, 0.0)
    observer.receive_data(B, Have(9).encode(), 0.0)
    observer.receive_eof(B, 0.0)
    assert trace.lines == [
        f"! lost of the responder: {count} bytes are missing: what follows is not told apart into"
        " messages",
        "= the responder closed; at least 19 bytes of it were not read",
    ]


def test_a_gap_of_nothing_is_none():
    observer, trace = listening()
    observer.receive_gap(A, 0, 0.0)
    observer.receive_data(A, HaveAll().encode(), 0.0)
    assert trace.lines == ["> have all"]


def test_an_end_in_the_middle_of_a_message():
    observer, trace = listening()
    observer.receive_data(A, b"\0\0\0", 0.0)
    observer.receive_eof(A, 0.0, "was reset")
    observer.receive_eof(A, 0.0)
    observer.receive_eof(B, 0.0)
    assert trace.lines == [
        "= the initiator was reset, in the middle of a message",
        "= the responder closed",
    ]


# Finding the way in


def test_one_side_is_enough():
    lines = told_by((B, HELLO_B + HaveAll().encode()))
    assert lines == [
        f"< handshake {INFO_HASH.hex()} Transmission 4.0.6 [fast extension]",
        "< have all",
    ]


def test_without_any_extension():
    bare = [Handshake(INFO_HASH, who).encode() for who in (OUR_ID, PEER_ID)]
    lines = told_by((A, bare[0]), (B, bare[1]))
    assert lines[-1] == "= open; both sides have no extensions"


def test_other_torrents_on_both_sides():
    lines = told_by((A, HELLO_A), (B, Handshake(bytes(20), PEER_ID, Reserved(0)).encode()))
    assert "both sides name the same torrent" in lines[2]


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nHost: example.org\r\n" * 4,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + NOISE(500),
        b"\x17\x03\x03\x20\x00" + NOISE(500),
        bytes(200),
    ],
)
def test_other_protocols(data):
    lines = told_by((A, data[:50]), (A, data[50:]), (B, NOISE(500)), (B, HELLO_B))
    assert lines == ["= not BitTorrent, or begun before the first byte seen"]


def test_too_little_to_tell():
    for said in ([], [(A, b"hello")], [(A, HELLO_A[:67])], [(A, NOISE(95)), (B, NOISE(200))]):
        trace = Trace()
        observer = Observer(trace)
        for sender, data in said:
            observer.receive_data(sender, data, 0.0)
        assert trace.lines == []
        observer.receive_eof(A, 0.0)
        assert observer.protocol is Protocol.UNKNOWN
        observer.receive_eof(B, 0.0)
        assert observer.protocol is Protocol.OTHER


def test_noise_on_one_side_is_told_at_the_end():
    trace = Trace()
    observer = Observer(trace)
    observer.receive_data(A, NOISE(2000), 0.0)
    observer.receive_eof(A, 0.0)
    observer.receive_eof(B, 0.0)
    assert (
        trace.lines
        == [
            "= the initiator closed; at least 2000 bytes of it were not read",
            "= not BitTorrent, or begun before the first byte seen",
            "= the responder closed",
        ]
        or observer.protocol is Protocol.ENCRYPTED
    )


def test_a_handshake_and_something_else():
    for first in (True, False):
        said = [(A, HELLO_A), (B, b"220 ready\r\n")]
        lines = told_by(*(said if first else said[::-1]), (B, HELLO_B))
        assert lines[1].startswith("! violation by the responder: it begins with b'220 ready")
        assert lines[2] == "! lost of the responder: it does not begin with a handshake"
        assert len(lines) == 3


def encrypted(method, initial_payload=b""):
    """What both sides say in a handshake that ends in this, as two streams, and their ends."""
    a = Initiator(INFO_HASH, method, initial_payload=initial_payload)
    b = Responder(lambda req2: INFO_HASH, method)
    said = {A: b"", B: b""}
    for _ in range(5):
        for role, one, other in ((A, a, b), (B, b, a)):
            data = one.data_to_send()
            said[role] += data
            other.receive_data(data)
    assert a.method is b.method is method
    return said


def test_encryption_is_told():
    said = encrypted(CryptoMethod.RC4)
    lines = told_by((A, said[A] + NOISE(2000)), (B, said[B] + NOISE(2000)), (A, NOISE(100)))
    assert lines == ["= encrypted, as BitTorrent's MSE looks"]


def test_encryption_that_ends_in_plaintext():
    said = encrypted(CryptoMethod.PLAINTEXT)
    talk = [(A, said[A]), (B, said[B]), (A, HELLO_A), (B, HELLO_B + HaveAll().encode())]
    lines = told_by(*talk)
    assert lines == [
        "= encrypted, as BitTorrent's MSE looks",
        "= the initiator goes on in plaintext, after an encrypted handshake",
        f"> {Handshake(INFO_HASH, OUR_ID, BOTH)}",
        "= the responder goes on in plaintext, after an encrypted handshake",
        f"< {Handshake(INFO_HASH, PEER_ID, BOTH)}",
        "= open; both sides have fast, extension",
        "< have all",
    ]


def test_encryption_that_hides_one_handshake():
    said = encrypted(CryptoMethod.PLAINTEXT, HELLO_A)
    talk = [(A, said[A]), (B, said[B] + HELLO_B), *((A, Have(n).encode()) for n in range(300))]
    lines = told_by(*talk, (B, HaveAll().encode()), (B, Piece(0, 0, BLOCK).encode()))
    assert lines[0] == "= encrypted, as BitTorrent's MSE looks"
    assert lines[2].startswith("< handshake")
    assert lines[3:] == [
        "! lost of the initiator: it is encrypted",
        "< have all",
        "< piece 0:0+16384",
    ]


KEY = NOISE(200)
OPENINGS = [HELLO_A, KEY, bytes(200), b"GET / HTTP/1.1"]


@pytest.mark.parametrize("ours", OPENINGS)
@pytest.mark.parametrize("theirs", OPENINGS)
@pytest.mark.parametrize("size", [1, 50, 96, 97, 250])
def test_what_is_spoken_does_not_depend_on_the_chunks(ours, theirs, size):
    said = [(A, ours + HELLO_A), (B, theirs + HELLO_B), (A, Have(1).encode())]
    parts = [(r, data[at : at + size]) for r, data in said for at in range(0, len(data), size)]
    whole, cut = ([line.split(" begins ")[0] for line in told_by(*t)] for t in (said, parts))
    assert cut == whole


def test_a_gap_before_the_handshake():
    trace = Trace()
    observer = Observer(trace)
    observer.receive_gap(A, 10, 0.0)
    observer.receive_data(A, HELLO_A, 0.0)
    observer.receive_data(B, HELLO_B, 0.0)
    assert trace.lines[0].startswith("! lost of the initiator: 10 bytes are missing")
    assert trace.lines[1].startswith("< handshake")
    assert len(trace.lines) == 2
    assert observer.protocol is Protocol.PLAIN


# What is told, as objects


def test_objects_can_be_told_apart():
    seen = []
    observer = Observer(lambda mark, what, now: seen.append((mark, what)))
    observer.receive_data(A, HELLO_A + Piece(0, 0, b"block").encode(), 0.0)
    observer.receive_gap(A, 7, 0.0)
    kinds = [(mark, type(what)) for mark, what in seen]
    assert kinds == [(">", Handshake), (">", Piece), ("!", Lost)]
    assert not isinstance(seen[1][1].block, bytes)  # a view: it is not kept
    assert seen[-1][1] == Lost(A, 7, "what follows is not told apart into messages")


def test_an_extension_of_ones_own_is_not_needed_to_hear_it():
    class Chat(Extension):
        name = "xx_chat"

    trace = Trace()
    observer = Observer(trace)
    a = Wire("initiator", INFO_HASH, OUR_ID, extensions=[Chat])
    b = Wire("responder", INFO_HASH, PEER_ID, extensions=[Chat])
    for _ in range(3):
        for sender, one, other in ((A, a, b), (B, b, a)):
            data = one.data_to_send()
            observer.receive_data(sender, data, 0.0)
            other.receive_data(data, 0.0)
    a.extensions.get(Chat).send(b"hello")
    observer.receive_data(A, a.data_to_send(), 0.0)
    assert trace.lines[-1] == "> extended xx_chat, 5 bytes"
