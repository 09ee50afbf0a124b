import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from peerwire.clients import client_name


def peer_id(start: str | bytes) -> bytes:
    head = start.encode("latin-1") if isinstance(start, str) else start
    return head + bytes(range(0xC0, 0xC0 + 20 - len(head)))


@pytest.mark.parametrize(
    ("start", "name"),
    [
        # four characters, the last only where it says something
        ("-AZ2060-", "Azureus 2.0.6"),
        ("-AZ5762-", "Azureus 5.7.6.2"),
        ("-LT2100-", "libtorrent 2.1.0"),
        ("-LT20B0-", "libtorrent 2.0.11"),
        ("-lt0D80-", "libTorrent (rakshasa) 0.13.8"),
        ("-qB4650-", "qBittorrent 4.6.5"),
        ("-BI3500-", "BiglyBT 3.5.0"),
        ("-rQ8100-", "rqbit 8.1.0"),
        ("-rQ80a0-", "rqbit 8.0.36"),
        ("-PW0100-", "peerwire 0.1.0"),
        ("-GT0003-", "anacrolix/torrent 0.0.0.3"),
        ("-S~1200-", "Shareaza alpha/beta 1.2.0"),
        ("-XL0012-", "Xunlei 0.0.1.2"),
        ("-BP0509-", "BitTorrent Pro 0.5.0.9"),
        # Transmission
        ("-TR0006-", "Transmission 0.6"),
        ("-TR0072-", "Transmission 0.72"),
        ("-TR111Z-", "Transmission 1.11 dev"),
        ("-TR2940-", "Transmission 2.94"),
        ("-TR3000-", "Transmission 3.00"),
        ("-TR4060-", "Transmission 4.0.6"),
        ("-TR400B-", "Transmission 4.0.0 beta"),
        ("-TR410Z-", "Transmission 4.1.0 dev"),
        ("-TR0A00-", "Transmission 0.10.0"),
        # uTorrent and its kin, whose last character may stand where the dash should
        ("-UT355W-", "uTorrent 3.5.5"),
        ("-UT360S-", "uTorrent 3.6.0"),
        ("-UT2210-", "uTorrent 2.2.1"),
        ("-UT341-", "uTorrent 3.4.1"),
        ("-UT123B-", "uTorrent 1.2.3 beta"),
        ("-UW1180-", "uTorrent Web 1.1.8"),
        ("-UM187d-", "uTorrent Mac 1.8.7 debug"),
        ("-BT7a5X-", "BitTorrent 7.36.5 dev"),
        ("-FD51R~-", "Free Download Manager 5.1.27"),
        ("-FD6170", "Free Download Manager 6.1.7"),
        # Deluge
        ("-DE211s-", "Deluge 2.1.1"),
        ("-DE13F0-", "Deluge 1.3.15"),
        ("-DE200D-", "Deluge 2.0.0 dev"),
        ("-DE201b-", "Deluge 2.0.1 beta"),
        # two digits and two
        ("-BC0170-", "BitComet 1.70"),
        ("-BC01A0-", "BitComet 0.1.10"),
        ("-WW0208-", "WebTorrent 2.8"),
        ("-WW0107-", "WebTorrent 1.7"),
        ("-WD0024-", "WebTorrent Desktop 0.24"),
        ("-WW0a10-", "WebTorrent 0.36.1"),
        ("-FG0182", "FlashGet 1.82"),
        # KTorrent
        ("-KT5110-", "KTorrent 5.1.1"),
        ("-KT22D1-", "KTorrent 2.2 dev 1"),
        ("-KT30R2-", "KTorrent 3.0 rc 2"),
        # listed nowhere
        ("-zz1230-", "unknown zz 1.2.3"),
    ],
)
def test_the_azureus_style(start, name):
    assert client_name(peer_id(start)) == name


