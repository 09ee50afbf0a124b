import struct

import pytest

from peerwire.errors import LocalProtocolError, RemoteProtocolError
from peerwire.extensions.base import Extension
from peerwire.extensions.handshake import ExtendedHandshake
from peerwire.extensions.registry import MAX_HANDSHAKES, Extensions, our_handshake
from peerwire.version import __version__


class Alpha(Extension):
    """Hands out what it hears, as text; an empty message is nothing to be seen."""

    name = "xx_alpha"

    def __init__(self):
        super().__init__()
        self.heard = []

    def handshake(self):
        return {"xx_key": 5}

    def handshake_received(self, handshake):
        self.heard.append((self.supported, handshake.p))
        if handshake.p == 13:
            raise ValueError("13 is no port for this")

    def receive(self, payload):
        return payload.decode() or None


class Beta(Extension):
    """Reads a number of two bytes."""

    name = "xx_beta"

    def receive(self, payload):
        return struct.unpack(">H", payload)[0]


def named(name):
    return type(name, (Extension,), {"name": name})


def never(extension, payload):
    raise AssertionError("nothing is to be sent")


def registry(*factories, ours=None):
    return Extensions(factories, never, ExtendedHandshake() if ours is None else ours)


def told(**keys):
    return ExtendedHandshake(**keys).encode()


# Ours


def test_each_is_given_an_id_of_its_own():
    extensions = registry(Alpha, Beta)
    alpha, beta = extensions
    assert extensions.handshake().m == {"xx_alpha": 1, "xx_beta": 2}
    assert extensions.named(1) is alpha
    assert extensions.named(2) is beta
    assert extensions.named(3) is None
    assert extensions.get(Alpha) is alpha
    assert extensions.get(Beta) is beta
    assert extensions.get(Extension) is alpha


def test_a_wire_has_instances_of_its_own():
    assert registry(Alpha).get(Alpha) is not registry(Alpha).get(Alpha)


def test_what_is_not_there_is_not_got():
    with pytest.raises(LocalProtocolError, match=r"Beta is not among .* connect, serve or Wire"):
        registry(Alpha).get(Beta)
    assert registry(Alpha).find(Beta) is None


def test_messages_have_names_in_a_log():
    extensions = registry(Alpha)
    assert [extensions.label(number) for number in (0, 1, 2)] == ["handshake", "xx_alpha", ""]


def test_our_handshake_has_what_we_tell_and_what_extensions_add():
    extensions = registry(Alpha, Beta, ours=our_handshake(reqq=7))
    ours = extensions.ours
    assert ours == ExtendedHandshake(v=f"peerwire {__version__}", reqq=7)
    ours.p = 6881
    ours.unknown[b"e"] = 1
    assert extensions.handshake() == ExtendedHandshake(
        m={"xx_alpha": 1, "xx_beta": 2},
        v=f"peerwire {__version__}",
        reqq=7,
        p=6881,
        unknown={b"e": 1, b"xx_key": 5},
    )
    assert ours.m == {}
    assert ours.unknown == {b"e": 1}


def test_what_one_wire_says_no_other_does():
    one, other = (registry(ours=our_handshake(reqq=7)) for _ in range(2))
    one.ours.p = 6881
    assert one.handshake().p == 6881
    assert one.ours is one.ours
    assert other.handshake().p is None
    assert other.ours == our_handshake(reqq=7)


def test_the_peer_is_told_its_address():
    extensions = registry()
    extensions.yourip = "10.0.0.1"
    assert extensions.handshake().yourip == extensions.ours.yourip == "10.0.0.1"
    extensions.ours.yourip = "10.0.0.2"
    assert extensions.handshake().yourip == "10.0.0.2"


def test_one_that_is_off_has_the_id_0():
    extensions = registry(Alpha, Beta)
    extensions.get(Alpha).enabled = False
    assert extensions.handshake().m == {"xx_alpha": 0, "xx_beta": 2}
    extensions.get(Alpha).enabled = True
    assert extensions.handshake().m == {"xx_alpha": 1, "xx_beta": 2}


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        ("p", 0, "p = 0: it is a number from 1 to 65535"),
        ("v", 5, "v = 5: it is a string"),
        ("m", {}, "m = {}: it is made of the names"),
        ("xx_key", 1.5, "xx_key = 1.5: bencode has no float"),
    ],
)
def test_an_extension_that_adds_nonsense_is_named(key, value, why):
    class Confused(Extension):
        name = "xx_confused"

        def handshake(self):
            return {key: value}

    with pytest.raises(LocalProtocolError, match=f"xx_confused adds {why}") as error:
        registry(Confused).handshake()
    assert error.value.__cause__ is not None


