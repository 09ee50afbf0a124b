from __future__ import annotations

import base64

import libtorrent as lt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerwire.errors import MetainfoError
from peerwire.torrent.magnet import MAX_MAGNET, Magnet

V1 = bytes.fromhex("631a31dd0a46257d5078c0dee4e66e26f73e42ac")
V2 = bytes.fromhex("d8dd32ac93357c368556af3ac1d95c9d76bd0dff6fa9833ecdac3d53134efabb")
BTIH = f"xt=urn:btih:{V1.hex()}"
BTMH = f"xt=urn:btmh:1220{V2.hex()}"

url_characters = st.characters(min_codepoint=0x21, max_codepoint=0x7E)
ports = st.integers(1, 65535)
hosts = st.one_of(
    st.ip_addresses().map(str),
    st.from_regex(r"[a-z0-9][a-z0-9-]{0,20}(\.[a-z][a-z0-9_-]{0,62}){0,3}", fullmatch=True),
)


@st.composite
def selections(draw):
    """Ranges in order, with a gap between each two."""
    ranges, start = [], 0
    for gap, length in draw(
        st.lists(st.tuples(st.integers(0, 9), st.integers(1, 10**9)), max_size=4)
    ):
        ranges.append(range(start + gap, start + gap + length))
        start += gap + length + 1
    return tuple(ranges)


hashes = st.one_of(
    st.tuples(st.binary(min_size=20, max_size=20), st.none()),
    st.tuples(st.none(), st.binary(min_size=32, max_size=32)),
    st.tuples(st.binary(min_size=20, max_size=20), st.binary(min_size=32, max_size=32)),
)
extras = st.tuples(
    st.sampled_from(["ws", "xs", "as", "kt", "dht", "xl", "x.n", "Ws", "", "xt.1x"]),
    st.text(
        st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="&"), max_size=9
    ),
)
magnets = st.builds(
    lambda both, **fields: Magnet(info_hash=both[0], info_hash_v2=both[1], **fields),
    hashes,
    name=st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    trackers=st.lists(st.text(url_characters, min_size=1), max_size=3).map(tuple),
    peers=st.lists(st.tuples(hosts, ports), max_size=3).map(tuple),
    select_only=selections(),
    extra=st.lists(extras, max_size=3).map(tuple),
)


def parse(*parameters):
    return Magnet.parse("magnet:?" + "&".join(parameters))


def refuse(uri, match):
    with pytest.raises(MetainfoError, match=match) as caught:
        Magnet.parse(uri)
    assert len(str(caught.value)) < 300


# Which torrent


def test_a_v1_torrent():
    magnet = parse(BTIH)
    assert magnet == Magnet(info_hash=V1)
    assert magnet.wire_info_hash == V1
    assert (magnet.info_hash_v2, magnet.name, magnet.trackers) == (None, "", ())
    assert (magnet.peers, magnet.select_only, magnet.extra) == ((), (), ())


def test_a_v2_torrent_is_known_on_the_wire_by_20_bytes():
    magnet = parse(BTMH)
    assert magnet == Magnet(info_hash_v2=V2)
    assert magnet.wire_info_hash == V2[:20]


def test_a_hybrid_torrent_has_both():
    magnet = parse(BTMH, BTIH)
    assert magnet == Magnet(info_hash=V1, info_hash_v2=V2)
    assert magnet.wire_info_hash == V1


@pytest.mark.parametrize(
    "topic",
    [
        V1.hex().upper(),
        base64.b32encode(V1).decode(),
        base64.b32encode(V1).decode().lower(),
    ],
)
def test_the_info_hash_in_other_clothes(topic):
    assert parse("xt=urn:btih:" + topic).info_hash == V1
    assert parse("XT.1=URN%3ABTIH%3A" + topic).info_hash == V1
    assert Magnet.parse(f" MAGNET:?xt=urn:btih:{topic}\n").info_hash == V1


@pytest.mark.parametrize(
    "topic", ["", "zz", "g" * 40, "1" * 32, "a" * 39, "a" * 64, "é" * 40, "a" * 9999]
)
def test_what_is_no_info_hash_is_refused(topic):
    refuse("magnet:?xt=urn:btih:" + topic, "neither 40 hex digits nor 32 base32 characters")


