"""The extension protocol (BEP 10), as a wire speaks it."""

import gc
import traceback
import weakref
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerwire.bencode import encode
from peerwire.errors import ConnectionClosed, LocalProtocolError, RemoteProtocolError
from peerwire.extensions.base import Extension
from peerwire.extensions.handshake import ExtendedHandshake
from peerwire.handshake import Handshake, Reserved
from peerwire.limits import Limits
from peerwire.messages import Bitfield, Extended, Have, HaveAll, Interested, Unchoke
from peerwire.pieces import PieceSet
from peerwire.state import State
from peerwire.wire import Wire

from .wires import INFO_HASH, OUR_ID, PEER_ID, Trace, chunked, decode, encoded, receive, sent

BOTH = Reserved.FAST | Reserved.EXTENSION


@dataclass
class Said:
    text: str


class Chat(Extension):
    """Carries text; answers what is asked."""

    name = "xx_chat"

    def handshake(self):
        return {"xx_room": b"lobby"}

    def receive(self, payload):
        text = payload.decode()
        if text.endswith("?"):
            self.say("yes")
        return Said(text) if text else None

    def say(self, text):
        self.send(text.encode())


class Mute(Extension):
    """Allows nothing."""

    name = "xx_mute"

    def receive(self, payload):
        raise ValueError(f"{len(payload)} bytes where silence is the rule")


def peer_says(*, reserved=BOTH):
    return Handshake(INFO_HASH, PEER_ID, reserved).encode()


def told(**keys):
    """The peer's extended handshake."""
    return Extended(0, ExtendedHandshake(**keys).encode())


def extended_wire(*extensions, role="responder", reserved=BOTH, info_hash=INFO_HASH, **options):
    """An open wire whose peer has said no more than its handshake; what we said is taken."""
    wire = Wire(role, info_hash, OUR_ID, reserved=reserved, extensions=extensions, **options)
    wire.receive_data(peer_says(), 0.0)
    wire.data_to_send()
    wire.events_received()
    return wire


def chatting_wire(**options):
    """One whose peer takes messages of the chat with the id 9."""
    wire = extended_wire(Chat, **options)
    receive(wire, told(m={"xx_chat": 9}))
    return wire


def our_handshake(wire):
    """The extended handshake that the wire has to send, which is all that it has to send."""
    (message,) = sent(wire)
    assert message.extended_id == 0
    return ExtendedHandshake.decode(message.payload)


# Whether it is spoken


@pytest.mark.parametrize("role", ["initiator", "responder"])
@pytest.mark.parametrize(
    ("ours", "theirs"), [(BOTH, Reserved.FAST), (Reserved.FAST, BOTH), (Reserved(0), Reserved(0))]
)
def test_it_takes_two(role, ours, theirs):
    wire = Wire(role, INFO_HASH, OUR_ID, reserved=ours, extensions=[Chat])
    wire.receive_data(peer_says(reserved=theirs), 0.0)
    assert not wire.extended
    assert wire.data_to_send()[68:] == b""
    with pytest.raises(LocalProtocolError, match="does not speak the extension protocol"):
        wire.send_extended_handshake()
    with pytest.raises(LocalProtocolError, match="does not speak the extension protocol"):
        wire.switch_extension(Chat, False)
    with pytest.raises(LocalProtocolError, match="has not announced xx_chat"):
        wire.extensions.get(Chat).say("hello")
    assert wire.data_to_send() == b""


@pytest.mark.parametrize("message", [told(), Extended(1, b""), Extended(77, b"xyz")])
def test_a_peer_with_which_it_was_not_negotiated_does_not_use_it(message):
    wire = extended_wire(Chat, reserved=Reserved.FAST)
    with pytest.raises(RemoteProtocolError, match="was not negotiated") as error:
        receive(wire, message)
    assert error.value.rule == "BEP 10"
    assert wire.state is State.CLOSED
    assert wire.events_received() == []


@pytest.mark.parametrize("role", ["initiator", "responder"])
def test_our_extended_handshake_follows_our_handshake(role):
    wire = Wire(
        role, INFO_HASH, OUR_ID, extensions=[Chat, Mute], limits=Limits(max_peer_requests=77)
    )
    first = wire.data_to_send()
    assert len(first) == (68 if role == "initiator" else 0)  # it can't know yet
    wire.receive_data(peer_says(), 0.0)
    data = first + wire.data_to_send()
    assert Reserved.EXTENSION in Handshake.decode(data[:68]).reserved
    (message,) = decode(data[68:])
    assert message.extended_id == 0
    handshake = ExtendedHandshake.decode(message.payload)
    assert handshake.m == {"xx_chat": 1, "xx_mute": 2}
    assert handshake.reqq == 77
    assert handshake.v.startswith("peerwire ")
    assert handshake.unknown == {b"xx_room": b"lobby"}
    assert wire.extended
    assert wire.extensions.sent


