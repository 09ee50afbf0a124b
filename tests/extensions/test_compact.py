import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerwire.errors import LocalProtocolError
from peerwire.extensions.compact import is_usable, pack, unpack


@pytest.mark.parametrize(
    ("ip", "port", "data"),
    [
        ("127.0.0.1", 6881, "7f000001 1ae1"),
        ("255.255.255.255", 65535, "ffffffff ffff"),
        ("2001:db8::7", 1, "20010db8000000000000000000000007 0001"),
        ("::", 0, "00000000000000000000000000000000 0000"),
    ],
)
def test_an_address_and_a_port(ip, port, data):
    assert pack(ip, port) == bytes.fromhex(data)
    assert unpack(bytes.fromhex(data)) == (ip, port)


@given(st.ip_addresses(), st.integers(0, 65535))
def test_there_and_back(ip, port):
    assert unpack(pack(str(ip), port)) == (str(ip), port)


@pytest.mark.parametrize("length", [0, 4, 5, 7, 16, 17, 19])
def test_no_other_length_is_read(length):
    with pytest.raises(ValueError, match=f"18 .IPv6., not {length}"):
        unpack(bytes(length))


@pytest.mark.parametrize(
    ("ip", "port"), [("localhost", 1), ("", 1), ("1.2.3", 1), ("1.2.3.4", -1), ("::1", 65536)]
)
def test_nothing_else_is_written(ip, port):
    with pytest.raises(LocalProtocolError, match="is no IP address and port"):
        pack(ip, port)


@pytest.mark.parametrize(
    "ip", ["80.4.4.200", "10.0.0.1", "127.0.0.1", "127.9.9.9", "::1", "2001:4860::1", "fd00::1"]
)
def test_a_peer_can_be_there(ip):
    assert is_usable(ip, 1)
    assert is_usable(ip, 65535)
    assert not is_usable(ip, 0)
    assert not is_usable(ip, 65536)


@pytest.mark.parametrize(
    "ip",
    [
        *("0.0.0.0", "0.1.2.3", "224.0.0.1", "239.255.255.250", "255.255.255.255", "240.0.0.1"),
        *("169.254.1.1", "::", "ff02::1", "fe80::1", "::ffff:10.0.0.1"),
        *("localhost", "", "1.2.3"),
    ],
)
def test_no_peer_can_be_there(ip):
    assert not is_usable(ip, 6881)
