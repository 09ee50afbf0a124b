import functools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from peerwire.bencode import decode, encode
from peerwire.errors import BencodeError, LocalProtocolError
from peerwire.extensions.compact import is_usable, pack
from peerwire.extensions.ut_pex import (
    BURST,
    MAX_CONTACTS,
    MAX_MESSAGE,
    MAX_SENT,
    PERIOD,
    PexFlags,
    PexMessage,
    PexPeer,
    UtPex,
)

from .meeting import Meeting

A = PexPeer("80.4.4.200", 6881, PexFlags.OUTGOING | PexFlags.UPLOAD_ONLY)
B = PexPeer("127.0.0.1", 1)
SIX = PexPeer("2001:db8::7", 51413, PexFlags.HOLEPUNCH)


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


class Pex(Meeting):
    """One whose clock moves when it is told to."""

    def __init__(self, *, port=None, **told):
        self.clock = Clock()
        super().__init__(functools.partial(UtPex, self.clock, port=port), **told)

    def update(self, *peers, after=0.0):
        self.clock.now += after
        return self.extension.update(self.clock.now, peers)

    def told(self):
        """The messages sent since the last look."""
        return [PexMessage.decode(payload) for payload in self.sent()]


def numbered(numbers, **options):
    return [PexPeer(f"80.1.{n // 256}.{n % 256}", 6881, **options) for n in numbers]


# Messages


def test_both_families_their_flags_and_who_is_gone():
    message = PexMessage([A, SIX, B], [PexPeer("10.0.0.1", 2), PexPeer("::1", 3)])
    payload = message.encode()
    assert decode(payload) == {
        b"added": bytes.fromhex("500404c81ae1 7f0000010001"),
        b"added.f": b"\x12\0",
        b"added6": bytes.fromhex("20010db8000000000000000000000007c8d5"),
        b"added6.f": b"\x08",
        b"dropped": bytes.fromhex("0a0000010002"),
        b"dropped6": bytes(15) + b"\1\0\3",
    }
    read = PexMessage.decode(payload)
    assert read.added == [A, B, SIX]
    assert read.dropped == message.dropped
    assert str(read) == "pex 3 added, 2 dropped"


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        # Transmission 3.00 to the one peer that it has, of itself; aria2 1.36.0 to the same
        (
            b"d5:added6:\x7f\0\0\x01\x99\xcb7:added.f1:\0e",
            PexMessage([PexPeer("127.0.0.1", 39371)]),
        ),
        (b"de", PexMessage()),
    ],
)
def test_what_clients_send(payload, message):
    assert PexMessage.decode(payload) == message
    assert message.encode() == payload


usable = st.tuples(st.ip_addresses().map(str), st.integers(1, 65535)).filter(
    lambda endpoint: is_usable(*endpoint)
)
peers = st.lists(
    st.builds(lambda at, flags: PexPeer(*at, PexFlags(flags)), usable, st.integers(0, 255)),
    max_size=20,
    unique_by=lambda peer: peer.endpoint,
)


@given(peers, peers)
def test_there_and_back(added, dropped):
    dropped = [PexPeer(*peer.endpoint) for peer in dropped]
    read = PexMessage.decode(PexMessage(added, dropped).encode())
    assert sorted(read.added) == sorted(added)
    assert sorted(read.dropped) == sorted(dropped)


keys = st.sampled_from(["added", "added.f", "added6", "added6.f", "dropped", "dropped6", "x"])
garbage = st.dictionaries(keys, st.binary(max_size=40) | st.integers(-9, 9) | st.just([b"x"]))


@given(st.binary(max_size=60) | garbage.map(lambda found: encode(found)))
def test_nothing_but_a_value_error_comes_of_any_bytes(payload):
    try:
        message = PexMessage.decode(payload)
    except ValueError:
        return
    assert all(is_usable(*peer.endpoint) for peer in message.added + message.dropped)


def test_flags_without_a_name_are_kept():
    (peer,) = PexMessage.decode(encode({"added": pack("10.0.0.1", 1), "added.f": b"\xe2"})).added
    assert peer.flags == 0xE2
    assert PexFlags.UPLOAD_ONLY in peer.flags
    assert PexMessage([peer]).encode() == encode({"added": pack("10.0.0.1", 1), "added.f": b"\xe2"})