def test_so_does_that_of_a_responder_that_decides_late():
    wire = Wire("responder", None, OUR_ID, extensions=[Chat])
    wire.receive_data(peer_says() + encoded(told(m={"xx_chat": 4}), Have(3)), 0.0)
    assert wire.data_to_send() == b""
    wire.extensions.ours.p = 6881  # there is time to change it until it is sent
    wire.accept(num_pieces=10)
    data = wire.data_to_send()
    (message,) = decode(data[68:])
    assert ExtendedHandshake.decode(message.payload).p == 6881
    assert wire.events_received()[1:] == [ExtendedHandshake(m={"xx_chat": 4}), Have(3)]


# The peer's extended handshake


def test_it_is_an_event_and_kept():
    wire = extended_wire(Chat)
    assert wire.extensions.peer is None
    message = ExtendedHandshake(m={"xx_chat": 3}, v="Other 1.0", p=6881, unknown={b"e": 1})
    assert receive(wire, Extended(0, message.encode())) == [message]
    assert wire.extensions.peer == message
    assert wire.extensions.get(Chat).supported


def test_it_may_be_sent_again_and_adds_up():
    wire = extended_wire(Chat, Mute)
    chat, mute = wire.extensions
    receive(wire, told(m={"xx_chat": 3}, p=5))
    assert receive(wire, told(m={"xx_mute": 4})) == [ExtendedHandshake(m={"xx_mute": 4})]
    assert wire.extensions.peer == ExtendedHandshake(m={"xx_chat": 3, "xx_mute": 4}, p=5)
    assert chat.supported
    assert mute.supported


def test_messages_go_out_with_the_latest_id():
    wire = chatting_wire()
    chat = wire.extensions.get(Chat)
    chat.say("one")
    receive(wire, told(m={"xx_chat": 200}))
    chat.say("two")
    assert sent(wire) == [Extended(9, b"one"), Extended(200, b"two")]


def test_the_id_0_switches_an_extension_off():
    wire = chatting_wire()
    chat = wire.extensions.get(Chat)
    receive(wire, told(m={"xx_chat": 0}))
    assert not chat.supported
    with pytest.raises(LocalProtocolError, match="has not announced xx_chat"):
        chat.say("anybody there?")
    with pytest.raises(LocalProtocolError, match="does not speak xx_chat"):
        wire.send_extended(chat, b"anybody there?")
    assert wire.data_to_send() == b""
    receive(wire, told(m={"xx_chat": 9}))
    chat.say("back")
    assert sent(wire) == [Extended(9, b"back")]


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        (b"", "bencod"),
        (b"no bencode", "bencod"),
        (b"le", "is a dictionary"),
        (b"l" * 30_000 + b"e" * 30_000, "deep"),
        (b"d1:v-5:e", "byte 4"),
        (b"d1:v70000:e", "byte 4"),
    ],
)
def test_one_that_is_none_ends_the_wire(payload, why):
    wire = extended_wire(Chat)
    with pytest.raises(RemoteProtocolError, match=why) as error:
        receive(wire, Extended(0, payload))
    assert "BEP 10, handshake message" in error.value.rule
    assert wire.closed.__cause__ is error.value
    assert error.value.__cause__ is not None


def test_one_that_is_too_long_is_not_even_looked_at():
    wire = extended_wire(limits=Limits(max_extended_handshake=100))
    receive(wire, Extended(0, encode({"x": bytes(92)})))
    with pytest.raises(RemoteProtocolError, match="handshake of 101 bytes, 100 is the") as error:
        receive(wire, Extended(0, b"\xff" * 101))
    assert error.value.rule == "Limits.max_extended_handshake"


def test_a_value_that_makes_no_sense_is_a_deviation():
    trace = Trace()
    wire = extended_wire(Chat, trace=trace)
    message = Extended(0, encode({"metadata_size": 2**63, "m": {"xx_chat": 256}, "p": 7}))
    assert receive(wire, message) == [ExtendedHandshake(p=7)]
    assert not wire.extensions.get(Chat).supported
    assert [line.split(" (")[0] for line in trace.marked("!")] == [
        "deviation: extended handshake: m: the id of b'xx_chat' is a byte, 0 to 255",
        f"deviation: extended handshake: metadata_size: it is a number from 1 to {2**63 - 1}",
    ]