@pytest.mark.parametrize(
    ("start", "name"),
    [
        ("S58B-----", "Shadow's client 5.8.11"),
        ("T03I-----", "BitTornado 0.3.18"),
        ("R34------", "Tribler 3.4"),
        ("Q1B2.z---", "BTQueue 1.11.2.62.61"),
        ("M4-3-6--", "Mainline 4.3.6"),
        ("M4-20-8-", "Mainline 4.20.8"),
        ("M7-2-0--", "Mainline 7.2.0"),
        ("Q1-0-0--", "Queen Bee 1.0.0"),
        ("Q1-10-0-", "Queen Bee 1.10.0"),
        (b"exbc\x00\x38", "BitComet 0.56"),
        (b"FUTB\x00\x07", "BitComet 0.07"),
        (b"exbc\x01\x01LORD", "BitLord 1.01"),
        (b"exbc\n\n", "BitComet 10.10"),
        ("XBT054d-", "XBT Client 0.5.4 debug"),
        ("XBT054--", "XBT Client 0.5.4"),
        ("OP76850123456789abcd", "Opera build 7685"),
        ("-ML2.7.2-kgjjfkd", "MLdonkey 2.7.2"),
        ("-BOWA0C-", "Bits on Wheels 1.0.6"),
        ("-BOWA0B-", "Bits on Wheels 1.0.5"),
        ("-BOWZ99-", "Bits on Wheels Z99"),
        ("AZ2500BT", "BitTyrant 1.1"),
        ("346------", "TorrenTopia 1.90"),
        (b"\0\3BS", "BitSpirit 3"),
        (b"\0\2BS", "BitSpirit 2"),
        (b"-zz123456-......UDP0", "BitSpirit"),
        (b"\x00\x46RSnick", "Rufus 0.70"),
        ("-G3\x1b[31mnick", "G3 Torrent"),
        ("A2-1-36-0-", "aria2 1.36.0"),
        ("-A2-1-2-3-", "aria2 1.2.3"),
        ("AP0.70rc30-", "AllPeers 0.70rc30"),
        ("TIX0193-", "Tixati 1.93"),
    ],
)
def test_the_schemes_of_their_own(start, name):
    assert client_name(peer_id(start)) == name


@pytest.mark.parametrize("start", ["-WW0-10-", "A310--001v5G", "R300000---", "M4-3-6", "XBT05xd-"])
def test_what_only_resembles_a_scheme_is_unknown(start):
    assert client_name(peer_id(start)).startswith(f"unknown ({start}")


def test_unknown_bytes_are_escaped():
    assert client_name(b"\x1b[2J\r\n\0\xffspoof'\\" + bytes(5)) == (
        r"unknown (\x1b[2J\r\n\x00\xffspoof'\\\x00\x00\x00\x00\x00)"
    )


def test_a_digit_of_another_script_is_none():
    assert client_name("-UT\u0663\u0665\u0665-".encode()).startswith("unknown (")
    assert client_name(b"M\xb2-\xb3-\xb9--").startswith("unknown (")


ids = st.one_of(
    st.binary(max_size=30),
    st.builds(
        lambda head, tail: head.encode() + tail,
        st.from_regex(r"-(UT|TR|KT|WW|DE|BC|LT|FG|G3|ML|BOW|A2-|..)[ -~]{0,5}", fullmatch=True),
        st.binary(max_size=15),
    ),
    st.builds(
        lambda head, tail: head + tail,
        st.sampled_from([b"exbc", b"M", b"Q", b"S", b"XBT", b"OP", b"AP", b"TIX", b"\0\3BS"]),
        st.text("0123456789-.aZ~", max_size=17).map(str.encode),
    ),
)


@given(ids)
@example(b"")
@example(b"\x9b31m" * 4)
@example(b"-TR\n\n\n\n-" + bytes(12))
def test_whatever_the_bytes_the_name_is_one_short_line(data):
    name = client_name(data)
    assert name
    assert name.isascii()
    assert name.isprintable()
    assert len(name) <= 100