@pytest.mark.parametrize("flags", [{}, {"added.f": b""}, {"added.f": b"\1\2\3"}, {"added.f": 5}])
def test_flags_that_do_not_fit_are_none(flags):
    endpoints = pack("10.0.0.1", 1) + pack("10.0.0.2", 2)
    message = PexMessage.decode(encode({"added": endpoints} | flags))
    assert message.added == [PexPeer("10.0.0.1", 1), PexPeer("10.0.0.2", 2)]


@pytest.mark.parametrize("ip", ["0.0.0.0", "224.0.0.1", "255.255.255.255", "ff02::1", "::"])
def test_contacts_where_no_peer_can_be_are_left_out(ip):
    unusable = [PexPeer(ip, 6881), PexPeer("10.0.0.1", 0)]
    read = PexMessage.decode(PexMessage([*unusable, A, SIX], [*unusable, B]).encode())
    assert read == PexMessage([A, SIX], [B])


def test_contacts_that_are_there_twice_count_once():
    again = PexPeer(A.ip, A.port, PexFlags.UTP)
    assert PexMessage.decode(PexMessage([A, again, A], [B, B]).encode()) == PexMessage([A], [B])


def test_of_a_great_many_the_first_are_looked_at():
    added, dropped = numbered(range(5000)), numbered(range(5000, 10_000))
    read = PexMessage.decode(PexMessage(added, dropped).encode())
    assert read == PexMessage(added[:MAX_CONTACTS], dropped[:MAX_CONTACTS])


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        (b"", "byte 0"),
        (b"d5:added", "byte 8"),
        (b"l" * 100_000, "deep"),
        (b"d5:added-6:e", "byte 8"),
        (encode({f"x{n:03}": 1 for n in range(100)}), "max_items"),
    ],
)
def test_what_is_not_bencode_ends_the_wire(payload, why):
    with pytest.raises(BencodeError, match=why):
        PexMessage.decode(payload)
    assert why in Pex().violation(payload)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ([], "is a dictionary"),
        ({"added": bytes(5)}, "added is a string of 6 bytes a contact"),
        ({"added": bytes(7)}, "added is a string of 6 bytes a contact"),
        ({"added": 5}, "added is a string of 6 bytes a contact"),
        ({"added": [bytes(6)]}, "added is a string of 6 bytes a contact"),
        ({"added6": bytes(6)}, "added6 is a string of 18 bytes a contact"),
        ({"dropped": bytes(18 * 3 + 1)}, "dropped is a string of 6 bytes a contact"),
        ({"dropped6": {}}, "dropped6 is a string of 18 bytes a contact"),
    ],
)
def test_contacts_are_whole_endpoints(value, why):
    assert why in Pex().violation(encode(value))


@pytest.mark.parametrize("peer", [PexPeer("localhost", 1), PexPeer("10.0.0.1", 65536)])
def test_what_is_no_contact_is_not_sent(peer):
    pex = Pex()
    with pytest.raises(LocalProtocolError, match="no IP address and port"):
        pex.update(peer)
    assert pex.sent() == []
    assert pex.update(A) is not None


# Receiving


def test_a_message_is_an_event():
    assert Pex().hear(PexMessage([A], [B]).encode()) == [PexMessage([A], [B])]


def test_the_longest_message():
    def of_length(length):
        payload = encode({"x": b""})
        return encode({"x": bytes(length - len(payload) - 5)})

    longest = of_length(MAX_MESSAGE)
    assert len(longest) == MAX_MESSAGE
    assert Pex().hear(longest) == [PexMessage()]
    assert "512001 bytes, 512000 is the most read" in Pex().violation(of_length(MAX_MESSAGE + 1))


def test_a_connection_that_was_held_up_may_bring_several_at_once():
    pex = Pex()
    for _ in range(BURST):
        assert pex.hear(b"de") == [PexMessage()]
    assert "more than 6 messages in 60 s" in pex.violation(b"de")


def test_the_minute_goes_on():
    pex = Pex()
    for _ in range(100):
        pex.hear(b"de")
        pex.clock.now += PERIOD / BURST
    pex.clock.now -= 0.001
    assert "more than 6 messages in 60 s" in pex.violation(b"de")