def test_and_ends_a_strict_wire():
    wire = extended_wire(strict=True)
    with pytest.raises(RemoteProtocolError, match="p: it is a number from 1 to 65535"):
        receive(wire, Extended(0, encode({"p": 0})))


@given(st.binary(max_size=60))
def test_no_bytes_do_worse_than_to_end_the_wire(payload):
    wire = extended_wire(Chat)
    try:
        events = receive(wire, Extended(0, payload))
    except RemoteProtocolError:
        assert wire.state is State.CLOSED
    else:
        assert [type(event) for event in events] == [ExtendedHandshake]


# What it says of requests


def test_the_peers_reqq_limits_our_requests():
    wire = extended_wire(limits=Limits(max_requests=3))
    receive(wire, Unchoke())
    assert wire.max_requests == 3
    receive(wire, told(reqq=2))
    assert wire.max_requests == 2
    for index in range(2):
        wire.send_request(index, 0, 16384)
    with pytest.raises(LocalProtocolError, match="2 requests are pending") as error:
        wire.send_request(2, 0, 16384)
    assert "reqq" in error.value.rule
    assert len(sent(wire)) == 2
    receive(wire, told(reqq=1000))
    assert wire.max_requests == 3


# Messages


def test_a_message_of_an_extension_is_what_it_makes_of_it():
    wire = chatting_wire()
    assert receive(wire, Extended(1, b"hello"), Extended(1, b"")) == [Said("hello")]


def test_it_may_come_from_a_peer_that_does_not_speak_it_itself():
    # BEP 54 says so of lt_donthave; nothing in BEP 10 forbids it.
    wire = extended_wire(Chat)
    assert receive(wire, Extended(1, b"hello")) == [Said("hello")]


def test_it_may_be_answered_at_once():
    wire = chatting_wire()
    assert receive(wire, Extended(1, b"here?")) == [Said("here?")]
    assert sent(wire) == [Extended(9, b"yes")]


@given(st.lists(st.integers(0, 200), max_size=6))
def test_it_is_the_same_in_any_chunks(cuts):
    wire = chatting_wire()
    messages = [Extended(1, b"hello"), Have(1), told(p=4), Extended(1, b"bye")]
    for chunk in chunked(encoded(*messages), cuts):
        wire.receive_data(chunk, 0.0)
    assert wire.events_received() == [Said("hello"), Have(1), ExtendedHandshake(p=4), Said("bye")]


def test_the_log_calls_it_by_its_name():
    trace = Trace()
    wire = chatting_wire(trace=trace)
    receive(wire, Extended(1, b"here?"))
    assert trace.marked(">")[1].startswith("extended handshake, ")
    assert trace.marked(">")[2:] == ["extended xx_chat, 3 bytes"]
    assert trace.marked("<")[1].startswith("extended handshake, ")
    assert trace.marked("<")[2:] == ["extended xx_chat, 5 bytes"]


def test_what_the_extension_does_not_allow_ends_the_wire_and_names_it():
    wire = extended_wire(Chat, Mute)
    with pytest.raises(RemoteProtocolError, match="where silence is the rule") as error:
        receive(wire, Extended(1, b"fine"), Extended(2, b"noise"), Extended(1, b"late"))
    assert error.value.rule == "extension xx_mute"
    assert type(error.value.__cause__) is ValueError
    assert wire.closed.by == "us"
    assert wire.closed.__cause__ is error.value
    assert wire.events_received() == [Said("fine")]


def test_an_id_that_we_did_not_give_is_a_deviation_and_handed_out_raw():
    trace = Trace()
    wire = extended_wire(Chat, trace=trace)
    assert receive(wire, Extended(2, b"?")) == [Extended(2, b"?")]
    assert trace.marked("!") == [
        "deviation: extended id 2, 1 bytes, an id we did not give (BEP 10: ids are the receiver's)"
    ]


def test_and_ends_a_strict_wire_too():
    wire = extended_wire(Chat, strict=True)
    with pytest.raises(RemoteProtocolError, match="an id we did not give") as error:
        receive(wire, Extended(2, b"?"))
    assert error.value.rule.startswith("BEP 10")


def test_nothing_is_sent_on_a_wire_that_is_over():
    wire = chatting_wire()
    wire.close()
    with pytest.raises(ConnectionClosed):
        wire.extensions.get(Chat).say("hello")