def test_none_is_added_twice():
    with pytest.raises(LocalProtocolError, match="two extensions called xx_alpha"):
        registry(Alpha, Alpha)


def test_none_is_added_late():
    extensions = registry(Alpha)
    assert extensions.add(Beta) is extensions.get(Beta)
    extensions.sent = True
    with pytest.raises(LocalProtocolError, match="xx_gamma comes too late"):
        extensions.add(named("xx_gamma"))
    assert extensions.handshake().m == {"xx_alpha": 1, "xx_beta": 2}


def test_there_are_as_many_as_a_byte_can_number():
    extensions = registry(*(named(f"xx_{n}") for n in range(255)))
    assert sorted(extensions.handshake().m.values()) == list(range(1, 256))
    with pytest.raises(LocalProtocolError, match="255 extensions already"):
        extensions.add(named("xx_255"))


# The peer's


def test_before_its_handshake_nothing_is_known():
    extensions = registry(Alpha)
    assert extensions.peer is None
    assert extensions.peer_id_of("xx_alpha") is None
    assert not extensions.get(Alpha).supported


def test_its_ids_are_what_we_send_with():
    extensions = registry(Alpha, Beta)
    handshake = extensions.receive_handshake(told(m={"xx_beta": 7, "zz": 1}, p=5))
    assert handshake == extensions.peer == ExtendedHandshake(m={"xx_beta": 7, "zz": 1}, p=5)
    assert extensions.peer_id_of("xx_alpha") is None
    assert extensions.peer_id_of("xx_beta") == 7
    assert [extension.supported for extension in extensions] == [False, True]


def test_later_handshakes_add_up_and_0_switches_off():
    extensions = registry(Alpha, Beta)
    alpha, beta = extensions
    extensions.receive_handshake(told(m={"xx_alpha": 3}, p=5))
    extensions.receive_handshake(told(m={"xx_beta": 4}))
    assert (alpha.supported, beta.supported) == (True, True)
    handshake = extensions.receive_handshake(told(m={"xx_alpha": 0}))
    assert handshake == ExtendedHandshake(m={"xx_alpha": 0})
    assert extensions.peer == ExtendedHandshake(m={"xx_alpha": 0, "xx_beta": 4}, p=5)
    assert (alpha.supported, beta.supported) == (False, True)
    assert extensions.peer_id_of("xx_alpha") is None
    assert alpha.heard == [(True, 5), (True, 5), (False, 5)]


def test_a_handshake_that_is_none_is_an_error():
    with pytest.raises(ValueError, match="is a dictionary"):
        registry().receive_handshake(b"le")


def test_there_is_an_end_to_handshakes():
    extensions = registry()
    payload = told(unknown={b"x": bytes(60_000)})
    for _ in range(MAX_HANDSHAKES // len(payload)):
        extensions.receive_handshake(payload)
    with pytest.raises(ValueError, match="all of them together have over 1048576 bytes"):
        extensions.receive_handshake(payload)


def test_an_extension_may_object_to_it():
    with pytest.raises(RemoteProtocolError, match="13 is no port for this") as error:
        registry(Alpha).receive_handshake(told(p=13))
    assert error.value.rule == "extension xx_alpha"
    assert isinstance(error.value.__cause__, ValueError)


# Messages


def test_an_extension_is_given_its_messages():
    extensions = registry(Alpha, Beta)
    assert extensions.receive(extensions.get(Alpha), b"hello") == "hello"
    assert extensions.receive(extensions.get(Alpha), b"") is None
    assert extensions.receive(extensions.get(Beta), b"\1\0") == 256


def test_one_that_is_off_is_given_none():
    extensions = registry(Alpha)
    alpha = extensions.get(Alpha)
    alpha.enabled = False
    assert extensions.receive(alpha, b"\xff is not even text") is None


@pytest.mark.parametrize(
    ("kind", "cause"), [(Alpha, UnicodeDecodeError), (Beta, struct.error)], ids=["text", "struct"]
)
def test_what_it_does_not_allow_is_the_peers_fault_and_names_it(kind, cause):
    extensions = registry(kind)
    extension = extensions.get(kind)
    with pytest.raises(RemoteProtocolError) as error:
        extensions.receive(extension, b"\xff")
    assert error.value.rule == f"extension {extension.name}"
    assert isinstance(error.value.__cause__, cause)
    assert str(error.value.__cause__) in str(error.value)


def test_its_own_mistakes_are_not_the_peers():
    class Broken(Extension):
        name = "xx_broken"

        def receive(self, payload):
            return {}[payload]

    extensions = registry(Broken)
    with pytest.raises(KeyError):
        extensions.receive(extensions.get(Broken), b"x")
