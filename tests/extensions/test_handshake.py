import ipaddress
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerwire.bencode import encode
from peerwire.errors import BencodeError
from peerwire.extensions.handshake import (
    MAX_EXTENSIONS,
    MAX_UNKNOWN,
    SHARED,
    SHOWN,
    ExtendedHandshake,
)

KEYS = [
    *("p", "v", "yourip", "ipv4", "ipv6"),
    *("reqq", "metadata_size", "upload_only", "complete_ago"),
]

LT_M = {
    "lt_donthave": 7,
    "share_mode": 8,
    "upload_only": 3,
    "ut_holepunch": 4,
    "ut_metadata": 2,
    "ut_pex": 1,
}

#: What clients have sent, and what it says.
DEPLOYED = {
    "libtorrent 2.1, which dials": (
        b"d12:complete_agoi-1e1:md11:lt_donthavei7e10:share_modei8e11:upload_onlyi3e"
        b"12:ut_holepunchi4e11:ut_metadatai2e6:ut_pexi1ee13:metadata_sizei730e1:pi39371e"
        b"4:reqqi2000e1:v18:libtorrent/2.1.1.06:yourip4:\x7f\x00\x00\x01e",
        ExtendedHandshake(
            m=LT_M,
            p=39371,
            v="libtorrent/2.1.1.0",
            yourip="127.0.0.1",
            reqq=2000,
            metadata_size=730,
            complete_ago=-1,
        ),
    ),
    "libtorrent 2.1, which seeds": (
        b"d12:complete_agoi-1e1:md11:lt_donthavei7e10:share_modei8e11:upload_onlyi3e"
        b"12:ut_holepunchi4e11:ut_metadatai2e6:ut_pexi1ee13:metadata_sizei3048e"
        b"4:reqqi2000e11:upload_onlyi1e1:v18:libtorrent/2.1.1.06:yourip4:\x7f\x00\x00\x01e",
        ExtendedHandshake(
            m=LT_M,
            v="libtorrent/2.1.1.0",
            yourip="127.0.0.1",
            reqq=2000,
            metadata_size=3048,
            upload_only=True,
            complete_ago=-1,
        ),
    ),
    "Transmission 3.00, which seeds": (
        b"d1:ei0e1:md11:ut_metadatai3e6:ut_pexi1ee13:metadata_sizei730e1:pi17500e"
        b"4:reqqi512e11:upload_onlyi1e1:v17:Transmission 3.00e",
        ExtendedHandshake(
            m={"ut_metadata": 3, "ut_pex": 1},
            p=17500,
            v="Transmission 3.00",
            reqq=512,
            metadata_size=730,
            upload_only=True,
            unknown={b"e": 0},
        ),
    ),
    "aria2 1.36.0": (
        b"d1:md11:ut_metadatai9e6:ut_pexi8ee13:metadata_sizei730e1:pi36453e1:v12:aria2/1.36.0e",
        ExtendedHandshake(
            m={"ut_metadata": 9, "ut_pex": 8},
            p=36453,
            v="aria2/1.36.0",
            metadata_size=730,
        ),
    ),
}


@pytest.mark.parametrize("client", DEPLOYED)
def test_what_clients_send(client):
    payload, told = DEPLOYED[client]
    handshake = ExtendedHandshake.decode(payload)
    assert handshake == told
    assert handshake.refused == []
    assert handshake.encode() == payload


def test_the_example_of_bep_10():
    # Its second name is one byte longer than the BEP says: the micro sign takes two.
    payload = b"d1:md11:LT_metadatai1e7:\xc2\xb5T_PEXi2ee1:pi6881e1:v13:\xc2\xb5Torrent 1.2e"
    handshake = ExtendedHandshake.decode(payload)
    assert handshake == ExtendedHandshake(
        m={"LT_metadata": 1, "µT_PEX": 2}, p=6881, v="µTorrent 1.2"
    )
    assert handshake.encode() == payload


