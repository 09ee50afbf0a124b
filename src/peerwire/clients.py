"""Client names and versions, told from peer ids (BEP 20).

A peer id is whatever the peer says it is: a name read from one is a courtesy for logs, never a
fact to decide by.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeAlias

__all__ = ["client_name"]

#: The digits of a version, as far as they go: libtorrent's go to Z (35), rqbit's to z (61), and
#: Shadow's style has two more.
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz.-"

#: Two-letter codes of the Azureus style: the list of BEP 20, then others seen in swarms.
_CLIENTS = {
    "7T": "aTorrent",
    "AG": "Ares",
    "A~": "Ares",
    "AR": "Arctic",
    "AV": "Avicora",
    "AX": "BitPump",
    "AZ": "Azureus",
    "BB": "BitBuddy",
    "BC": "BitComet",
    "BF": "Bitflu",
    "BG": "BTG",
    "BR": "BitRocket",
    "BS": "BTSlave",
    "BX": "Bittorrent X",
    "CD": "Enhanced CTorrent",
    "CT": "CTorrent",
    "DE": "Deluge",
    "DP": "Propagate Data Client",
    "EB": "EBit",
    "ES": "electric sheep",
    "FG": "FlashGet",
    "FT": "FoxTorrent",
    "FW": "FrostWire",
    "FX": "Freebox BitTorrent",
    "GS": "GSTorrent",
    "HL": "Halite",
    "HN": "Hydranode",
    "KG": "KGet",
    "KT": "KTorrent",
    "LH": "LH-ABC",
    "LP": "Lphant",
    "LT": "libtorrent",
    "lt": "libTorrent (rakshasa)",
    "LW": "LimeWire",
    "MO": "MonoTorrent",
    "MP": "MooPolice",
    "MR": "Miro",
    "MT": "MoonlightTorrent",
    "NX": "Net Transport",
    "PD": "Pando",
    "qB": "qBittorrent",
    "QD": "QQDownload",
    "QT": "Qt 4 Torrent example",
    "RT": "Retriever",
    "S~": "Shareaza alpha/beta",
    "SB": "Swiftbit",
    "SS": "SwarmScope",
    "ST": "SymTorrent",
    "st": "sharktorrent",
    "SZ": "Shareaza",
    "TN": "TorrentDotNET",
    "TR": "Transmission",
    "TS": "Torrentstorm",
    "TT": "TuoTu",
    "UL": "uLeecher!",
    "UT": "uTorrent",
    "UW": "uTorrent Web",
    "VG": "Vagaa",
    "WD": "WebTorrent Desktop",
    "WT": "BitLet",
    "WW": "WebTorrent",
    "WY": "FireTorrent",
    "XL": "Xunlei",
    "XT": "XanTorrent",
    "XX": "Xtorrent",
    "ZT": "ZipTorrent",
    # not in BEP 20
    "AB": "AnyEvent BitTorrent",
    "AT": "Artemis",
    "BE": "baretorrent",
    "BI": "BiglyBT",
    "BL": "BitLord",
    "BN": "Baidu Netdisk",
    "BP": "BitTorrent Pro",
    "BT": "BitTorrent",
    "BW": "BitWombat",
    "FC": "FileCroc",
    "FD": "Free Download Manager",
    "FL": "Folx",
    "GR": "GetRight",
    "GT": "anacrolix/torrent",
    "HK": "Hekate",
    "IL": "iLivid",
    "LC": "LeechCraft",
    "MG": "MediaGet",
    "OS": "OneSwarm",
    "OT": "OmegaTorrent",
    "PI": "PicoTorrent",
    "PW": "peerwire",
    "rQ": "rqbit",
    "RZ": "RezTorrent",
    "SD": "Xunlei",
    "SM": "SoMud",
    "SP": "BitSpirit",
    "TB": "Torch",
    "TL": "Tribler",
    "UE": "uTorrent Embedded",
    "UM": "uTorrent Mac",
    "XF": "Xfplay",
    "ZO": "Zona",
}

_SHADOW_CLIENTS = {
    "A": "ABC",
    "O": "Osprey Permaseed",
    "Q": "BTQueue",
    "R": "Tribler",
    "S": "Shadow's client",
    "T": "BitTornado",
    "U": "UPnP NAT Bit Torrent",
}


def client_name(peer_id: bytes) -> str:
    """Tell which client a peer id names, and which version.

    Args:
        peer_id: The 20 bytes of a handshake or tracker; any other length is told as far as it
            goes.

    Returns:
        One line of printable ASCII, at most 100 characters whatever the bytes are, such as
        ``"qBittorrent 4.6.5"``, ``"unknown XY 1.2.3"`` for an unlisted client of the Azureus
        style, or ``"unknown (...)"`` with the bytes, escaped.
    """
    text = bytes(peer_id[:20]).decode("latin-1")
    for pattern, describe in _STYLES:
        if match := pattern.match(text):
            return describe(match)
    return f"unknown ({repr(bytes(peer_id[:20]))[2:-1]})"


# Versions of the Azureus style: four characters, written differently by some


def _digit(character: str) -> str:
    return str(_DIGITS.index(character))


def _plain(version: str, tags: dict[str, str]) -> str:
    """Three components, and a fourth where it says something; tags are letters with a meaning."""
    parts = ".".join(map(_digit, version[:3]))
    last = version[3]
    if last in tags:
        return f"{parts} {tags[last]}".rstrip()
    return parts if last in "0-~" else f"{parts}.{_digit(last)}"


def _three(version: str) -> str:
    return _plain(version, {})


def _major_minor(version: str) -> str:
    """Two digits each, as WebTorrent's ``0208`` for 2.8.x and BitComet's ``0170`` for 1.70."""
    if not version.isdigit():
        return _three(version)
    return f"{int(version[:2])}.{version[2:]}"


def _webtorrent(version: str) -> str:
    if not version.isdigit():
        return _three(version)
    return f"{int(version[:2])}.{int(version[2:])}"


def _utorrent(version: str) -> str:
    tags = dict.fromkeys("SUW~", "") | dict.fromkeys("bB", "beta") | dict.fromkeys("xXZ", "dev")
    return _plain(version, tags | {"d": "debug"})


def _deluge(version: str) -> str:
    """The release's kind as a letter, where it is not the libtorrent digit that 1.x has."""
    return _plain(version, {"s": "", "D": "dev", "a": "alpha", "b": "beta", "r": "rc"})


