import gc
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerwire.errors import InvalidHandshake, LocalProtocolError
from peerwire.handshake import (
    HANDSHAKE_LENGTH,
    PEER_ID_PREFIX,
    PROTOCOL,
    Handshake,
    Reserved,
    azureus_prefix,
    check_prefix,
    generate_peer_id,
    parse_hash20,
    parse_info_hashes,
    truncate_v2,
)
from peerwire.version import __version__

INFO_HASH = bytes.fromhex("631a31dd0a46257d5078c0dee4e66e26f73e42ac")
PEER_ID = b"-qB4650-abcdefghijkl"


# The 68 bytes


def test_the_layout():
    data = Handshake(INFO_HASH, PEER_ID, Reserved.EXTENSION | Reserved.FAST | Reserved.DHT).encode()
    assert data == b"\x13BitTorrent protocol" + b"\0\0\0\0\0\x10\0\x05" + INFO_HASH + PEER_ID
    assert len(data) == HANDSHAKE_LENGTH == 68


@pytest.mark.parametrize(
    ("flag", "byte", "bit"),
    [
        (Reserved.DHT, 7, 0x01),
        (Reserved.FAST, 7, 0x04),
        (Reserved.V2, 7, 0x10),
        (Reserved.EXTENSION, 5, 0x10),
        (Reserved.AZUREUS_MESSAGING, 0, 0x80),
    ],
)
def test_each_reserved_bit_is_where_its_specification_puts_it(flag, byte, bit):
    expected = bytearray(8)
    expected[byte] = bit
    assert Handshake(INFO_HASH, PEER_ID, flag).encode()[20:28] == expected


@given(
    st.binary(min_size=20, max_size=20),
    st.binary(min_size=20, max_size=20),
    st.binary(min_size=8, max_size=8),
)
def test_decode_is_the_inverse_of_encode_and_keeps_unknown_bits(info_hash, peer_id, reserved):
    data = PROTOCOL + reserved + info_hash + peer_id
    handshake = Handshake.decode(memoryview(data))
    assert handshake == Handshake(info_hash, peer_id, Reserved(int.from_bytes(reserved, "big")))
    assert handshake.encode() == data
    assert str(handshake).isprintable()


def test_a_handshake_is_one_line_of_text():
    reserved = Reserved.DHT | Reserved.FAST | Reserved.EXTENSION | 2
    assert str(Handshake(INFO_HASH, PEER_ID, reserved)) == (
        "handshake 631a31dd0a46257d5078c0dee4e66e26f73e42ac qBittorrent 4.6.5 "
        "[dht fast extension 0x2]"
    )
    assert str(Handshake(INFO_HASH, PEER_ID)).endswith(" qBittorrent 4.6.5 []")


@pytest.mark.parametrize("length", [0, 1, 20, 67, 69])
def test_a_handshake_has_68_bytes(length):
    data = (Handshake(INFO_HASH, PEER_ID).encode() + b"x")[:length]
    with pytest.raises(InvalidHandshake, match=f"has 68 bytes, not {length}") as caught:
        Handshake.decode(data)
    assert caught.value.rule == "BEP 3, peer protocol"


def test_the_fields_have_20_bytes():
    with pytest.raises(LocalProtocolError, match="the info-hash has 20 bytes, not 32"):
        Handshake(bytes(32), PEER_ID)
    with pytest.raises(LocalProtocolError, match="the peer id has 20 bytes, not 19"):
        Handshake(INFO_HASH, PEER_ID[:19])
    with pytest.raises(LocalProtocolError, match="the info-hash is bytes, not str: see parse"):
        Handshake("a" * 20, PEER_ID)


def test_a_handshake_holds_bytes_of_its_own():
    info_hash = bytearray(INFO_HASH)
    handshake = Handshake(info_hash, PEER_ID, 5)
    info_hash[0] = 0
    assert handshake.info_hash == INFO_HASH
    assert isinstance(handshake.reserved, Reserved)


@pytest.mark.parametrize("reserved", [-1, 1 << 64])
def test_the_reserved_bits_are_8_bytes(reserved):
    with pytest.raises(LocalProtocolError, match="8 bytes"):
        Handshake(INFO_HASH, PEER_ID, reserved)


def test_strangers_can_not_fill_the_memory_with_reserved_bits():
    def alive():
        return sum(isinstance(thing, Reserved) for thing in gc.get_objects())

    before = alive()
    for number in range(1, 1000):
        data = bytearray(Handshake(INFO_HASH, PEER_ID).encode())
        data[20:22] = number.to_bytes(2, "big")
        assert Handshake.decode(data).reserved == number << 48
    assert alive() <= before + 1


def test_arithmetic_on_the_bits_leaves_the_named_ones_alone():
    assert Reserved(5 | 1 << 20) is Reserved(5 | 1 << 20), "of named bits there are few"
    assert Reserved(1 - (1 << 64)) is Reserved.DHT
    assert Reserved(1) is Reserved.DHT
    assert Reserved.DHT & ~Reserved.DHT == 0


# Refusing other protocols


