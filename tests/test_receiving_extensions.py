"""What messages of extensions that are received do to a wire (BEP 10)."""

import pytest

from peerwire.extensions.base import Extension
from peerwire.extensions.lt_donthave import DontHave, LtDontHave
from peerwire.limits import Limits
from peerwire.messages import Extended, Have, HaveAll

from .wires import Trace, broken, extended_wire, open_wire, receive


class Chat(Extension):
    name = "xx_chat"

    def receive(self, payload):
        return payload.decode() or None


def test_an_extended_handshake_is_an_event_of_its_own():
    wire = extended_wire()
    (told,) = receive(wire, Extended(0, b"d4:reqqi30ee"))
    assert told.reqq == 30


def test_a_message_of_an_extension_is_what_the_extension_makes_of_it():
    assert receive(extended_wire(Chat), Extended(1, b"hello"), Extended(1, b"")) == ["hello"]


@pytest.mark.parametrize("known", [10, None])
def test_a_piece_may_be_gone_again(known):
    wire = extended_wire(LtDontHave, num_pieces=known)
    events = receive(wire, HaveAll(), Extended(1, b"\0\0\0\7"))
    assert events == [HaveAll(), DontHave(7)]
    assert 7 not in wire.peer_pieces
    assert 8 in wire.peer_pieces
    assert receive(wire, Have(7)) == [Have(7)]


@pytest.mark.parametrize(
    ("known", "rule"), [(10, "BEP 3, peer messages"), (None, "Limits.max_pieces")]
)
def test_a_piece_that_does_not_exist_is_not_gone(known, rule):
    """Not to have one of 2^32 would take 512 MiB to remember."""
    gone = Extended(1, b"\xff\xff\xff\xff")
    broken(lambda: extended_wire(LtDontHave, num_pieces=known), gone, rule, "don't have 4294967295")


def test_the_extension_protocol_has_to_be_negotiated():
    match = "extended handshake, 2 bytes without the extension protocol"
    broken(open_wire, Extended(0, b"de"), "BEP 10", match)


@pytest.mark.parametrize(
    ("message", "rule", "match"),
    [
        (Extended(0, b"d"), "BEP 10, handshake message", "extended handshake: "),
        (Extended(0, bytes(101)), "Limits.max_extended_handshake", "101 bytes, 100 is the most"),
        (Extended(1, b"\xff"), "extension xx_chat", "codec can't decode"),
    ],
)
def test_an_extension_has_its_rules(message, rule, match):
    limits = Limits(max_extended_handshake=100)
    broken(lambda: extended_wire(Chat, limits=limits), message, rule, match)


def test_an_extended_handshake_may_be_as_long_as_the_limit():
    handshake = b"d1:v94:" + bytes(94) + b"e"
    wire = extended_wire(limits=Limits(max_extended_handshake=len(handshake)))
    (told,) = receive(wire, Extended(0, handshake))
    assert len(told.v) == 94


def test_a_message_with_an_id_that_we_did_not_give_is_handed_out_as_it_is():
    assert receive(extended_wire(Chat), Extended(9, b"hello")) == [Extended(9, b"hello")]


@pytest.mark.parametrize(
    ("message", "match"),
    [
        (Extended(9, b"hello"), "extended id 9, 5 bytes, an id we did not give"),
        (Extended(0, b"d4:reqqi-1ee"), "extended handshake: reqq"),
    ],
)
def test_what_others_let_pass_of_an_extension_is_a_deviation(message, match):
    trace = Trace()
    wire = extended_wire(trace=trace)
    receive(wire, message)
    (note,) = trace.marked("!")
    assert note.startswith(f"deviation: {match}")
    broken(lambda: extended_wire(strict=True), message, "BEP 10", match)