def test_all_is_optional():
    assert ExtendedHandshake.decode(b"de") == ExtendedHandshake()
    assert ExtendedHandshake().encode() == b"d1:mdee"
    assert all(getattr(ExtendedHandshake(), key) is None for key in KEYS)


printable = st.text(st.characters(exclude_categories=["C", "Z"]), max_size=64)
keys_nobody_knows = st.binary(max_size=8).filter(
    lambda key: key != b"m" and key not in {name.encode() for name in KEYS}
)
values = st.recursive(
    st.integers(-(2**63), 2**63) | st.binary(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.binary(max_size=4), inner, max_size=3)
    ),
    max_leaves=5,
)


def told(strategy):
    return st.none() | strategy


handshakes = st.builds(
    ExtendedHandshake,
    m=st.dictionaries(printable, st.integers(0, 255), max_size=10),
    p=told(st.integers(1, 65535)),
    v=told(printable),
    yourip=told(st.ip_addresses().map(str)),
    ipv4=told(st.ip_addresses(v=4).map(str)),
    ipv6=told(st.ip_addresses(v=6).map(str)),
    reqq=told(st.integers(1, 2**32 - 1)),
    metadata_size=told(st.integers(1, 2**63 - 1)),
    upload_only=told(st.booleans()),
    complete_ago=told(st.integers(-1, 2**63 - 1)),
    unknown=st.dictionaries(keys_nobody_knows, values, max_size=3),
    refused=st.just([]),
)


@given(handshakes)
def test_what_is_told_arrives(handshake):
    arrived = ExtendedHandshake.decode(handshake.encode())
    assert arrived == handshake
    assert arrived.refused == []


@given(st.binary(max_size=100) | values.map(encode))
def test_nothing_but_a_value_error_comes_of_any_bytes(payload):
    try:
        handshake = ExtendedHandshake.decode(payload)
    except ValueError:
        return
    assert "\n" not in str(handshake)
    ExtendedHandshake.decode(handshake.encode())


def test_unknown_keys_are_kept():
    payload = b"d1:ei1e1:mde3:xyzl1:ai-5eee"
    handshake = ExtendedHandshake.decode(payload)
    assert handshake.unknown == {b"e": 1, b"xyz": [b"a", -5]}
    assert handshake.encode() == payload


def test_keys_out_of_order_are_read():
    assert ExtendedHandshake.decode(b"d1:pi1e1:mdee") == ExtendedHandshake(p=1)


@pytest.mark.parametrize("value", [0, 1, 7, -1])
def test_upload_only_is_whether_it_is_a_number_but_zero(value):
    handshake = ExtendedHandshake.decode(encode({"upload_only": value}))
    assert handshake.upload_only is (value != 0)


# Hostile ones


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        (b"", "byte 0"),
        (b"hello", "byte 0"),
        (b"d1:md", "byte 5"),
        (b"dee", "byte 2"),
        (b"d1:v-1:e", "byte 4"),
        (b"d1:v99999999999999999999:e", "byte 4"),
        (b"d1:pi" + b"9" * 1000 + b"ee", "digits"),
        (b"l" * 100_000 + b"e" * 100_000, "deep"),
        (b"d1:m" * 100_000, "deep"),
        (b"d1:xl" + b"0:" * 100_000 + b"ee", "max_items"),
    ],
)
def test_what_is_not_bencode_or_too_much_of_it_is_an_error(payload, why):
    with pytest.raises(BencodeError, match=why):
        ExtendedHandshake.decode(payload)


@pytest.mark.parametrize(
    ("payload", "kind"), [(b"i5e", "int"), (b"4:spam", "bytes"), (b"le", "list")]
)
def test_it_is_a_dictionary(payload, kind):
    with pytest.raises(ValueError, match=f"^it is a dictionary, not {kind}$"):
        ExtendedHandshake.decode(payload)


def test_a_hundred_thousand_names_are_not_even_looked_at():
    payload = encode({"m": {f"x{n}": 1 for n in range(100_000)}})
    tracemalloc.start()
    try:
        with pytest.raises(BencodeError, match="max_items"):
            ExtendedHandshake.decode(payload)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 3 * len(payload)  # a copy of the payload is among it