@given(st.binary(max_size=100), st.integers(0, 20))
def test_a_stream_is_refused_at_its_first_wrong_byte(rest, cut):
    check_prefix(PROTOCOL[:cut])
    check_prefix(PROTOCOL + rest)
    data = PROTOCOL[:cut] + rest
    if data[:20] == PROTOCOL[: len(data)]:
        check_prefix(bytearray(data))
        return
    with pytest.raises(InvalidHandshake, match=r"another protocol or encrypted|looks like"):
        check_prefix(data)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"GET / HTTP/1.1\r\n", "HTTP"),
        (b"HTTP/1.1 400 Bad Request\r\n", "HTTP"),
        (b"\x16\x03\x01\x02\0\x01", "TLS"),
        (b"SSH-2.0-OpenSSH", "SSH"),
    ],
)
def test_another_protocol_is_named(data, name):
    with pytest.raises(InvalidHandshake, match=f"it looks like {name}"):
        check_prefix(data)
    with pytest.raises(InvalidHandshake, match=f"it looks like {name}"):
        Handshake.decode(data)


def test_the_error_shows_no_more_than_the_start_escaped():
    with pytest.raises(InvalidHandshake) as caught:
        check_prefix(b"\x1b[2J\n" * 1000)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


# Hashes as people have them


@pytest.mark.parametrize(
    "value",
    [
        INFO_HASH,
        bytearray(INFO_HASH),
        memoryview(INFO_HASH),
        INFO_HASH.hex(),
        INFO_HASH.hex().upper(),
        "MMNDDXIKIYSX2UDYYDPOJZTOE33T4QVM",
        "mmnddxikiysx2udyydpojztoe33t4qvm",
    ],
)
def test_a_hash_in_each_of_its_forms(value):
    assert parse_hash20(value) == INFO_HASH


@pytest.mark.parametrize(
    "value",
    ["", "a" * 20, "g" * 40, "é" * 40, "1" * 32, "a" * 64, "a" * 100_000, "é" * 32],
)
def test_what_is_no_hash(value):
    with pytest.raises(LocalProtocolError, match="no info-hash: 40 hex digits") as caught:
        parse_hash20(value)
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize(("value", "said"), [(b"a" * 40, "not 40"), (None, "not NoneType")])
def test_what_is_no_hash_in_bytes(value, said):
    with pytest.raises(LocalProtocolError, match=f"the peer id .*{said}"):
        parse_hash20(value, "peer id")


# Info-hashes of v2 (BEP 52)

V2 = bytes(range(32))


@pytest.mark.parametrize(
    "value", [V2, bytearray(V2), memoryview(V2), V2.hex(), V2.hex().upper(), V2[:20], V2[:20].hex()]
)
def test_a_v2_info_hash_is_said_truncated(value):
    assert truncate_v2(value) == V2[:20]
    assert type(truncate_v2(value)) is bytes


@pytest.mark.parametrize("value", ["g" * 64, "é" * 64, "a" * 63, "a" * 65, b"a" * 31, b"", None])
def test_what_is_no_v2_info_hash(value):
    with pytest.raises(LocalProtocolError, match="v2 info-hash"):
        truncate_v2(value)


@pytest.mark.parametrize(
    ("info_hash", "info_hash_v2", "known_as"),
    [
        (None, None, (None, None)),
        (INFO_HASH, None, (INFO_HASH, None)),
        (INFO_HASH.hex(), V2.hex(), (INFO_HASH, V2[:20])),
        (INFO_HASH, V2, (INFO_HASH, V2[:20])),
        (None, V2[:20], (V2[:20], V2[:20])),
        (V2, None, (V2[:20], V2[:20])),
        (V2.hex(), None, (V2[:20], V2[:20])),
        (V2, V2[:20], (V2[:20], V2[:20])),
        (V2[:20], V2, (V2[:20], V2[:20])),
    ],
)
def test_a_torrent_is_known_by_one_info_hash_or_two(info_hash, info_hash_v2, known_as):
    assert parse_info_hashes(info_hash, info_hash_v2) == known_as


@pytest.mark.parametrize(
    ("info_hash", "info_hash_v2", "said"),
    [
        (V2, INFO_HASH, "is that of a v2 torrent already"),
        (bytes(19), V2, "the info-hash has 20 bytes, not 19"),
        (INFO_HASH, bytes(33), "the v2 info-hash has 20 bytes, not 33"),
        ("a" * 39, None, "no info-hash"),
        (5, None, "not int"),
    ],
)
def test_what_no_torrent_is_known_by(info_hash, info_hash_v2, said):
    with pytest.raises(LocalProtocolError, match=said):
        parse_info_hashes(info_hash, info_hash_v2)


# Peer ids


def test_a_peer_id_names_this_package_and_is_random():
    one, other = generate_peer_id(), generate_peer_id()
    assert re.fullmatch(rb"-PW[0-9A-Z]{3}0-[0-9A-Za-z]{12}", one)
    assert one != other
    assert one.startswith(PEER_ID_PREFIX)
    assert Handshake(INFO_HASH, one).client == f"peerwire {__version__}"


@pytest.mark.parametrize(
    ("version", "prefix"),
    [
        ("0.1.0", b"-PW0100-"),
        ("3.1", b"-PW3100-"),
        ("1.12.3", b"-PW1C30-"),
        ("2.0.40rc1", b"-PW20Z0-"),
    ],
)
def test_the_prefix_has_a_digit_for_each_number_of_the_version(version, prefix):
    assert azureus_prefix("PW", version) == prefix


def test_a_prefix_of_ones_own():
    assert generate_peer_id(b"A2-1-36-0-").startswith(b"A2-1-36-0-")
    assert generate_peer_id(PEER_ID) == PEER_ID
    assert len(generate_peer_id(b"")) == 20
    with pytest.raises(LocalProtocolError, match="a peer id has 20 bytes, its prefix already 21"):
        generate_peer_id(bytes(21))