@pytest.mark.parametrize(
    "topic",
    [
        "",
        V2.hex(),
        "1220" + "g" * 64,
        "1220" + "a" * 63,
        "1114" + "a" * 40,
        "1320" + "a" * 64,
        "é" * 68,
    ],
)
def test_what_is_no_multihash_of_sha_256_is_refused(topic):
    refuse("magnet:?xt=urn:btmh:" + topic, "no SHA-256 as a multihash")


@pytest.mark.parametrize(
    "uri", ["magnet:?", "magnet:?dn=x", "magnet:?xt=", "magnet:?xt=urn:sha1:x"]
)
def test_a_link_names_a_torrent(uri):
    refuse(uri, "names no torrent")


def test_a_link_does_not_name_two():
    assert parse(BTIH, BTIH) == Magnet(info_hash=V1)
    refuse(f"magnet:?{BTIH}&xt=urn:btih:{bytes(20).hex()}", "names two torrents")
    refuse(f"magnet:?{BTMH}&xt=urn:btmh:1220{bytes(32).hex()}", "names two torrents")


@pytest.mark.parametrize(
    "uri", ["", "magnet", "magnet:", "magnet:xt=", "http://h/?" + BTIH, "x" * 999]
)
def test_other_links_are_refused(uri):
    refuse(uri, "begins with 'magnet:\\?'")


def test_a_long_link_is_refused_unread():
    padding = MAX_MAGNET - len(f"magnet:?{BTIH}&dn=")
    assert len(parse(BTIH, "dn=" + "x" * padding).name) == padding
    refuse(f"magnet:?{BTIH}&dn=" + "x" * (padding + 1), "at most 65536 characters: 65537")
    refuse("magnet:?" + "&" * 10**7, "at most 65536 characters: 10000008")


@pytest.mark.parametrize(
    "fields", [{}, {"info_hash": V2}, {"info_hash_v2": V1}, {"info_hash": b""}]
)
def test_a_magnet_is_made_of_an_info_hash(fields):
    with pytest.raises(MetainfoError, match=r"names no torrent|where (20|32) belong"):
        Magnet(**fields)


# Where to find it


def test_a_name():
    assert parse(BTIH, "dn=a%20b+c%2Bd%26%C3%A9").name == "a b c+d&é"
    assert parse(BTIH, "dn=caf%E9").name == "caf�"
    assert parse(BTIH, "dn=\ud800").name == "?"
    assert parse(BTIH, "dn=first", "dn=last").name == "last"


def test_trackers_in_their_order():
    magnet = parse(BTIH, "tr=udp%3A%2F%2Fa%3A1", "tr.2=http://b/?x=1%262", "TR.1=http://c/+")
    assert magnet.trackers == ("udp://a:1", "http://b/?x=1&2", "http://c/+")


@pytest.mark.parametrize("url", ["", "http://a b", "http://a%20b", "http://a%0d%0aX:", "http://é"])
def test_what_is_no_url_is_left_out(url):
    assert parse(BTIH, "tr=" + url, "tr=http://b/").trackers == ("http://b/",)


def test_peers():
    magnet = parse(
        BTIH, "x.pe=1.2.3.4:6881", "x.pe=[2001:db8::1]:1", "x.pe=%5B::1%5D:2", "x.pe=a-b.c:65535"
    )
    assert magnet.peers == (("1.2.3.4", 6881), ("2001:db8::1", 1), ("::1", 2), ("a-b.c", 65535))


@pytest.mark.parametrize(
    "peer",
    [
        "",
        "a",
        "a:",
        ":1",
        "a:0",
        "a:65536",
        "a:-1",
        "a:\u0661",
        "2001:db8::1:1",
        "[]:1",
        "[::1]",
        "[::1:1",
        "[1.2.3.4]:1",
        "[:::]:1",
        "[fe80::1%25eth0]:1",
        "a b:1",
        "a..b:1",
        ".:1",
        "é:1",
        "user@a:1",
        "x" * 64 + ":1",
        "a." * 127 + "a:1",
    ],
)
def test_what_is_no_peer_is_left_out(peer):
    assert parse(BTIH, "x.pe=" + peer, "x.pe=b:1").peers == (("b", 1),)