def _ktorrent(version: str) -> str:
    kind = {"D": "dev", "R": "rc"}.get(version[2])
    if kind is None:
        return _three(version)
    return f"{_digit(version[0])}.{_digit(version[1])} {kind} {_digit(version[3])}"


def _transmission(version: str) -> str:
    """``0006`` is 0.6, ``0072`` 0.72, ``2940`` 2.94, ``4060`` 4.0.6; Z, X and B no release."""
    tags = {"Z": "dev", "X": "beta", "B": "beta"}
    if version[0] >= "4":
        return _plain(version, tags)
    if not version[:3].isdigit():
        return _three(version)
    if version.startswith("000"):
        return f"0.{_digit(version[3])}"
    if version.startswith("00"):
        return f"0.{version[2:]}"
    return f"{version[0]}.{version[1:3]} {tags.get(version[3], '')}".rstrip()


_VERSIONS: dict[str, Callable[[str], str]] = {
    "AX": _major_minor,
    "BC": _major_minor,
    "BT": _utorrent,
    "CD": _major_minor,
    "DE": _deluge,
    "FG": _major_minor,
    "KT": _ktorrent,
    "LP": _major_minor,
    "TR": _transmission,
    "UE": _utorrent,
    "UM": _utorrent,
    "UT": _utorrent,
    "UW": _utorrent,
    "WD": _webtorrent,
    "WW": _webtorrent,
}


