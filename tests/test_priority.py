from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerwire.errors import LocalProtocolError
from peerwire.priority import address_bytes, crc32c, peer_priority

ports = st.integers(0, 65535)
v4 = st.tuples(st.ip_addresses(v=4).map(str), ports)
v6 = st.tuples(
    st.ip_addresses(v=6).filter(lambda address: address.ipv4_mapped is None).map(str), ports
)
neighbours = st.builds(
    lambda prefix, tail, port: (str(ipaddress.IPv6Address((prefix + tail)[:16])), port),
    st.sampled_from([bytes.fromhex("20010db80001000200")[:length] for length in range(1, 10)]),
    st.binary(min_size=15, max_size=15),
    ports,
)


@pytest.mark.parametrize(
    ("data", "crc"),
    [
        (b"", 0),
        (b"123456789", 0xE3069283),
        # RFC 3720, appendix B.4
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(reversed(range(32))), 0x113FDB5C),
    ],
)
def test_crc32c(data, crc):
    assert crc32c(data) == crc


@pytest.mark.parametrize(
    ("a", "b", "hashed", "priority"),
    [
        # BEP 40, examples
        ("123.213.32.10", "98.76.54.32", "624c14007bd50000", 0xEC2D7224),
        ("123.213.32.10", "123.213.32.234", "7bd5200a7bd520ea", 0x99568189),
        # the same /16
        ("123.213.32.10", "123.213.33.234", "7bd520007bd52140", 0xF61850A9),
    ],
)
def test_ipv4(a, b, hashed, priority):
    assert crc32c(bytes.fromhex(hashed)) == priority
    assert peer_priority((a, 1), (b, 2)) == priority
    assert peer_priority((b, 3), (a, 4)) == priority


def test_the_same_address_is_ranked_by_the_ports():
    here, there = ("10.0.0.1", 0x1AE1), ("10.0.0.1", 0xC8D5)
    assert peer_priority(here, there) == peer_priority(there, here) == 0x9F852E9F
    assert peer_priority(("2001:db8::1", 0x1AE1), ("2001:db8::1", 0xC8D5)) == 0x9F852E9F
    assert peer_priority(here, here) == crc32c(bytes.fromhex("1ae11ae1"))


@pytest.mark.parametrize(
    ("a", "b", "mask"),
    [
        ("2001:ff:ff:ff:ff:ff:ff:ff", "3001:ff:ff:ff:ff:ff:ff:ff", "f" * 12 + "5" * 20),
        # the same /40, which is less than the /48 that narrows the mask
        ("2001:db8:ff:ff:ff:ff:ff:ff", "2001:db8:fe:ff:ff:ff:ff:ff", "f" * 12 + "5" * 20),
        ("2001:db8:1:ffff:ff:ff:ff:ff", "2001:db8:1:ef:ff:ff:ff:ff", "f" * 14 + "5" * 18),
        ("2001:db8:1:ffff:ff:ff:ff:ff", "2001:db8:1:ff00:ff:ff:ff:ff", "f" * 16 + "5" * 16),
        ("2001:db8:1:2:ffff:ff:ff:ff", "2001:db8:1:2:ff:ff:ff:ff", "f" * 18 + "5" * 14),
        ("2001:db8:1:2:3:4:5:ff", "2001:db8:1:2:3:4:5:fe", "f" * 32),
    ],
)
def test_ipv6(a, b, mask):
    masked = sorted((int(ipaddress.IPv6Address(ip)) & int(mask, 16)).to_bytes(16) for ip in (a, b))
    assert peer_priority((a, 1), (b, 2)) == crc32c(b"".join(masked))


@given(st.one_of(st.tuples(v4, v4), st.tuples(v6, v6), st.tuples(neighbours, neighbours)))
def test_both_ends_compute_the_same(pair):
    a, b = pair
    assert peer_priority(a, b) == peer_priority(b, a)
    assert 0 <= peer_priority(a, b) < 1 << 32


@given(v4, v4)
def test_an_ipv4_mapped_address_is_the_ipv4_address(a, b):
    mapped = (f"::ffff:{a[0]}", a[1])
    assert peer_priority(mapped, b) == peer_priority(a, b)


def test_addresses_as_bytes():
    assert address_bytes("1.2.3.4") == address_bytes(b"\1\2\3\4") == b"\1\2\3\4"
    assert address_bytes(bytes(10) + b"\xff\xff\1\2\3\4") == b"\1\2\3\4"
    assert address_bytes("fe80::1%3") == b"\xfe\x80" + bytes(13) + b"\1"


@pytest.mark.parametrize("ip", ["localhost", "1.2.3", "1.2.3.4.5", "", b"\1\2\3", b"", "x" * 9999])
def test_what_is_no_address_is_refused(ip):
    with pytest.raises(LocalProtocolError, match=r"is no IP address; .*BEP 40") as caught:
        address_bytes(ip)
    assert len(str(caught.value)) < 200


def test_families_have_no_common_rank():
    with pytest.raises(LocalProtocolError, match="two address families"):
        peer_priority(("1.2.3.4", 1), ("2001:db8::1", 1))


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_has_16_bits(port):
    with pytest.raises(LocalProtocolError, match=f"port {port} is not 0 to 65535"):
        peer_priority(("1.2.3.4", 1), ("1.2.3.4", port))