def test_everything_else_is_kept_as_it_stands():
    magnet = parse(
        "ws=http%3A%2F%2Fw%2F+", "", "xt=urn:sha1:ABC", "x", "=", BTIH, "kt=a b%", "Kt.1=é"
    )
    assert magnet.extra == (
        ("ws", "http%3A%2F%2Fw%2F+"),
        ("xt", "urn:sha1:ABC"),
        ("x", ""),
        ("", ""),
        ("kt", "a%20b%"),
        ("Kt.1", "%C3%A9"),
    )
    assert Magnet.parse(str(magnet)) == magnet


# Which files


def test_the_example_of_bep_53():
    magnet = parse(BTIH, "so=0,2,4,6-8")
    assert magnet.select_only == (range(1), range(2, 3), range(4, 5), range(6, 9))
    assert [index for index in range(12) if magnet.selects(index)] == [0, 2, 4, 6, 7, 8]
    assert str(magnet) == f"magnet:?{BTIH}&so=0,2,4,6-8"


@pytest.mark.parametrize("parameters", [[], ["so="], ["so=,,", "so="]])
def test_without_a_selection_all_files_are_selected(parameters):
    magnet = parse(BTIH, *parameters)
    assert magnet.select_only == ()
    assert magnet.selects(0)
    assert magnet.selects(10**9)


@pytest.mark.parametrize(
    ("parameters", "ranges"),
    [
        (["so=4-6,0,5-9,1"], [range(2), range(4, 10)]),
        (["so=2-9,3-4"], [range(2, 10)]),
        (["so=2%2C,0", "SO.1=1"], [range(3)]),
        (["so=007"], [range(7, 8)]),
        (["so=0-4294967295"], [range(2**32)]),
        (
            ["so=" + ",".join(map(str, range(0, 20000, 2)))],
            [range(n, n + 1) for n in range(0, 20000, 2)],
        ),
    ],
)
def test_a_selection_is_held_in_the_fewest_ranges(parameters, ranges):
    assert parse(BTIH, *parameters).select_only == tuple(ranges)


@pytest.mark.parametrize(
    "so",
    [
        "a",
        "-",
        "-1",
        "1-",
        "1-2-3",
        "1:3",
        "0x1",
        "1 2",
        "*",
        "\u0661",
        "9" * 11,
        "9" * 9999,
        "0,1,x",
    ],
)
def test_what_is_no_selection_is_refused(so):
    refuse(f"magnet:?{BTIH}&so={so}", "is no file index or range like 6-8")


def test_a_range_runs_forwards():
    refuse(f"magnet:?{BTIH}&so=1,8-6", "'8-6' in a magnet link's 'so' runs backwards")


@given(selections(), st.integers(0, 50))
def test_selecting_is_being_in_a_range(ranges, index):
    magnet = Magnet(info_hash=V1, select_only=ranges)
    assert magnet.selects(index) == (not ranges or any(index in files for files in ranges))


# Written


def test_a_link_is_written():
    magnet = Magnet(
        info_hash=V1,
        info_hash_v2=V2,
        name="a b&é",
        trackers=("http://t/a?x=1&y",),
        peers=(("::1", 1), ("host", 2)),
        select_only=(range(1), range(3, 5)),
        extra=(("ws", "http%3A%2F%2Fw"),),
    )
    assert str(magnet) == (
        f"magnet:?{BTIH}&{BTMH}&dn=a%20b%26%C3%A9&tr=http%3A%2F%2Ft%2Fa%3Fx%3D1%26y"
        "&x.pe=[::1]:1&x.pe=host:2&so=0,3-4&ws=http%3A%2F%2Fw"
    )


@given(magnets)
def test_what_is_written_is_read(magnet):
    uri = str(magnet)
    assert Magnet.parse(uri) == magnet
    assert uri.isascii()
    assert uri.isprintable()


@given(st.text() | st.lists(st.text("&=.%+,-:[]0123456789abcdeftrsoxpn \ud800é")).map("&".join))
def test_any_text_is_read_or_refused(text):
    try:
        magnet = Magnet.parse(f"magnet:?{BTIH}&{text}")
    except MetainfoError:
        return
    assert Magnet.parse(str(magnet)) == magnet


@given(magnets)
def test_libtorrent_reads_the_same(magnet):
    read = lt.parse_magnet_uri(str(magnet))
    assert read.info_hashes.v1.to_bytes() == (magnet.info_hash or bytes(20))
    assert read.info_hashes.v2.to_bytes() == (magnet.info_hash_v2 or bytes(32))
    assert read.name == magnet.name