# One function a style: from the match of its pattern to the client's name

_Match: TypeAlias = "re.Match[str]"


def _azureus_style(match: _Match) -> str:
    code, version = match.groups()
    name = _CLIENTS.get(code, f"unknown {code}")
    return f"{name} {_VERSIONS.get(code, _three)(version)}"


def _shadow_style(match: _Match) -> str:
    code, version = match.groups()
    return f"{_SHADOW_CLIENTS[code]} {'.'.join(map(_digit, version))}"


def _bitcomet(match: _Match) -> str:
    major, minor, lord = match.groups()
    return f"{'BitLord' if lord else 'BitComet'} {ord(major)}.{ord(minor):02}"


def _bits_on_wheels(match: _Match) -> str:
    version = {"A0B": "1.0.5", "A0C": "1.0.6"}.get(match[1], match[1])
    return f"Bits on Wheels {version}"


def _xbt(match: _Match) -> str:
    return f"XBT Client {'.'.join(match[1])}{' debug' if match[2] == 'd' else ''}"


def _rufus(match: _Match) -> str:
    return f"Rufus {ord(match[1])}.{ord(match[2])}"


def _dotted(name: str) -> Callable[[_Match], str]:
    """A version in the clear, its parts the groups of the match."""
    return lambda match: f"{name} {'.'.join(match.groups())}"


def _always(name: str) -> Callable[[_Match], str]:
    return lambda match: name


_Style: TypeAlias = tuple[re.Pattern[str], Callable[[_Match], str]]


def _style(pattern: str, describe: Callable[[_Match], str]) -> _Style:
    return re.compile(pattern, re.ASCII | re.DOTALL), describe


#: The first that matches is it: a client's own scheme stands before the style it resembles.
_STYLES: tuple[_Style, ...] = (
    _style(r"-BOW([0-9A-Z]{3})-", _bits_on_wheels),
    _style(r"-ML(\d+(?:\.\d+)+)", _dotted("MLdonkey")),
    _style(r"-G3", _always("G3 Torrent")),  # the user's nickname follows
    _style(r"-?A2-(\d+)-(\d+)-(\d+)-", _dotted("aria2")),
    _style(r"-(FG)(\d{4})", _azureus_style),  # has no second dash
    _style(r"-([A-Za-z0-9][A-Za-z0-9~])([A-Za-z0-9]{3}[A-Za-z0-9~-])-", _azureus_style),
    _style(r"-(FD|UE|UM|UT|UW|BT)([A-Za-z0-9]{3}[A-Za-z0-9~-])", _azureus_style),
    _style(r"M(\d+)-(\d+)-(\d+)-", _dotted("Mainline")),
    _style(r"Q(\d+)-(\d+)-(\d+)-", _dotted("Queen Bee")),
    _style(r"([AOQRSTU])(?=.{5}---)([A-Za-z0-9.]{1,5})-*---", _shadow_style),
    _style(r"(?:exbc|FUTB)(.)(.)(LORD)?", _bitcomet),
    _style(r"XBT(\d{3})([d-])-", _xbt),
    _style(r"OP(\d{4})[0-9a-f]{14}", _dotted("Opera build")),
    _style(r"AZ2500BT", _always("BitTyrant 1.1")),
    _style(r"346------", _always("TorrenTopia 1.90")),
    _style(r"\x00\x03BS", _always("BitSpirit 3")),
    _style(r"\x00\x02BS", _always("BitSpirit 2")),
    _style(r"(.)(.)RS", _rufus),
    _style(r"AP([0-9][0-9A-Za-z.]*)-", _dotted("AllPeers")),
    _style(r"TIX(\d\d)(\d\d)", lambda match: f"Tixati {int(match[1])}.{match[2]}"),
    _style(r".{16}UDP0", _always("BitSpirit")),  # whatever it took over from its peer
)
