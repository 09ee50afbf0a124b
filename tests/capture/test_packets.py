"""Frames to segments, through every link layer that is read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerwire.capture.packets import Flags, LinkType, Segment, segment_of

from .packets import A6, B6, A, B, ipv4, ipv6, tcp

SEGMENT = Segment(A, B, 5, 9, Flags.ACK, b"data", 4)
PACKET = ipv4(tcp(b"data", seq=5, ack=9))
MACS = bytes(12)
SLL = bytes(14)
VLAN = bytes.fromhex("8100 0007")

FRAMES = {
    "ethernet": (1, MACS + b"\x08\x00" + PACKET),
    "a virtual network": (1, MACS + VLAN + b"\x08\x00" + PACKET),
    "one in another": (1, MACS + bytes.fromhex("88a8 0001") + VLAN + b"\x08\x00" + PACKET),
    "null, little end first": (0, b"\x02\0\0\0" + PACKET),
    "loop": (108, b"\0\0\0\x02" + PACKET),
    "raw": (101, PACKET),
    "raw of BSD": (12, PACKET),
    "raw of OpenBSD": (14, PACKET),
    "IPv4 alone": (228, PACKET),
    "cooked": (113, SLL + b"\x08\x00" + PACKET),
    "cooked, with a tag": (113, SLL + VLAN + b"\x08\x00" + PACKET),
    "cooked v2": (276, b"\x08\x00" + bytes(18) + PACKET),
    "cooked v2, with a tag": (276, b"\x81\x00" + bytes(18) + b"\x00\x07\x08\x00" + PACKET),
}


@pytest.mark.parametrize("name", FRAMES)
def test_link_layers(name):
    link_type, frame = FRAMES[name]
    assert segment_of(link_type, frame, len(frame)) == SEGMENT


@pytest.mark.parametrize("kind", [0x86DD, 0x0806])
def test_what_ethernet_carries_is_told_by_its_type(kind):
    frame = MACS + kind.to_bytes(2) + ipv6(tcp(b"data"))
    found = segment_of(1, frame, len(frame))
    assert (found is not None) == (kind == 0x86DD)


@pytest.mark.parametrize("link_type", LinkType)
def test_what_is_cut_off_before_the_data_is_nothing(link_type):
    heads = [frame for number, frame in FRAMES.values() if number == link_type] or [PACKET]
    for frame in heads:
        for size in range(len(frame) - len("data")):
            assert segment_of(link_type, frame[:size], len(frame)) is None


def test_other_link_types_are_named():
    with pytest.raises(ValueError, match=r"link type 105 is not one of NULL \(0\), ETHERNET"):
        segment_of(105, PACKET, len(PACKET))


def test_ipv6():
    segment = segment_of(LinkType.IPV6, ipv6(tcp(b"data", seq=5, ack=9)), 64)
    assert segment == SEGMENT._replace(source=A6, target=B6)


def test_headers_between_ipv6_and_tcp():
    last = b"\x06\x00" + bytes(6)  # an atomic fragment, which is none
    middle = b"\x2c\x01" + bytes(14)  # of 16 bytes
    packet = ipv6(middle + last + tcp(b"data"), kind=0)
    assert segment_of(101, packet, len(packet)).data == b"data"


@pytest.mark.parametrize(
    "packet",
    [
        ipv4(tcp(b"data"), fragment=0x2000),
        ipv4(tcp(b"data"), fragment=0x0010),
        ipv6(b"\x06\0\0\x01" + bytes(4) + tcp(b"data"), kind=44),
        ipv6(b"\x06\0\0\x08" + bytes(4) + tcp(b"data"), kind=44),
    ],
)
def test_fragments_are_left_out(packet):
    assert segment_of(101, packet, len(packet)) is None


@pytest.mark.parametrize(
    "packet",
    [
        ipv4(tcp(b"data"), protocol=17),
        ipv6(tcp(b"data"), kind=17),
        b"\x44" + ipv4(tcp(b"data"))[1:],  # a header shorter than it can be
        b"\x75" + bytes(60),  # no version of IP
        ipv4(tcp(b"data")[:12] + b"\x40" + tcp()[13:]),  # a header of TCP of 16 bytes
        ipv4(tcp(b"data"), total=30),  # ends before its data begins
        b"",
    ],
)
def test_what_is_no_tcp_is_nothing(packet):
    assert segment_of(101, packet, len(packet)) is None


def test_options_stand_before_the_data():
    packet = ipv4(tcp(b"data", options=bytes(12)), options=bytes(8))
    assert segment_of(101, packet, len(packet)).data == b"data"


def test_padding_of_ethernet_is_no_data():
    packet = ipv4(tcp(b"data"))
    assert segment_of(101, packet + bytes(9), len(packet) + 9).data == b"data"


@pytest.mark.parametrize("packet", [ipv4(tcp(b"data"), total=0), ipv6(tcp(b"data"), length=0)])
def test_a_packet_yet_to_be_cut_has_the_length_of_the_frame(packet):
    segment = segment_of(101, packet, len(packet))
    assert (segment.data, segment.length) == (b"data", 4)


def test_a_packet_that_was_cut_off_tells_its_length():
    packet = ipv4(tcp(b"some data"))
    segment = segment_of(101, packet[:-5], len(packet))
    assert (segment.data, segment.length) == (b"some", 9)


@given(st.sampled_from(LinkType), st.binary(max_size=120), st.integers(0, 2000))
def test_whatever_a_frame_is(link_type, frame, wire_length):
    segment = segment_of(link_type, frame, wire_length)
    assert segment is None or len(segment.data) <= len(frame)