@pytest.mark.parametrize(
    ("key", "value", "rule"),
    [
        ("m", [b"ut_pex"], "m: it is a dictionary of names to ids"),
        ("p", 0, "p: it is a number from 1 to 65535"),
        ("p", 65536, "p: it is a number from 1 to 65535"),
        ("p", b"6881", "p: it is a number from 1 to 65535"),
        ("v", 5, "v: it is a string"),
        ("v", [b"x"], "v: it is a string"),
        ("yourip", b"\x7f\0\0", "yourip: it is a compact address of 4 or 16 bytes"),
        ("yourip", b"127.0.0.1", "yourip: it is a compact address of 4 or 16 bytes"),
        ("yourip", 2130706433, "yourip: it is a compact address of 4 or 16 bytes"),
        ("ipv4", bytes(16), "ipv4: it is a compact address of 4 bytes"),
        ("ipv6", bytes(4), "ipv6: it is a compact address of 16 bytes"),
        ("reqq", 0, "reqq: it is a number from 1 to 4294967295"),
        ("reqq", -1, "reqq: it is a number from 1 to 4294967295"),
        ("reqq", 2**32, "reqq: it is a number from 1 to 4294967295"),
        ("metadata_size", 0, f"metadata_size: it is a number from 1 to {2**63 - 1}"),
        ("metadata_size", 2**63, f"metadata_size: it is a number from 1 to {2**63 - 1}"),
        ("metadata_size", -(2**63), f"metadata_size: it is a number from 1 to {2**63 - 1}"),
        ("metadata_size", b"5", f"metadata_size: it is a number from 1 to {2**63 - 1}"),
        ("upload_only", b"yes", f"upload_only: it is a number from {1 - 2**63} to {2**63 - 1}"),
        ("complete_ago", -2, f"complete_ago: it is a number from -1 to {2**63 - 1}"),
    ],
)
def test_a_value_that_the_key_can_not_have_is_left_out_and_named(key, value, rule):
    handshake = ExtendedHandshake.decode(encode({key: value, "zz": b"kept"}))
    assert handshake == ExtendedHandshake(unknown={b"zz": b"kept"})
    assert handshake.refused == [rule]


@pytest.mark.parametrize("number", [256, -1, 2**64, b"1", [1], {}])
def test_an_id_that_is_no_byte_is_left_out_and_named(number):
    handshake = ExtendedHandshake.decode(encode({"m": {"ut_pex": number, "xx_ok": 255}}))
    assert handshake.m == {"xx_ok": 255}
    assert handshake.refused == ["m: the id of b'ut_pex' is a byte, 0 to 255"]


def test_of_a_name_that_is_refused_little_is_repeated():
    name = b"\x1b" * 50_000
    handshake = ExtendedHandshake.decode(encode({"m": {name: 256}}))
    assert handshake.refused == [f"m: the id of {name[:40]!r} is a byte, 0 to 255"]


def test_more_names_than_ids_are_forgotten():
    names = {f"x{n:03}": n % 256 for n in range(MAX_EXTENSIONS + 50)}
    handshake = ExtendedHandshake.decode(encode({"m": names}))
    assert list(handshake.m) == list(names)[:MAX_EXTENSIONS]


def test_names_that_are_no_text_do_no_harm():
    handshake = ExtendedHandshake.decode(b"d1:md2:\xff\xfei1eee")
    assert handshake.m == {"\ufffd\ufffd": 1}


def test_nothing_in_a_name_moves_the_cursor_of_who_reads_it():
    evil = "\x1b]0;pwned\x07\x1b[2J\r\n\u202eabc"
    shown = "\ufffd]0;pwned\ufffd\ufffd[2J\ufffd\ufffd\ufffdabc"
    handshake = ExtendedHandshake.decode(encode({"v": evil, "m": {evil: 1}}))
    assert handshake.v == shown
    assert handshake.m == {evil: 1}  # it is a key, not to be changed
    assert str(handshake) == f"extended handshake m=({shown}=1) v={shown}"