# Ours, switched and added


def test_an_extension_is_switched_off_and_on_again():
    wire = chatting_wire()
    wire.switch_extension(Chat, False)
    assert our_handshake(wire).m == {"xx_chat": 0}
    assert receive(wire, Extended(1, b"on its way when we switched it off")) == []
    wire.extensions.get(Chat).say("we may still say something")
    assert sent(wire) == [Extended(9, b"we may still say something")]
    wire.switch_extension(Chat, True)
    assert our_handshake(wire).m == {"xx_chat": 1}
    assert receive(wire, Extended(1, b"again")) == [Said("again")]


def test_only_what_is_there_is_switched():
    wire = chatting_wire()
    with pytest.raises(LocalProtocolError, match="Mute is not among"):
        wire.switch_extension(Mute, False)
    assert wire.data_to_send() == b""


def test_what_we_tell_may_change():
    wire = chatting_wire()
    wire.extensions.ours.upload_only = True
    wire.send_extended_handshake()
    assert our_handshake(wire).upload_only is True


def test_one_is_added_until_our_handshake_is_sent():
    wire = Wire("responder", None, OUR_ID, extensions=[Chat])
    mute = wire.extensions.add(Mute)
    wire.receive_data(peer_says(), 0.0)
    wire.accept()
    assert mute in wire.extensions
    with pytest.raises(LocalProtocolError, match="xx_late comes too late"):
        wire.extensions.add(type("Late", (Extension,), {"name": "xx_late"}))


def test_none_is_there_twice():
    with pytest.raises(LocalProtocolError, match="two extensions called xx_chat"):
        Wire("initiator", INFO_HASH, OUR_ID, extensions=[Chat, Mute, Chat])


def test_256_are_too_many():
    many = [type("Many", (Extension,), {"name": f"xx_{n}"}) for n in range(256)]
    with pytest.raises(LocalProtocolError, match="255 extensions already"):
        Wire("initiator", INFO_HASH, OUR_ID, extensions=many)
    extended_wire(*many[:255])


# A bitfield is the first message all the same


@pytest.mark.parametrize("announcement", [Bitfield(b"\x80"), HaveAll()])
def test_the_peers_bitfield_may_follow_its_extended_handshake(announcement):
    wire = extended_wire(Chat, strict=True, num_pieces=1)
    events = receive(wire, told(), Extended(1, b"hello"), announcement)
    assert events == [ExtendedHandshake(), Said("hello"), announcement]
    assert 0 in wire.peer_pieces


def test_but_no_other_message():
    wire = extended_wire(strict=True, num_pieces=1)
    with pytest.raises(RemoteProtocolError, match="after other messages"):
        receive(wire, told(), Interested(), told(), Bitfield(b"\x80"))


def test_our_bitfield_may_follow_our_extended_handshake():
    wire = chatting_wire(num_pieces=8)
    wire.extensions.get(Chat).say("wait")
    wire.announce(PieceSet(8, [1]))
    assert sent(wire) == [Extended(9, b"wait"), Bitfield(b"\x40")]


@pytest.mark.parametrize(
    "message",
    [
        Bitfield(bytes(50_000)),
        Extended(0, b"d1:v" + b"9" * 50_000),
        Extended(0, b"d1:x50000:" + bytes(40_000)),
        Extended(1, b"\xff" * 50_000),
    ],
)
def test_what_broke_a_rule_is_not_kept_with_the_error(message):
    """The error may be kept for each address that was ever dialled."""
    wire = extended_wire(Chat, num_pieces=10)
    with pytest.raises(RemoteProtocolError) as caught:
        receive(wire, message)
    behind, frames = caught.value.__context__, 0
    assert behind is not None
    while behind is not None:
        for frame, _ in traceback.walk_tb(behind.__traceback__):
            frames += 1
            assert not [v for v in frame.f_locals.values() if len(str(v)) > 10_000]
        behind = behind.__context__
    assert frames, "it is still told where it came from"


def test_an_extension_of_a_wire_that_is_over_can_say_nothing():
    wire = chatting_wire()
    chat = wire.extensions.get(Chat)
    wire.close("enough")
    with pytest.raises(ConnectionClosed, match="enough"):
        chat.say("wait")


def test_a_wire_that_is_over_takes_no_garbage_collector_to_be_gone():
    wire = chatting_wire()
    here = weakref.ref(wire)
    wire.close()
    gc.disable()
    try:
        del wire
        assert here() is None
    finally:
        gc.enable()