def test_a_flood_of_nonsense_is_one_all_the_same():
    pex = Pex()
    for _ in range(BURST):
        with pytest.raises(ValueError, match="dictionary"):
            pex.extension.receive(b"le")
    with pytest.raises(ValueError, match="more than 6"):
        pex.extension.receive(b"le")


# Sending


def test_the_port_is_told_where_there_is_one():
    assert Pex(port=6881).handshake.p == 6881
    assert Pex().handshake.p is None


def test_the_first_message_is_sent_at_once_and_the_next_after_a_minute():
    pex = Pex()
    assert pex.update(A, SIX) == PexMessage([A, SIX])
    assert pex.update(A, B, after=PERIOD - 0.001) is None
    assert pex.update(A, B, after=0.001) == PexMessage([B], [PexPeer(SIX.ip, SIX.port)])
    assert pex.told() == [PexMessage([A, SIX]), PexMessage([B], [PexPeer(SIX.ip, SIX.port)])]


def test_who_came_and_went_in_between_is_not_told():
    pex = Pex()
    pex.update(A)
    pex.update(A, B, after=10)
    pex.update(after=10)
    assert pex.update(A, after=PERIOD) is None
    assert len(pex.sent()) == 1


def test_no_change_is_no_message_and_takes_no_turn():
    pex = Pex()
    assert pex.update() is None
    assert pex.update(A) == PexMessage([A])
    assert pex.update(A, after=5 * PERIOD) is None
    assert pex.update(after=1) == PexMessage(dropped=[PexPeer(A.ip, A.port)])


def test_flags_are_told_once():
    pex = Pex()
    pex.update(A)
    assert pex.update(PexPeer(A.ip, A.port), after=PERIOD) is None


def test_what_does_not_fit_is_left_for_the_next():
    pex = Pex()
    before, after = numbered(range(120)), numbered(range(120, 180))
    assert pex.update(*before) == PexMessage(before[:50])
    assert pex.update(*before, after=PERIOD) == PexMessage(before[50:100])
    assert pex.update(*after, after=PERIOD) == PexMessage(after[:50], before[:50])
    assert pex.update(*after, after=PERIOD) == PexMessage(after[50:], before[50:100])
    assert pex.update(*after, after=PERIOD) is None
    assert len(pex.sent()) == 4


def test_nothing_is_sent_to_a_peer_that_does_not_speak_it():
    pex = Pex(m={})
    assert pex.update(A) is None
    assert pex.sent() == []
    pex.tell(m={"ut_pex": 30})
    assert pex.update(A) == PexMessage([A])


def test_who_is_not_to_be_looked_at_is_not():
    pex = Pex()
    pex.update(A)
    assert pex.extension.update(pex.clock.now, never()) is None


def never():
    raise AssertionError("it is not time to look at this")
    yield


class Account(RuleBasedStateMachine):
    """What the receiver knows, from the messages alone, is what it was to be told of."""

    def __init__(self):
        super().__init__()
        self.pex = Pex()
        self.last = None
        self.numbers = []
        self.here = {}
        self.known = {}

    @rule(numbers=st.sets(st.integers(0, 150), max_size=150), seconds=st.integers(0, 100))
    def change(self, numbers, seconds):
        self.numbers = sorted(numbers)
        self.here = {peer.endpoint: peer for peer in numbered(self.numbers)}
        message = self.pex.update(*self.here.values(), after=seconds)
        assert self.pex.told() == ([] if message is None else [message])
        if message is None:
            return
        assert self.last is None or self.pex.clock.now - self.last >= PERIOD
        self.last = self.pex.clock.now
        added = {peer.endpoint for peer in message.added}
        dropped = {peer.endpoint for peer in message.dropped}
        assert len(message.added) == len(added) <= MAX_SENT
        assert len(message.dropped) == len(dropped) <= MAX_SENT
        assert not added & dropped
        assert dropped <= self.known.keys()
        assert not added & self.known.keys()
        self.known |= dict.fromkeys(added)
        for endpoint in dropped:
            del self.known[endpoint]

    @rule()
    def wait(self):
        for _ in range(4):  # at most 151 to be added, and as many to be dropped
            self.change(numbers=self.numbers, seconds=PERIOD)
        assert self.known.keys() == self.here.keys()


TestAccount = Account.TestCase