def test_a_long_client_name_is_cut():
    handshake = ExtendedHandshake.decode(encode({"v": "µ" * 10_000}))
    assert handshake.v == "µ" * 128


# A line of log


def test_it_is_one_line():
    payload, _ = DEPLOYED["Transmission 3.00, which seeds"]
    assert str(ExtendedHandshake.decode(payload)) == (
        "extended handshake m=(ut_metadata=3, ut_pex=1) p=17500 v=Transmission 3.00 reqq=512 "
        "metadata_size=730 upload_only=True"
    )


def test_the_line_is_a_short_one():
    handshake = ExtendedHandshake(m={f"x{n}" * 100: n for n in range(255)})
    assert str(handshake).endswith(f"=19, and {255 - SHOWN} more)")
    assert len(str(handshake)) < 1200


# One after another


def test_later_ones_add_to_it():
    handshake = ExtendedHandshake(m={"a": 1, "b": 2}, p=5, unknown={b"x": 1, b"y": 2})
    handshake.update(
        ExtendedHandshake(m={"b": 0, "c": 3}, v="x", unknown={b"y": 3}, refused=["p: no"])
    )
    assert handshake == ExtendedHandshake(
        m={"a": 1, "b": 0, "c": 3}, p=5, v="x", unknown={b"x": 1, b"y": 3}
    )
    assert handshake.refused == ["p: no"]


@given(handshakes)
def test_to_hear_it_again_changes_nothing(handshake):
    twice = ExtendedHandshake.decode(handshake.encode())
    twice.update(handshake)
    assert twice == handshake


def test_names_do_not_add_up_for_ever():
    handshake = ExtendedHandshake()
    for n in range(0, 1000, 100):
        handshake.update(ExtendedHandshake(m={f"x{i}": 1 for i in range(n, n + 100)}))
    assert len(handshake.m) == MAX_EXTENSIONS
    handshake.update(ExtendedHandshake(m={"x0": 0, "new": 1}))
    assert handshake.m["x0"] == 0
    assert "new" not in handshake.m


def test_unknown_keys_do_not_add_up_for_ever():
    handshake = ExtendedHandshake()
    for n in range(10):
        newer = ExtendedHandshake(unknown={b"%d" % n: bytes(40_000)})
        handshake.update(newer)
        assert len(encode(handshake.unknown)) <= MAX_UNKNOWN
    assert handshake.unknown == newer.unknown
    assert handshake.unknown is not newer.unknown


# What an extension adds


def test_a_key_is_set_as_it_goes_on_the_wire():
    handshake = ExtendedHandshake()
    handshake.add("metadata_size", 5)
    handshake.add("ipv6", ipaddress.ip_address("::1").packed)
    handshake.add("upload_only", 1)
    handshake.add("xx_key", {b"a": [1]})
    assert handshake == ExtendedHandshake(
        metadata_size=5, ipv6="::1", upload_only=True, unknown={b"xx_key": {b"a": [1]}}
    )


@pytest.mark.parametrize(
    ("key", "value", "error"),
    [
        ("m", {b"x": 1}, ValueError),
        ("p", 0, ValueError),
        ("v", "text", TypeError),
        ("xx_key", 1.5, TypeError),
        ("xx_key", 10**30, ValueError),
    ],
)
def test_a_value_that_can_not_be_told_is_refused(key, value, error):
    handshake = ExtendedHandshake()
    with pytest.raises(error):
        handshake.add(key, value)
    assert handshake == ExtendedHandshake()


@pytest.mark.parametrize("length", [SHARED - 1, SHARED, SHARED + 1])
def test_names_are_whole_and_short_ones_are_kept_once(length):
    payload = b"d1:md%d:%bi1eee" % (length, length * b"x")
    (one,), (other,) = (ExtendedHandshake.decode(payload).m for _ in range(2))
    assert one == other == length * "x"
    assert (one is other) == (length <= SHARED)
