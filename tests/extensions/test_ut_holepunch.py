import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerwire.errors import LocalProtocolError
from peerwire.extensions.ut_holepunch import (
    Connect,
    PunchError,
    Rendezvous,
    RendezvousFailed,
    UtHolepunch,
    decode,
    relay,
)

from .meeting import Meeting

#: By the text of BEP 55: a byte for the type, one for that of the address, the address, the port
#: and the error code.
EXAMPLES = [
    (Rendezvous("80.4.4.200", 6881), "00 00 500404c8 1ae1 00000000"),
    (Connect("80.4.4.200", 6881), "01 00 500404c8 1ae1 00000000"),
    (
        Rendezvous("2001:db8::7", 80),
        "00 01 20010db8000000000000000000000007 0050 00000000",
    ),
    (Connect("2001:db8::7", 80), "01 01 20010db8000000000000000000000007 0050 00000000"),
    (
        RendezvousFailed("80.4.4.200", 6881, PunchError.NO_SUCH_PEER),
        "02 00 500404c8 1ae1 00000001",
    ),
    (
        RendezvousFailed("80.4.4.200", 6881, PunchError.NOT_CONNECTED),
        "02 00 500404c8 1ae1 00000002",
    ),
    (RendezvousFailed("80.4.4.200", 6881, PunchError.NO_SUPPORT), "02 00 500404c8 1ae1 00000003"),
    (RendezvousFailed("::1", 1, PunchError.NO_SELF), f"02 01 {'00' * 15}01 0001 00000004"),
    (RendezvousFailed("::1", 1, 77), f"02 01 {'00' * 15}01 0001 0000004d"),
]

endpoints = st.tuples(st.ip_addresses().map(str), st.integers(0, 65535))
messages = st.one_of(
    endpoints.map(lambda endpoint: Rendezvous(*endpoint)),
    endpoints.map(lambda endpoint: Connect(*endpoint)),
    st.builds(
        lambda endpoint, error: RendezvousFailed(*endpoint, error),
        endpoints,
        st.integers(0, 2**32 - 1),
    ),
)


@pytest.mark.parametrize(("message", "payload"), EXAMPLES)
def test_the_text_of_bep_55(message, payload):
    payload = bytes.fromhex(payload)
    meeting = Meeting(UtHolepunch)
    meeting.extension.say(message)
    assert meeting.sent() == [payload]
    assert meeting.hear(payload) == [message]
    assert message.endpoint == (message.ip, message.port)


@given(messages)
def test_there_and_back(message):
    read = decode(message.encode())
    assert read == message
    assert type(read) is type(message)


heads = st.sampled_from([bytes((kind, family)) for kind in range(4) for family in range(3)])


@given(st.builds(bytes.__add__, heads, st.binary(max_size=30)) | st.binary(max_size=30))
def test_nothing_but_a_value_error_comes_of_any_bytes(payload):
    try:
        message = decode(payload)
    except ValueError:
        return
    again = message.encode()
    assert len(payload) in (len(again), len(again) - 4)
    assert again[:-4] == payload[: len(again) - 4]


@pytest.mark.parametrize("kind", [Rendezvous, Connect])
def test_libtorrent_leaves_out_the_error_code_where_there_is_none(kind):
    message = kind("127.0.0.1", 6881)
    assert decode(message.encode()[:-4]) == message


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        ("", "it begins with ; "),
        ("00", "it begins with 00; "),
        ("03 00 7f000001 1ae1 00000000", "it begins with 03 00; types of message are 0 to 2"),
        ("00 02 7f000001 1ae1 00000000", "it begins with 00 02; types of message are 0 to 2"),
        ("00 00 7f000001 1a", "it has 7 bytes, not 12"),
        ("00 01 7f000001 1ae1", "it has 8 bytes, not 24"),
        ("00 00 7f000001 1ae1 0000", "it has 10 bytes, not 12"),
        ("00 00 7f000001 1ae1 00000000 00", "it has 13 bytes, not 12"),
        ("00 01 7f000001 1ae1 00000000", "it has 12 bytes, not 24"),
        ("02 00 7f000001 1ae1", "it has 8 bytes, not 12"),
        ("01 01" + "00" * 10_000, "it has 10002 bytes, not 24"),
    ],
)
def test_what_is_none_ends_the_wire(payload, why):
    with pytest.raises(ValueError, match=why):
        decode(bytes.fromhex(payload))
    Meeting(UtHolepunch).violation(bytes.fromhex(payload))


def test_a_peer_that_does_not_speak_it_is_ignored():
    meeting = Meeting(UtHolepunch, m={})
    assert meeting.hear(Rendezvous("127.0.0.1", 6881).encode()) == []
    with pytest.raises(LocalProtocolError, match="has not announced ut_holepunch"):
        meeting.extension.say(Connect("127.0.0.1", 6881))


def test_an_endpoint_that_is_none_is_not_sent():
    meeting = Meeting(UtHolepunch)
    with pytest.raises(LocalProtocolError, match="'localhost', 80 is no IP address and port"):
        meeting.extension.say(Connect("localhost", 80))
    assert meeting.sent() == []


def test_they_are_lines_of_a_log():
    assert [str(message) for message, _ in EXAMPLES[:2] + EXAMPLES[-3:]] == [
        "rendezvous with 80.4.4.200 port 6881",
        "connect to 80.4.4.200 port 6881",
        "no rendezvous with 80.4.4.200 port 6881: no support",
        "no rendezvous with ::1 port 1: no self",
        "no rendezvous with ::1 port 1: 77",
    ]


# The relay

ASKS, WANTED, DEAF, OURS = ("80.0.0.1", 1), ("80.0.0.2", 2), ("80.0.0.3", 3), ("80.0.0.4", 4)
PEERS = {ASKS: True, WANTED: True, DEAF: False}


def test_both_are_told_to_connect_to_each_other():
    assert relay(ASKS, WANTED, PEERS, ours=[OURS]) == [
        (ASKS, Connect(*WANTED)),
        (WANTED, Connect(*ASKS)),
    ]


@pytest.mark.parametrize(
    ("target", "error"),
    [
        (("80.0.0.9", 0), PunchError.NO_SUCH_PEER),
        (("224.0.0.1", 1), PunchError.NO_SUCH_PEER),
        (ASKS, PunchError.NO_SUCH_PEER),
        (("80.0.0.9", 9), PunchError.NOT_CONNECTED),
        (("80.0.0.2", 3), PunchError.NOT_CONNECTED),
        (DEAF, PunchError.NO_SUPPORT),
        (OURS, PunchError.NO_SELF),
    ],
)
def test_who_can_not_be_helped_is_told_why(target, error):
    assert relay(ASKS, target, PEERS, ours=[OURS]) == [(ASKS, RendezvousFailed(*target, error))]


@pytest.mark.parametrize("initiator", [DEAF, ("80.0.0.9", 9)])
def test_who_does_not_speak_it_is_told_nothing(initiator):
    assert relay(initiator, WANTED, PEERS) == []
    assert relay(initiator, ("80.0.0.8", 0), PEERS) == []
